// SPF against a hostile DNS: the input is the request and what the DNS says to each question. The
// check ends; it asks no more than its budget, each question once; it does not wait without asking
// for anything; its words are short and printable; and what it comes to in rounds, it comes to when
// all answers are there from the beginning.
#include <algorithm>
#include <memory>
#include <string>

#include "policy/spf.h"
#include "policy/spf_evaluation.h"
#include "policy/spf_macro.h"
#include "policy/spf_record.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace rockdove;

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

base::IpAddress next_address(fuzz::Choices& choices) {
  if (choices.next(3) == 0) return *base::parse_ip_address("2001:db8::1");
  return base::IpAddress::v4({192, 0, 2, static_cast<std::uint8_t>(choices.next(3))});
}

// Names come again, so that records lead to one another.
std::string next_name(fuzz::Choices& choices) {
  constexpr std::string_view kNames[] = {"a.example", "b.a.example", "unknown.a.example", "x.y.z"};
  const std::size_t which = choices.next(std::size(kNames) + 1);
  return std::string(which < std::size(kNames) ? kNames[which]
                                               : choices.next_text(choices.next(20)));
}

// Records of terms that are mostly right, so that more than the first mistake is met.
std::string next_record(fuzz::Choices& choices) {
  constexpr std::string_view kTerms[] = {"include:%{d}",
                                         "a",
                                         "mx",
                                         "ptr",
                                         "exists:%{ir}.%{p}.a.example",
                                         "-all",
                                         "?all",
                                         "a/24//64",
                                         "mx:b.a.example",
                                         "include:b.a.example",
                                         "redirect=x.y.z",
                                         "exp=%{p}.a.example",
                                         "ip4:192.0.2.1",
                                         "ip6:2001:db8::/32",
                                         "a:%{L2r-}.%{h}",
                                         "ptr:%{d2}"};
  std::string record = "v=spf1";
  for (std::size_t left = choices.next(20); left > 0; --left) {
    record += ' ';
    const std::size_t which = choices.next(std::size(kTerms) + 2);
    record += which < std::size(kTerms) ? kTerms[which] : choices.next_text(choices.next(30));
  }
  return record;
}

dns::Answer next_answer(fuzz::Choices& choices, dns::RecordType type) {
  dns::Answer answer;
  answer.status = static_cast<dns::Status>(choices.next(12));
  if (answer.status > dns::Status::BadName) answer.status = dns::Status::Ok;
  if (answer.status != dns::Status::Ok) return answer;
  const std::size_t records = 1 + choices.next(choices.next(4) == 0 ? 14 : 2);
  for (std::size_t i = 0; i < records; ++i) {
    switch (type) {
      case dns::RecordType::A:
      case dns::RecordType::AAAA:
        answer.addresses.push_back(next_address(choices));
        break;
      case dns::RecordType::MX:
        answer.exchanges.push_back({10, next_name(choices)});
        break;
      case dns::RecordType::TXT:
        answer.texts.push_back(choices.next(4) == 0
                                   ? std::string(choices.next_text(choices.next(300)))
                                   : next_record(choices));
        break;
      case dns::RecordType::PTR:
        answer.names.push_back(next_name(choices));
        break;
    }
  }
  return answer;
}

// The reader by itself: terms lie within the record, one behind the other, and a problem points
// into it.
void check_reader(std::string_view record) {
  if (!policy::is_spf_record(record)) return;
  policy::SpfRecordReader reader(record);
  std::size_t at = 0;
  while (true) {
    const auto next = reader.next();
    if (const auto* term = std::get_if<policy::SpfTerm>(&next)) {
      FUZZ_CHECK(term->position > at && !term->text.empty());
      FUZZ_CHECK(record.substr(term->position, term->text.size()) == term->text);
      FUZZ_CHECK(term->bits4 <= 32 && term->bits6 <= 128);
      FUZZ_CHECK(term->domain.empty() || !policy::check_domain_spec(term->domain));
      at = term->position + term->text.size();
      continue;
    }
    if (const auto* problem = std::get_if<policy::SpfProblem>(&next))
      FUZZ_CHECK(problem->position <= record.size() && !problem->what.empty());
    break;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  check_reader(fuzz::as_text(data, size));
  fuzz::Choices choices(fuzz::as_text(data, size));
  policy::SpfRequest request;
  request.identity =
      choices.next(4) == 0 ? policy::SpfIdentity::Helo : policy::SpfIdentity::MailFrom;
  request.client = next_address(choices);
  request.helo = next_name(choices);
  request.sender = std::string(choices.next_text(choices.next(8))) + "@" + next_name(choices);
  request.explaining =
      choices.next(2) == 0 ? policy::SpfExplaining::Yes : policy::SpfExplaining::No;

  policy::RecordedDns known;
  policy::SpfEvaluation evaluation(request, known);
  std::size_t questions = 0;
  std::optional<policy::SpfOutcome> outcome = evaluation.run();
  for (; !outcome; outcome = evaluation.run()) {
    std::vector<policy::Question> missing = known.take_missing();
    FUZZ_CHECK(!missing.empty());
    questions += missing.size();
    FUZZ_CHECK(questions <= policy::kSpfQuestionsMax);
    for (policy::Question& question : missing) {
      auto answer = std::make_shared<const dns::Answer>(next_answer(choices, question.type));
      known.add(std::move(question), std::move(answer));
    }
  }
  FUZZ_CHECK(known.take_missing().empty());
  FUZZ_CHECK(outcome->terms <= policy::kSpfTermsMax);
  FUZZ_CHECK(outcome->void_terms <= policy::kSpfVoidTermsMax + 1);
  FUZZ_CHECK(!outcome->reason.empty() && outcome->reason.size() < 4000);
  FUZZ_CHECK(is_printable(outcome->reason) && is_printable(outcome->term));
  if (outcome->explanation) {
    FUZZ_CHECK(outcome->result == policy::SpfResult::Fail);
    FUZZ_CHECK(is_printable(*outcome->explanation));
    FUZZ_CHECK(outcome->explanation->size() <= policy::kSpfExplanationOctetsMax);
  }
  const std::optional<policy::SpfOutcome> again = policy::check_spf(request, known);
  FUZZ_CHECK(again == outcome);
  return 0;
}
