#include "dns/mail_hosts.h"

#include <algorithm>
#include <optional>
#include <set>

#include <catch2/catch.hpp>

#include "tests/support/fake_resolver.h"

namespace rockdove::dns {
namespace {

using Found = MailHosts::Status;

struct Bench {
  tests::FakeResolver dns;
  base::Random random{1};
  MailHostOptions options;

  MailHosts look_up(const std::string& domain) {
    std::optional<MailHosts> result;
    look_up_mail_hosts(dns, random, domain, options,
                       [&result](MailHosts hosts) { result = std::move(hosts); });
    dns.run();
    REQUIRE(result.has_value());
    return std::move(*result);
  }

  MailHosts resolve(const std::string& name, const std::string& hosts_file = "",
                    Families families = Families::Both) {
    std::optional<MailHosts> result;
    resolve_host(dns, HostsFile::parse(hosts_file), name, families,
                 [&result](MailHosts hosts) { result = std::move(hosts); });
    dns.run();
    REQUIRE(result.has_value());
    return std::move(*result);
  }
};

std::vector<std::string> names_of(const MailHosts& hosts) {
  std::vector<std::string> names;
  for (const Host& host : hosts.hosts) names.push_back(host.name);
  return names;
}

std::vector<std::string> addresses_of(const Host& host) {
  std::vector<std::string> texts;
  for (const base::IpAddress& address : host.addresses) {
    texts.push_back(base::format_ip_address(address));
  }
  return texts;
}

using Texts = std::vector<std::string>;

TEST_CASE("mail hosts: come by preference, with the families in turn and IPv6 first") {
  Bench bench;
  bench.dns.mx("example.net", 20, "b.example.net");
  bench.dns.mx("example.net", 10, "a.example.net");
  bench.dns.address("a.example.net", "192.0.2.1");
  bench.dns.address("a.example.net", "192.0.2.2");
  bench.dns.address("a.example.net", "2001:db8::1");
  bench.dns.address("b.example.net", "192.0.2.3");
  const MailHosts hosts = bench.look_up("Example.NET");
  REQUIRE(hosts.status == Found::Found);
  CHECK(names_of(hosts) == Texts{"a.example.net", "b.example.net"});
  CHECK(hosts.hosts[0].preference == 10);
  CHECK(addresses_of(hosts.hosts[0]) == Texts{"2001:db8::1", "192.0.2.1", "192.0.2.2"});
  CHECK(hosts.site == "a.example.net,b.example.net");
  CHECK(hosts.ttl == std::chrono::minutes(5));
  CHECK(hosts.detail.empty());
}

TEST_CASE("mail hosts: equal preferences are shuffled, the others keep their place") {
  std::set<std::string> first;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    Bench bench;
    bench.random = base::Random(seed);
    for (const char* name : {"a.example", "b.example", "c.example"}) {
      bench.dns.mx("example.net", 10, name);
      bench.dns.address(name, "192.0.2.1");
    }
    bench.dns.mx("example.net", 5, "best.example");
    bench.dns.address("best.example", "192.0.2.9");
    const MailHosts hosts = bench.look_up("example.net");
    REQUIRE(hosts.hosts.size() == 4);
    CHECK(hosts.hosts[0].name == "best.example");
    CHECK(hosts.site == "a.example,b.example,best.example,c.example");
    first.insert(hosts.hosts[1].name);
  }
  CHECK(first.size() == 3);
}

TEST_CASE("mail hosts: without MX records the domain is its own host") {
  Bench bench;
  bench.dns.address("example.net", "192.0.2.1");
  const MailHosts hosts = bench.look_up("example.net.");
  REQUIRE(hosts.status == Found::Found);
  CHECK(names_of(hosts) == Texts{"example.net"});
  CHECK(hosts.site == "example.net");
}

TEST_CASE("mail hosts: a domain that does not exist, or has nothing, is no domain") {
  Bench bench;
  const MailHosts nothing = bench.look_up("nothing.example");
  CHECK(nothing.status == Found::NoSuchDomain);
  CHECK(nothing.detail == "the domain nothing.example does not exist");
  CHECK(bench.dns.asked().size() == 1);  // NXDOMAIN holds for every type
  bench.dns.text("empty.example", "only text");
  const MailHosts empty = bench.look_up("empty.example");
  CHECK(empty.status == Found::NoSuchDomain);
  CHECK(empty.detail == "the domain empty.example has no mail host and no address");
  CHECK(is_permanent(empty.status));
}

TEST_CASE("mail hosts: a null MX takes no mail, beside other hosts it is passed over") {
  Bench bench;
  bench.dns.mx("none.example", 0, "");
  bench.dns.address("none.example", "192.0.2.1");
  CHECK(bench.look_up("none.example").status == Found::NullMx);
  bench.dns.mx("odd.example", 0, "");
  bench.dns.mx("odd.example", 10, "mx.example");
  bench.dns.address("mx.example", "192.0.2.1");
  CHECK(names_of(bench.look_up("odd.example")) == Texts{"mx.example"});
}

TEST_CASE("mail hosts: when the DNS cannot tell, the text says which question failed") {
  Bench bench;
  bench.dns.fails("slow.example", RecordType::MX, Status::TimedOut);
  const MailHosts slow = bench.look_up("slow.example");
  CHECK(slow.status == Found::TemporaryFailure);
  CHECK(slow.detail == "asking for MX of slow.example: timed out");
  CHECK_FALSE(is_permanent(slow.status));

  bench.dns.mx("broken.example", 10, "mx.broken.example");
  bench.dns.fails("mx.broken.example", RecordType::A, Status::ServerFailure);
  const MailHosts broken = bench.look_up("broken.example");
  CHECK(broken.status == Found::TemporaryFailure);
  CHECK(broken.detail == "asking for A of mx.broken.example: server failure");
}

TEST_CASE("mail hosts: one that leads nowhere or fails does not matter if another has addresses") {
  Bench bench;
  bench.dns.mx("example.net", 10, "nowhere.example");
  bench.dns.mx("example.net", 20, "fails.example");
  bench.dns.mx("example.net", 30, "not a name");
  bench.dns.mx("example.net", 40, "good.example");
  bench.dns.fails("fails.example", RecordType::A, Status::ServerFailure);
  bench.dns.address("good.example", "192.0.2.1");
  const MailHosts hosts = bench.look_up("example.net");
  CHECK(names_of(hosts) == Texts{"good.example"});
  CHECK(hosts.ttl == std::chrono::minutes(1));  // the failing one may come back soon
  CHECK(hosts.site == "fails.example,good.example,not a name,nowhere.example");
}

TEST_CASE("mail hosts: MX records without any address are a permanent error") {
  Bench bench;
  bench.dns.mx("example.net", 10, "nowhere.example");
  bench.dns.mx("example.net", 20, "zero.example");
  bench.dns.address("zero.example", "0.0.0.0");
  const MailHosts hosts = bench.look_up("example.net");
  CHECK(hosts.status == Found::NoUsableHost);
  CHECK(hosts.detail ==
        "no mail host of the domain example.net has an address (the best is nowhere.example)");
}

TEST_CASE("mail hosts: ourselves and all that are no better are dropped") {
  Bench bench;
  bench.options.own_names = {"us.example"};
  bench.dns.mx("example.net", 10, "best.example");
  bench.dns.mx("example.net", 20, "us.example");
  bench.dns.mx("example.net", 20, "equal.example");
  bench.dns.mx("example.net", 30, "worse.example");
  for (const char* name : {"best.example", "us.example", "equal.example", "worse.example"}) {
    bench.dns.address(name, "192.0.2.1");
  }
  CHECK(names_of(bench.look_up("example.net")) == Texts{"best.example"});

  bench.options.own_names = {"best.example"};
  const MailHosts loop = bench.look_up("example.net");
  CHECK(loop.status == Found::Loop);
  CHECK(loop.detail.find("best.example is this machine") != std::string::npos);
}

TEST_CASE("mail hosts: ourselves are known by address and port too") {
  Bench bench;
  bench.options.own_listeners = {{*base::parse_ip_address("192.0.2.1"), 25},
                                 {*base::parse_ip_address("::"), 25}};
  bench.dns.mx("example.net", 10, "alias.example");
  bench.dns.address("alias.example", "192.0.2.1");
  CHECK(bench.look_up("example.net").status == Found::Loop);
  CHECK(bench.look_up("[192.0.2.1]").status == Found::Loop);
  CHECK(bench.look_up("[127.0.0.1]").status == Found::Loop);
  CHECK(bench.look_up("[192.0.2.2]").status == Found::Found);
  bench.options.port = 2525;
  CHECK(bench.look_up("example.net").status == Found::Found);
  CHECK(bench.look_up("[192.0.2.1]").status == Found::Found);
}

TEST_CASE("mail hosts: a better host that fails keeps a loop from being final") {
  Bench bench;
  bench.options.own_names = {"us.example"};
  bench.dns.mx("example.net", 10, "best.example");
  bench.dns.mx("example.net", 20, "us.example");
  bench.dns.fails("best.example", RecordType::AAAA, Status::TimedOut);
  CHECK(bench.look_up("example.net").status == Found::TemporaryFailure);
  bench.dns.forget("best.example");
  CHECK(bench.look_up("example.net").status == Found::Loop);
}

TEST_CASE("mail hosts: an address literal is that address, without a question") {
  Bench bench;
  const MailHosts v4 = bench.look_up("[192.0.2.1]");
  REQUIRE(v4.status == Found::Found);
  CHECK(addresses_of(v4.hosts[0]) == Texts{"192.0.2.1"});
  CHECK(v4.site == "[192.0.2.1]");
  const MailHosts v6 = bench.look_up("[ipv6:2001:DB8::1]");
  REQUIRE(v6.status == Found::Found);
  CHECK(addresses_of(v6.hosts[0]) == Texts{"2001:db8::1"});
  CHECK(v6.hosts[0].name == "[IPv6:2001:db8::1]");
  for (const char* text : {"[]", "[", "[192.0.2]", "[2001:db8::1]", "[IPv6:192.0.2.1]", "[0.0.0.0]",
                           "[x:abc]", "[192.0.2.1"}) {
    CAPTURE(text);
    CHECK(bench.look_up(text).status == Found::BadDomain);
  }
  CHECK(bench.dns.asked().empty());
}

TEST_CASE("mail hosts: hostile names are refused without a question") {
  Bench bench;
  for (const std::string& text :
       {std::string(), std::string("."), std::string("a..b"), std::string("a b"),
        std::string("a\0b", 3), std::string(64, 'a'), std::string("\xff.example"),
        std::string(300, 'a'), std::string("%s%n.example"), std::string(".a")}) {
    CHECK(bench.look_up(text).status == Found::BadDomain);
  }
  CHECK(bench.dns.asked().empty());
}

TEST_CASE("mail hosts: an MX whose name no host has is not asked for") {
  Bench bench;
  bench.dns.mx("example.net", 1, "a?b.example.net");
  bench.dns.mx("example.net", 2, "a b.example.net");
  bench.dns.address("a?b.example.net", "192.0.2.1");
  CHECK(bench.look_up("example.net").status == Found::NoUsableHost);
  CHECK(bench.dns.asked().size() == 1);
}

TEST_CASE("mail hosts: too many hosts and addresses are cut, questions are limited at once") {
  Bench bench;
  for (std::uint16_t i = 0; i < 100; ++i) {
    const std::string name = "mx" + std::to_string(i) + ".example.net";
    bench.dns.mx("example.net", i, name);
    for (int j = 1; j < 60; ++j) bench.dns.address(name, "192.0.2." + std::to_string(j));
    bench.dns.address(name, "2001:db8::1");
  }
  std::optional<MailHosts> result;
  look_up_mail_hosts(bench.dns, bench.random, "example.net", {},
                     [&result](MailHosts hosts) { result = std::move(hosts); });
  std::size_t at_once = 0;
  while (bench.dns.waiting() > 0) {
    at_once = std::max(at_once, bench.dns.waiting());
    bench.dns.run_one();
  }
  CHECK(at_once == 20);
  REQUIRE(result.has_value());
  REQUIRE(result->hosts.size() == kHostsMax);
  CHECK(result->hosts.back().name == "mx19.example.net");
  CHECK(result->hosts[0].addresses.size() == kAddressesPerHostMax);
  CHECK(result->site.size() == kSiteOctetsMax);
}

TEST_CASE("mail hosts: long sites differ when any host differs") {
  std::set<std::string> sites;
  for (const char* last : {"x", "y"}) {
    Bench bench;
    for (int i = 0; i < 9; ++i) {
      bench.dns.mx("example.net", 1, "a-rather-long-name" + std::to_string(i) + ".example.net");
    }
    bench.dns.mx("example.net", 1, std::string("z") + last + ".example.net");
    bench.dns.address("a-rather-long-name0.example.net", "192.0.2.1");
    sites.insert(bench.look_up("example.net").site);
  }
  CHECK(sites.size() == 2);
}

TEST_CASE("mail hosts: a host named twice is tried once, at its better place") {
  Bench bench;
  bench.dns.mx("example.net", 30, "a.example");
  bench.dns.mx("example.net", 20, "b.example");
  bench.dns.mx("example.net", 10, "a.example");
  bench.dns.address("a.example", "192.0.2.1");
  bench.dns.address("a.example", "192.0.2.1");
  bench.dns.address("b.example", "192.0.2.2");
  const MailHosts hosts = bench.look_up("example.net");
  CHECK(names_of(hosts) == Texts{"a.example", "b.example"});
  CHECK(hosts.hosts[0].addresses.size() == 1);
}

TEST_CASE("mail hosts: only the wanted families are asked for") {
  Bench bench;
  bench.options.families = Families::V4Only;
  bench.dns.address("example.net", "192.0.2.1");
  bench.dns.address("example.net", "2001:db8::1");
  CHECK(addresses_of(bench.look_up("example.net").hosts.at(0)) == Texts{"192.0.2.1"});
  CHECK(bench.dns.asked().size() == 2);
}

TEST_CASE("resolve host: addresses, the hosts file, then the DNS, but never MX") {
  Bench bench;
  bench.dns.mx("smart.example", 10, "other.example");
  bench.dns.address("smart.example", "192.0.2.1");
  CHECK(addresses_of(bench.resolve("192.0.2.7").hosts.at(0)) == Texts{"192.0.2.7"});
  CHECK(addresses_of(bench.resolve("::1").hosts.at(0)) == Texts{"::1"});
  CHECK(addresses_of(bench.resolve("[::1]").hosts.at(0)) == Texts{"::1"});
  CHECK(addresses_of(bench.resolve("[192.0.2.7]").hosts.at(0)) == Texts{"192.0.2.7"});
  CHECK(addresses_of(bench.resolve("localhost").hosts.at(0)) == Texts{"::1", "127.0.0.1"});
  CHECK(addresses_of(bench.resolve("localhost", "", Families::V4Only).hosts.at(0)) ==
        Texts{"127.0.0.1"});
  const std::string table = "# all\n10.0.0.1 Printer printer.lan # x\nbad line\n10.0.0.2 printer\n";
  CHECK(addresses_of(bench.resolve("PRINTER", table).hosts.at(0)) == Texts{"10.0.0.1", "10.0.0.2"});
  CHECK(bench.dns.asked().empty());
  const MailHosts smart = bench.resolve("Smart.Example", table);
  CHECK(addresses_of(smart.hosts.at(0)) == Texts{"192.0.2.1"});
  CHECK(smart.site == "smart.example");
  CHECK(bench.dns.asked().size() == 2);
  CHECK(bench.resolve("nowhere.example").status == Found::NoSuchDomain);
  CHECK(bench.resolve("not a name").status == Found::BadDomain);
  bench.dns.fails("broken.example", RecordType::A, Status::ServerFailure);
  CHECK(bench.resolve("broken.example").status == Found::TemporaryFailure);
}

}  // namespace
}  // namespace rockdove::dns
