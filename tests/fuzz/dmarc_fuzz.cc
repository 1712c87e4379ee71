// Whatever stands in a DMARC record, in From fields and in the answers of the DNS: reading it is
// bounded, unknown tags change nothing, and a verdict comes after few rounds and questions.
#include <algorithm>
#include <memory>
#include <utility>

#include "mta/mail/headers.h"
#include "policy/dmarc.h"
#include "policy/report_authorisation.h"
#include "tests/fuzz/fuzz.h"

using namespace rockdove;
using namespace rockdove::policy;

namespace {

void check_record(std::string_view text) {
  const std::optional<DmarcRecord> record = parse_dmarc_record(text);
  if (!record) return;
  FUZZ_CHECK(record->aggregate_reports.size() <= kDmarcReportUrisMax);
  FUZZ_CHECK(record->failure_reports.size() <= kDmarcReportUrisMax);
  FUZZ_CHECK(record->percent <= 100);
  for (const DmarcProblem& problem : record->problems) FUZZ_CHECK(!problem.text.empty());
  const auto longer = parse_dmarc_record(std::string(text) + ";x-=1;zzz=1");
  FUZZ_CHECK(longer);
  for (const auto edition : {DmarcEdition::Rfc7489, DmarcEdition::Rfc9989}) {
    const auto policies = requested_policies(*record, edition);
    if (is_valid(*record, edition)) FUZZ_CHECK(policies);
    FUZZ_CHECK(requested_policies(*longer, edition) == policies);
  }
  FUZZ_CHECK(!is_valid(*longer, DmarcEdition::Rfc9989));
}

void check_authors(std::string_view header) {
  const Authors authors = find_authors(header);
  FUZZ_CHECK(authors.domains.size() <= kAuthorDomainsMax);
  FUZZ_CHECK((authors.form == Authors::Form::Single) == authors.why.empty());
  FUZZ_CHECK((authors.form == Authors::Form::Missing) == (mail::count_fields(header, "From") == 0));
  if (authors.form == Authors::Form::Single) {
    FUZZ_CHECK(authors.domains.size() == 1);
    FUZZ_CHECK(mail::count_fields(header, "From") == 1);
  }
  for (const std::string& domain : authors.domains) {
    FUZZ_CHECK(!domain.empty());
    FUZZ_CHECK(std::none_of(domain.begin(), domain.end(), [](char c) {
      return (c >= 'A' && c <= 'Z') || c == '\n' || c == ' ';
    }));
  }
}

// Takes what the DNS says from the input.
dns::AnswerPointer invented(fuzz::Choices& choices) {
  constexpr std::string_view kTexts[] = {"v=DMARC1; p=reject", "v=DMARC1; p=none; psd=y",
                                         "v=DMARC1; p=quarantine; sp=none; np=reject; psd=n",
                                         "v=DMARC1; rua=mailto:a@b.example", "x"};
  auto answer = std::make_shared<dns::Answer>();
  const std::size_t kind = choices.next(8);
  answer->status = dns::Status::Ok;
  if (kind < std::size(kTexts)) {
    answer->texts.emplace_back(kTexts[kind]);
  } else if (kind == 5) {
    answer->texts.emplace_back(choices.next_text(40));
  } else {
    answer->status = kind == 6 ? dns::Status::NxDomain : dns::Status::TimedOut;
  }
  return answer;
}

// A verdict, and at most as many questions as there are walks, one more for np.
void check_verdict(fuzz::Choices& choices) {
  DmarcQuestion question;
  const std::size_t count = choices.next(30);
  std::string author(choices.next_text(choices.next(60)));
  for (std::size_t i = 0; i < count; ++i) {
    AuthenticatedDomain one;
    one.method = static_cast<AuthenticatedDomain::Method>(choices.next(2));
    one.result = static_cast<AuthenticatedDomain::Result>(choices.next(3));
    one.domain = std::string(choices.next_text(choices.next(20))) + "." + author;
    question.identifiers.push_back(std::move(one));
  }
  RecordedDns dns;
  constexpr int kRoundsMax = 6;
  for (int round = 0; round < kRoundsMax; ++round) {
    const auto verdict = evaluate_dmarc(author, question, dns);
    if (verdict) {
      FUZZ_CHECK(!verdict->why.empty());
      FUZZ_CHECK(verdict->result == DmarcResult::Fail || verdict->disposition == DmarcPolicy::None);
      FUZZ_CHECK((verdict->result == DmarcResult::Pass) == !verdict->aligned.empty());
      FUZZ_CHECK(dns.size() <= kTreeWalkQuestionsMax * (1 + 2 * kIdentifiersMax) + 1);
      return;
    }
    for (Question& missing : dns.take_missing()) dns.add(std::move(missing), invented(choices));
  }
  FUZZ_CHECK(false);
}

void check_authorisation(fuzz::Choices& choices) {
  const std::string domain(choices.next_text(choices.next(60)));
  const std::string host(choices.next_text(choices.next(60)));
  RecordedDns dns;
  for (int round = 0; round < 3; ++round) {
    const auto found = authorise_reports(domain, host, OrganisationRule(), dns);
    if (found.state != ReportAuthorisation::State::Unfinished) {
      for (const ReportUri& uri : found.instead) FUZZ_CHECK(!uri.host.empty());
      return;
    }
    for (Question& missing : dns.take_missing()) dns.add(std::move(missing), invented(choices));
  }
  FUZZ_CHECK(false);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view rest = fuzz::as_text(data, size).substr(1);
  fuzz::Choices choices(rest);
  switch (data[0] % 4) {
    case 0:
      check_record(rest);
      check_record("v=DMARC1;" + std::string(rest));
      break;
    case 1:
      check_authors(rest);
      check_authors("From: " + std::string(rest));
      break;
    case 2:
      check_verdict(choices);
      break;
    default:
      check_authorisation(choices);
  }
  return 0;
}
