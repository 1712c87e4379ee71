#include "queue/learned.h"

#include <algorithm>

#include "mta/base/assert.h"
#include "queue/records.pb.h"

namespace rockdove::queue {

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
  constexpr std::uint64_t kPatienceMax = 1'000'000'000;  // milliseconds; beyond any that is kept
  const std::uint64_t patience = std::min(record.patience(), kPatienceMax);
  return traffic::BackoffState{
      record.rate(), record.mark(), base::Duration(static_cast<std::int64_t>(patience)),
      base::from_unix_milliseconds(
          std::min(record.pushed_back(), base::to_unix_milliseconds(base::kNeverWall)))};
}

}  // namespace rockdove::queue
