#include "mta/inbound/wishes.h"

#include <algorithm>
#include <array>
#include <utility>

#include "mta/base/spelling.h"
#include "mta/base/text.h"
#include "mta/mail/date.h"
#include "mta/mail/headers.h"
#include "queue/types.h"

namespace rockdove::inbound {
namespace {

using base::Error;
using base::Result;

constexpr std::string_view kPrefix = "X-Rockdove-";
constexpr std::string_view kTenantOthers = "._@+-";  // besides letters and digits
constexpr std::array<std::string_view, 4> kNames = {"X-Rockdove-Tenant", "X-Rockdove-Campaign",
                                                    "X-Rockdove-Priority", "X-Rockdove-Send-At"};

bool is_wish(const mail::HeaderField& field) {
  return base::starts_with_ignoring_case(field.name, kPrefix);
}

// Without the line ends of a folded value (RFC 5322 §2.2.3).
std::string unfolded(std::string_view value) {
  std::string text(value);
  std::erase_if(text, [](char c) { return c == '\r' || c == '\n'; });
  return std::string(base::trimmed(text));
}

Error wrong(std::string_view name, std::string_view value, std::string_view wanted) {
  std::string text(name);
  text.append(": \"").append(base::printable(value, 64)).append("\" is not ").append(wanted);
  return Error(std::move(text));
}

Result<std::string> read_campaign(const std::string& value) {
  const bool is_printable =
      std::all_of(value.begin(), value.end(), [](char c) { return c >= ' ' && c <= '~'; });
  if (is_printable && value.size() <= queue::kCampaignOctetsMax) return value;
  return wrong(kNames[1], value, "at most 128 printable ASCII characters");
}

Result<int> read_priority(const std::string& value) {
  if (base::equals_ignoring_case(value, "urgent")) return kUrgentPriority;
  if (base::equals_ignoring_case(value, "normal")) return 0;
  if (base::equals_ignoring_case(value, "bulk")) return kBulkPriority;
  const bool is_negative = value.starts_with('-');
  const std::string_view digits = std::string_view(value).substr(is_negative ? 1 : 0);
  if (digits.size() == 1 && digits[0] >= '0' && digits[0] <= '9') {
    const int number = digits[0] - '0';
    return is_negative ? -number : number;
  }
  return wrong(kNames[2], value, "urgent, normal, bulk or a number from -9 to 9");
}

Result<base::WallTime> read_send_at(const std::string& value, base::WallTime now) {
  Result<base::WallTime> time = mail::parse_timestamp(value);
  if (!time) time = mail::parse_date(value);
  if (!time) {
    return wrong(kNames[3], value,
                 "a date like 2026-11-23T08:00:00+01:00 or Mon, 23 Nov 2026 08:00:00 +0100");
  }
  if (*time > now + kSendAheadMax)
    return wrong(kNames[3], value, "within 30 days, the longest that a message is kept here");
  return time;
}

// Of a value that is not empty.
Result<void> read_value(std::size_t which, const std::string& value, base::WallTime now,
                        Wishes& wishes) {
  switch (which) {
    case 0:
      if (!is_tenant_name(value)) return wrong(kNames[0], value, kTenantNameWanted);
      wishes.tenant = base::lower_case(value);
      return {};
    case 1: {
      Result<std::string> campaign = read_campaign(value);
      if (!campaign) return campaign.error();
      wishes.campaign = *std::move(campaign);
      return {};
    }
    case 2: {
      const Result<int> priority = read_priority(value);
      if (!priority) return priority.error();
      wishes.priority = *priority;
      return {};
    }
    default: {
      const Result<base::WallTime> time = read_send_at(value, now);
      if (!time) return time.error();
      wishes.send_at = *time;
      return {};
    }
  }
}

}  // namespace

bool is_tenant_name(std::string_view text) {
  return !text.empty() && text.size() <= queue::kTenantOctetsMax &&
         std::all_of(text.begin(), text.end(), [](char c) {
           const char lowered = base::to_lower(c);
           return (lowered >= 'a' && lowered <= 'z') || (c >= '0' && c <= '9') ||
                  kTenantOthers.find(c) != std::string_view::npos;
         });
}

Result<Wishes> read_wishes(std::string_view header, base::WallTime now) {
  Wishes wishes;
  std::array<bool, kNames.size()> seen{};
  for (const mail::HeaderField& field : mail::HeaderFields(header)) {
    if (!is_wish(field)) continue;
    const auto known = std::find_if(kNames.begin(), kNames.end(),
                                    [&field](std::string_view name) { return field.is(name); });
    if (known == kNames.end()) {
      return Error("there is no header field " + base::printable(field.name, 64) +
                   base::did_you_mean(field.name, {kNames.begin(), kNames.end()}));
    }
    const auto which = static_cast<std::size_t>(known - kNames.begin());
    if (std::exchange(seen[which], true)) return Error(std::string(*known) + " is there twice");
    const std::string value = unfolded(field.value);
    if (value.empty()) continue;
    if (Result<void> read = read_value(which, value, now, wishes); !read) return read.error();
  }
  return wishes;
}

std::optional<std::string> without_wishes(std::string_view header) {
  const mail::HeaderFields fields(header);
  if (std::none_of(fields.begin(), fields.end(), is_wish)) return std::nullopt;
  std::string kept;
  kept.reserve(header.size());
  for (const mail::HeaderField& field : fields) {
    if (!is_wish(field)) kept.append(field.whole);
  }
  return kept;
}

}  // namespace rockdove::inbound
