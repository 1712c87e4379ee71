// The reports (RFC 3464) about deliveries that have come to their end: to the sender, or to the
// postmaster about failures that no sender can be told of. Works on whatever loop the end is known.
//
// A message with one recipient gets its report in the change that ends it. With several, the
// message's desk (on loop hash(message)) sees to it that what ends within a minute shares a report,
// and that there are at most kReportsMax: a delivery that has ended while it must wait for the next
// report stays in the queue, marked, until that report ends it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "mta/outbound/environment.h"
#include "mta/outbound/quota.h"
#include "mta/outbound/report_mail.h"

namespace rockdove::outbound {

// A delivery that has come to its end. `delivery` is as it stands in the store, but for `last`,
// `final_status` and `ending`, which say what it came to.
struct EndedDelivery {
  queue::Delivery delivery;
  queue::Delivery as_stored;
};

class ReportDesk {
 public:
  static constexpr std::uint32_t kReportsMax = 10;
  static constexpr base::Duration kReportsApart = std::chrono::minutes(1);
  // What shares a report comes from several connections: so long for the last one.
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

  [[nodiscard]] static unsigned loop_of(base::MessageId message, unsigned loops);

 private:
  struct Desk {
    bool busy = false;  // a read or a commit is under way, or it gathers
    bool has_gathered = false;
    std::unique_ptr<base::Timer> timer;
    queue::MessagePointer message;
    std::vector<EndedDelivery> waiting;
  };

  struct Reporting {
    std::vector<EndedDelivery> ended;         // these end now
    std::vector<queue::Delivery> named_too;   // have ended as well; they go later, unreported
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
  // `in_queue`: the message's deliveries, when the report that is due is the last one.
  void decide(base::MessageId id, const queue::ReportState& state,
              const std::vector<queue::Delivery>& in_queue);
  void gather(base::MessageId id, Desk& desk);
  void park(Desk& desk, base::WallTime due);
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
