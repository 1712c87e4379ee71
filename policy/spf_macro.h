// The macro language of SPF (RFC 7208 §7): what a domain-spec, a modifier's value or an explanation
// may hold, and what it expands to for one message. Text only; nothing here asks the DNS.
//
// Strangers wrote these texts. A text with more than kSpfMacrosMax macros is a mistake, and what
// is kept of an expansion is bounded, so that neither can be made to cost much.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mta/base/ip_address.h"
#include "mta/base/time.h"

namespace rockdove::policy {

inline constexpr std::size_t kSpfMacrosMax = 64;               // in one text; more are a mistake
inline constexpr std::size_t kSpfExplanationOctetsMax = 1024;  // longer ones are cut

// c, r and t, and spaces, are for explanations only (RFC 7208 §7.1, §7.2).
enum class SpfMacroPlace : std::uint8_t { Term, Explanation };

struct SpfTextProblem {
  std::size_t position = 0;  // of the octet that is wrong, from 0
  std::string what;          // for a person, without a full stop: "%{q} is no macro"
};

// nullopt: `text` is a macro-string, or with Explanation an explain-string.
[[nodiscard]] std::optional<SpfTextProblem> check_macro_string(std::string_view text,
                                                               SpfMacroPlace place);

// nullopt: `text` is a domain-spec, which ends in a macro or in a top-level domain.
[[nodiscard]] std::optional<SpfTextProblem> check_domain_spec(std::string_view text);

// What the macro letters stand for.
struct SpfMacroValues {
  std::string_view sender;                 // s: local part, "@", domain
  std::string_view sender_local;           // l
  std::string_view sender_domain;          // o
  std::string_view domain;                 // d: the one whose record this is
  std::string_view validated = "unknown";  // p
  std::string_view helo;                   // h
  std::string_view receiver;               // r; empty: "unknown"
  base::IpAddress client;                  // i, v and c
  base::WallTime now{};                    // t
};

// Whether the macro `letter` (lower case) stands in a checked text, in either case.
[[nodiscard]] bool uses_spf_macro(std::string_view text, char letter);

// The name that a checked domain-spec means: without a final dot, and of more than 253 octets the
// labels at the left are gone (RFC 7208 §7.3). It may still be no name that can be asked for.
[[nodiscard]] std::string expand_domain_spec(std::string_view text, const SpfMacroValues& values);

// A checked explanation, expanded. nullopt: the result is not printable ASCII (RFC 7208 §6.2).
[[nodiscard]] std::optional<std::string> expand_explanation(std::string_view text,
                                                            const SpfMacroValues& values);

}  // namespace rockdove::policy
