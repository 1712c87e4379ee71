#include "mta/cli/dkim_survey.h"

#include <catch2/catch.hpp>

#include "tests/unit/policy/fake_dns.h"

using namespace rockdove;
using namespace rockdove::cli;
using crypto::KeyKind;
using policy::FakeDns;
using policy::SigningKey;

namespace {

constexpr base::WallTime kNow = base::from_unix_milliseconds(1'795'000'000'000);

// Made once: they take their time.
const std::shared_ptr<const SigningKey>& key(int number) {
  static const auto kFirst = SigningKey::make(KeyKind::Rsa);
  static const auto kSecond = SigningKey::make(KeyKind::Rsa, 1024);
  static const auto kThird = SigningKey::make(KeyKind::Ed25519);
  return number == 1 ? kFirst : number == 2 ? kSecond : kThird;
}

policy::SigningRule rule(const std::string& selector, int number, base::WallTime from = {}) {
  policy::DkimIdentity identity;
  identity.domain = "example.com";
  identity.selector = selector;
  identity.key = key(number);
  return {std::make_shared<const policy::DkimIdentity>(std::move(identity)), from, {}};
}

std::vector<DkimSurvey> survey(const std::vector<policy::SigningRule>& rules, FakeDns dns) {
  const auto found =
      dns.run([&](policy::RecordedDns& recorded) { return survey_dkim(rules, kNow, recorded); });
  REQUIRE(found);
  return *found;
}

const std::string kName = "a._domainkey.example.com";

}  // namespace

TEST_CASE("dkim check: a key that is published is in order") {
  const auto found = survey({rule("a", 1)}, FakeDns::of({{kName, {key(1)->key_record()}}}));
  CHECK(is_in_order(found));
  CHECK(format_surveys(found) ==
        "example.com, selector a (RSA, 2048 bits): in order\n"
        "  it signs\n"
        "  a._domainkey.example.com publishes this key\n");
  CHECK(surveys_as_json(found).at("in_order") == true);
}

TEST_CASE("dkim check: a key that is missing is told of, with what to publish") {
  const auto found = survey({rule("a", 3)}, FakeDns::of({}));
  CHECK_FALSE(is_in_order(found));
  CHECK(format_surveys(found) ==
        "example.com, selector a (Ed25519): wrong\n"
        "  it signs\n"
        "  wrong at a._domainkey.example.com: the key is not published: there is no TXT record\n"
        "  better: many receivers cannot verify Ed25519 yet; let an RSA key sign beside it\n"
        "  to publish:\n"
        "a._domainkey.example.com. IN TXT \"" +
            key(3)->key_record() + "\"\n");
}

TEST_CASE("dkim check: another key, a bad record, several records and a test are told of") {
  const auto first_wrong = [](std::vector<std::string> records) {
    return survey({rule("a", 1)}, FakeDns::of({{kName, std::move(records)}})).at(0).wrong.at(0);
  };
  CHECK(first_wrong({key(2)->key_record()}) ==
        "another key is published there (RSA, 1024 bits), so what this one signs does not verify");
  CHECK(
      first_wrong({key(3)->key_record()}).starts_with("another key is published there (Ed25519)"));
  CHECK(first_wrong({"v=DKIM1; p="}) == "the record cannot be used: the key was revoked");
  CHECK(first_wrong({key(1)->key_record() + "; h=sha1"}) ==
        "the record cannot be used: it does not allow SHA-256");
  CHECK(first_wrong({key(1)->key_record(), key(1)->key_record()}) ==
        "there are 2 records at that name; receivers take any of them, or none");
  const auto testing =
      survey({rule("a", 2)}, FakeDns::of({{kName, {key(2)->key_record() + "; t=y"}}}));
  CHECK(is_in_order(testing));
  CHECK(testing.at(0).advice.size() == 2);
}

TEST_CASE("dkim check: the next key must be there before its time, the one before it need not") {
  const auto found = survey(
      {rule("a", 1), rule("b", 2, kNow), rule("c", 2, kNow + base::Duration(1))}, FakeDns::of({}));
  CHECK(found[0].is_followed);
  CHECK(found[0].wrong.empty());
  CHECK(found[0].advice.size() == 1);
  CHECK_FALSE(found[1].is_followed);
  CHECK(found[1].wrong.size() == 1);
  CHECK_FALSE(found[2].is_active);
  CHECK(found[2].wrong.size() == 1);
  CHECK(surveys_as_json(found).at("keys").at(1).at("signs") == true);
  CHECK(format_surveys(found).find("it has been followed by another key") != std::string::npos);
}
