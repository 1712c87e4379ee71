#include "mta/cli/dmarc_survey.h"

#include <catch2/catch.hpp>

#include "tests/unit/policy/fake_dns.h"

using namespace rockdove;
using namespace rockdove::cli;
using policy::FakeDns;

namespace {

DmarcSurvey survey(const std::string& domain, FakeDns dns) {
  const auto found = dns.run([&](policy::RecordedDns& recorded) {
    return survey_dmarc(domain, policy::OrganisationRule(), recorded);
  });
  REQUIRE(found);
  return *found;
}

}  // namespace

TEST_CASE("dmarc check: a record that is in order is explained") {
  const DmarcSurvey found =
      survey("mail.example.com",
             FakeDns::of({{"_dmarc.example.com",
                           {"v=DMARC1; p=reject; sp=quarantine; adkim=s; rua=mailto:d@example.com, "
                            "mailto:d@reader.example"}},
                          {"example.com._report._dmarc.reader.example", {"v=DMARC1"}}}));
  CHECK(is_in_order(found));
  CHECK(format_survey(found) ==
        "mail.example.com has no DMARC record, so that of its organisation example.com applies.\n"
        "\n"
        "looked at\n"
        "  _dmarc.mail.example.com  no DMARC record\n"
        "  _dmarc.example.com       v=DMARC1; p=reject; sp=quarantine; adkim=s; "
        "rua=mailto:d@example.com, "
        "mailto:d@reader.example\n"
        "  _dmarc.com               no DMARC record\n"
        "\n"
        "the record of example.com means\n"
        "  From example.com, mail that fails is to be rejected (reject).\n"
        "  From names below it, mail that fails is suspicious, and to be kept apart (quarantine).\n"
        "  A DKIM signature counts when its domain is the domain in From itself.\n"
        "  SPF counts when the domain of MAIL FROM is of the same organisation as the domain in "
        "From.\n"
        "  The organisation of mail.example.com is example.com.\n"
        "  Reports go to d@example.com: they stay in the domain.\n"
        "  Reports go to d@reader.example: example.com._report._dmarc.reader.example says that it "
        "wants them.\n");
  const auto json = survey_as_json(found);
  CHECK(json.at("policy_domain") == "example.com");
  CHECK(json.at("policies").at("subdomains") == "quarantine");
  CHECK(json.at("in_order") == true);
  CHECK(json.at("publish") == "");
}

TEST_CASE("dmarc check: without a record it says what to publish") {
  const DmarcSurvey found = survey("example.com", FakeDns::of({}));
  CHECK_FALSE(is_in_order(found));
  const DmarcAdvice advice = advise(found);
  CHECK(advice.wrong ==
        std::vector<std::string>{"neither example.com nor a name above it has a DMARC record"});
  CHECK(advice.publish_at == "_dmarc.example.com");
  CHECK(advice.publish == "v=DMARC1; p=none; rua=mailto:postmaster@example.com");
}

TEST_CASE("dmarc check: a faulty record is shown as it should be") {
  const DmarcAdvice advice = advise(survey(
      "example.com",
      FakeDns::of(
          {{"_dmarc.example.com",
            {"v=DMARC1; sp=none; p=reject; fo=1:s; aspf=strict; pct=50; ruf=mailto:f@example.com; "
             "rua=d@example.com; t=y"}}})));
  CHECK(advice.publish ==
        "v=DMARC1; p=reject; sp=none; rua=mailto:postmaster@example.com; ruf=mailto:f@example.com; "
        "fo=1:s; t=y; pct=50");
  REQUIRE(advice.wrong.size() == 3);
  CHECK(advice.wrong[2] ==
        "p=… does not stand directly behind v=DMARC1 (by RFC 7489, which many receivers still "
        "follow)");
  CHECK(advice.remarks.size() == 2);
}

TEST_CASE("dmarc check: reports to somebody who does not want them are wrong, not the record") {
  const DmarcSurvey found = survey(
      "example.com",
      FakeDns::of({{"_dmarc.example.com", {"v=DMARC1; p=none; rua=mailto:d@reader.example"}}}));
  CHECK_FALSE(is_in_order(found));
  CHECK(advise(found).publish.empty());
  CHECK(advise(found).wrong.size() == 1);
}

TEST_CASE("dmarc check: two records, a silent DNS and a text that wants to be a line are told") {
  const DmarcSurvey two =
      survey("a.example.com", FakeDns::of({{"_dmarc.example.com", {"v=DMARC1", "v=DMARC1"}}}));
  CHECK(advise(two).publish_at == "_dmarc.example.com");
  const DmarcSurvey silent = survey("example.com", FakeDns({}, {"_dmarc.example.com"}));
  CHECK(advise(silent).wrong[0] == "the DNS did not answer: _dmarc.example.com: timed out");
  CHECK(advise(silent).publish.empty());
  const std::string text = format_survey(
      survey("example.com",
             FakeDns::of({{"_dmarc.example.com", {"v=DMARC1; p=none; x=\x1b[2J\r\nwrong"}}})));
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(text.find("?[2J??wrong") != std::string::npos);
}
