// What strangers are told, and why: each refusal's text stands here whole, because people read it.
// The DNS is a table; every check is run round by round, as the engine runs it.
#include "policy/client_check.h"

#include <catch2/catch.hpp>

#include "policy/dns_lists.h"
#include "spf_zone.h"

namespace rockdove::policy {
namespace {

AddressListPointer list_of(std::initializer_list<std::string_view> entries) {
  AddressListBuilder builder;
  for (const std::string_view entry : entries) REQUIRE(builder.add(entry));
  return builder.finish();
}

base::IpAddress ip(std::string_view text) {
  return *base::parse_ip_address(text);
}

// A world where all is well with 192.0.2.1, mx.example.org.
struct World {
  World() {
    dns.address("mx.example.org", "192.0.2.1");
    dns.ptr("192.0.2.1", "mx.example.org");
    policy.contact = "postmaster@rockdove.example";
    policy.own_names = {"relay.rockdove.example"};
    policy.own_addresses = {ip("198.51.100.25")};
    modes = {CheckMode::Enforce, CheckMode::Enforce, CheckMode::Enforce};
  }

  void list(std::string zone, int weight, DnsList::Of of = DnsList::Of::Client) {
    policy.dns_lists.push_back({std::move(zone), weight, {}, "", of});
  }

  ClientVerdict check() {
    RecordedDns known;
    asked.clear();
    for (rounds = 1; rounds < 10; ++rounds) {
      std::optional<ClientVerdict> verdict = check_client(policy, modes, facts, known);
      if (verdict) return *std::move(verdict);
      for (Question& question : known.take_missing()) {
        asked.push_back(std::string(dns::name_of(question.type)) + " " + question.name);
        auto answer = std::make_shared<const dns::Answer>(dns.answer(question));
        known.add(std::move(question), std::move(answer));
      }
    }
    throw std::runtime_error("the check does not come to an end");
  }

  std::string refusal() {
    const ClientVerdict verdict = check();
    if (!verdict.refusal) return "";
    return std::to_string(verdict.refusal->code) + " " + verdict.refusal->enhanced + " " +
           verdict.refusal->text;
  }

  // "helo: …", or "" when it is not there.
  std::string note(std::string_view name) {
    for (const ClientNote& one : check().notes) {
      if (one.check == name) return one.words;
    }
    return "";
  }

  SpfZone dns;
  ClientPolicy policy;
  ClientModes modes;
  ClientFacts facts{ip("192.0.2.1"), "mx.example.org", "jane@example.org"};
  std::vector<std::string> asked;
  int rounds = 0;
};

const std::string kAsk = "; to ask about it: postmaster@rockdove.example";

}  // namespace

TEST_CASE("clients: one that is in order is told nothing, and all is asked for in two rounds") {
  World world;
  world.list("bl.example", 5);
  const ClientVerdict verdict = world.check();
  CHECK(!verdict.refusal);
  CHECK(verdict.client_name == "mx.example.org");
  CHECK(world.rounds == 2);
  CHECK(world.asked == std::vector<std::string>{"A mx.example.org", "PTR 1.2.0.192.in-addr.arpa",
                                                "A 1.2.0.192.bl.example"});
  REQUIRE(verdict.notes.size() == 3);
  CHECK(verdict.notes[0].check == "helo");
  CHECK(verdict.notes[0].words == "mx.example.org exists");
  CHECK(verdict.notes[1].check == "iprev");
  CHECK(verdict.notes[1].words == "pass: 192.0.2.1 is mx.example.org");
  CHECK(verdict.notes[2].check == "dnsbl");
  CHECK(verdict.notes[2].words == "not listed");
  CHECK(format_authentication_results("relay.rockdove.example", verdict.results) ==
        "Authentication-Results: relay.rockdove.example;\r\n"
        "\tiprev=pass (mx.example.org) policy.iprev=192.0.2.1\r\n");
}

TEST_CASE("clients: with everything off nothing is asked and nothing is said") {
  World world;
  world.list("bl.example", 5);
  world.modes = {CheckMode::Off, CheckMode::Off, CheckMode::Off};
  const ClientVerdict verdict = world.check();
  CHECK(!verdict.refusal);
  CHECK(verdict.notes.empty());
  CHECK(verdict.results.empty());
  CHECK(world.asked.empty());
}

TEST_CASE("clients: who is blocked hears by what, and nothing is asked for them") {
  World world;
  world.policy.block.own = list_of(
      {"192.0.2.0/24", "@spam.example", "joe@example.com", ".below.example", "helo:ylmf-pc"});
  CHECK(world.refusal() ==
        "550 5.7.1 your server's address 192.0.2.1 is blocked here (192.0.2.0/24)" + kAsk);
  CHECK(world.asked.empty());
  CHECK(world.note("lists") == "blocked by 192.0.2.0/24 of the configuration");
  world.facts.client = ip("203.0.113.1");
  world.facts.sender = "Joe@EXAMPLE.com";
  CHECK(world.refusal() ==
        "550 5.7.1 the sender Joe@EXAMPLE.com is blocked here (joe@example.com)" + kAsk);
  world.facts.sender = "x@spam.example";
  CHECK(world.refusal() ==
        "550 5.7.1 the sender x@spam.example is blocked here (@spam.example)" + kAsk);
  world.facts.sender = "x@a.b.below.example";
  CHECK(world.refusal() ==
        "550 5.7.1 the sender x@a.b.below.example is blocked here (.below.example)" + kAsk);
  world.facts.sender = "";
  world.facts.helo = "YLMF-PC";
  world.policy.contact = "";
  CHECK(world.refusal() == "550 5.7.1 your server's name YLMF-PC is blocked here (helo:ylmf-pc)");
}

TEST_CASE("clients: the file that blocks is in the log, not in the reply") {
  World world;
  world.policy.block.files.push_back({"/etc/rockdove/block", list_of({"192.0.2.1"})});
  CHECK(world.refusal() ==
        "550 5.7.1 your server's address 192.0.2.1 is blocked here (192.0.2.1)" + kAsk);
  CHECK(world.note("lists") == "blocked by 192.0.2.1 of /etc/rockdove/block");
}

TEST_CASE("clients: who is allowed is refused for nothing, though it is looked at") {
  World world;
  world.policy.block.own = list_of({"192.0.2.0/24"});
  world.list("bl.example", 9);
  world.dns.address("2.2.0.192.bl.example", "127.0.0.2");
  world.facts.client = ip("192.0.2.2");
  world.facts.helo = "nonsense!";
  CHECK(!world.refusal().empty());
  world.policy.allow.own = list_of({"192.0.2.2"});
  const ClientVerdict verdict = world.check();
  CHECK(verdict.is_allowed);
  CHECK(!verdict.refusal);
  REQUIRE(verdict.notes.size() == 3);
  CHECK(verdict.notes[0].words == "allowed by 192.0.2.2 of the configuration");
  CHECK(verdict.notes[1].check == "helo");
  CHECK(verdict.notes[2].words.starts_with("permerror: "));
  CHECK(world.asked == std::vector<std::string>{"PTR 2.2.0.192.in-addr.arpa"});
}

TEST_CASE("clients: each wrong HELO has its own words") {
  World world;
  const auto told = [&world](const std::string& helo) {
    world.facts.helo = helo;
    return world.refusal();
  };
  CHECK(told("my pc!") ==
        "550 5.7.1 your server calls itself \"my pc!\", which is no host name; let it say its full "
        "name, as mail.example.net" +
            kAsk);
  CHECK(told("workstation7") ==
        "550 5.7.1 your server calls itself \"workstation7\", which is no full host name; let it "
        "say its domain, too, as mail.example.net" +
            kAsk);
  CHECK(told("192.0.2.1") ==
        "550 5.7.1 your server calls itself \"192.0.2.1\": an address stands in brackets, as "
        "[192.0.2.1] or [IPv6:2001:db8::1]" +
            kAsk);
  CHECK(told("[192.0.2.x]") ==
        "550 5.7.1 your server calls itself \"[192.0.2.x]\", which is no address: one is written "
        "as [192.0.2.1] or [IPv6:2001:db8::1]" +
            kAsk);
  CHECK(told("[192.0.2.9]") ==
        "550 5.7.1 your server calls itself \"[192.0.2.9]\", but its address is 192.0.2.1" + kAsk);
  CHECK(told("[198.51.100.25]") ==
        "550 5.7.1 your server calls itself \"[198.51.100.25]\", which is our address" + kAsk);
  CHECK(told("RELAY.rockdove.example") ==
        "550 5.7.1 your server calls itself \"RELAY.rockdove.example\", which is our name" + kAsk);
  CHECK(world.asked.empty());
  CHECK(told("ghost.example.org") ==
        "550 5.7.1 your server calls itself \"ghost.example.org\", and there is no such name in "
        "the DNS; let it say a name that has an A or AAAA record" +
            kAsk);
  CHECK(told("\x1b[2J\xc3\xa9").find('\x1b') == std::string::npos);
}

TEST_CASE("clients: a HELO that can be right is not refused") {
  World world;
  world.dns.mx("only-mx.example.org", "mx.example.org");
  world.dns.address("v6.example.org", "2001:db8::9");
  for (const char* helo : {"[192.0.2.1]", "MX.example.org", "mx.example.org.",
                           "only-mx.example.org", "v6.example.org"}) {
    world.facts.helo = helo;
    CHECK(world.refusal() == "");
  }
  world.facts.client = ip("2001:db8::1");
  world.dns.ptr("2001:db8::1", "six.example.org");
  world.dns.address("six.example.org", "2001:db8::1");
  world.facts.helo = "[IPv6:2001:DB8:0::1]";
  CHECK(world.refusal() == "");
}

TEST_CASE("clients: this machine may say its own name") {
  World world;
  world.modes.iprev = CheckMode::Off;
  for (const char* client : {"127.0.0.1", "::1", "198.51.100.25"}) {
    world.facts.client = ip(client);
    world.facts.helo = "relay.rockdove.example";
    CHECK(world.refusal() == "");
    world.facts.helo = "[198.51.100.25]";
    CHECK(world.refusal() == "");
  }
}

TEST_CASE("clients: a HELO name that cannot be looked up now is not refused") {
  World world;
  world.facts.helo = "slow.example.net";
  world.dns.fails("slow.example.net", dns::RecordType::A);
  world.dns.fails("slow.example.net", dns::RecordType::AAAA);
  world.dns.fails("slow.example.net", dns::RecordType::MX);
  CHECK(world.refusal() == "");
  CHECK(world.note("helo") == "slow.example.net could not be looked up: timed out");
}

TEST_CASE("clients: checked but not enforced, a failure is only noted") {
  World world;
  world.modes = {CheckMode::Check, CheckMode::Check, CheckMode::Check};
  world.facts.client = ip("192.0.2.2");
  world.facts.helo = "pc";
  world.list("bl.example", 9);
  world.dns.address("2.2.0.192.bl.example", "127.0.0.2");
  const ClientVerdict verdict = world.check();
  CHECK(!verdict.refusal);
  REQUIRE(verdict.notes.size() == 3);
  CHECK(verdict.notes[0].words.starts_with("your server calls itself \"pc\""));
  CHECK(verdict.notes[2].words == "bl.example +9 (127.0.0.2); together 9 of 5");
}

TEST_CASE("iprev: an address without a name, and one whose name does not lead back") {
  World world;
  world.facts.client = ip("192.0.2.2");
  CHECK(world.refusal() ==
        "550 5.7.25 192.0.2.2 has no name in the DNS (PTR record); whoever gave you the address "
        "can set one, and that name must lead back to it" +
            kAsk);
  world.dns.ptr("192.0.2.2", "mx.example.org");
  CHECK(world.refusal() ==
        "550 5.7.25 192.0.2.2 has the name mx.example.org in the DNS, which does not lead back to "
        "it: the A or the PTR record is wrong" +
            kAsk);
  CHECK(format_authentication_results("here", world.check().results) ==
        "Authentication-Results: here;\r\n\tiprev=fail policy.iprev=192.0.2.2\r\n");
  CHECK(world.check().client_name.empty());
}

TEST_CASE("iprev: an address of IPv6 is confirmed by AAAA") {
  World world;
  world.facts.client = ip("2001:db8::1");
  world.dns.ptr("2001:db8::1", "six.example.org");
  world.dns.address("six.example.org", "192.0.2.1");
  CHECK(world.note("iprev").find("the AAAA or the PTR record is wrong") != std::string::npos);
  world.dns.address("six.example.org", "2001:db8::1");
  CHECK(world.check().client_name == "six.example.org");
}

TEST_CASE("iprev: a failure of the DNS refuses nobody") {
  World world;
  world.facts.client = ip("192.0.2.2");
  world.dns.fails("2.2.0.192.in-addr.arpa", dns::RecordType::PTR);
  CHECK(world.refusal() == "");
  CHECK(world.check().results.front().result == "temperror");
  CHECK(world.note("iprev") ==
        "temperror: the name of 192.0.2.2 could not be looked up: timed out");
  World other;
  other.facts.client = ip("192.0.2.3");
  other.dns.ptr("192.0.2.3", "a.example");
  other.dns.ptr("192.0.2.3", "b.example");
  other.dns.fails("a.example", dns::RecordType::A);
  CHECK(other.refusal() == "");
  CHECK(other.note("iprev") == "temperror: a.example could not be looked up: timed out");
  other.dns.address("b.example", "192.0.2.3");  // one that leads back is enough
  CHECK(other.check().client_name == "b.example");
}

TEST_CASE("iprev: of a hundred names ten are asked for") {
  World world;
  world.facts.client = ip("192.0.2.2");
  for (int i = 0; i < 100; ++i)
    world.dns.ptr("192.0.2.2", "n" + std::to_string(i) + ".example.org");
  world.dns.address("n10.example.org", "192.0.2.2");  // the eleventh
  const std::string refused = world.refusal();
  CHECK(refused ==
        "550 5.7.25 192.0.2.2 has the name n0.example.org, n1.example.org, n2.example.org and 97 "
        "others in the DNS, which does not lead back to it: the A or the PTR record is wrong" +
            kAsk);
  CHECK(world.asked.size() == 2 + 10);
  CHECK(world.asked.size() <= kClientQuestionsMax);
}

TEST_CASE("dnsbl: a listing refuses with the list's own words, which are asked for only then") {
  World world;
  world.list("bl.example", 5);
  world.dns.address("1.2.0.192.bl.example", "127.0.0.2");
  world.dns.text("1.2.0.192.bl.example", "open proxy, see https://bl.example/?192.0.2.1");
  CHECK(world.refusal() ==
        "554 5.7.1 192.0.2.1 is listed by bl.example: open proxy, see "
        "https://bl.example/?192.0.2.1" +
            kAsk);
  CHECK(world.asked.back() == "TXT 1.2.0.192.bl.example");
  world.policy.dns_lists[0].text = "see https://bl.example/%z/?q=%a&s=%d (100%%)";
  CHECK(world.refusal() ==
        "554 5.7.1 192.0.2.1 is listed by bl.example: see "
        "https://bl.example/bl.example/?q=192.0.2.1&s=example.org (100%)" +
            kAsk);
  CHECK(world.asked.back() != "TXT 1.2.0.192.bl.example");
}

TEST_CASE("dnsbl: an address of IPv6 is asked for by nibbles") {
  World world;
  world.modes.iprev = CheckMode::Off;
  world.modes.helo = CheckMode::Off;
  world.facts.client = ip("2001:db8::567:89ab");
  world.list("bl.example", 5);
  world.dns.address("b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.example",
                    "127.0.0.2");
  CHECK(world.refusal() == "554 5.7.1 2001:db8::567:89ab is listed by bl.example" + kAsk);
}

TEST_CASE("dnsbl: weights add up, and those of lists that vouch are taken away") {
  World world;
  world.list("one.example", 3);
  world.list("two.example", 2);
  world.list("white.example", -4);
  world.dns.address("1.2.0.192.one.example", "127.0.0.2");
  CHECK(world.refusal() == "");
  CHECK(world.note("dnsbl") == "one.example +3 (127.0.0.2); together 3 of 5");
  world.dns.address("1.2.0.192.two.example", "127.0.0.4");
  CHECK(world.refusal() ==
        "554 5.7.1 192.0.2.1 is listed by one.example; 192.0.2.1 is listed by two.example" + kAsk);
  world.dns.address("1.2.0.192.white.example", "127.0.5.2");
  const ClientVerdict verdict = world.check();
  CHECK(!verdict.refusal);
  CHECK(verdict.notes.back().words ==
        "one.example +3 (127.0.0.2), two.example +2 (127.0.0.4), white.example -4 (127.0.5.2); "
        "together 1 of 5");
  CHECK(format_authentication_results("here", verdict.results)
            .find("dnswl=pass dns.zone=white.example policy.ip=127.0.5.2") != std::string::npos);
}

TEST_CASE("dnsbl: only the answers that were named count") {
  World world;
  world.list("bl.example", 5);
  world.policy.dns_lists[0].answers = {*base::parse_ip_network("127.0.0.2"),
                                       *base::parse_ip_network("127.0.0.4/30")};
  world.dns.address("1.2.0.192.bl.example", "127.0.0.10");
  CHECK(world.refusal() == "");
  world.dns.address("1.2.0.192.bl.example", "127.0.0.7");
  CHECK(world.refusal() != "");
}

TEST_CASE("dnsbl: a list that refuses to answer us lists nobody, and the operator hears of it") {
  World world;
  world.list("zen.example", 5);
  world.policy.dns_lists[0].answers = {*base::parse_ip_network("127.0.0.0/8")};
  world.dns.address("1.2.0.192.zen.example", "127.255.255.254");
  const ClientVerdict verdict = world.check();
  CHECK(!verdict.refusal);
  CHECK(verdict.notes.back().words == "zen.example refuses to answer us");
  REQUIRE(verdict.list_errors.size() == 1);
  CHECK(
      verdict.list_errors[0] ==
      "zen.example refuses to answer us (127.255.255.254): ask it through a resolver of your own, "
      "or ask those who run it");
}

TEST_CASE("dnsbl: an answer outside of 127.0.0.0/8 is no listing") {
  World world;
  world.list("gone.example", 5);
  world.dns.address("1.2.0.192.gone.example", "203.0.113.5");
  const ClientVerdict verdict = world.check();
  CHECK(!verdict.refusal);
  REQUIRE(verdict.list_errors.size() == 1);
  CHECK(verdict.list_errors[0] ==
        "gone.example answers 203.0.113.5 for 192.0.2.1, which is no list's answer (RFC 5782 has "
        "127.0.0.0/8): it may have ended, or your resolver changes answers");
}

TEST_CASE("dnsbl: who might be vouched for is not refused while that list does not answer") {
  World world;
  world.list("bl.example", 5);
  world.list("white.example", -2);
  world.dns.address("1.2.0.192.bl.example", "127.0.0.2");
  CHECK(world.refusal() != "");
  world.dns.fails("1.2.0.192.white.example", dns::RecordType::A);
  CHECK(world.refusal() == "");
  CHECK(world.note("dnsbl") ==
        "bl.example +5 (127.0.0.2), white.example timed out; together 5 of 5");
  world.policy.dns_lists[0].weight = 7;  // it could not have saved it
  CHECK(world.refusal() != "");
  // What dnswl.org answers to those who ask too much.
  World other;
  other.list("white.example", -2);
  other.dns.address("1.2.0.192.white.example", "127.0.0.255");
  CHECK(other.check().list_errors.size() == 1);
}

TEST_CASE("dnsbl: lists of domains are asked for the sender's and for HELO's") {
  World world;
  world.list("dbl.example", 5, DnsList::Of::Sender);
  world.list("hbl.example", 5, DnsList::Of::Helo);
  world.dns.address("example.org.dbl.example", "127.0.1.2");
  CHECK(world.refusal() ==
        "554 5.7.1 example.org, the domain of the sender, is listed by dbl.example" + kAsk);
  world.facts.sender = "";  // reports come from nobody
  CHECK(world.refusal() == "");
  world.dns.address("mx.example.org.hbl.example", "127.0.1.2");
  CHECK(world.refusal() ==
        "554 5.7.1 mx.example.org, the name of your server, is listed by hbl.example" + kAsk);
  world.facts.helo = "[192.0.2.1]";
  CHECK(world.refusal() == "");
}

TEST_CASE("dnsbl: twenty lists that all list and talk stay within the reply's line") {
  World world;
  for (int i = 0; i < 25; ++i) {
    const std::string zone = "list" + std::to_string(i) + ".example";
    world.list(zone, 5);
    world.dns.address("1.2.0.192." + zone, "127.0.0.2");
    world.dns.text("1.2.0.192." + zone, std::string(60'000, 'x'));
  }
  const ClientVerdict verdict = world.check();
  REQUIRE(verdict.refusal);
  CHECK(verdict.refusal->text.size() <= kRefusalOctetsMax);
  CHECK(verdict.refusal->text.ends_with(kAsk));
  CHECK(verdict.notes.back().words.ends_with("together 100 of 5"));
  CHECK(world.asked.size() == 2 + 20 + 3);
}

TEST_CASE("dnsbl: the list's own words cannot begin another line") {
  World world;
  world.list("bl.example", 5);
  world.dns.address("1.2.0.192.bl.example", "127.0.0.2");
  world.dns.text("1.2.0.192.bl.example", "bad\r\n250 fine\x01");
  const std::string text = world.check().refusal->text;
  CHECK(text == "192.0.2.1 is listed by bl.example: bad\\x0d\\x0a250 fine\\x01" + kAsk);
}

TEST_CASE("dnsbl: a percent sign wants a letter that is known") {
  CHECK(!expand_list_text("%q", "a", "d", "z"));
  CHECK(!expand_list_text("x%", "a", "d", "z"));
  CHECK(expand_list_text("%a%d%z%%", "a", "d", "z") == "adz%");
}

TEST_CASE("clients: what refuses first in the order of the checks is what is said") {
  World world;
  world.facts.client = ip("192.0.2.2");
  world.facts.helo = "ghost.example.org";
  world.list("bl.example", 5);
  world.dns.address("2.2.0.192.bl.example", "127.0.0.2");
  CHECK(world.refusal().find("ghost.example.org") != std::string::npos);
  world.facts.helo = "mx.example.org";
  CHECK(world.refusal().starts_with("550 5.7.25 "));
  world.modes.iprev = CheckMode::Check;
  CHECK(world.refusal().starts_with("554 5.7.1 "));
}

}  // namespace rockdove::policy
