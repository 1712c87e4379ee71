#include "policy/spf_macro.h"

#include <catch2/catch.hpp>

namespace rockdove::policy {
namespace {

SpfMacroValues values_of(std::string_view client) {
  SpfMacroValues values;
  values.sender = "strong-bad@email.example.com";
  values.sender_local = "strong-bad";
  values.sender_domain = "email.example.com";
  values.domain = "email.example.com";
  values.helo = "mx.example.net";
  values.receiver = "here.example.org";
  values.client = *base::parse_ip_address(client);
  values.now = base::from_unix_milliseconds(1'700'000'000'999);
  return values;
}

TEST_CASE("spf macros: the examples of RFC 7208 section 7.4") {
  const SpfMacroValues values = values_of("192.0.2.3");
  const std::pair<std::string_view, std::string_view> examples[] = {
      {"%{s}", "strong-bad@email.example.com"},
      {"%{o}", "email.example.com"},
      {"%{d}", "email.example.com"},
      {"%{d4}", "email.example.com"},
      {"%{d3}", "email.example.com"},
      {"%{d2}", "example.com"},
      {"%{d1}", "com"},
      {"%{dr}", "com.example.email"},
      {"%{d2r}", "example.email"},
      {"%{l}", "strong-bad"},
      {"%{l-}", "strong.bad"},
      {"%{lr}", "strong-bad"},
      {"%{lr-}", "bad.strong"},
      {"%{l1r-}", "strong"},
      {"%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"},
      {"%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"},
      {"%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"},
      {"%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"},
      {"%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"},
  };
  for (const auto& [text, expected] : examples) {
    CAPTURE(text);
    CHECK_FALSE(check_domain_spec(text));
    CHECK(expand_domain_spec(text, values) == expected);
  }
  CHECK(expand_domain_spec("%{ir}.%{v}._spf.%{d2}", values_of("2001:db8::cb01")) ==
        "1.0.B.C.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.B.D.0.1.0.0.2.ip6._spf.example.com");
}

TEST_CASE("spf macros: letters for explanations, in capitals escaped for URLs") {
  SpfMacroValues values = values_of("2001:db8::1");
  CHECK(expand_explanation("%{c} %{r} %{t} %{p} %{h}%_%%%-", values) ==
        "2001:db8::1 here.example.org 1700000000 unknown mx.example.net %%20");
  values.sender_local = "~jack&jill=up-a_b3.c d";
  CHECK(expand_explanation("%{L}", values) == "~jack%26jill%3Dup-a_b3.c%20d");
  CHECK(expand_explanation("%{L+}", values) == "~jack%26jill%3Dup-a_b3.c%20d");
  values.receiver = {};
  CHECK(expand_explanation("%{R}", values) == "unknown");
}

TEST_CASE("spf macros: an explanation that is not printable is none, and a long one is cut") {
  SpfMacroValues values = values_of("192.0.2.3");
  values.sender_local = "b\xc3\xbc";
  CHECK_FALSE(expand_explanation("%{l}", values).has_value());
  values.sender_local = "a\r\nb";
  CHECK_FALSE(expand_explanation("%{l}", values).has_value());
  CHECK(expand_explanation("%{L}", values) == "a%0D%0Ab");
  CHECK(expand_explanation(std::string(5000, 'x') + "%{s}", values)->size() ==
        kSpfExplanationOctetsMax);
}

TEST_CASE("spf macros: what is no macro is named with its place") {
  const std::tuple<std::string_view, std::size_t, std::string_view> wrong[] = {
      {"a.%{q}.com", 2, "begins no macro"},
      {"a.%{d", 2, "does not end"},
      {"a.%{", 2, "begins no macro"},
      {"a%", 1, "stands alone"},
      {"a.%(d).com", 2, "stands alone"},
      {"%{d0}", 3, "0 parts"},
      {"%{d00}", 3, "0 parts"},
      {"%{c}", 0, "explanations only"},
      {"%{dx}", 0, "does not end"},
      {"%{d2rr}", 0, "does not end"},
      {"a b.com", 1, "may not stand"},
      {"a\tb.com", 1, "may not stand"},
      {"b\xc3\xbc.com", 1, "may not stand"},
      {std::string_view("a\0.com", 6), 1, "may not stand"},
  };
  for (const auto& [text, position, what] : wrong) {
    CAPTURE(text);
    const std::optional<SpfTextProblem> problem = check_macro_string(text, SpfMacroPlace::Term);
    REQUIRE(problem);
    CHECK(problem->position == position);
    CHECK_THAT(problem->what, Catch::Contains(std::string(what)));
  }
  CHECK_FALSE(check_macro_string("a b %{c}%{r}%{t}", SpfMacroPlace::Explanation));
  CHECK_FALSE(check_macro_string("", SpfMacroPlace::Term));
}

TEST_CASE("spf macros: a domain-spec ends in a macro or a top-level domain") {
  for (const std::string_view good :
       {"a.com", "a.com.", "%{d}", "x%{d}", "a%%", "a.c-m", "a.1-2", "a.xn--p1ai", "a:b/c.com",
        "a..com", ".com", "a.%{d}", "a.1a"})
    CHECK_FALSE(check_domain_spec(good));
  for (const std::string_view bad : {"", "com", "com.", "a.com..", "a.1", "a.-com", "a.com-",
                                     "%{d}com", "%{d}.", "a.com/24", "a.c_m", "."}) {
    CAPTURE(bad);
    CHECK(check_domain_spec(bad));
  }
}

TEST_CASE("spf macros: a name that is too long loses whole labels at its left") {
  const SpfMacroValues values = values_of("192.0.2.3");
  const std::string label(62, 'a');
  const std::string four = label + "." + label + "." + label + "." + label;  // 251 octets
  CHECK(expand_domain_spec("x." + four, values) == "x." + four);
  CHECK(expand_domain_spec("xy." + four, values) == four);
  CHECK(expand_domain_spec("%{d}.xy." + four, values) == four);
  std::string long_spec;
  for (int i = 0; i < 1000; ++i) long_spec += label + ".";
  CHECK(expand_domain_spec(long_spec + "com", values) ==
        label + "." + label + "." + label + ".com");
  CHECK(expand_domain_spec(long_spec + "com.", values) ==
        label + "." + label + "." + label + ".com");
  // No dot where it could be cut: it is no name, and nobody is asked.
  CHECK(expand_domain_spec(std::string(60'000, 'a') + ".com", values) == "com");
  CHECK(expand_domain_spec("a." + std::string(60'000, 'a') + "%%", values).size() <= 1024);
}

TEST_CASE("spf macros: their number is bounded") {
  std::string text;
  for (std::size_t i = 0; i < kSpfMacrosMax; ++i) text += "%{s}";
  CHECK_FALSE(check_macro_string(text, SpfMacroPlace::Term));
  CHECK(check_macro_string(text + "%{s}", SpfMacroPlace::Term)->what ==
        "there are too many macros");
  CHECK_FALSE(check_macro_string("%{d99999999999999999999}", SpfMacroPlace::Term));
}

}  // namespace
}  // namespace rockdove::policy
