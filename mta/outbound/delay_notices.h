// Notices of delay (RFC 3464, action `delayed`): a sender hears once of each delivery that has
// waited for `[queue] delay_notice` when an attempt fails: its own, or that of another one in the
// same queue, behind which it waits, in memory (Dispatcher::tell_delayed) or on disk
// (Home::sweep_delayed). The row says so in the same change that queues the notice, so no crash
// loses one or sends it twice.
//
// Bounded, because a dead smarthost may hold back 100,000 messages at once: deliveries of one
// message that fail within seconds share a notice, a sender gets at most kSenderAnHour, and a loop
// writes at most kAMinute. What is beyond is told at a later attempt, if it still waits. A sender's
// notices are counted on one loop, by the hash of his address.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "mta/outbound/environment.h"
#include "mta/outbound/quota.h"
#include "mta/outbound/release.h"
#include "queue/change.h"

namespace rockdove::outbound {

class DelayNotices {
 public:
  static constexpr std::uint32_t kSenderAnHour = 10;
  static constexpr std::uint32_t kAMinute = 60;
  static constexpr base::Duration kGatherFor = std::chrono::seconds(5);
  static constexpr std::size_t kSendersMax = 10'000;  // beyond them the others wait

  // A delivery that wants a notice (outbound/reporting.h) and goes on waiting.
  struct Deferral {
    queue::Delivery as_stored;
    queue::Delivery after;
    // What led to it; none: the row was only read, and without a notice it stays as it is.
    std::optional<queue::Attempt> attempt;
  };

  explicit DelayNotices(const Environment& environment)
      : env_(environment), of_loop_(kAMinute, std::chrono::minutes(1)) {}

  // Deliveries of one message; writes the deferral, with a notice or without one, and then tells
  // their homes. On any loop.
  void defer(const queue::MessagePointer& message, std::vector<Deferral> deferrals);

  // The same, on the loop of the sender.
  void defer_here(const queue::MessagePointer& message, std::vector<Deferral> deferrals);

 private:
  struct Gathering {
    queue::MessagePointer message;
    std::vector<Deferral> deferrals;
    std::unique_ptr<base::Timer> timer;
  };

  [[nodiscard]] bool may_tell(const std::string& sender);
  void tell(base::MessageId id);
  void put_off(const queue::Message& message, std::vector<Deferral> deferrals);

  const Environment& env_;
  Quota of_loop_;
  std::unordered_map<std::string, Quota> of_senders_;
  std::unordered_map<base::MessageId, Gathering> gathering_;
};

}  // namespace rockdove::outbound
