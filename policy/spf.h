// SPF (RFC 7208): may this client send mail in the name of this domain? The answer, and why.
//
// check_spf() is a function of the request and of what is known from the DNS, and is run again with
// more answers until it decides (recorded_dns.h). It asks one term after the other, as the RFC
// counts them, but all names of an "mx" or a "ptr" at once. The limits of RFC 7208 §4.6.4 hold for
// the whole check, includes and redirects together, so that no record can make it ask more than
// kSpfQuestionsMax questions. It does not recurse, and keeps no more than a place in each of the at
// most eleven records that are open.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mta/base/ip_address.h"
#include "mta/base/time.h"
#include "policy/recorded_dns.h"

namespace rockdove::policy {

inline constexpr unsigned kSpfTermsMax = 10;     // that cause look-ups (RFC 7208 §4.6.4)
inline constexpr unsigned kSpfVoidTermsMax = 2;  // whose look-ups found nothing
inline constexpr std::size_t kSpfNamesMax = 10;  // of one MX or PTR answer
// The first record; ten terms with ten names each; an explanation, and ten names and a PTR for it.
inline constexpr std::size_t kSpfQuestionsMax =
    1 + kSpfTermsMax * (1 + kSpfNamesMax) + 1 + (1 + kSpfNamesMax);

// RFC 7208 §2.6.
enum class SpfResult : std::uint8_t { None, Neutral, Pass, Fail, SoftFail, TempError, PermError };

// "none", "neutral", "pass", "fail", "softfail", "temperror", "permerror".
[[nodiscard]] std::string_view name_of(SpfResult result);

enum class SpfIdentity : std::uint8_t { Helo, MailFrom };

// Asking for an explanation costs questions; only who would show it wants it.
enum class SpfExplaining : std::uint8_t { No, Yes };

struct SpfRequest {
  SpfIdentity identity = SpfIdentity::MailFrom;
  base::IpAddress client;
  std::string helo;  // as the client said it
  // MAIL FROM without its brackets. Empty (or with Helo): postmaster at the HELO name is checked
  // (RFC 7208 §2.4).
  std::string sender;
  std::string receiver;  // our name
  base::WallTime now{};
  SpfExplaining explaining = SpfExplaining::No;
};

struct SpfOutcome {
  SpfResult result = SpfResult::None;
  std::string domain;  // that was checked, as it was given
  // Why, for a person, in printable ASCII, without a full stop: "192.0.2.1 matches -all of
  // example.com: it may not send mail for example.com".
  std::string reason;
  // The domain's own words to a sender that fails, in printable ASCII; nullopt: it has none, or
  // they were not wanted. They are a stranger's, so say whose they are (RFC 7208 §6.2).
  std::optional<std::string> explanation;
  std::string term;         // of the domain's record (or the one it redirects to) that decided
  unsigned terms = 0;       // that caused look-ups
  unsigned void_terms = 0;  // whose look-ups found nothing

  bool operator==(const SpfOutcome&) const = default;
};

// nullopt: answers are missing; `dns` has noted which. Begins anew each time; SpfEvaluation goes
// on.
[[nodiscard]] std::optional<SpfOutcome> check_spf(const SpfRequest& request, RecordedDns& dns);

}  // namespace rockdove::policy
