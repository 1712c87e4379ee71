// What was learned of an account, and what its limits have granted, as values of rows of `sites`.
#pragma once

#include <string>
#include <string_view>

#include "mta/base/result.h"
#include "mta/traffic/backoff.h"
#include "mta/traffic/limiter.h"
#include "queue/scheduler.h"

namespace rockdove::queue {

inline constexpr std::string_view kBackoffNotes = "backoff";  // the kind of the rows

[[nodiscard]] std::string encode_backoff(const traffic::BackoffState& state);
// Fails on what is no such record. Numbers that cannot be are left to traffic::Backoff.
[[nodiscard]] base::Result<traffic::BackoffState> decode_backoff(std::string_view octets);

// The kind of the rows of limits; the name is that of Scheduler::Keep.
[[nodiscard]] std::string_view limiter_notes(LimitKind kind);

[[nodiscard]] std::string encode_limiter(const traffic::LimiterState& state);
// Fails on what is no such record, or has more windows and parts than one can have.
[[nodiscard]] base::Result<traffic::LimiterState> decode_limiter(std::string_view octets);

// Nothing of it counts any more: its row can go.
[[nodiscard]] bool is_over(const traffic::LimiterState& state, base::WallTime now);

}  // namespace rockdove::queue
