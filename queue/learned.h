// What back-off has learned of an account, as the value of a row of `sites`.
#pragma once

#include <string>
#include <string_view>

#include "mta/base/result.h"
#include "mta/traffic/backoff.h"

namespace rockdove::queue {

inline constexpr std::string_view kBackoffNotes = "backoff";  // the kind of the rows

[[nodiscard]] std::string encode_backoff(const traffic::BackoffState& state);
// Fails on what is no such record. Numbers that cannot be are left to traffic::Backoff.
[[nodiscard]] base::Result<traffic::BackoffState> decode_backoff(std::string_view octets);

}  // namespace rockdove::queue
