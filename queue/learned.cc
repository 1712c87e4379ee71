#include "queue/learned.h"

#include <algorithm>

#include "mta/base/assert.h"
#include "queue/records.pb.h"

namespace rockdove::queue {

namespace {

// What a record says, within what can be counted with.
base::WallTime time_of(std::uint64_t milliseconds) {
  return base::from_unix_milliseconds(
      std::min(milliseconds, base::to_unix_milliseconds(base::kNeverWall)));
}

// Beyond any that is kept.
base::Duration duration_of(std::uint64_t milliseconds) {
  constexpr std::uint64_t kMost = 1'000'000'000;
  return base::Duration(static_cast<std::int64_t>(std::min(milliseconds, kMost)));
}

}  // namespace

std::string encode_backoff(const traffic::BackoffState& state) {
  record::Backoff record;
  record.set_rate(state.rate);
  record.set_mark(state.mark);
  record.set_patience(static_cast<std::uint64_t>(state.patience.count()));
  record.set_pushed_back(base::to_unix_milliseconds(state.pushed_back));
  std::string octets;
  MTA_ASSERT(record.AppendToString(&octets));
  return octets;
}

base::Result<traffic::BackoffState> decode_backoff(std::string_view octets) {
  record::Backoff record;
  if (!record.ParseFromArray(octets.data(), static_cast<int>(octets.size())))
    return base::Error("this is no record of a back-off");
  return traffic::BackoffState{record.rate(), record.mark(), duration_of(record.patience()),
                               time_of(record.pushed_back())};
}

std::string encode_uptake(const traffic::UptakeState& state) {
  record::Uptake record;
  record.set_accepted(state.accepted);
  record.set_busy(static_cast<std::uint64_t>(state.busy.count()));
  record.set_last(base::to_unix_milliseconds(state.last));
  std::string octets;
  MTA_ASSERT(record.AppendToString(&octets));
  return octets;
}

base::Result<traffic::UptakeState> decode_uptake(std::string_view octets) {
  record::Uptake record;
  if (!record.ParseFromArray(octets.data(), static_cast<int>(octets.size())))
    return base::Error("this is no record of what an account has taken");
  return traffic::UptakeState{record.accepted(), duration_of(record.busy()),
                              time_of(record.last())};
}

std::string_view limiter_notes(LimitKind kind) {
  switch (kind) {
    case LimitKind::Messages:
      return "limiter";
    case LimitKind::Connections:
      return "connection-limiter";
    case LimitKind::Recipients:
      return "recipient-limiter";
    case LimitKind::Octets:
      return "octet-limiter";
  }
  MTA_ASSERT(false);
}

LimitKind kind_of_limiter_notes(std::string_view notes) {
  const auto found = std::find_if(kLimitKinds.begin(), kLimitKinds.end(),
                                  [&](LimitKind kind) { return limiter_notes(kind) == notes; });
  MTA_ASSERT(found != kLimitKinds.end());
  return *found;
}

std::string encode_limiter(const traffic::LimiterState& state) {
  record::Limiter record;
  record.set_written(base::to_unix_milliseconds(state.written));
  for (const traffic::LimiterState::Window& window : state.windows) {
    record::Limiter::Window& to = *record.add_windows();
    to.set_per(static_cast<std::uint64_t>(window.per.count()));
    to.set_reserved(window.reserved);
    for (const traffic::LimiterState::Part& part : window.parts) {
      record::Limiter::Part& to_part = *to.add_parts();
      to_part.set_until(base::to_unix_milliseconds(part.until));
      to_part.set_count(part.count);
    }
  }
  std::string octets;
  MTA_ASSERT(record.AppendToString(&octets));
  return octets;
}

base::Result<traffic::LimiterState> decode_limiter(std::string_view octets) {
  constexpr int kPartsMax = 61;
  record::Limiter record;
  const base::Error no_record("this is no record of a limiter");
  if (!record.ParseFromArray(octets.data(), static_cast<int>(octets.size()))) return no_record;
  if (record.windows_size() > static_cast<int>(traffic::kRatesMax)) return no_record;
  traffic::LimiterState state{time_of(record.written()), {}};
  for (const record::Limiter::Window& window : record.windows()) {
    if (window.parts_size() > kPartsMax) return no_record;
    constexpr std::uint64_t kPerMax = 366ULL * 86'400'000;
    traffic::LimiterState::Window& to = state.windows.emplace_back();
    to.per = base::Duration(static_cast<std::int64_t>(std::min(window.per(), kPerMax)));
    to.reserved = window.reserved();
    for (const record::Limiter::Part& part : window.parts())
      to.parts.push_back({time_of(part.until()), part.count()});
  }
  return state;
}

std::string encode_rule_pause(const RulePause& pause) {
  record::RulePause record;
  record.set_until(base::to_unix_milliseconds(pause.until));
  record.set_reason(pause.reason);
  std::string octets;
  MTA_ASSERT(record.AppendToString(&octets));
  return octets;
}

base::Result<RulePause> decode_rule_pause(std::string_view octets) {
  record::RulePause record;
  if (!record.ParseFromArray(octets.data(), static_cast<int>(octets.size())))
    return base::Error("this is no record of a pause");
  return RulePause{base::from_unix_milliseconds(
                       std::min(record.until(), base::to_unix_milliseconds(base::kNeverWall))),
                   record.reason()};
}

std::string encode_warm_up(const traffic::WarmUpState& state) {
  record::WarmUp record;
  record.set_steps(state.steps);
  record.set_day(state.day);
  record.set_accepted(state.accepted);
  record.set_pushed_back(state.pushed_back);
  std::string octets;
  MTA_ASSERT(record.AppendToString(&octets));
  return octets;
}

base::Result<traffic::WarmUpState> decode_warm_up(std::string_view octets) {
  record::WarmUp record;
  if (!record.ParseFromArray(octets.data(), static_cast<int>(octets.size())))
    return base::Error("this is no record of a warm-up");
  return traffic::WarmUpState{record.steps(), record.day(), record.accepted(),
                              record.pushed_back()};
}

std::vector<std::string_view> learned_notes() {
  std::vector<std::string_view> all = {kBackoffNotes, kUptakeNotes, kRulePauseNotes, kWarmUpNotes,
                                       kSenderNotes};
  for (const LimitKind kind : kLimitKinds) all.push_back(limiter_notes(kind));
  return all;
}

bool is_over(const traffic::LimiterState& state, base::WallTime now) {
  return std::all_of(state.windows.begin(), state.windows.end(), [&](const auto& window) {
    const auto counts = [&](base::WallTime until) { return until + window.per > now; };
    return (window.reserved == 0 || !counts(state.written)) &&
           std::none_of(window.parts.begin(), window.parts.end(),
                        [&](const auto& part) { return counts(part.until); });
  });
}

}  // namespace rockdove::queue
