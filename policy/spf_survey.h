// What an SPF record means, term by term, with all that it includes: for a person who publishes or
// examines one (`rockdove spf check`). Unlike check_spf() it looks at every term, whoever the
// client is, so it asks more questions; they are bounded here, and no mail waits for it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/recorded_dns.h"

namespace rockdove::policy {

inline constexpr std::size_t kSpfSurveyQuestionsMax = 200;
inline constexpr std::size_t kSpfSurveyRecordsMax = 40;
inline constexpr std::size_t kSpfSurveyLinesMax = 1000;

struct SpfSurveyLine {
  unsigned depth = 0;   // 0: of the record itself; 1: of what it includes; …
  std::string term;     // as it is written, printable; a line for a whole record has none
  std::string meaning;  // for a person, printable, without a full stop
};

struct SpfSurvey {
  std::string record;  // printable; empty: there is none
  std::vector<SpfSurveyLine> lines;
  // Of a check in which nothing matches; more than kSpfTermsMax and kSpfVoidTermsMax are errors.
  unsigned terms = 0;
  unsigned void_terms = 0;
  std::vector<std::string> wrong;   // what makes receivers answer permerror or temperror
  std::vector<std::string> advice;  // what works, but not as it should
  std::string better;               // the record to publish instead; empty: this one is right
};

// Of the TXT records of `domain`, or, where `record` is given, of that text, which is `domain`'s
// own (empty: not known). nullopt: answers are missing; `dns` has noted which.
[[nodiscard]] std::optional<SpfSurvey> survey_spf(std::string_view domain,
                                                  std::optional<std::string_view> record,
                                                  RecordedDns& dns);

// The record with what is plainly meant in the place of common mistakes (ipv4: for ip4:, redirect:
// for redirect=, include= for include:), and without what is wrong or has no effect: terms behind
// "all", doubled ones. Equal to `record` when nothing is to be done.
[[nodiscard]] std::string repaired_spf_record(std::string_view record);

}  // namespace rockdove::policy
