#include "dns/message.h"

#include <catch2/catch.hpp>

namespace rockdove::dns {
namespace {

using namespace std::chrono_literals;

std::string number16(unsigned value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)};
}

std::string number32(std::uint32_t value) {
  return number16(value >> 16) + number16(value & 0xffff);
}

// "a.b" as labels.
std::string wire_name(std::string_view name) {
  std::string wire;
  while (!name.empty()) {
    const std::size_t end = std::min(name.find('.'), name.size());
    wire += static_cast<char>(end);
    wire += name.substr(0, end);
    name.remove_prefix(std::min(end + 1, name.size()));
  }
  return wire + '\0';
}

constexpr unsigned kA = 1;
constexpr unsigned kCname = 5;
constexpr unsigned kSoa = 6;
constexpr unsigned kPtr = 12;
constexpr unsigned kMx = 15;
constexpr unsigned kTxt = 16;

// A reply to one question, put together by the test.
struct Reply {
  std::string records;
  std::string authority;
  unsigned answers = 0;
  unsigned authorities = 0;
  unsigned code = 0;

  Reply& add(const std::string& wire_owner, unsigned type, std::uint32_t ttl,
             const std::string& data) {
    records += wire_owner + number16(type) + number16(1) + number32(ttl) +
               number16(static_cast<unsigned>(data.size())) + data;
    ++answers;
    return *this;
  }

  Reply& soa(std::uint32_t ttl, std::uint32_t minimum) {
    const std::string data = wire_name("ns.example") + wire_name("root.example") +
                             std::string(16, '\1') + number32(minimum);
    authority += wire_name("example") + number16(kSoa) + number16(1) + number32(ttl) +
                 number16(static_cast<unsigned>(data.size())) + data;
    ++authorities;
    return *this;
  }

  [[nodiscard]] std::string wire() const {
    return number16(7) + number16(0x8180 | code) + number16(1) + number16(answers) +
           number16(authorities) + number16(0) + wire_name("q.example") + number16(kMx) +
           number16(1) + records + authority;
  }
};

const std::string kQuestion = {'\xc0', '\x0c'};  // a pointer to the name of the question

TEST_CASE("message: MX records are read, with compressed names and the least TTL") {
  Reply reply;
  reply.add(kQuestion, kMx, 300, number16(10) + "\2MX" + kQuestion);
  reply.add(kQuestion, kMx, 60, number16(20) + wire_name("b.example.net"));
  const Answer answer = read_reply(reply.wire(), "q.example", RecordType::MX);
  CHECK(answer.status == Status::Ok);
  CHECK(answer.exchanges == std::vector<MailExchange>{{10, "mx.q.example"}, {20, "b.example.net"}});
  CHECK(answer.ttl == 60s);
}

TEST_CASE("message: a null MX has the empty name") {
  const Answer answer = read_reply(Reply().add(kQuestion, kMx, 9, number16(0) + '\0').wire(),
                                   "q.example", RecordType::MX);
  CHECK(answer.exchanges == std::vector<MailExchange>{{0, ""}});
}

TEST_CASE("message: CNAMEs are followed in any order, records of strangers are not taken") {
  Reply reply;
  reply.add(wire_name("c.example"), kA, 100, "\1\2\3\4");
  reply.add(wire_name("b.example"), kCname, 30, wire_name("c.example"));
  reply.add(kQuestion, kCname, 90, wire_name("b.example"));
  reply.add(wire_name("evil.example"), kA, 1, "\6\6\6\6");
  const Answer answer = read_reply(reply.wire(), "q.example", RecordType::A);
  REQUIRE(answer.addresses.size() == 1);
  CHECK(base::format_ip_address(answer.addresses[0]) == "1.2.3.4");
  CHECK(answer.ttl == 30s);
}

TEST_CASE("message: aliases that go round are a failure") {
  Reply reply;
  reply.add(kQuestion, kCname, 30, wire_name("b.example"));
  reply.add(wire_name("b.example"), kCname, 30, kQuestion);
  CHECK(read_reply(reply.wire(), "q.example", RecordType::A).status == Status::ServerFailure);
}

TEST_CASE("message: texts of several strings are joined, PTR names read") {
  const Answer text =
      read_reply(Reply().add(kQuestion, kTxt, 9, "\3abc\1d").wire(), "q.example", RecordType::TXT);
  CHECK(text.texts == std::vector<std::string>{"abcd"});
  const Answer name = read_reply(Reply().add(kQuestion, kPtr, 9, wire_name("Host.Example")).wire(),
                                 "q.example", RecordType::PTR);
  CHECK(name.names == std::vector<std::string>{"host.example"});
}

TEST_CASE("message: no record and no name live as long as the SOA says") {
  Reply reply;
  reply.soa(3600, 120);
  const Answer none = read_reply(reply.wire(), "q.example", RecordType::MX);
  CHECK(none.status == Status::NoData);
  CHECK(none.ttl == 120s);
  reply.code = 3;
  const Answer missing = read_reply(reply.wire(), "q.example", RecordType::MX);
  CHECK(missing.status == Status::NxDomain);
  CHECK(missing.ttl == 120s);
  CHECK(read_reply(Reply().soa(60, 120).wire(), "q.example", RecordType::MX).ttl == 60s);
  CHECK(read_reply(Reply().wire(), "q.example", RecordType::MX).ttl == 0s);
}

TEST_CASE("message: error codes are server failures that name the question") {
  Reply reply;
  reply.code = 2;
  const Answer failed = read_reply(reply.wire(), "q.example", RecordType::MX);
  CHECK(failed.status == Status::ServerFailure);
  CHECK(failed.detail == "asking for MX of q.example: the server failed (SERVFAIL)");
  reply.code = 5;
  CHECK(read_reply(reply.wire(), "q.example", RecordType::MX).status == Status::ServerFailure);
}

TEST_CASE("message: octets that no question has match no name") {
  const Answer answer =
      read_reply(Reply().add(kQuestion, kMx, 9, number16(1) + "\3a.b\1 " + '\0').wire(),
                 "q.example", RecordType::MX);
  CHECK(answer.exchanges == std::vector<MailExchange>{{1, "a\\b. "}});
  CHECK_FALSE(question_name(answer.exchanges.front().exchange).has_value());
}

TEST_CASE("message: records and texts are bounded") {
  Reply addresses;
  for (int i = 0; i < 150; ++i) addresses.add(kQuestion, kA, 9, "\1\2\3\4");
  CHECK(read_reply(addresses.wire(), "q.example", RecordType::A).addresses.size() == kRecordsMax);
  Reply texts;
  std::string data;
  for (int i = 0; i < 100; ++i) data += '\xff' + std::string(255, 'x');
  for (int i = 0; i < 10; ++i) texts.add(kQuestion, kTxt, 9, data);
  CHECK(read_reply(texts.wire(), "q.example", RecordType::TXT).texts.size() == 2);
}

TEST_CASE("message: names that point forward or to themselves cannot be read") {
  for (const char target : {'\x0c', '\x1b', '\x1d', '\x7f'}) {
    const std::string pointer = {'\xc0', target};
    Reply reply;
    reply.add(pointer, kA, 9, "\1\2\3\4");
    const Answer answer = read_reply(reply.wire(), "q.example", RecordType::A);
    CHECK((answer.status == Status::Ok) == (target == '\x0c'));
  }
}

TEST_CASE("message: cut anywhere or with any octet changed, a reply does no harm") {
  Reply reply;
  reply.add(kQuestion, kCname, 30, wire_name("b.example"));
  reply.add(wire_name("b.example"), kMx, 300, number16(10) + "\2mx" + kQuestion);
  reply.add(wire_name("b.example"), kTxt, 300, "\3abc");
  reply.soa(5, 5);
  const std::string whole = reply.wire();
  REQUIRE(read_reply(whole, "q.example", RecordType::MX).status == Status::Ok);
  for (std::size_t octets = 0; octets < whole.size(); ++octets) {
    const std::string cut = whole.substr(0, octets);  // its own allocation, so that ASan sees
    const Answer answer = read_reply(cut, "q.example", RecordType::MX);
    CHECK((answer.status == Status::ServerFailure || answer.exchanges.size() == 1));
  }
  std::size_t read = 0;
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const char octet : {'\x00', '\x01', '\x3f', '\x40', '\x80', '\xc0', '\xff'}) {
      std::string changed = whole;
      changed[at] = octet;
      for (const RecordType type : {RecordType::MX, RecordType::TXT, RecordType::PTR}) {
        const Answer answer = read_reply(changed, "q.example", type);
        if (answer.status == Status::Ok) ++read;
        CHECK(answer.exchanges.size() <= 1);
      }
    }
  }
  CHECK(read > 100);
}

TEST_CASE("names: normalised, reversed") {
  CHECK(normalised_name("_DMARC.Example.") == "_dmarc.example");
  CHECK(normalised_name(std::string(63, 'a')).has_value());
  CHECK_FALSE(normalised_name(std::string(64, 'a')).has_value());
  CHECK_FALSE(normalised_name("a..").has_value());
  std::string longest;
  for (int i = 0; i < 126; ++i) longest += "a.";
  CHECK(normalised_name(longest + "b").has_value());
  CHECK_FALSE(normalised_name(longest + "bc").has_value());
  CHECK(question_name("A%20b c:d/E.Example.") == "a%20b c:d/e.example");
  for (const std::string_view name : {"a\\.b", "a\tb", "b\xc3\xbc.example", "a\x7f", "a..b", ""})
    CHECK_FALSE(question_name(name).has_value());
  CHECK_FALSE(question_name(std::string(64, 'a')).has_value());
  CHECK_FALSE(question_name(longest + "bc").has_value());
  CHECK(reverse_name(*base::parse_ip_address("192.0.2.1")) == "1.2.0.192.in-addr.arpa");
  CHECK(reverse_name(*base::parse_ip_address("2001:db8::1")) ==
        "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
}

}  // namespace
}  // namespace rockdove::dns
