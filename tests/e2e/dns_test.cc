// The c-ares adapter against a real server. Started by dns_test.py, which says in the environment
// where the server is (DNS_TEST_SERVER) and where nobody answers (DNS_TEST_SILENT).
#include <algorithm>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <unistd.h>
#include <vector>

#include <arpa/inet.h>
#include <catch2/catch.hpp>
#include <netinet/in.h>
#include <sys/socket.h>

#include "dns/cache.h"
#include "dns/cares_resolver.h"
#include "dns/mail_hosts.h"
#include "mta/net/uv_loop.h"

namespace rockdove::dns {
namespace {

using namespace std::chrono_literals;

base::SocketAddress server(const char* variable) {
  const char* text = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe)
  REQUIRE(text != nullptr);
  return *base::parse_socket_address(text);
}

// One loop, which runs from the test's first question to its last answer.
class Bench {
 public:
  explicit Bench(const CaresSettings& settings) {
    auto made = make_cares_resolver(loop, settings);
    REQUIRE(made);
    resolver = std::move(*made);
  }

  static CaresSettings knot() { return {{server("DNS_TEST_SERVER")}, 5s, 2}; }

  // Asks before the loop runs; the loop ends with the last answer.
  void ask(const std::string& name, RecordType type) {
    const std::size_t at = answers.size();
    answers.emplace_back();
    resolver->query(name, type, [this, at](AnswerPointer answer) {
      answers[at] = std::move(answer);
      one_done();
    });
    CHECK(answers[at] == nullptr);  // never within the call
    ++open;
  }

  void one_done() {
    if (--open == 0) loop.stop();
  }

  net::UvLoop loop{0};
  std::unique_ptr<Resolver> resolver;
  std::vector<AnswerPointer> answers;
  std::size_t open = 0;
};

AnswerPointer ask(const std::string& name, RecordType type,
                  const CaresSettings& settings = Bench::knot()) {
  Bench bench(settings);
  bench.ask(name, type);
  bench.loop.run();
  return bench.answers.at(0);
}

MailHosts look_up(const std::string& domain) {
  Bench bench(Bench::knot());
  CachingResolver cache(bench.loop, *bench.resolver);
  base::Random random(1);
  std::optional<MailHosts> result;
  look_up_mail_hosts(cache, random, domain, {}, [&](MailHosts hosts) {
    result = std::move(hosts);
    bench.loop.stop();
  });
  bench.loop.run();
  REQUIRE(result.has_value());
  return std::move(*result);
}

TEST_CASE("dns: mail hosts come from a real server") {
  const MailHosts hosts = look_up("Set.Example");
  REQUIRE(hosts.status == MailHosts::Status::Found);
  REQUIRE(hosts.hosts.size() == 2);
  CHECK(hosts.hosts[0].name == "mx1.set.example");
  CHECK(hosts.hosts[0].addresses.size() == 3);
  CHECK(base::format_ip_address(hosts.hosts[0].addresses[0]) == "2001:db8::1");
  CHECK(hosts.hosts[1].name == "mx2.set.example");
  CHECK(hosts.site == "mx1.set.example,mx2.set.example,nowhere.set.example");
  CHECK(hosts.ttl <= 60s);
  CHECK(hosts.ttl > 0s);
}

TEST_CASE("dns: aliases, null MX, implicit MX and nothing at all") {
  const MailHosts alias = look_up("alias.example");
  REQUIRE(alias.status == MailHosts::Status::Found);
  CHECK(alias.hosts[0].name == "mx1.set.example");
  CHECK(look_up("null.example").status == MailHosts::Status::NullMx);
  const MailHosts implicit = look_up("implicit.example");
  REQUIRE(implicit.status == MailHosts::Status::Found);
  CHECK(implicit.site == "implicit.example");
  const MailHosts by_alias = look_up("hostalias.example");
  REQUIRE(by_alias.status == MailHosts::Status::Found);
  CHECK(by_alias.hosts[0].addresses.size() == 3);
  CHECK(look_up("onlytext.example").status == MailHosts::Status::NoSuchDomain);
  CHECK(look_up("missing.example").status == MailHosts::Status::NoSuchDomain);
  CHECK(look_up("odd.example").status == MailHosts::Status::NoUsableHost);
  const MailHosts broken = look_up("some.broken");
  CHECK(broken.status == MailHosts::Status::TemporaryFailure);
  CHECK(broken.detail.find("asking for MX of some.broken: ") == 0);
}

TEST_CASE("dns: what does not exist lives as long as the SOA says") {
  const AnswerPointer missing = ask("missing.example", RecordType::A);
  CHECK(missing->status == Status::NxDomain);
  CHECK(missing->ttl == 77s);
  const AnswerPointer none = ask("set.example", RecordType::TXT);
  CHECK(none->status == Status::NoData);
  CHECK(none->ttl == 77s);
}

TEST_CASE("dns: an answer too large for UDP comes over TCP, whole") {
  const AnswerPointer big = ask("big.example", RecordType::TXT);
  REQUIRE(big->status == Status::Ok);
  CHECK(big->texts.size() == 30);
  CHECK(std::all_of(big->texts.begin(), big->texts.end(),
                    [](const std::string& text) { return text.size() == 400; }));
  CHECK(big->ttl == 300s);
}

TEST_CASE("dns: PTR") {
  const AnswerPointer name = ask("1.2.0.192.in-addr.example", RecordType::PTR);
  CHECK(name->names == std::vector<std::string>{"host.example"});
}

TEST_CASE("dns: names that no host has are asked for as they are") {
  const AnswerPointer strange = ask("A b%c:d/e.example", RecordType::TXT);
  CHECK(strange->texts == std::vector<std::string>{"strange"});
  CHECK(ask("a  b%c:d/e.example", RecordType::TXT)->status == Status::NxDomain);
}

TEST_CASE("dns: hostile names are answered without a question") {
  for (const std::string& name :
       {std::string("a..b"), std::string(64, 'a') + ".example", std::string("a\0.example", 10),
        std::string("\\000.example"), std::string(100'000, 'a'), std::string()}) {
    CHECK(ask(name, RecordType::MX, {{server("DNS_TEST_SILENT")}, 5s, 2})->status ==
          Status::BadName);
  }
}

TEST_CASE("dns: a thousand questions at once are all answered") {
  Bench bench(Bench::knot());
  for (int i = 0; i < 500; ++i) {
    bench.ask("n" + std::to_string(i) + ".example", RecordType::MX);
    bench.ask("mx1.set.example", RecordType::A);
  }
  bench.loop.run();
  for (std::size_t i = 0; i < bench.answers.size(); ++i) {
    CHECK(bench.answers[i]->status == (i % 2 == 0 ? Status::NxDomain : Status::Ok));
  }
}

TEST_CASE("dns: a server that is silent times out, and the next one is asked") {
  const base::SocketAddress silent = server("DNS_TEST_SILENT");
  const AnswerPointer alone = ask("set.example", RecordType::MX, {{silent}, 50ms, 2});
  CHECK(alone->status == Status::TimedOut);
  CHECK(alone->detail == "asking for MX of set.example: no name server answered");
  const AnswerPointer second =
      ask("set.example", RecordType::MX, {{silent, server("DNS_TEST_SERVER")}, 50ms, 2});
  CHECK(second->status == Status::Ok);
}

// A server that hears and never answers, and counts what it hears.
class Silent {
 public:
  Silent() : socket_(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t octets = sizeof(address_);
    auto* place = reinterpret_cast<sockaddr*>(&address_);
    REQUIRE(::bind(socket_, place, octets) == 0);
    REQUIRE(::getsockname(socket_, place, &octets) == 0);
  }

  ~Silent() { ::close(socket_); }

  Silent(const Silent&) = delete;
  Silent& operator=(const Silent&) = delete;

  [[nodiscard]] base::SocketAddress address() const {
    return {base::IpAddress::v4({127, 0, 0, 1}), ntohs(address_.sin_port)};
  }

  [[nodiscard]] std::size_t heard() {
    char octets[512];
    while (::recv(socket_, octets, sizeof(octets), 0) > 0) ++heard_;
    return heard_;
  }

 private:
  const int socket_;
  sockaddr_in address_{};
  std::size_t heard_ = 0;
};

// Asks for these one after the other, each behind the answer to the one before. All of it outlives
// the questions.
void ask_in_turn(Bench& bench, const std::vector<std::string>& names,
                 const std::function<void()>& answered, std::size_t at = 0) {
  if (at == names.size()) return bench.loop.stop();
  bench.resolver->query(names[at], RecordType::MX, [&, at](AnswerPointer answer) {
    bench.answers.push_back(std::move(answer));
    answered();
    ask_in_turn(bench, names, answered, at + 1);
  });
}

TEST_CASE("dns: a first server that is silent costs the first question its time, not each") {
  Silent silent;
  Bench bench({{silent.address(), server("DNS_TEST_SERVER")}, 50ms, 4});
  std::vector<std::string> names;
  for (int i = 0; i < 30; ++i) names.push_back("n" + std::to_string(i) + ".example");
  const std::function<void()> answered = [&silent] { CHECK(silent.heard() == 1); };
  ask_in_turn(bench, names, answered);
  bench.loop.run();
  REQUIRE(bench.answers.size() == names.size());
  for (const AnswerPointer& answer : bench.answers) CHECK(answer->status == Status::NxDomain);
}

TEST_CASE("dns: questions under way when the order of servers changes are answered") {
  Silent silent;
  Bench bench({{silent.address(), server("DNS_TEST_SERVER")}, 50ms, 4});
  for (int i = 0; i < 100; ++i) bench.ask("n" + std::to_string(i) + ".example", RecordType::MX);
  bench.loop.run();
  for (const AnswerPointer& answer : bench.answers) CHECK(answer->status == Status::NxDomain);
  CHECK(silent.heard() <= 100);
}

TEST_CASE("dns: no server at all is a server failure") {
  // Port 1 of a loopback address that nobody uses: the kernel refuses at once.
  const AnswerPointer refused =
      ask("set.example", RecordType::MX, {{{*base::parse_ip_address("127.9.9.9"), 1}}, 200ms, 1});
  CHECK(is_temporary(refused->status));
}

TEST_CASE("dns: a resolver destroyed in mid-question drops it, also from within an answer") {
  Bench bench({{server("DNS_TEST_SILENT")}, 5s, 2});
  bool was_called = false;
  bench.resolver->query("set.example", RecordType::MX,
                        [&](const AnswerPointer&) { was_called = true; });
  int bad_names = 0;
  for (int i = 0; i < 2; ++i) {
    bench.resolver->query("..", RecordType::MX, [&](const AnswerPointer&) {
      ++bad_names;
      bench.resolver.reset();
      bench.loop.stop();
    });
  }
  bench.loop.run();
  CHECK_FALSE(was_called);
  CHECK(bad_names == 1);
}

}  // namespace
}  // namespace rockdove::dns
