// What really happened in a simulation, seen from outside of the relay: what clients handed in and
// were told, what reached the disk, and what arrived at the next hops. It holds the relay to its
// promises:
//
// - what got a 250 is in the queue or has ended exactly once, now and after every crash;
// - "delivered" means that a next hop took it; "bounced" that exactly one report names its failure;
// - nobody is told what NOTIFY does not name: of a failure, of a delay, of a delivery (once each);
// - what arrives is what was stored, and what was stored is what was sent, octet for octet;
// - what a person ended, deleted or had returned was never taken by a next hop that said so;
// - what is in quarantine leaves it only when a person releases or deletes it, or at its time, and
//   nobody is told of that;
// - what is undeleted is what was deleted, octet for octet of its row;
// - each message can be traced, waits or ends there as it does, and is counted once;
// - a second copy arrives only where the first one's reply was lost, by the network or by a crash.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "queue/change.h"
#include "queue/trace.h"
#include "queue/types.h"
#include "tests/sim/agenda.h"
#include "tests/sim/internet.h"
#include "tests/support/memory_rows.h"

namespace rockdove::sim {

// A message as a client hands it in.
struct Submission {
  enum class Told : std::uint8_t {
    Nothing,   // not yet, or the connection ended before the final dot
    Accepted,  // 250
    Refused,   // before the final dot, or with 5yz
    Unclear,   // past the final dot without a reply, or 452: it may be there or not
  };
  std::size_t number = 0;
  std::string sender;
  std::vector<std::string> recipients;
  std::string content;
  Told told = Told::Nothing;
  queue::MessageId id;  // with Accepted
};

// A next hop has taken a message for some recipients.
struct Arrival {
  ConnectionId connection = 0;
  base::Instant connected{};
  std::uint64_t reply_ends_at = 0;  // octets that the server said up to the end of its 250
  std::string sender;
  std::vector<std::string> recipients;
  std::string content;
};

class Truth {
 public:
  Truth(Agenda& agenda, const Internet& internet, const tests::MemoryDisk& disk)
      : agenda_(agenda), internet_(internet), disk_(disk) {}

  // From the clients.
  Submission& submission(std::string sender, std::vector<std::string> recipients,
                         std::string_view body);

  [[nodiscard]] Submission& submission(std::size_t number) { return submissions_.at(number); }

  void accepted(Submission& submission, queue::MessageId id);

  // From the store: the change is in the rows.
  void applied(const queue::Change& change);

  // From the next hops.
  void arrived(const Arrival& arrival);

  // From the simulation.
  void crashed();

  // Ages cannot be believed before kAgeGrace from now: a start, or the wall clock was set.
  void clock_doubtful() { doubtful_since_ = agenda_.instant(); }

  void set_lifetime(base::Duration lifetime) { lifetime_ = lifetime; }

  void set_quarantine(base::Duration time) { quarantine_ = time; }

  void set_postmaster(std::string postmaster) { postmaster_ = std::move(postmaster); }

  // Everything that the disk knows: nothing lost, nothing ended twice.
  void check_disk();
  // Each message by its id and Message-ID, over an index that may have come any way.
  void check_history(const queue::Rows& rows);
  // When nothing more is going to happen.
  void check_end();
  void check_end_of_history(const queue::Rows& rows);

  // For scenarios.
  [[nodiscard]] const std::string* outcome(queue::MessageId id, std::string_view recipient) const;
  [[nodiscard]] std::size_t copies(queue::MessageId id, std::string_view recipient) const;
  // Reports of ours that are about this message, in order.
  [[nodiscard]] std::vector<queue::MessageId> reports_about(queue::MessageId id) const;
  [[nodiscard]] const std::string& content(queue::MessageId id) const;
  [[nodiscard]] std::vector<queue::MessageId> accepted_ids() const;

 private:
  struct Copy {
    ConnectionId connection;
    std::uint64_t reply_ends_at;
    bool crash_since = false;
  };

  struct Recipient {
    std::string address;
    std::string alias{};  // that it was handed in for; "" none
    std::vector<Copy> copies;
    std::vector<std::string> outcomes;  // at most one, if all is well
    base::Instant ended_at{};
    base::Instant failed_at = base::kNever;  // since when it only waits for its report
    unsigned named_in_reports = 0;           // as failed
    unsigned named_as_delayed = 0;
    unsigned named_as_done = 0;
    mail::NotifySet notify{};
    bool is_expired = false;                  // a person has ended its lifetime
    base::WallTime lives_from{};              // since it was released from quarantine; 0: never was
    std::optional<base::WallTime> expires{};  // it is in quarantine until then
  };

  struct Known {
    queue::MessageKind kind = queue::MessageKind::Ordinary;
    std::string sender;
    base::WallTime accepted;
    std::string content;
    std::map<std::uint32_t, Recipient> recipients;  // by number
    std::vector<queue::MessageId> reports;
    unsigned notices = 0;  // of these, about a delay
  };

  void begins(queue::MessageId id, Known known);
  void check_content(queue::MessageId id, const Known& known);
  void note_report(queue::MessageId id, const Known& report);
  void note_named(queue::MessageId report, Recipient& recipient, std::string_view action);
  void note_quarantine(queue::DeliveryId id, const queue::Delivery& delivery, Recipient& recipient,
                       const std::set<queue::DeliveryId>& released);
  void check_expiry(queue::MessageId id, const Recipient& recipient);
  void note_row(queue::DeliveryId id, const queue::Delivery& delivery, std::string_view octets);
  void check_traced(queue::MessageId id, const Known& known, const queue::TracedMessage& traced);
  void check_traced(queue::MessageId id, const Known& known, const Recipient& recipient,
                    const queue::TracedDelivery* traced);
  [[nodiscard]] std::vector<queue::TracedMessage> trace(const queue::Rows& rows,
                                                        const queue::TraceQuery& query);
  // Asks for some of the texts, each of which must give exactly these messages.
  void check_found(const queue::Rows& rows,
                   const std::map<std::string, std::vector<queue::MessageId>>& wanted_of,
                   std::string_view asked,
                   const std::function<queue::TraceQuery(std::string)>& query_of);
  void check_stats(const queue::Rows& rows);
  void check_age(queue::MessageId id, const Known& known, const Recipient& recipient);
  void check_copies(queue::MessageId id, std::uint32_t number, const Recipient& recipient);
  void fail(queue::MessageId id, std::string_view what);

  Agenda& agenda_;
  const Internet& internet_;
  const tests::MemoryDisk& disk_;
  std::map<std::size_t, Submission> submissions_;
  std::map<queue::MessageId, Known> known_;
  std::unordered_map<std::string_view, queue::MessageId> by_content_;  // views into known_
  std::set<std::size_t> stored_submissions_;
  base::Instant doubtful_since_{};
  base::Duration lifetime_{0};
  base::Duration quarantine_{0};
  std::string postmaster_;
  // Rows of deliveries as they were before they were deleted, and as they stand.
  std::map<queue::DeliveryId, std::string> before_deletion_;
  std::map<queue::DeliveryId, std::string> rows_;
};

}  // namespace rockdove::sim
