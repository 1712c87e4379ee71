#include "policy/report_authorisation.h"

#include <catch2/catch.hpp>

#include "tests/unit/policy/fake_dns.h"

using namespace rockdove::policy;

using State = ReportAuthorisation::State;

namespace {

constexpr const char* kName = "example.com._report._dmarc.reader.example";

ReportAuthorisation authorise(FakeDns dns, std::string_view domain = "example.com",
                              std::string_view host = "reader.example") {
  auto result = dns.run([&](RecordedDns& recorded) {
    return authorise_reports(domain, host, OrganisationRule(), recorded);
  });
  CHECK(dns.rounds() <= 2);
  INFO(result.why);
  CHECK_FALSE(result.why.empty());
  return result;
}

}  // namespace

TEST_CASE("report authorisation: a stranger has to say that he wants them") {
  CHECK(authorise(FakeDns::of({{kName, {"v=DMARC1"}}})).state == State::Wanted);
  CHECK(authorise(FakeDns::of({{kName, {"v=DMARC1;"}}})).state == State::Wanted);
  CHECK(authorise(FakeDns::of({{kName, {"other", "v=DMARC1; p=none;", "v=DMARC1"}}})).state ==
        State::Wanted);
  CHECK(authorise(FakeDns::of({{kName, {"v=DMARC1; p=none; bogus"}}})).state == State::Unwanted);
  CHECK(authorise(FakeDns::of({{kName, {"yes"}}})).state == State::Unwanted);
  CHECK(authorise(FakeDns::of({})).state == State::Unwanted);
  CHECK(authorise(FakeDns({{kName, {"v=DMARC1"}}}, {kName})).state == State::Failed);
  CHECK(authorise(FakeDns::of({{kName, {"v=DMARC1"}}}), "example.com", "").state ==
        State::Unwanted);
}

TEST_CASE("report authorisation: within one organisation nobody has to say anything") {
  CHECK(authorise(FakeDns::of({}), "example.com", "Example.com").state == State::Wanted);
  const FakeDns::Records zone = {{"_dmarc.example.com", {"v=DMARC1; p=none"}}};
  CHECK(authorise(zone, "a.example.com", "b.example.com").state == State::Wanted);
  CHECK(authorise(zone, "a.example.com", "b.example.net").state == State::Unwanted);
}

TEST_CASE(
    "report authorisation: who takes reports may name another address of his, of nobody else's") {
  const auto moved =
      authorise(FakeDns::of({{kName, {"v=DMARC1; rua=mailto:dmarc@reader.example"}}}));
  CHECK(moved.state == State::Wanted);
  REQUIRE(moved.instead.size() == 1);
  CHECK(moved.instead[0].mailbox->local == "dmarc");
  CHECK(authorise(FakeDns::of({{kName, {"v=DMARC1; rua=mailto:x@victim.example"}}})).state ==
        State::Unwanted);
}

TEST_CASE("report authorisation: a name that the DNS cannot have says no") {
  const std::string label(60, 'a');
  const std::string domain = label + "." + label + "." + label + ".example";
  CHECK(authorise(FakeDns::of({}), domain, "b" + domain).state == State::Unwanted);
}
