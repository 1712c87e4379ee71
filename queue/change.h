// Every step mail can take, as a value: a Change names all that becomes true together and is
// applied whole or not at all. Building one is pure, so tests need no database; the rows are
// encoded here, on the loop, because the committer thread has the least time of all.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "queue/rows.h"
#include "queue/types.h"

namespace rockdove::queue {

class Change {
 public:
  enum class Kind : std::uint8_t {
    Acceptance,  // somebody waits to hear 250; may fail, and then says so
    Result,      // something that already happened in the world; kept and written again until it is
                 // durable, through any reopening of the store
  };

  // Deliveries of one message that end by this change. The committer decides whether they were its
  // last, and then removes message and body in the same batch.
  struct Ends {
    MessageId message;
    std::uint32_t deliveries = 0;
    std::uint32_t recipients = 0;   // of the message, at acceptance
    std::uint32_t body_chunks = 0;  // of the message
  };

  // A message that comes into being by this change.
  struct Begins {
    MessageId message;
    std::uint32_t deliveries = 0;
    std::uint32_t chunks_before = 0;  // of its body, written before by Store::write_chunk
  };

  Change(Change&&) noexcept = default;
  Change& operator=(Change&&) noexcept = default;

  [[nodiscard]] Kind kind() const { return kind_; }

  [[nodiscard]] const RowOperations& rows() const { return rows_; }

  [[nodiscard]] const std::optional<Ends>& ends() const { return ends_; }

  [[nodiscard]] const std::optional<Begins>& begins() const { return begins_; }

  [[nodiscard]] std::size_t octets() const { return rows_.octets(); }

  // It writes a ReportState, which goes with the last delivery.
  [[nodiscard]] bool has_report_state() const { return has_report_state_; }

  // Several changes that must become true together, as one: the ends of several deliveries and the
  // report about them. Those that end deliveries are of the same message, and at most one begins a
  // message. If one is a Result, all are.
  void join(Change other);

 private:
  friend class ChangeBuilder;

  explicit Change(Kind kind) : kind_(kind) {}

  Kind kind_;
  RowOperations rows_;
  std::optional<Ends> ends_;
  std::optional<Begins> begins_;
  bool has_report_state_ = false;
};

// What happened to a delivery besides attempts, where history has a step of it: what a person did,
// and from Failed on what became of it meanwhile. The numbers are stored.
enum class Deed : std::uint8_t {
  None = 0,  // an attempt
  Held = 16,
  Released = 17,
  Retried = 18,
  Deleted = 19,
  Undeleted = 20,
  Expired = 21,
  Rerouted = 22,
  Returned = 23,  // to its sender; what came of that is its closing record
  // It has come to its end, which its closing record tells once the report is written that it waits
  // for.
  Failed = 24,
  Succeeded = 25,
  DelayTold = 26,    // its sender, without an attempt of its own: its site had failed
  Quarantined = 27,  // by a policy, when it was accepted: `reply` says why
};

// What one attempt, or one act of a person, did to a delivery, for history.
struct Attempt {
  WallTime at;
  base::Duration took{0};
  std::string host;        // as in LastAttempt
  std::string reply;       // likewise
  std::string tls{};       // likewise
  std::string rule{};      // likewise
  std::string source{};    // likewise
  Deed deed = Deed::None;  // of a person: `reply` says who did it, and what he said
  MessageId report{};      // the report that tells the sender of it; 0: none does
  bool is_kept = true;     // false: nothing of it is written to history ([history] keep)
  // ended() only: what came of each delivery, and when, is what its `last` says; `at` counts for
  // one that has none.
  bool is_last = false;
};

// A message with all its deliveries is in the queue. `message.body` is written if it is there;
// otherwise its chunks are already written (Store::write_chunk), and this takes them out of
// `partial`.
[[nodiscard]] Change accepted(const Message& message, std::span<const Delivery> deliveries,
                              Change::Kind kind = Change::Kind::Acceptance);

// Deliveries of one message that end the same way. `deliveries` are as they stand in the store.
[[nodiscard]] Change ended(const Message& message, std::span<const Delivery> deliveries,
                           Outcome how, const Attempt& attempt);

// One delivery goes from one state or time to another: deferred, held, released, deleted for the
// undo time. `attempt` is written to history when there was one.
[[nodiscard]] Change moved(const Message& message, const Delivery& before, const Delivery& after,
                           const std::optional<Attempt>& attempt);
// The same for who has only the note of the delivery's row (Store::select()); its reason
// is made anew.
[[nodiscard]] Change moved(MessageId message, WaitingNote note, const Delivery& before,
                           const Delivery& after, const std::optional<Attempt>& attempt);

// A step of history and nothing else: what a person did, to be joined with what comes of it.
[[nodiscard]] Change recorded(MessageId message, const Delivery& delivery, const Attempt& attempt);

// How many reports a message with several recipients has had (mta/outbound/report_desk.h). One with
// a single recipient needs none: its only report is written in the change that ends it.
struct ReportState {
  std::uint32_t reports = 0;
  WallTime last;
};

[[nodiscard]] Change reported(MessageId message, const ReportState& state);

// A row of `sites`: something learned that must outlive a restart; an empty value removes it.
[[nodiscard]] Change noted(std::string_view kind, std::string_view name, std::string_view value);

}  // namespace rockdove::queue
