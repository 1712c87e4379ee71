#include "policy/authentication_results.h"

#include <catch2/catch.hpp>

using namespace rockdove::policy;

namespace {

const std::vector<std::string> kOwn = {"mx.example.net",
                                       "b\xc3\xbc"
                                       "cher.example"};

bool is_removed(std::string_view value) {
  return reason_to_remove(value, kOwn).has_value();
}

AuthenticationResults read(std::string_view value) {
  auto field = parse_authentication_results(value);
  INFO(value);
  REQUIRE(field);
  return *std::move(field);
}

// Of what format_authentication_results() gave.
std::string_view value_of(std::string_view field) {
  field.remove_prefix(field.find(':') + 1);
  field.remove_suffix(2);
  return field;
}

}  // namespace

TEST_CASE("authentication results: each result begins a line, and long ones are folded") {
  const std::vector<MethodResult> results = {
      {"spf", "pass", "", "192.0.2.1 may send", {{"smtp", "mailfrom", "jane@example.com"}}},
      {"dkim",
       "fail",
       "the body was changed",
       "",
       {{"header", "d", "example.com"}, {"header", "s", "s1"}}},
      {"dmarc", "pass", "", "p=reject", {{"header", "from", "example.com"}}},
  };
  CHECK(format_authentication_results("mx.example.net", results) ==
        "Authentication-Results: mx.example.net;\r\n"
        "\tspf=pass (192.0.2.1 may send) smtp.mailfrom=jane@example.com;\r\n"
        "\tdkim=fail reason=\"the body was changed\" header.d=example.com\r\n"
        "\theader.s=s1;\r\n"
        "\tdmarc=pass (p=reject) header.from=example.com\r\n");
  CHECK(format_authentication_results("mx.example.net", {}) ==
        "Authentication-Results: mx.example.net; none\r\n");
}

TEST_CASE("authentication results: what a stranger chose cannot leave its place") {
  const auto written = [](std::string_view value, FieldText text = FieldText::Ascii) {
    const std::vector<MethodResult> results = {
        {"spf", "fail", "", "", {{"smtp", "x", std::string(value)}}}};
    const std::string field = format_authentication_results("a", results, text);
    REQUIRE(field.starts_with("Authentication-Results: a;\r\n\tspf=fail"));
    const std::size_t start = field.find("smtp.x=") + 7;
    return field.substr(start, field.size() - start - 2);
  };
  CHECK(written("a.b-c") == "a.b-c");
  CHECK(written("jane+tag@example.com") == "jane+tag@example.com");
  CHECK(written("@example.com") == "@example.com");
  CHECK(written("") == "\"\"");
  CHECK(written("a;dkim=pass") == "\"a;dkim=pass\"");
  CHECK(written("a b") == "\"a b\"");
  CHECK(written("a(b") == "\"a(b\"");
  CHECK(written("\"x\"@example.com") == "\"\\\"x\\\"@example.com\"");
  CHECK(written("a@b;dkim=pass") == "\"a@b;dkim=pass\"");
  CHECK(written("a\r\nX-Forged: yes") == "\"a??X-Forged: yes\"");
  CHECK(written(std::string_view("a\0b", 3)) == "\"a?b\"");
  CHECK(written("\xc3\xa4@example.com") == "??@example.com");
  CHECK(written("\xc3\xa4@example.com", FieldText::Utf8) == "\"\xc3\xa4@example.com\"");
  CHECK(written("\xc3(\xff", FieldText::Utf8) == "\"?(?\"");
  CHECK(written(std::string(5000, 'a')).size() == kResultValueOctetsMax);
}

TEST_CASE("authentication results: a comment stays one") {
  const std::vector<MethodResult> results = {{"spf", "fail", "", "a) dkim=pass (b\\", {}}};
  CHECK(format_authentication_results("a", results) ==
        "Authentication-Results: a;\r\n\tspf=fail (a\\) dkim=pass \\(b\\\\)\r\n");
}

TEST_CASE("authentication results: what was written is read again") {
  const std::vector<MethodResult> results = {
      {"spf", "softfail", "a; \"b\" \\c", "", {{"smtp", "mailfrom", "odd address@example.com"}}},
      {"dkim", "pass", "", "", {{"header", "d", "example.com"}, {"header", "b", "AbC/+1=="}}},
      {"dmarc", "none", "", "", {}},
  };
  const std::string field = format_authentication_results("MX.example.net", results);
  const AuthenticationResults again = read(value_of(field));
  CHECK(again.authserv_id == "MX.example.net");
  CHECK(again.version == 1);
  CHECK(again.results == results);
  CHECK(read(value_of(format_authentication_results("a", {}))).results.empty());
}

TEST_CASE(
    "authentication results: other servers' fields are read with all that they may have in them") {
  // The examples of RFC 8601, appendix B, and more.
  const AuthenticationResults field = read(
      " (c) foo.example.net (foobar) 1 (baz);\r\n\tdkim (Because I like it) / 1 (One yay) = (wait "
      "for it) "
      "fail\r\n policy (A dot can go here) . (like that) expired\r\n (this surprised me) = (as I "
      "wasn't expecting it) 1362471462; auth=pass (cram-md5) smtp.auth=sender@example.net;");
  CHECK(field.authserv_id == "foo.example.net");
  REQUIRE(field.results.size() == 2);
  CHECK(field.results[0].method == "dkim");
  CHECK(field.results[0].result == "fail");
  REQUIRE(field.results[0].properties.size() == 1);
  CHECK(field.results[0].properties[0] == ResultProperty{"policy", "expired", "1362471462"});
  CHECK(field.results[1].properties[0].value == "sender@example.net");
  CHECK(read("example.org 1; none").results.empty());
  CHECK(read("example.org;NONE").results.empty());
  CHECK(read("example.org").results.empty());
  CHECK(read("\"exa\\mple.org\"; spf=pass smtp.mailfrom=\"a b\"@c.example")
            .results[0]
            .properties[0]
            .value == "a b@c.example");
  CHECK(read("example.org 7; what=ever this ( is").version == 7);
  for (const char* bad :
       {"", ";", "; spf=pass", "(only a comment)", "a; spf", "a; spf=", "a; =pass", "a; spf=pass x",
        "a; spf=pass x.y", "a b; spf=pass", "\"a; spf=pass", "a; spf=pass ]", "a/1; spf=pass"}) {
    INFO(bad);
    CHECK_FALSE(parse_authentication_results(bad));
  }
}

TEST_CASE("authentication results: a field in our name is taken out, however it is written") {
  for (const char* value :
       {"mx.example.net; spf=pass", " MX.Example.NET;dkim=pass", "mx.example.net",
        "mx.example.net.; spf=pass", "\"mx.example.net\"; spf=pass",
        "\"mx\\.example.net\"; spf=pass", "(x) mx.example.net (y) 1; spf=pass",
        "((()) ) mx.example.net;", "\r\n\tmx.example.net\r\n ; spf=pass",
        "mx.example.net/1; spf=pass", "mx.example.net 2; spf=pass", "mx.example.net 1(x)",
        "mx.example.net spf=pass", "mx.example.net=1", "xn--bcher-kva.example; spf=pass",
        "B\xc3\x9c"
        "CHER.example; spf=pass",
        "\"mx.exam\r\nple.net\";"}) {
    INFO(value);
    CHECK(reason_to_remove(value, kOwn) == "it bears our authserv-id");
  }
}

TEST_CASE(
    "authentication results: what a reader might take for ours, or nobody understands, goes too") {
  for (const char* value :
       {"", " ", "(mx.example.net", "\"mx.example.net", "=?utf-8?q?mx.example.net?=; spf=pass",
        "; spf=pass", "spf=pass smtp.mailfrom=x", "other.example 2; spf=pass",
        "other.example 11111111111111111111; spf=pass", "\"\"; spf=pass"}) {
    INFO(value);
    CHECK(is_removed(value));
  }
}

TEST_CASE("authentication results: other servers' fields stay") {
  for (const char* value :
       {"other.example; spf=pass", "other.example 1; spf=pass", "sub.mx.example.net; spf=pass",
        "mx.example.net.evil.example; spf=pass", "\"other example\"; spf=pass (mx.example.net)",
        "other.example; x=mx.example.net garbage", "amx.example.net; none"}) {
    INFO(value);
    CHECK_FALSE(is_removed(value));
  }
}

TEST_CASE("authentication results: only the forged fields leave the header") {
  constexpr std::string_view kHeader =
      "Received: from x\r\n"
      "Authentication-Results: other.example; spf=fail\r\n"
      "authentication-RESULTS : mx.example.net;\r\n\tspf=pass\r\n"
      "Subject: mx.example.net\r\n"
      "Authentication-Results:\r\n mx.example.net; dkim=pass\r\n"
      "ARC-Authentication-Results: i=1; mx.example.net; spf=pass\r\n"
      "X-Authentication-Results: mx.example.net; spf=pass\r\n";
  const auto scrubbed = remove_forged_results(kHeader, kOwn);
  REQUIRE(scrubbed);
  CHECK(scrubbed->removed == 2);
  CHECK(scrubbed->why == "it bears our authserv-id");
  CHECK(scrubbed->header ==
        "Received: from x\r\n"
        "Authentication-Results: other.example; spf=fail\r\n"
        "Subject: mx.example.net\r\n"
        "ARC-Authentication-Results: i=1; mx.example.net; spf=pass\r\n"
        "X-Authentication-Results: mx.example.net; spf=pass\r\n");
  CHECK_FALSE(remove_forged_results(scrubbed->header, kOwn));
  CHECK(remove_forged_results("Authentication-Results: mx.example.net\r\n", kOwn)->header.empty());
  CHECK_FALSE(remove_forged_results("", kOwn));
}

TEST_CASE("authentication results: a field of any size is read in bounds") {
  std::string many = "a";
  for (int i = 0; i < 10'000; ++i) many += "; spf=pass";
  CHECK_FALSE(parse_authentication_results(many));
  std::string properties = "a; spf=pass";
  for (int i = 0; i < 10'000; ++i) properties += " x.y=z";
  CHECK_FALSE(parse_authentication_results(properties));
  CHECK(is_removed(std::string(200'000, '(') + " mx.example.net"));
}

TEST_CASE("authentication results: of ids beyond ASCII, which are dear to read, a few may stay") {
  std::string header;
  for (int i = 0; i < 100; ++i)
    header += "Authentication-Results: mx" + std::to_string(i) + ".\xc3\xa9.example; none\r\n";
  const auto scrubbed = remove_forged_results(header, kOwn);
  REQUIRE(scrubbed);
  CHECK(scrubbed->removed == 92);
  CHECK_FALSE(remove_forged_results(scrubbed->header, kOwn));
}
