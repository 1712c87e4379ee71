// What a message says of its sender's wishes: the fields X-Rockdove-Tenant, X-Rockdove-Campaign,
// X-Rockdove-Priority and X-Rockdove-Send-At of its header. They are heard from those who may relay
// alone, and taken off whoever wrote them, so that nobody behind us takes a stranger's for ours.
// Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "mta/base/result.h"
#include "mta/base/time.h"

namespace rockdove::inbound {

// So far ahead may a message be scheduled.
inline constexpr base::Duration kSendAheadMax = std::chrono::hours(30 * 24);

// What the words stand for, as in MIXER's profile (RFC 6710, appendix).
inline constexpr int kUrgentPriority = 4;
inline constexpr int kBulkPriority = -4;

struct Wishes {
  std::string tenant;    // in lower case; "": none is named
  std::string campaign;  // ""; likewise
  std::optional<int> priority;
  std::optional<base::WallTime> send_at;  // may have passed; at most kSendAheadMax from `now`
};

// 1 to queue::kTenantOctetsMax of letters, digits and ". _ @ + -".
[[nodiscard]] bool is_tenant_name(std::string_view text);
inline constexpr std::string_view kTenantNameWanted =
    "1 to 64 letters, digits, dots, hyphens, underscores, @ or +";

// The error says which field is wrong, and how to write it: one that is there twice, an unknown one
// that begins with X-Rockdove-, or a value that is none. A field without a value is as none.
[[nodiscard]] base::Result<Wishes> read_wishes(std::string_view header, base::WallTime now);

// The header without any field that begins with X-Rockdove-; nullopt: there is none.
[[nodiscard]] std::optional<std::string> without_wishes(std::string_view header);

}  // namespace rockdove::inbound
