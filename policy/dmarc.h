// What DMARC says about a message (RFC 9989 §5.3; in the older way RFC 7489 §6.6): whether one of
// the domains that SPF and DKIM vouch for belongs to the domain that the message claims to be from,
// and what that domain's owner asks for where none does.
//
// It decides nothing about the message: what a failure costs is the caller's policy. It never
// waits: see recorded_dns.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/authentication_results.h"
#include "policy/author_domains.h"
#include "policy/dmarc_discovery.h"
#include "policy/dmarc_record.h"
#include "policy/recorded_dns.h"

namespace rockdove::policy {

// Different domains that are looked at for one author's domain; the rest is not, and the verdict
// says so. A message may have any number of signatures.
inline constexpr std::size_t kIdentifiersMax = 10;

// A domain that SPF or DKIM looked at.
struct AuthenticatedDomain {
  enum class Method : std::uint8_t {
    Dkim,  // the d= of a signature
    Spf,   // the domain of MAIL FROM, or HELO where that is empty (RFC 9989 §3.2.4)
  };
  enum class Result : std::uint8_t {
    Pass,
    TemporaryError,  // it might have passed
    Other,           // all else
  };

  Method method = Method::Dkim;
  Result result = Result::Other;
  std::string domain;
};

enum class DmarcResult : std::uint8_t {
  None,            // DMARC does not apply: no record, or no single author
  Pass,            // a domain that belongs to the author's is vouched for
  Fail,            // none is
  TemporaryError,  // the DNS failed, and the answer might have changed the result
  PermanentError,  // the record cannot be read
};

// As RFC 8601 has them: "none", "pass", "fail", "temperror", "permerror".
[[nodiscard]] std::string_view name_of(DmarcResult result);

struct DmarcVerdict {
  DmarcResult result = DmarcResult::None;
  std::string author_domain;  // in A-labels
  std::string policy_domain;  // where the record stands; empty: there is none
  std::string record;         // as published
  // What its owner asks for when mail of this author fails, after t=y; nullopt without a record
  // that applies. It is there for mail that passes, too.
  std::optional<DmarcPolicy> policy;
  // What remains of it for this message, by pct of RFC 7489; None unless the result is Fail.
  DmarcPolicy disposition = DmarcPolicy::None;
  std::vector<ReportUri> aggregate_reports;  // of the record
  std::vector<std::string> aligned;  // domains that are vouched for and belong to the author
  std::string why;                   // a plain sentence without a full stop, printable ASCII
};

struct DmarcQuestion {
  std::vector<AuthenticatedDomain> identifiers;
  OrganisationRule rule;
  // By chance from 0 to 99, for pct: a policy is asked for when it is below (RFC 7489 §6.6.4).
  unsigned sample = 0;
};

// For one author's domain. nullopt: answers are missing, and noted in `dns`.
[[nodiscard]] std::optional<DmarcVerdict> evaluate_dmarc(std::string_view author_domain,
                                                         const DmarcQuestion& question,
                                                         RecordedDns& dns);

// For a message: each of its authors' domains is judged, and the strictest outcome is that of the
// message (RFC 9989 §11.5). Without any, DMARC does not apply.
[[nodiscard]] std::optional<DmarcVerdict> evaluate_dmarc(const Authors& authors,
                                                         const DmarcQuestion& question,
                                                         RecordedDns& dns);

// For the Authentication-Results field: the author's domain, the policy that counts for the message
// (RFC 9989 §9.1), and why as a comment.
[[nodiscard]] MethodResult as_method_result(const DmarcVerdict& verdict);

}  // namespace rockdove::policy
