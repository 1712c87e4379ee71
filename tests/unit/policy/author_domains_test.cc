#include "policy/author_domains.h"

#include <algorithm>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace rockdove::policy;

using Form = Authors::Form;
using Names = std::vector<std::string>;

TEST_CASE("authors: one From field with one domain is what mail has") {
  for (const char* header :
       {"From: jane@Example.NET\r\n", "Subject: x\r\nfrom : Jane <jane@example.net>\r\n",
        "From: \"Doe, Jane\" (boss) <jane@example.net>\r\nTo: x@y.example\r\n",
        "From: Jane\r\n <jane@\r\n\texample.net>\r\n",
        "From: jane@example.net, joe@EXAMPLE.net\r\n",
        "From: team: jane@example.net, joe@example.net;\r\n",
        "From: =?utf-8?Q?ceo=40bank.example?= <jane@example.net>\r\n",
        "From: ceo@bank.example <jane@example.net>\r\n",
        "From: \"ceo@bank.example\" <jane@example.net>\r\n",
        // Sloppy, but there is no doubt whose it is.
        "From: Doe, Jane <jane@example.net>\r\n", "From: [Team] J. \\Doe <jane@example.net>\r\n",
        "From: ACME: Jane <jane@example.net>\r\n", "From: jane..doe.@example.net\r\n",
        "From: =?utf-8?Q?Doe,_Jane?= <jane@example.net>\r\n",
        "From: Jane D\xf6 <jane@example.net>\r\n",
        "From: \"jane doe\"@example.net (a (nested) \\) comment)\r\n",
        "From: (ceo@bank.example) jane@example.net\r\n"}) {
    INFO(header);
    const Authors authors = find_authors(header);
    CHECK(authors.form == Form::Single);
    CHECK(authors.domains == Names{"example.net"});
    CHECK(authors.why.empty());
  }
}

TEST_CASE("authors: international domains are compared as A-labels") {
  CHECK(find_authors("From: a@b\xc3\xbc"
                     "cher.example\r\n")
            .domains == Names{"xn--bcher-kva.example"});
  CHECK(find_authors("From: a@xn--BCHER-kva.example, b@B\xc3\xbc"
                     "cher.example\r\n")
            .form == Form::Single);
}

TEST_CASE("authors: a message with several From fields has them all") {
  const Authors authors =
      find_authors("From: a@one.example\r\nTo: x@y.example\r\nFROM: b@two.example\r\n");
  CHECK(authors.form == Form::SeveralFields);
  CHECK(authors.domains == Names{"one.example", "two.example"});
  CHECK(authors.why == "the message has 2 From fields");
  // Even when they say the same.
  CHECK(find_authors("From: a@one.example\r\nFrom: a@one.example\r\n").form == Form::SeveralFields);
  CHECK(find_authors("From: a@one.example\r\nFrom:\r\n").form == Form::SeveralFields);
}

TEST_CASE("authors: a From field may name addresses of several domains") {
  const Authors authors = find_authors("From: a@one.example, group: b@two.example;\r\n");
  CHECK(authors.form == Form::SeveralDomains);
  CHECK(authors.domains == Names{"one.example", "two.example"});
}

TEST_CASE("authors: a From field that names nobody has no domain") {
  CHECK(find_authors("").form == Form::Missing);
  CHECK(find_authors("Subject: From: a@one.example\r\nX-From: b@two.example\r\n").form ==
        Form::Missing);
  CHECK(find_authors("From:\r\n").form == Form::NoAddress);
  CHECK(find_authors("From: undisclosed:;\r\n").form == Form::NoAddress);
  CHECK(find_authors("From: (a@one.example)\r\n").form == Form::NoAddress);
  CHECK(find_authors("From: root\r\n").form == Form::NoDomain);
  CHECK(find_authors("From: Mail Delivery System\r\n").form == Form::NoAddress);
  CHECK(find_authors("From: <>\r\n").form == Form::NoAddress);
  CHECK(find_authors("From: =?utf-8?Q?Jane?=\r\n").form == Form::NoDomain);
  CHECK(find_authors("From: a@[192.0.2.1]\r\n").form == Form::NoDomain);
  CHECK(find_authors("From: a@[192.0.2.1]\r\n").domains.empty());
}

TEST_CASE("authors: of a field that cannot be read all that looks like a domain counts") {
  for (const char* header :
       {"From: x ceo@bank.example\r\n", "From: ceo@bank.example <jane@example.net> x\r\n",
        "From: <ceo@bank.example\r\n", "From: ceo@bank.example.\r\n",
        "From: x@bank.example@bank.example\r\n", "From: \"x\" ceo @bank.example y\r\n"}) {
    INFO(header);
    const Authors authors = find_authors(header);
    CHECK(authors.form == Form::Unreadable);
    REQUIRE_FALSE(authors.domains.empty());
    CHECK(authors.domains[0] == "bank.example");
    CHECK(authors.why.starts_with("From is not a list of addresses: "));
  }
  const std::string label(64, 'a');
  CHECK(find_authors("From: a@" + label + ".bank.example\r\n").domains ==
        Names{label + ".bank.example"});
  CHECK(find_authors("From: a@...\r\n").domains.empty());
}

TEST_CASE("authors: local parts that no address may have are read, since only domains matter") {
  const std::string local(65, 'a');
  CHECK(find_authors("From: " + local + "@example.net\r\n").form == Form::Single);
  const Authors authors =
      find_authors("From: a@under_score.example\r\n");  // the DNS has such names
  CHECK(authors.form == Form::Single);
  CHECK(authors.domains == Names{"under_score.example"});
}

TEST_CASE("authors: an address that some programs show and others do not counts") {
  // Each is one way to show the bank's name beside, or in front of, an address that passes.
  for (const char* header :
       {"From: =?utf-8?Q?ceo=40bank.example?=\r\n",
        "From: =?utf-8?B?PGNlb0BiYW5rLmV4YW1wbGU+?=, <jane@example.net>\r\n",
        "From: =?utf-8?B?PGNlb0Bi?= =?utf-8?B?YW5rLmV4YW1wbGU+?=, <jane@example.net>\r\n",
        "From: =?x-unknown?q?ceo=40bank.example=00?=@example.net\r\n",
        "From: \"ceo@bank.example\", <jane@example.net>\r\n",
        "From: \"ceo@bank.example\"@example.net\r\n",
        "From: \"ceo@bank.example \"\r\n",
        "From: <@bank.example:jane@example.net>\r\n",
        "From: <@example.net,@x.example:ceo@bank.example>\r\n",
        "From: <ceo@bank.example>, jane@example.net <jane@example.net\r\n",
        "From: <ceo@bank.example>\\,<jane@example.net>\r\n",
        "From: ceo\\@bank.example@example.net\r\n",
        "From: ceo@bank.example\x01@example.net\r\n",
        "From: jane@example.net (x <ceo@bank.example>\r\n",
        "From: jane@example.net (x\\) <ceo@bank.example>\r\n",
        "From: jane@example.net, \"x <ceo@bank.example>\r\n",
        "From: jane@example.net, \"x <ceo@bank.example>\\\"\r\n",
        "From: ceo@bank.example: jane@example.net;\r\n",
        "From: <jane@example.net> ceo@bank.example\r\n",
        "From: <jane@example.net> <ceo@bank.example>\r\n",
        "From: <jane@example.net>> ceo@bank.example\r\n",
        "From: <jane@example.net;ceo@bank.example>\r\n",
        "From: jane@example.net ceo@bank.example\r\n",
        "From: @bank.example\r\n",
        "From: ceo@bank.example.\r\n",
        "From: ceo@[x]bank.example@bank.example\r\n"}) {
    INFO(header);
    const Authors authors = find_authors(header);
    CHECK(authors.form == Form::Unreadable);
    CHECK(std::count(authors.domains.begin(), authors.domains.end(), "bank.example") == 1);
    CHECK(authors.why.starts_with("From is not a list of addresses: "));
  }
}

TEST_CASE("authors: a From field of any size is read in bounds") {
  std::string many = "From: a@d0.example";
  for (int i = 1; i < 40; ++i) many += ",\r\n a@d" + std::to_string(i) + ".example";
  const Authors authors = find_authors(many + "\r\n");
  CHECK(authors.form == Form::TooMany);
  CHECK(authors.domains.size() == kAuthorDomainsMax);
  std::string huge = "From: a@one.example";
  while (huge.size() < 200'000) huge += ", a@one.example";
  CHECK(find_authors(huge + "\r\n").form == Form::TooMany);
  // What stands behind much else is found.
  const std::string far = "From: (" + std::string(200'000, 'x') + ")\r\n a@bank.example\r\n";
  CHECK(find_authors(far).form == Form::Single);
  CHECK(find_authors(far).domains == Names{"bank.example"});
  CHECK(find_authors("From: " + std::string(200'000, '@') + "\r\n").form == Form::TooMany);
  // Names beyond ASCII are dear, so a few must do.
  std::string foreign = "From: a@x.example";
  for (int i = 0; i < 190; ++i) foreign += ",a@\xc3\xa9" + std::to_string(i % 2) + ".example";
  CHECK(find_authors(foreign + "\r\n").form == Form::TooMany);
  std::string fields;
  for (int i = 0; i < 3000; ++i) fields += "From: a@one.example\r\n";
  CHECK(find_authors(fields).form == Form::TooMany);
}
