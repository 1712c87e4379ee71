#include "queue/pauses.h"

#include <algorithm>
#include <iterator>
#include <tuple>

#include "mta/base/assert.h"
#include "mta/base/text.h"
#include "queue/account_name.h"
#include "queue/records.pb.h"

namespace rockdove::queue {
namespace {

constexpr PauseKind kKinds[] = {PauseKind::Everything, PauseKind::Destination, PauseKind::Site,
                                PauseKind::User,       PauseKind::Tenant,      PauseKind::Campaign,
                                PauseKind::Provider,   PauseKind::Source};
constexpr std::string_view kMxPrefix = "mx:";

std::string_view without_mx(std::string_view site) {
  return site.substr(site.starts_with(kMxPrefix) ? kMxPrefix.size() : 0);
}

constexpr bool is_of_sites(PauseKind kind) {
  return kind == PauseKind::Site || kind == PauseKind::Provider || kind == PauseKind::Source;
}

// "*" is any, but not none.
bool is_some(std::string_view pattern, std::string_view name) {
  return !name.empty() && base::matches_pattern(pattern, name);
}

// Its kind is_of_sites().
bool is_about_site(const Pause& pause, std::string_view site, std::string_view account) {
  if (pause.kind == PauseKind::Provider)
    return is_some(pause.pattern, provider_of_account(account));
  if (pause.kind == PauseKind::Source) return is_some(pause.pattern, source_of_account(account));
  return base::matches_pattern(pause.pattern, site) ||
         base::matches_pattern(pause.pattern, without_mx(site)) ||
         (account != site && base::matches_pattern(pause.pattern, account));
}

}  // namespace

std::string_view kind_name(PauseKind kind) {
  switch (kind) {
    case PauseKind::Everything:
      return "everything";
    case PauseKind::Destination:
      return "destination";
    case PauseKind::Site:
      return "site";
    case PauseKind::User:
      return "user";
    case PauseKind::Tenant:
      return "tenant";
    case PauseKind::Campaign:
      return "campaign";
    case PauseKind::Provider:
      return "provider";
    case PauseKind::Source:
      return "source";
  }
  MTA_ASSERT(false);
}

std::optional<PauseKind> parse_pause_kind(std::string_view name) {
  for (const PauseKind kind : kKinds) {
    if (kind_name(kind) == name) return kind;
  }
  return std::nullopt;
}

std::string pause_name(const Pause& pause) {
  return std::string(kind_name(pause.kind)) + ":" + pause.pattern;
}

std::string encode_pause(const Pause& pause) {
  record::Pause record;
  record.set_since(base::to_unix_milliseconds(pause.since));
  if (pause.until) record.set_until(base::to_unix_milliseconds(*pause.until));
  record.set_by(pause.by);
  record.set_reason(pause.reason);
  record.set_is_ending(pause.is_ending);
  std::string value;
  MTA_ASSERT(record.AppendToString(&value));
  return value;
}

base::Result<Pause> decode_pause(std::string_view name, std::string_view value) {
  const std::size_t colon = name.find(':');
  const std::optional<PauseKind> kind = parse_pause_kind(name.substr(0, colon));
  record::Pause record;
  if (!kind || colon == std::string_view::npos ||
      !record.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
    return base::Error("the row of the pause \"" + base::printable(name, 80) + "\" is damaged");
  }
  Pause pause;
  pause.kind = *kind;
  pause.pattern = name.substr(colon + 1);
  pause.since = base::from_unix_milliseconds(record.since());
  if (record.until() != 0) pause.until = base::from_unix_milliseconds(record.until());
  pause.by = record.by();
  pause.reason = record.reason();
  pause.is_ending = record.is_ending();
  return pause;
}

std::string hold_reason_of(const Pause& pause) {
  return std::string(kPausedHold).append(kind_name(pause.kind)) + " " + pause.pattern;
}

bool is_pause_hold(std::string_view reason) {
  if (!reason.starts_with(kPausedHold)) return false;
  reason.remove_prefix(kPausedHold.size());
  const std::size_t blank = reason.find(' ');
  const std::optional<PauseKind> kind = parse_pause_kind(reason.substr(0, blank));
  return blank != std::string_view::npos && kind && holds_mail(*kind);
}

Pauses::Pauses(std::vector<Pause> pauses) : pauses_(std::move(pauses)) {
  std::erase_if(pauses_, [](const Pause& pause) { return pause.is_ending; });
  std::sort(pauses_.begin(), pauses_.end(), [](const Pause& one, const Pause& other) {
    return std::tie(one.kind, one.pattern) < std::tie(other.kind, other.pattern);
  });
  for (const Pause& pause : pauses_) {
    has_sites_ = has_sites_ || is_of_sites(pause.kind);
    hold_mail_ = hold_mail_ || holds_mail(pause.kind);
  }
}

const Pause* Pauses::find(PauseKind kind, std::string_view text) const {
  for (const Pause& pause : pauses_) {
    if (pause.kind == kind && base::matches_pattern(pause.pattern, text)) return &pause;
  }
  return nullptr;
}

std::vector<Pause> Pauses::about(std::string_view destination, std::string_view site,
                                 std::string_view account, std::string_view user,
                                 std::string_view tenant, std::string_view campaign) const {
  const auto applies = [&](const Pause& pause) {
    switch (pause.kind) {
      case PauseKind::Everything:
        return true;
      case PauseKind::Destination:
        return base::matches_pattern(pause.pattern, destination);
      case PauseKind::Site:
      case PauseKind::Provider:
      case PauseKind::Source:
        return !site.empty() && is_about_site(pause, site, account);
      case PauseKind::User:
        return !user.empty() && base::matches_pattern(pause.pattern, user);
      case PauseKind::Tenant:
        return !tenant.empty() && base::matches_pattern(pause.pattern, tenant);
      case PauseKind::Campaign:
        return !campaign.empty() && base::matches_pattern(pause.pattern, campaign);
    }
    MTA_ASSERT(false);
  };
  std::vector<Pause> found;
  std::copy_if(pauses_.begin(), pauses_.end(), std::back_inserter(found), applies);
  return found;
}

const Pause* Pauses::on_destination(std::string_view destination) const {
  if (pauses_.empty()) return nullptr;
  if (pauses_.front().kind == PauseKind::Everything) return &pauses_.front();
  return find(PauseKind::Destination, destination);
}

const Pause* Pauses::on_site(std::string_view site, std::string_view account) const {
  if (!has_sites_) return nullptr;
  const auto found = std::find_if(pauses_.begin(), pauses_.end(), [&](const Pause& pause) {
    return is_of_sites(pause.kind) && is_about_site(pause, site, account);
  });
  return found == pauses_.end() ? nullptr : &*found;
}

const Pause* Pauses::on_queue(const QueueName& queue) const {
  const Pause* pause = on_destination(queue.destination);
  if (pause != nullptr || queue.tenant.empty()) return pause;
  return find(PauseKind::Tenant, queue.tenant);
}

const Pause* Pauses::on_mail(const Message& message) const {
  if (!hold_mail_) return nullptr;
  const std::string& user = message.client.user;
  const Pause* pause = user.empty() ? nullptr : find(PauseKind::User, user);
  if (pause != nullptr || message.campaign.empty()) return pause;
  return find(PauseKind::Campaign, message.campaign);
}

}  // namespace rockdove::queue
