// What follows from the results of an attempt: the changes that make it true, the log lines, the
// bounces, and, once all that is durable, the word to the directory. Works on whatever loop the
// results are known on.
//
// Reports (RFC 3464): a message with one recipient gets its report in the change that ends it. With
// several, the message's desk (on loop hash(message)) sees to it that what fails within a minute
// shares a report, and that there are at most kReportsMax: a delivery that has failed while it must
// wait for the next report stays in the queue, marked, until that report ends it.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "mta/outbound/environment.h"
#include "mta/outbound/session.h"

namespace rockdove::outbound {

// A delivery that has failed for good. `delivery` is as it stands in the store, but for `last` and
// `failed_status`, which say why it failed.
struct FailedDelivery {
  queue::Delivery delivery;
  queue::Delivery as_stored;
};

// What a directory is told when something has become durable.
struct Release {
  base::DeliveryId delivery;
  std::optional<base::WallTime> due;  // none: it ended
};

class Settler {
 public:
  static constexpr std::uint32_t kReportsMax = 10;
  static constexpr base::Duration kReportsApart = std::chrono::minutes(1);
  // Those that waited for the same report come with loads of their own: so long for the last one.
  static constexpr base::Duration kGatherFor = std::chrono::seconds(2);

  explicit Settler(const Environment& environment) : env_(environment) {}

  // Takes an attempt's results. What is to be tried again now is returned, and is still out.
  [[nodiscard]] std::vector<queue::Delivery> settle(JobReport report);

  // Deliveries that failed for good, of one message; on any loop.
  void fail(const queue::MessagePointer& message, std::vector<FailedDelivery> failed);

  // The same, on the loop of the message's desk.
  void fail_at_desk(const queue::MessagePointer& message, std::vector<FailedDelivery> failed);

  // A route says discard.
  void discard(const queue::Job& job);

  // Releases once durable.
  void commit(queue::Change change, queue::QueueName queue, std::vector<Release> releases);

  [[nodiscard]] static unsigned desk_loop(base::MessageId message, unsigned loops);

 private:
  struct Desk {
    bool busy = false;  // a read or a commit is under way, or it gathers
    bool has_gathered = false;
    std::unique_ptr<base::Timer> timer;
    queue::MessagePointer message;
    std::vector<FailedDelivery> waiting;
  };

  void desk_go_on(base::MessageId id);
  // `in_queue`: the message's deliveries, when the report that is due is the last one.
  void desk_decide(base::MessageId id, const queue::ReportState& state,
                   const std::vector<queue::Delivery>& in_queue);
  void gather(base::MessageId id, Desk& desk);
  void park(Desk& desk, base::WallTime due);
  void desk_committed(base::MessageId id);

  struct Reporting {
    std::vector<FailedDelivery> failed;       // these end now
    std::vector<queue::Delivery> named_too;   // have failed as well; they end later, unreported
    std::optional<queue::ReportState> state;  // written along
    bool are_named = false;  // in the last report, which was before: there is none now
  };

  // Ends what failed with a report to whom it concerns, or as unreturnable.
  void report(const queue::MessagePointer& message, Reporting reporting,
              base::UniqueFunction<void()> done);
  void report_with_body(const queue::MessagePointer& message, Reporting reporting,
                        base::UniqueFunction<void()> done,
                        const std::shared_ptr<const std::string>& body);
  void release_all(const queue::MessagePointer& message, const std::vector<FailedDelivery>& failed,
                   std::optional<base::WallTime> due);
  void log_failed(const queue::Message& message, const FailedDelivery& failed, queue::Outcome how,
                  std::optional<base::MessageId> report_id);

  const Environment& env_;
  std::unordered_map<base::MessageId, Desk> desks_;
};

}  // namespace rockdove::outbound
