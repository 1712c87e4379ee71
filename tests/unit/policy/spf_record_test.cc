#include "policy/spf_record.h"

#include <catch2/catch.hpp>

namespace rockdove::policy {
namespace {

SpfTerm only_term(std::string_view record) {
  SpfRecordReader reader(record);
  const auto next = reader.next();
  REQUIRE(std::holds_alternative<SpfTerm>(next));
  CHECK(std::holds_alternative<SpfRecordEnd>(reader.next()));
  return std::get<SpfTerm>(next);
}

// "octet: what", counted from 0; empty: the record is right.
std::string problem_of(std::string_view record) {
  const auto checked = check_spf_record(record);
  const auto* problem = std::get_if<SpfProblem>(&checked);
  return problem == nullptr ? "" : std::to_string(problem->position) + ": " + problem->what;
}

TEST_CASE("spf record: which texts are records") {
  for (const std::string_view good : {"v=spf1", "v=spf1 ", "V=SPF1 -all", "v=spf1 nonsense"})
    CHECK(is_spf_record(good));
  for (const std::string_view bad :
       {"", "v=spf", "v=spf10 -all", "v=spf1\t-all", " v=spf1", "v=spf2 -all"})
    CHECK_FALSE(is_spf_record(bad));
}

TEST_CASE("spf record: the parts of a term") {
  const SpfTerm a = only_term("v=spf1   ~A:%{d2}/24//64  ");
  CHECK(a.kind == SpfTermKind::A);
  CHECK(a.qualifier == SpfQualifier::SoftFail);
  CHECK(a.domain == "%{d2}");
  CHECK(a.text == "~A:%{d2}/24//64");
  CHECK(a.position == 9);
  CHECK(a.bits4 == 24);
  CHECK(a.bits6 == 64);
  const SpfTerm mx = only_term("v=spf1 ?mx//0");
  CHECK(mx.kind == SpfTermKind::Mx);
  CHECK(mx.qualifier == SpfQualifier::Neutral);
  CHECK(mx.domain.empty());
  CHECK(mx.bits4 == 32);
  CHECK(mx.bits6 == 0);
  const SpfTerm slashes = only_term("v=spf1 a:foo/24.example.com");
  CHECK(slashes.domain == "foo/24.example.com");
  CHECK(slashes.bits4 == 32);
  CHECK(only_term("v=spf1 Redirect=%{d}.example.com.").kind == SpfTermKind::Redirect);
  CHECK(only_term("v=spf1 EXP=x.example").domain == "x.example");
  CHECK(only_term("v=spf1 include=x").kind == SpfTermKind::UnknownModifier);
  CHECK(only_term("v=spf1 a-b_c.d=").kind == SpfTermKind::UnknownModifier);
}

TEST_CASE("spf record: what is wrong, and where") {
  const std::pair<std::string_view, std::string_view> wrong[] = {
      {"v=spf1 -all moo", R"(12: "moo" is no mechanism of SPF)"},
      {"v=spf1 ipv4:1.2.3.4", R"(7: "ipv4" is no mechanism of SPF; ip4 is one)"},
      {"v=spf1 +redirect:a.com",
       R"(8: "redirect" is no mechanism of SPF, but a modifier: write redirect=)"},
      {"v=spf1 -", R"(8: "" is no mechanism of SPF)"},
      {"v=spf1 all/8", R"(10: "all" takes no argument)"},
      {"v=spf1 include", R"(14: "include" names no domain)"},
      {"v=spf1 include:", "15: no domain is named"},
      {"v=spf1 ptr/0", R"(10: "/0" cannot follow "ptr")"},
      {"v=spf1 a:x.com/33", R"(15: "33" is no prefix length from 0 to 32)"},
      {"v=spf1 a//129", R"(10: "129" is no prefix length from 0 to 128)"},
      {"v=spf1 a/24/64", R"(12: "64" is no prefix length from 0 to 32)"},
      {"v=spf1 a/032", R"(9: "032" is no prefix length from 0 to 32)"},
      {"v=spf1 a/", R"(8: "/" cannot follow "a")"},
      {"v=spf1 ip4", R"(10: "ip4" names no network)"},
      {"v=spf1 ip4:1.2.3", R"(11: "1.2.3" is no IPv4 address)"},
      {"v=spf1 ip4:01.2.3.4", R"(11: "01.2.3.4" is no IPv4 address)"},
      {"v=spf1 ip4:::1", R"(11: "::1" is no IPv4 address)"},
      {"v=spf1 ip4:1.2.3.4/33", R"(19: "33" is no prefix length from 0 to 32)"},
      {"v=spf1 ip4:1.2.3.4/", R"(19: "" is no prefix length from 0 to 32)"},
      {"v=spf1 ip6:1.2.3.4", R"(11: "1.2.3.4" is no IPv6 address)"},
      {"v=spf1 ip6:fe80::1%eth0", R"(11: "fe80::1%eth0" is no IPv6 address)"},
      {"v=spf1 exp=a.com exp=b.com", "17: there may be only one such modifier"},
      {"v=spf1 x=%{q}", R"(9: "%{q" begins no macro)"},
      {"v=spf1 x=a\x01", R"(10: the octet "\x01" may not stand in a record)"},
  };
  for (const auto& [record, expected] : wrong) {
    CAPTURE(record);
    CHECK(problem_of(record) == expected);
  }
  CHECK(problem_of("v=spf1") == "");
  CHECK(problem_of("v=spf1 a mx:%{d} ip6:::/0 -all redirect=a.com exp=b.com other=x%%y") == "");
}

TEST_CASE("spf record: after a mistake only the end comes") {
  SpfRecordReader reader("v=spf1 moo -all");
  CHECK(std::holds_alternative<SpfProblem>(reader.next()));
  CHECK(std::holds_alternative<SpfRecordEnd>(reader.next()));
}

TEST_CASE("spf record: networks to the bit, and IPv4 in no network of IPv6") {
  const auto matches = [](std::string_view record, std::string_view client) {
    const SpfTerm term = only_term(record);
    const bool is_v4 = term.kind == SpfTermKind::Ip4;
    return is_in_network(*base::parse_ip_address(client),
                         is_v4 ? base::IpAddress::Family::V4 : base::IpAddress::Family::V6,
                         term.network, is_v4 ? term.bits4 : term.bits6);
  };
  CHECK(matches("v=spf1 ip4:10.1.2.3/8", "10.255.0.1"));
  CHECK_FALSE(matches("v=spf1 ip4:10.1.2.3/8", "11.1.2.3"));
  CHECK(matches("v=spf1 ip4:192.0.2.128/25", "192.0.2.255"));
  CHECK_FALSE(matches("v=spf1 ip4:192.0.2.128/25", "192.0.2.127"));
  CHECK(matches("v=spf1 ip4:1.2.3.4/0", "200.1.1.1"));
  CHECK(matches("v=spf1 ip4:1.2.3.4", "::ffff:1.2.3.4"));
  CHECK(matches("v=spf1 ip6:2001:db8::/33", "2001:db8:7fff::1"));
  CHECK_FALSE(matches("v=spf1 ip6:2001:db8::/33", "2001:db8:8000::1"));
  CHECK(matches("v=spf1 ip6:::/0", "fe80::1"));
  CHECK_FALSE(matches("v=spf1 ip6:::/0", "1.2.3.4"));
  CHECK_FALSE(matches("v=spf1 ip6:::ffff:1.2.3.4", "1.2.3.4"));
  CHECK(matches("v=spf1 ip6:::ffff:1.2.3.4/0", "fe80::1"));
  CHECK_FALSE(matches("v=spf1 ip6:::ffff:1.2.3.4/1", "fe80::1"));
}

}  // namespace
}  // namespace rockdove::policy
