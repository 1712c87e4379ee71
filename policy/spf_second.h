// What libspf2 says of a record, as a second opinion: Exim and others judge by it, and it differs
// from RFC 7208 in places (contrib/doc/adr/0014). For `rockdove spf check` and tests; never for
// mail.
//
// It runs in a child process with little to do harm with, since it was not written for hostile
// records, ends its process on some errors, and bounds its questions by the record, not by the
// check. So this blocks, for kSecondTimeMax at most; no loop may call it. The only place that knows
// <spf2/…>.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "policy/recorded_dns.h"
#include "policy/spf.h"

namespace rockdove::policy {

inline constexpr std::chrono::seconds kSecondTimeMax{3};
inline constexpr unsigned kSecondRoundsMax = 10;
inline constexpr std::size_t kSecondQuestionsMax = 50;

struct SpfSecondOpinion {
  std::optional<SpfResult> result;  // nullopt: answers are missing, or it has failed
  std::string words;                // its own about an error, or how it failed; printable
  std::vector<Question> missing;    // it cannot say before these are answered
};

// With the answers that `dns` has. Ask again with more answers while `missing` is not empty, up to
// kSecondRoundsMax times and kSecondQuestionsMax questions.
[[nodiscard]] SpfSecondOpinion ask_libspf2(const SpfRequest& request, RecordedDns& dns);

}  // namespace rockdove::policy
