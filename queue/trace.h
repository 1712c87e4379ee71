// Answers of `rockdove trace`: the messages that meet a question, the newest first, page by page.
// Looks into the index for what is indexed and goes over what is not; each page is a view of its
// own, so that nothing outlives the rows in use.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mta/base/ip_address.h"
#include "queue/history.h"
#include "queue/index.h"
#include "queue/reading.h"
#include "queue/rows.h"

namespace rockdove::queue {

// All that is given must hold. Texts are compared whole, case of ASCII ignored.
struct TraceQuery {
  std::optional<MessageId> message;
  std::optional<std::string> message_id;  // with or without <>
  std::optional<std::string> sender;      // "": the null sender
  std::optional<std::string> recipient;   // as it is sent to, an alias before it, or as in ORCPT
  std::optional<std::string> domain;      // of a recipient
  std::optional<base::IpAddress> client;
  std::optional<std::string> tenant{};    // neither is in the index: all of the time asked about is
  std::optional<std::string> campaign{};  // gone over
  std::optional<WallTime> since;          // accepted at or after
  std::optional<WallTime> until;          // accepted before
};

// A message's id is made when its content begins to come, and it is accepted behind the end of
// that: so much later at most, as far as questions about times go.
inline constexpr base::Duration kContentTakes = std::chrono::hours(1);

// Below which id nothing was accepted at this time or later.
[[nodiscard]] inline MessageId first_id_accepted_at(WallTime time) {
  return first_id_at(time - kContentTakes);
}

struct TraceRequest {
  TraceQuery query;
  std::optional<MessageId> before;  // go on behind this message: with older ones
  std::uint32_t messages_max = 20;  // fewer where they have many recipients and steps
  std::uint64_t work_max = 50'000;  // of one call, about, as HistoryWalk::work()
  WallTime now{};                   // of who asks; spares a search for the newest message
};

struct TracedPage {
  std::vector<TracedMessage> messages;   // newest first, each with the reports that its steps name
  std::optional<MessageId> more_before;  // call again with this; none: that was all
};

// History that has been trimmed is not found, whatever is left of it.
[[nodiscard]] Result<TracedPage> trace(const Rows& rows, const TraceRequest& request,
                                       Damaged& damaged);

// Whether it is what is asked for, its id and time included.
[[nodiscard]] bool is_match(const TraceQuery& query, const TracedMessage& message);

// Takes out the deliveries that the query does not speak about; the number of them.
std::size_t keep_asked_for(const TraceQuery& query, TracedMessage& message);

}  // namespace rockdove::queue
