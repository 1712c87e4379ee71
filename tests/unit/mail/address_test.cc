#include "mta/mail/address.h"

#include <string>

#include <catch2/catch.hpp>

using namespace rockdove;
using namespace rockdove::mail;

namespace {

// The normal form of what parses, else the error in brackets.
std::string mailbox(std::string_view text) {
  const auto address = parse_mailbox(text);
  return address ? format_address(*address) : "(" + address.error().text() + ")";
}

bool is_mailbox(std::string_view text) {
  return parse_mailbox(text).is_ok();
}

std::string letters(std::size_t count) {
  return std::string(count, 'a');
}

// A valid domain of exactly `octets`, which is over 64.
std::string domain_of(std::size_t octets) {
  std::string domain;
  while (octets - domain.size() > 64) domain += letters(63) + ".";
  if (octets - domain.size() == 64) domain += "a.";
  return domain + letters(octets - domain.size());
}

}  // namespace

TEST_CASE("address: the domain is kept in lower case, the local part as it was written") {
  CHECK(mailbox("Alice.Brown+x@Example.NET") == "Alice.Brown+x@example.net");
  CHECK(mailbox("!#$%&'*+-/=?^_`{|}~@a.example") == "!#$%&'*+-/=?^_`{|}~@a.example");
  CHECK(*parse_mailbox("a@EXAMPLE.net") == *parse_mailbox("a@example.NET"));
  CHECK(*parse_mailbox("a@example.net") != *parse_mailbox("A@example.net"));
}

TEST_CASE("address: a quoted local part loses quotes and backslashes that it does not need") {
  CHECK(mailbox(R"("alice"@example.net)") == "alice@example.net");
  CHECK(mailbox(R"("\a\l\i.ce"@example.net)") == "ali.ce@example.net");
  CHECK(mailbox(R"("a b"@example.net)") == R"("a b"@example.net)");
  CHECK(mailbox(R"("a\ b"@example.net)") == R"("a b"@example.net)");
  CHECK(mailbox(R"("a\"\\b"@example.net)") == R"("a\"\\b"@example.net)");
  CHECK(mailbox(R"("a@b>c"@example.net)") == R"("a@b>c"@example.net)");
  CHECK(mailbox(R"(""@example.net)") == R"(""@example.net)");
  CHECK(mailbox(R"(".a"@example.net)") == R"(".a"@example.net)");
  CHECK(mailbox(R"("a..b"@example.net)") == R"("a..b"@example.net)");
  CHECK_FALSE(parse_mailbox(R"(""@example.net)")->is_null());
}

TEST_CASE("address: what RFC 5321 has no form for is refused") {
  for (const std::string_view bad : {"",
                                     "@",
                                     "a",
                                     "a@",
                                     "@a.example",
                                     "a@@a.example",
                                     "a b@a.example",
                                     ".a@a.example",
                                     "a.@a.example",
                                     "a..b@a.example",
                                     "a@a.example.",
                                     "a@.example",
                                     "a@a..example",
                                     "a@-a.example",
                                     "a@a-.example",
                                     "a@a_b.example",
                                     "a@a.example ",
                                     " a@a.example",
                                     "a@a.exa mple",
                                     "(c)a@a.example",
                                     "a@a.example(c)",
                                     "\"a@a.example",
                                     "\"a\"b@a.example",
                                     "\"a\".b@a.example",
                                     "\"a\\",
                                     "\"a\tb\"@a.example",
                                     "\"a\r\nb\"@a.example",
                                     "a\x7f@a.example",
                                     "\"\x7f\"@a.example",
                                     "j\xf6rg@a.example",
                                     "j\xc3rg@a.example",
                                     "\"j\xf6rg\"@a.example",
                                     "a@b\xfc.example",
                                     "<a@a.example>",
                                     "a@a.example>",
                                     "a@a.example\r\n",
                                     "a,b@a.example",
                                     "a@a.example,b@a.example"}) {
    CAPTURE(bad);
    CHECK_FALSE(is_mailbox(bad));
  }
  CHECK_FALSE(is_mailbox(std::string_view("\"a\0b\"@a.example", 15)));
  CHECK_FALSE(is_mailbox(std::string_view("a@a.example\0", 12)));
}

TEST_CASE("address: UTF-8 stays in the local part and leaves the domain (RFC 6531 section 3.3)") {
  CHECK(mailbox("jörg@a.example") == "jörg@a.example");
  CHECK(mailbox("\"jörg\"@a.example") == "jörg@a.example");
  CHECK(mailbox("\"jörg m\"@a.example") == "\"jörg m\"@a.example");
  CHECK(mailbox("用户@例え。テスト") == "用户@xn--r8jz45g.xn--zckzah");
  CHECK(mailbox("a@BÜCHER.Example") == "a@xn--bcher-kva.example");
  CHECK(mailbox("a@XN--BCHER-KVA.example") == "a@xn--bcher-kva.example");
  CHECK_FALSE(is_mailbox("a@-ü.example"));
  CHECK_FALSE(is_mailbox("a@ü.example."));
  CHECK_FALSE(is_mailbox("a@ü_.example"));
  CHECK_FALSE(is_mailbox("a@[ü]"));
  CHECK(is_unicode(*parse_mailbox("jörg@a.example")));
  CHECK_FALSE(is_unicode(*parse_mailbox("a@bücher.example")));
  // 64 octets, not characters; and A-labels count for the path.
  CHECK(is_mailbox("\xc3\xb6" + letters(62) + "@a.example"));
  CHECK_FALSE(is_mailbox("\xc3\xb6" + letters(63) + "@a.example"));
}

TEST_CASE("address: an error says what is wrong") {
  CHECK(mailbox("alice") == "(the address has no domain)");
  CHECK(mailbox("alice@") == "(the domain is missing or begins with a character no domain has)");
  CHECK(mailbox("a..b@x") == "(the local part has a dot at its end or two in a row)");
  CHECK(mailbox("a b@x") == "(the local part has a character that it may have only in quotes)");
  CHECK(mailbox("a@[1.2.3]") ==
        "(the address literal is neither [192.0.2.1] nor [IPv6:2001:db8::1])");
}

TEST_CASE("address: each limit of RFC 5321 holds at its edge") {
  CHECK(is_mailbox(letters(64) + "@a.example"));
  CHECK_FALSE(is_mailbox(letters(65) + "@a.example"));
  CHECK(is_mailbox("\"" + std::string(62, ' ') + "\"@a.example"));
  CHECK_FALSE(is_mailbox("\"" + std::string(63, ' ') + "\"@a.example"));
  CHECK(is_mailbox("a@" + letters(63) + ".example"));
  CHECK_FALSE(is_mailbox("a@" + letters(64) + ".example"));
  CHECK(is_mailbox("a@" + domain_of(252)));  // 254 and two brackets are a path of 256
  CHECK_FALSE(is_mailbox("a@" + domain_of(253)));
  CHECK(is_valid_domain(domain_of(255)));
  CHECK_FALSE(is_valid_domain(domain_of(256)));
  CHECK(parse_path("<a@" + domain_of(252) + ">", PathKind::Forward));
  CHECK_FALSE(parse_path("<a@" + domain_of(253) + ">", PathKind::Forward));
  const std::string route = "<@" + domain_of(100) + ":a@" + domain_of(150);
  CHECK(parse_path(route + ">", PathKind::Forward));
  CHECK_FALSE(parse_path(route + "a>", PathKind::Forward));
}

TEST_CASE("address: a domain has labels of letters, digits and inner hyphens") {
  for (const std::string_view good :
       {"a", "1", "a-b", "a--b.example", "xn--bcher-kva.example", "192.0.2.1", "A.B", "a.1-2"}) {
    CAPTURE(good);
    CHECK(is_valid_domain(good));
  }
  for (const std::string_view bad : {"", ".", "a.", ".a", "a..b", "-", "a-", "-a", "a.-b", "a_b",
                                     "*.a", "a b", "[192.0.2.1]", "a/b", "a:25"}) {
    CAPTURE(bad);
    CHECK_FALSE(is_valid_domain(bad));
  }
}

TEST_CASE("address: literals are normalised, whatever form they come in") {
  CHECK(mailbox("a@[192.0.2.1]") == "a@[192.0.2.1]");
  CHECK(mailbox("a@[192.000.02.010]") == "a@[192.0.2.10]");  // decimal, never octal
  CHECK(mailbox("a@[IPv6:2001:0DB8:0:0:0:0:0:1]") == "a@[IPv6:2001:db8::1]");
  CHECK(mailbox("a@[ipv6:2001:db8::]") == "a@[IPv6:2001:db8::]");
  CHECK(mailbox("a@[IPv6:2001:db8:1:2:3:4:192.0.2.001]") == "a@[IPv6:2001:db8:1:2:3:4:c000:201]");
  CHECK(mailbox("a@[IPv6:::ffff:192.0.2.1]") == "a@[192.0.2.1]");
  CHECK(mailbox("a@[IPv6:::]") == "a@[IPv6:::]");
  for (const std::string_view bad : {"[]",
                                     "[",
                                     "]",
                                     "[192.0.2]",
                                     "[192.0.2.1.5]",
                                     "[192.0.2.256]",
                                     "[192.0.2.0001]",
                                     "[192.0.2.]",
                                     "[192.0.2.1",
                                     "192.0.2.1",
                                     "[ 192.0.2.1]",
                                     "[2001:db8::1]",
                                     "[IPv6:]",
                                     "[IPv6:192.0.2.1]",
                                     "[IPv6:2001:db8::1%eth0]",
                                     "[IPv6:1:2:3:4:5:6:7]",
                                     "[IPv6:1::2::3]",
                                     "[IPv6:::192.0.2]",
                                     "[IPv4:192.0.2.1]",
                                     "[x-tag:text]",
                                     "[+1.2.3.4]",
                                     "[[192.0.2.1]]"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_address_literal(bad));
    if (bad != "192.0.2.1") CHECK_FALSE(is_mailbox("a@" + std::string(bad)));
  }
  CHECK_FALSE(parse_address_literal(std::string_view("[IPv6:::1\0]", 11)));
  CHECK(parse_address_literal("[IPv6:::1]") == base::parse_ip_address("::1"));
}

TEST_CASE("address: the path of MAIL may be empty, that of RCPT may be the bare postmaster") {
  CHECK(parse_path("<>", PathKind::Reverse)->address.is_null());
  CHECK(parse_path("<> SIZE=1", PathKind::Reverse)->rest == " SIZE=1");
  CHECK_FALSE(parse_path("<>", PathKind::Forward));
  CHECK(format_address(parse_path("<POSTmaster>", PathKind::Forward)->address) == "postmaster");
  CHECK_FALSE(parse_path("<postmaster>", PathKind::Reverse));
  CHECK_FALSE(parse_path("<root>", PathKind::Forward));
  CHECK(is_postmaster(parse_path("<Postmaster@a.example>", PathKind::Forward)->address));
  CHECK_FALSE(is_postmaster(parse_path("<postmasters@a.example>", PathKind::Forward)->address));
}

TEST_CASE("address: a path ends at its own bracket and returns what follows") {
  const auto path = parse_path(R"(<"a>b\">"@a.example> NOTIFY=NEVER)", PathKind::Forward);
  REQUIRE(path);
  CHECK(path->address.local == R"("a>b\">")");
  CHECK(path->rest == " NOTIFY=NEVER");
  CHECK(parse_path("<a@a.example>>", PathKind::Forward)->rest == ">");
  for (const std::string_view bad :
       {"", "<", "a@a.example", "<a@a.example", "<a@a.example x>", "< >", " <a@a.example>",
        "< a@a.example>", "<a@a.example >", "<<a@a.example>>"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_path(bad, PathKind::Reverse));
  }
}

TEST_CASE("address: a source route is accepted and dropped") {
  CHECK(format_address(
            parse_path("<@a.example,@[192.0.2.1],@B.example:u@c.example>", PathKind::Reverse)
                ->address) == "u@c.example");
  for (const std::string_view bad :
       {"<@a.example>", "<@a.example:>", "<@:u@c.example>", "<@a.example,:u@c.example>",
        "<@a.example,b.example:u@c.example>", "<@a.example, @b.example:u@c.example>",
        "<@a.example:@b.example:u@c.example>", "<a.example:u@c.example>",
        "<@a.example:postmaster>"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_path(bad, PathKind::Forward));
  }
}

TEST_CASE("address: local submission may leave the domain out") {
  CHECK(format_address(*parse_mailbox_or_local_part("root")) == "root");
  CHECK(parse_mailbox_or_local_part("\"ro ot\"")->domain.empty());
  CHECK(parse_mailbox_or_local_part("root@a.example")->domain == "a.example");
  CHECK_FALSE(parse_mailbox_or_local_part(""));
  CHECK_FALSE(parse_mailbox_or_local_part("root@"));
  CHECK_FALSE(parse_mailbox_or_local_part("ro ot"));
}
