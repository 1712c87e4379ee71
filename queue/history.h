// Everything that is known of a message, whether it still waits or has gone: its rows in `messages`
// and `deliveries` and its records in `history`, as one value, and a walk over all messages in the
// order of their ids. The index, `rockdove trace` and `rockdove stats` are made from these.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "queue/reading.h"
#include "queue/rows.h"
#include "queue/store.h"
#include "queue/types.h"

namespace rockdove::queue {

inline constexpr std::uint32_t kTracedStepsMax = 1000;  // of one message; the rest is counted

struct TracedDelivery {
  std::uint32_t number = 0;
  std::string recipient;            // "" when only attempts are left of it
  std::string original_recipient;   // as in Delivery
  std::string alias;                // likewise
  std::optional<Delivery> waiting;  // as it stands in the queue; none: it is not there
  std::optional<Outcome> outcome;   // how it ended; none: it has not
  WallTime ended{};                 // with an outcome
  std::uint32_t deferrals = 0;      // attempts that left it waiting
  std::vector<HistoryStep> steps;   // by time, its end last
};

// What it is looked up by: its recipient, the alias that stands before it, and the address that
// ORCPT names (RFC 3461 §4.2); "" where there is none.
[[nodiscard]] std::array<std::string_view, 3> addresses_of(const TracedDelivery& delivery);

struct TracedMessage {
  MessageId id;
  bool is_whole = false;  // false: neither its row nor a closing record was found, only attempts
  MessageKind kind = MessageKind::Ordinary;
  MessageId about{};  // of a report: the message it tells of
  std::string sender;
  Client client;
  WallTime accepted;
  std::uint64_t octets = 0;
  std::string message_id_field;
  std::string tenant;  // as in Message, and the next
  std::string campaign;
  std::vector<TracedDelivery> deliveries;  // by number
  std::uint32_t steps_left_out = 0;
  std::vector<TracedMessage> reports;  // that its steps name; filled by trace() alone
};

// How much of a message is read.
enum class Depth : std::uint8_t {
  Facts,  // no steps
  Steps,
};

// Goes over all messages with ids from `from` to below `until`, each once.
class HistoryWalk {
 public:
  // `view` and `damaged` outlive it. Damaged rows are left out and told.
  HistoryWalk(const RowView& view, MessageId from, MessageId until, Depth depth, Damaged& damaged,
              std::uint32_t steps_max = kTracedStepsMax);

  // nullopt: that was the last one.
  [[nodiscard]] Result<std::optional<TracedMessage>> next();

  // What was read so far, so that a call's time can be bounded: one for each row and KiB, about a
  // microsecond each.
  [[nodiscard]] std::uint64_t work() const { return work_; }

 private:
  void add_message(MessageId id, TracedMessage& traced);
  void add_deliveries(MessageId id, TracedMessage& traced);
  void add_history(MessageId id, TracedMessage& traced);
  void add_step(HistoryStep step, TracedMessage& traced);

  void note_read(const RowCursor& row) { work_ += 1 + row.value().size() / 1024; }

  const Depth depth_;
  const std::uint32_t steps_max_;
  Damaged& damaged_;
  std::uint64_t work_ = 0;
  std::uint32_t steps_ = 0;  // of the message that is being read
  std::unique_ptr<RowCursor> messages_;
  std::unique_ptr<RowCursor> deliveries_;
  std::unique_ptr<RowCursor> history_;
};

struct WalkRequest {
  MessageId from;
  MessageId until;
  std::uint64_t work_max = 50'000;  // of one call, about, as HistoryWalk::work()
  Depth depth = Depth::Facts;
  std::uint32_t steps_max = kTracedStepsMax;  // of one message
};

// Calls `visit` for each message of the request, oldest first, without what has been trimmed.
// Answers with where to go on; none: that was all.
[[nodiscard]] Result<std::optional<MessageId>> walk_history(
    const Rows& rows, const WalkRequest& request,
    const std::function<void(const TracedMessage&)>& visit, Damaged& damaged);

// nullopt: nothing is known of it.
[[nodiscard]] Result<std::optional<TracedMessage>> read_traced(
    const RowView& view, MessageId id, Depth depth, Damaged& damaged,
    std::uint32_t steps_max = kTracedStepsMax);

}  // namespace rockdove::queue
