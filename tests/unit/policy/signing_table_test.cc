#include "policy/signing_table.h"

#include <catch2/catch.hpp>

#include "tests/unit/policy/arc_chain.h"

namespace rockdove::policy {
namespace {

using crypto::KeyKind;

base::WallTime at(std::uint64_t seconds) {
  return base::from_unix_milliseconds(seconds * 1000);
}

SigningRule rule_for(const std::string& domain, const std::string& selector,
                     base::WallTime active_from = {}, SigningConditions conditions = {},
                     KeyKind kind = KeyKind::Rsa) {
  DkimIdentity identity;
  identity.domain = domain;
  identity.selector = selector;
  identity.key = test_key(kind);
  return {std::make_shared<const DkimIdentity>(std::move(identity)), active_from,
          std::move(conditions)};
}

struct Mail {
  std::string from = "jane@example.com";
  std::string sender = "jane@example.com";
  std::string user{};
  std::string listener = "smtp";
  std::string client = "192.0.2.1";
  std::string tenant{};
};

// The selectors, with blanks between.
std::string choose(const SigningTable& table, const Mail& mail = {},
                   base::WallTime now = kSealedAt) {
  const Authors authors = find_authors("From: " + mail.from + "\r\n");
  std::string selectors;
  for (const auto& identity :
       table.choose({authors, mail.sender, mail.user, mail.listener,
                     base::parse_ip_address(mail.client).value(), mail.tenant},
                    now)) {
    selectors += (selectors.empty() ? "" : " ") + identity->selector;
  }
  return selectors;
}

TEST_CASE("a domain's key signs mail that is from this domain, and no other") {
  const SigningTable table({rule_for("example.com", "a"), rule_for("example.org", "b")});
  CHECK(choose(table) == "a");
  CHECK(choose(table, {.from = "Jane <jane@EXAMPLE.org>"}) == "b");
  CHECK(choose(table, {.from = "jane@sub.example.com"}).empty());
  CHECK(choose(table, {.from = "jane@xexample.com"}).empty());
  CHECK(choose(table, {.from = "jane@example.com, joe@example.org"}) == "a b");
  CHECK(table.rules().size() == 2);
}

TEST_CASE("`from` names other domains, those below one, or all") {
  const SigningTable table(
      {rule_for("example.com", "exact", {}, {.from = {"example.org"}}),
       rule_for("example.com", "below", {}, {.from = {"*.example.org"}}),
       rule_for("example.net", "all", {}, {.from = {"*"}}),
       rule_for("example.com", "two", {}, {.from = {"a.example", "b.example"}})});
  CHECK(choose(table) == "all");
  CHECK(choose(table, {.from = "jane@example.org"}) == "exact all");
  CHECK(choose(table, {.from = "jane@x.y.example.org"}) == "below all");
  CHECK(choose(table, {.from = "jane@b.example"}) == "all two");
}

TEST_CASE("a key signs from its time on, in the place of the one before") {
  const SigningTable table(
      {rule_for("example.com", "later", at(2000)), rule_for("example.com", "first"),
       rule_for("example.com", "latest", at(3000)),
       rule_for("example.com", "ed", at(1500), {}, KeyKind::Ed25519),
       rule_for("example.com", "bulk", at(1000), {.sender = "*@bulk.example"})});
  CHECK(choose(table, {}, at(0)) == "first");
  CHECK(choose(table, {}, at(1500)) == "first ed");
  CHECK(choose(table, {}, at(1999)) == "first ed");
  CHECK(choose(table, {}, at(2000)) == "later ed");
  CHECK(choose(table, {}, at(9000)) == "latest ed");
  CHECK(choose(table, {.sender = "x@bulk.example"}, at(1000)) == "first bulk");
  // Before any key's time nobody signs.
  CHECK(choose(SigningTable({rule_for("example.com", "a", at(10))}), {}, at(9)).empty());
}

TEST_CASE("all conditions of a rule must hold") {
  const base::IpNetwork network = base::parse_ip_network("10.0.0.0/8").value();
  const SigningTable table(
      {rule_for("example.com", "sender", {}, {.sender = "*@bulk.example"}),
       rule_for("example.com", "null", {}, {.sender = "<>"}),
       rule_for("example.com", "user", {}, {.user = "shop-*"}),
       rule_for("example.com", "listener", {}, {.listener = "lan"}),
       rule_for("example.com", "client", {}, {.client = {network}}),
       rule_for("example.com", "tenant", {}, {.tenant = "Blue*"}),
       rule_for("example.com", "both", {}, {.listener = "lan", .client = {network}})});
  CHECK(choose(table).empty());
  CHECK(choose(table, {.sender = "a@bulk.example"}) == "sender");
  CHECK(choose(table, {.sender = ""}) == "null");
  CHECK(choose(table, {.user = "shop-7"}) == "user");
  CHECK(choose(table, {.listener = "lan"}) == "listener");
  CHECK(choose(table, {.client = "10.1.1.1"}) == "client");
  CHECK(choose(table, {.tenant = "blue-shop"}) == "tenant");
  CHECK(choose(table, {.listener = "lan", .client = "10.1.1.1"}) == "listener client both");
}

TEST_CASE("a message whose From is odd is not signed") {
  const SigningTable table({rule_for("example.com", "a", {}, {.from = {"example.com", "*"}})});
  const auto chosen = [&table](const std::string& header) {
    const Authors authors = find_authors(header);
    return table.choose({authors, "", "", "", base::parse_ip_address("::1").value()}, kSealedAt)
        .size();
  };
  CHECK(chosen("From: a@example.com\r\n") == 1);
  CHECK(chosen("From: a@example.com\r\nFrom: a@example.com\r\n") == 0);
  CHECK(chosen("From: a@example.com\r\nfrom: b@example.org\r\n") == 0);
  CHECK(chosen("Subject: x\r\n") == 0);
  CHECK(chosen("From: undisclosed:;\r\n") == 0);
  CHECK(chosen("From: <a@example.com\r\n") == 0);
}

TEST_CASE("a message gets one signature of a selector, and no more than eight") {
  std::vector<SigningRule> rules = {rule_for("example.com", "a"),
                                    rule_for("example.com", "a", {}, {.listener = "smtp"})};
  CHECK(choose(SigningTable(rules)) == "a");
  for (int i = 0; i < 20; ++i)
    rules.push_back(rule_for("example.com", "s" + std::to_string(i), {},
                             {.sender = "*" + std::string(static_cast<std::size_t>(i), '*')}));
  CHECK(choose(SigningTable(rules)) == "a s0 s1 s2 s3 s4 s5 s6");
}

}  // namespace
}  // namespace rockdove::policy
