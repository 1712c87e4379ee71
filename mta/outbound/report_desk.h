// The reports (RFC 3464) about deliveries that have come to their end: to the sender, or to the
// postmaster about failures that no sender can be told of. Works on whatever loop the end is known.
//
// A message with one recipient gets its report in the change that ends it. With several, the
// message's desk (on loop hash(message)) sees to it that what ends within seconds shares a report,
// that they are a minute apart, and that there are at most kReportsMax: a delivery that has ended
// and must wait for its report is *parked*: it stays in the queue, marked. When it is time, the
// desk collects all that is parked from its homes, and one change ends it and queues the report.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "mta/outbound/environment.h"
#include "mta/outbound/quota.h"
#include "mta/outbound/release.h"
#include "mta/outbound/report_mail.h"
#include "queue/change.h"

namespace rockdove::outbound {

// A delivery that has come to its end. `delivery` is as it stands in the store, but for `last`,
// `final_status` and `ending`, which say what it came to.
struct EndedDelivery {
  queue::Delivery delivery;
  queue::Delivery as_stored;
  std::optional<smtp::Stage>
      stage{};  // of the attempt that failed it, where there was one just now
  std::optional<queue::Attempt> act{};  // of the person who ended it: the step of history to write
};

class ReportDesk {
 public:
  static constexpr std::uint32_t kReportsMax = 10;
  static constexpr base::Duration kReportsApart = std::chrono::minutes(1);
  // What shares a report comes from several connections: so long for the last one. It waits on
  // disk, so that it takes no place in its queue's memory from others of its message.
  static constexpr base::Duration kGatherFor = std::chrono::seconds(2);
  // To the postmaster, by all loops together: what is beyond ends `unreturnable`.
  static constexpr std::uint32_t kPostmasterAnHour = 60;

  explicit ReportDesk(const Environment& environment);

  // Deliveries of one message that failed, or whose rows only wait for their report. On any loop.
  void ended(const queue::MessagePointer& message, std::vector<EndedDelivery> ended);

  // Deliveries of one message that went well, to be reported. They are recorded as such at once.
  void succeeded(const queue::MessagePointer& message, std::vector<EndedDelivery> ended);

  // As ended(), on the loop of the message's desk.
  void at_desk(const queue::MessagePointer& message, std::vector<EndedDelivery> ended);

  // A row of this message that only waits for its report was written. On the loop of its desk.
  void expect(base::MessageId id);

  // Messages with a timer; the others are collected when a row of theirs is due.
  static constexpr std::size_t kDesksMax = 10'000;

  [[nodiscard]] static unsigned loop_of(base::MessageId message, unsigned loops);

 private:
  struct Desk {
    bool busy = false;     // something is under way that looks at `waiting` when it is done
    bool is_time = false;  // for what is parked to be collected
    std::unique_ptr<base::Timer> timer;
    base::Instant collect_at = base::kNever;  // of the timer
    queue::MessagePointer message;
    std::vector<EndedDelivery> waiting;
    // While rows that are parked are taken out at their homes.
    std::optional<queue::ReportState> state;
    unsigned homes_asked = 0;
    std::size_t rows_asked = 0;
    std::vector<QueuedRelease> claimed;
  };

  struct Reporting {
    std::vector<EndedDelivery> ended;         // these end now
    std::optional<queue::ReportState> state;  // written along
    bool are_named = false;  // in the last report, which was before: there is none now
  };

  struct Addressee {
    std::string to;
    std::vector<std::string> recipients;  // none: there is nobody to tell
    queue::MessageKind kind = queue::MessageKind::Report;
  };

  struct BodyRead;

  void to_desk(const queue::MessagePointer& message, std::vector<EndedDelivery> ended);
  void go_on(base::MessageId id);
  void decide(base::MessageId id, const queue::ReportState& state);
  // What is parked joins the report: its rows are taken out at their homes.
  void claim(base::MessageId id, const queue::MessageView& view);
  void claimed(base::MessageId id, std::vector<QueuedRelease> rows);
  void take_claimed(base::MessageId id, const queue::MessageView& view);
  void report_all(base::MessageId id);
  void park(base::MessageId id, base::WallTime until);
  void set_timer(base::MessageId id, Desk& desk);
  void time_to_collect(base::MessageId id);
  void committed(base::MessageId id);

  // Ends what has ended with a report to whom it concerns, or without one.
  void report(const queue::MessagePointer& message, Reporting reporting,
              base::UniqueFunction<void()> done);
  void read_on(std::shared_ptr<BodyRead> read);
  void report_with_body(const queue::MessagePointer& message, Reporting reporting,
                        base::UniqueFunction<void()> done, std::string_view body);
  [[nodiscard]] Addressee addressee(const queue::Message& message, const Reporting& reporting);
  void end_untold(const queue::MessagePointer& message, std::vector<EndedDelivery> failed);
  void commit_ends(queue::Change change, const queue::MessagePointer& message,
                   const std::vector<EndedDelivery>& ended, ReportMail report,
                   base::UniqueFunction<void()> done);
  void log_ended(const queue::Message& message, const EndedDelivery& ended, queue::Outcome how,
                 std::optional<base::MessageId> report_id);

  const Environment& env_;
  Quota to_postmaster_;
  std::unordered_map<base::MessageId, Desk> desks_;
};

}  // namespace rockdove::outbound
