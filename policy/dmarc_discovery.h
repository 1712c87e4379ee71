// Which DMARC record applies to a domain, and which domains are one organisation: by walking up the
// DNS tree (RFC 9989 §4.10), or in the older way by the public suffix list (RFC 7489 §3.2, §6.6.3).
//
// Nothing here waits: what the DNS has not said yet is noted in a RecordedDns, all that can be
// asked at once together, and the same call is made again when the answers are there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dns/public_suffix.h"
#include "policy/dmarc_record.h"
#include "policy/recorded_dns.h"

namespace rockdove::policy {

inline constexpr std::size_t kTreeWalkQuestionsMax = 8;  // RFC 9989 §4.10

// What stands at _dmarc.DOMAIN.
struct DmarcLookup {
  enum class State : std::uint8_t {
    Unasked,  // the question is noted as missing
    None,     // there is no DMARC record
    Found,    // there is one
    Several,  // there is more than one, which counts as none
    Failed,   // the DNS failed for now
  };

  State state = State::None;
  std::string domain;  // without "_dmarc."
  DmarcRecord record;  // only when Found
  std::string text;    // of the record, as published
  std::string detail;  // only when Failed: why, for a person
};

[[nodiscard]] DmarcLookup look_up_dmarc(std::string_view domain, RecordedDns& dns);

// The domains that a walk from `domain` looks at, which is the first of them; at most
// kTreeWalkQuestionsMax. One of eight labels and more is followed by what is left of its last
// seven.
[[nodiscard]] std::vector<std::string> tree_walk_domains(std::string_view domain);

struct TreeWalk {
  enum class State : std::uint8_t {
    Unfinished,  // answers are missing, and noted
    Done,
    Failed,  // the DNS failed for now, at the last of `steps`
  };

  State state = State::Done;
  std::vector<DmarcLookup> steps;  // as far as it went; a psd=y or psd=n ends it
  // These when Done. RFC 9989 §4.10.2.
  std::string organisation;
  std::string public_suffix;  // where psd=y stands above the organisation; else empty

  // The record at `domain`; null: none was found there.
  [[nodiscard]] const DmarcLookup* record_at(std::string_view domain) const;
};

[[nodiscard]] TreeWalk walk_dns_tree(std::string_view domain, RecordedDns& dns);

// How to tell which domains belong together.
struct OrganisationRule {
  // Null: the tree walk of RFC 9989. Else the older way of RFC 7489, all of it: tags that only the
  // new one has are not looked at. Outlives what it is given to.
  const dns::PublicSuffixes* suffixes = nullptr;

  [[nodiscard]] DmarcEdition edition() const {
    return suffixes == nullptr ? DmarcEdition::Rfc9989 : DmarcEdition::Rfc7489;
  }
};

// The organisational domain of `domain`.
struct Organisation {
  enum class State : std::uint8_t { Unfinished, Known, Failed };

  State state = State::Known;
  std::string domain;  // only when Known
  std::string detail;  // only when Failed
};

[[nodiscard]] Organisation find_organisation(std::string_view domain, const OrganisationRule& rule,
                                             RecordedDns& dns);

// The record that applies to mail whose author is at a domain (RFC 9989 §4.10.1, RFC 7489 §6.6.3).
struct PolicyDiscovery {
  enum class State : std::uint8_t { Unfinished, Found, None, Failed };

  State state = State::None;
  DmarcLookup lookup;  // the record, and the domain at which it stands; only when Found
  std::string why;     // a plain sentence without a full stop: what was found where, or failed
};

[[nodiscard]] PolicyDiscovery discover_policy(std::string_view author_domain,
                                              const OrganisationRule& rule, RecordedDns& dns);

}  // namespace rockdove::policy
