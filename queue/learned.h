// What was learned of an account, what its limits have granted, and what rules have paused of it,
// as values of rows of `sites`. Their names begin with the account's (account_of_limits()).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mta/base/result.h"
#include "mta/traffic/backoff.h"
#include "mta/traffic/limiter.h"
#include "mta/traffic/uptake.h"
#include "mta/traffic/warm_up.h"
#include "queue/scheduler.h"
#include "queue/sender_limits.h"

namespace rockdove::queue {

inline constexpr std::string_view kBackoffNotes = "backoff";  // the kind of the rows

[[nodiscard]] std::string encode_backoff(const traffic::BackoffState& state);
// Fails on what is no such record. Numbers that cannot be are left to traffic::Backoff.
[[nodiscard]] base::Result<traffic::BackoffState> decode_backoff(std::string_view octets);

inline constexpr std::string_view kUptakeNotes = "uptake";  // likewise

[[nodiscard]] std::string encode_uptake(const traffic::UptakeState& state);
// Fails on what is no such record. Numbers that cannot be are left to traffic::Uptake.
[[nodiscard]] base::Result<traffic::UptakeState> decode_uptake(std::string_view octets);

// What there is to plan with: both are messages a second.
struct LearnedPace {
  std::string account;
  std::optional<double> pace;  // of the moment, where its servers have pushed back
  std::optional<double> mean;  // that was taken while mail waited

  // Which of them tells most of a whole mailing.
  [[nodiscard]] std::optional<double> planned() const { return mean ? mean : pace; }
};

// The kind of the rows of limits; the name is that of Scheduler::Keep.
[[nodiscard]] std::string_view limiter_notes(LimitKind kind);
// The way back, for such a kind of rows only.
[[nodiscard]] LimitKind kind_of_limiter_notes(std::string_view notes);

[[nodiscard]] std::string encode_limiter(const traffic::LimiterState& state);
// Fails on what is no such record, or has more windows and parts than one can have.
[[nodiscard]] base::Result<traffic::LimiterState> decode_limiter(std::string_view octets);

// Nothing of it counts any more: its row can go.
[[nodiscard]] bool is_over(const traffic::LimiterState& state, base::WallTime now);

inline constexpr std::string_view kRulePauseNotes = "rule-pause";  // the kind of the rows

// Something that a rule of a traffic profile has paused.
struct RulePause {
  base::WallTime until;
  std::string reason;  // the reply and the rule, for people
};

[[nodiscard]] std::string encode_rule_pause(const RulePause& pause);
// Fails on what is no such record.
[[nodiscard]] base::Result<RulePause> decode_rule_pause(std::string_view octets);

inline constexpr std::string_view kWarmUpNotes = "warm-up";  // the kind of the rows

[[nodiscard]] std::string encode_warm_up(const traffic::WarmUpState& state);
// Fails on what is no such record.
[[nodiscard]] base::Result<traffic::WarmUpState> decode_warm_up(std::string_view octets);

// The kinds of all these rows, as a start reads them.
[[nodiscard]] std::vector<std::string_view> learned_notes();

}  // namespace rockdove::queue
