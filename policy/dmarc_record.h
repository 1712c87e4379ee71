// DMARC policy records: the TXT record at _dmarc.DOMAIN (RFC 9989 §4.7, §4.8), and as its
// forerunner had it (RFC 7489 §6.3, §6.4), which knew pct, rf and ri but not np, psd and t.
//
// A record is read once, leniently, and everything that is wrong with it is noted in words, with
// the edition that it offends; a reader then asks as one of the two would understand it. The text
// is a stranger's: whatever it is, reading it is bounded.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mta/mail/address.h"

namespace rockdove::policy {

inline constexpr std::size_t kDmarcTagsMax = 100;       // read of one record; the rest is ignored
inline constexpr std::size_t kDmarcReportUrisMax = 20;  // kept of each list

enum class DmarcEdition : std::uint8_t {
  Rfc7489,  // 2015: the tag list must be sound, p comes second
  Rfc9989,  // 2026: what is wrong is ignored, but for the version
};

// What a domain's owner asks for when mail in his name fails, from the mildest to the strictest.
enum class DmarcPolicy : std::uint8_t { None, Quarantine, Reject };

// "none", "quarantine", "reject".
[[nodiscard]] std::string_view name_of(DmarcPolicy policy);

enum class DmarcAlignment : std::uint8_t {
  Relaxed,  // the same organisation
  Strict,   // the same domain
};

enum class PublicSuffixFlag : std::uint8_t {
  Unsaid,  // psd=u, or no psd at all
  Yes,     // the domain is a public suffix: strangers own what is below it
  No,      // the domain is an organisation of its own
};

struct ReportUri {
  std::string uri;                          // as written, but for the limit
  std::optional<mail::Address> mailbox;     // of a mailto: URI that names one
  std::string host;                         // that takes the reports, in A-labels; may be empty
  std::optional<std::uint64_t> octets_max;  // of "!10m"; RFC 9989 §4.8 has it ignored
  bool has_absurd_limit = false;            // over 64 bits, which RFC 7489 §6.4 forbids
};

// When the owner wants a report about one message (fo).
struct FailureReporting {
  bool when_all_fail = true;    // 0
  bool when_any_fails = false;  // 1
  bool of_dkim = false;         // d
  bool of_spf = false;          // s
};

struct DmarcProblem {
  enum class Against : std::uint8_t {
    Rfc7489,
    Rfc9989,
    Both,
    Nobody,  // it is allowed, but hardly what its owner meant
  };

  Against against = Against::Both;
  std::string text;  // a sentence without a full stop, printable
};

// What a domain's owner asks for, by whom the mail claims to be from.
struct DmarcPolicies {
  DmarcPolicy domain = DmarcPolicy::None;       // the domain of the record itself
  DmarcPolicy subdomains = DmarcPolicy::None;   // a name below it that exists
  DmarcPolicy nonexistent = DmarcPolicy::None;  // a name below it that the DNS does not have

  bool operator==(const DmarcPolicies&) const = default;
};

struct DmarcRecord {
  // What p, sp and np say; nullopt: not there, or not valid, or there twice.
  std::optional<DmarcPolicy> policy;
  std::optional<DmarcPolicy> subdomain_policy;
  std::optional<DmarcPolicy> nonexistent_policy;
  bool has_bad_subdomain_policy = false;    // sp is there, but not valid
  bool has_bad_nonexistent_policy = false;  // np likewise
  DmarcAlignment dkim_alignment = DmarcAlignment::Relaxed;
  DmarcAlignment spf_alignment = DmarcAlignment::Relaxed;
  PublicSuffixFlag public_suffix = PublicSuffixFlag::Unsaid;
  bool is_test = false;                      // t=y
  unsigned percent = 100;                    // pct, 0 to 100: of RFC 7489
  std::vector<ReportUri> aggregate_reports;  // rua, the valid ones
  std::vector<ReportUri> failure_reports;    // ruf, likewise
  FailureReporting failure_reporting;
  bool is_tag_list = true;  // made of tag=value and nothing else, no tag twice
  std::vector<DmarcProblem> problems;
};

// nullopt: not a DMARC record, since it does not begin with v=DMARC1.
[[nodiscard]] std::optional<DmarcRecord> parse_dmarc_record(std::string_view text);

// Whether the record is one that the edition's formal definition allows, and names a policy or an
// address for reports.
[[nodiscard]] bool is_valid(const DmarcRecord& record, DmarcEdition edition);

// What the record asks for, as the edition reads it. nullopt: nothing, because it names neither a
// valid policy nor an address for reports, so that DMARC is not applied (RFC 9989 §4.10.1, RFC 7489
// §6.6.3).
[[nodiscard]] std::optional<DmarcPolicies> requested_policies(const DmarcRecord& record,
                                                              DmarcEdition edition);

}  // namespace rockdove::policy
