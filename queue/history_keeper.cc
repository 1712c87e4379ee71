#include "queue/history_keeper.h"

#include <algorithm>
#include <string>

#include "queue/index.h"
#include "queue/keys.h"

namespace rockdove::queue {
namespace {

constexpr std::uint64_t kPartOfDisk = 4;

}  // namespace

HistoryLimits limits_of(const HistorySettings& settings, ClockWatch& clocks, base::Now now) {
  clocks.observe(now);
  HistoryLimits limits;
  if (clocks.may_expire(now)) limits.oldest = now.wall - settings.keep;
  limits.octets_max = settings.size_max;
  return limits;
}

HistoryLimits HistoryLimits::on_disk(std::uint64_t disk_octets, std::uint64_t spare) const {
  HistoryLimits limits = *this;
  limits.octets_max = std::min(octets_max, disk_octets / kPartOfDisk);
  limits.octets_free = std::min(octets_free, spare);
  return limits;
}

Result<std::optional<MessageId>> HistoryKeeper::look(Rows& rows, const HistoryLimits& limits,
                                                     std::atomic<bool>& is_cancelled) {
  const Result<MessageId> floor = read_history_floor(*rows.view());
  if (!floor) return floor.error();
  if (floor->value != 0) {
    if (Result<void> trimmed = rows.trim_history(message_key(*floor)); !trimmed) {
      return trimmed.error();
    }
  }
  Result<std::string> cut = rows.history_cut(limits.octets_max);
  if (!cut) return cut.error();
  // The index still has what went the last time: without this, more would go each time.
  if (!cut->empty() && floor->value != 0 && collected_ != *floor) {
    const Result<void> collected = rows.collect_index(is_cancelled, limits.octets_free);
    if (!collected) {
      return collected.error();
    }
    if (is_cancelled.load()) return std::optional<MessageId>();
    collected_ = *floor;
    cut = rows.history_cut(limits.octets_max);
    if (!cut) return cut.error();
  }
  MessageId below = first_id_at(limits.oldest);
  if (below.made_at() < floor->made_at() + kBetweenTrims) below = {};
  // Readers skip whole messages, so the one at the cut goes as well.
  const auto last = parse_message_key(std::string_view(*cut).substr(0, 8));
  if (last) below = std::max(below, MessageId{last->value + 1});
  if (below <= *floor) return std::optional<MessageId>();
  return std::optional<MessageId>(below);
}

}  // namespace rockdove::queue
