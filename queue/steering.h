// What a person does to deliveries: the acts, and, for a delivery as it stands, what an act comes
// to. Pure; outbound/steering.h carries it out, on the loop that is the delivery's home.
//
//   hold        waiting ─▶ held; stays until somebody releases it
//   release     held ─▶ waiting, due now
//   retry       waiting or held ─▶ waiting, due now or as before; pauses of its site end
//   delete      waiting or held ─▶ deleted; goes for good after the undo time
//   undelete    deleted ─▶ exactly what it was before; but what the pause of a user had put on hold
//               waits again where that pause has ended
//   bounce      fails for good now, with a report to the sender
//   expire      its lifetime is over: due now, and the next failure is its last
//   reroute     goes to a target of its own instead of by the routes, due now
//
// What is in quarantine (queue/quarantine.h) can be released, deleted, undeleted and rerouted,
// which leaves it there; the other acts do not mean it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mta/base/result.h"
#include "queue/change.h"
#include "queue/pauses.h"
#include "queue/types.h"

namespace rockdove::queue {

enum class Act : std::uint8_t {
  Hold,
  Release,
  Retry,
  Delete,
  Undelete,
  Bounce,
  Expire,
  Reroute,
};
inline constexpr std::size_t kActs = 8;

enum class ActOutcome : std::uint8_t {
  Done,       // durable
  Unchanged,  // it is so already, or the act has no meaning for the state it is in
  BeingSent,  // an attempt is under way; nothing was changed
  NotFound,   // it is not in the queue, or not any more
};
inline constexpr std::size_t kActOutcomes = 4;

// What came of a batch of deliveries.
struct ActAnswer {
  std::array<std::uint64_t, kActOutcomes> counts{};
  // Those that are not Done.
  std::vector<std::pair<DeliveryId, ActOutcome>> others;
  // Those that could not be read, and why: the store is being replaced.
  std::vector<DeliveryId> failed;
  std::optional<base::Error> error;

  [[nodiscard]] std::uint64_t count(ActOutcome outcome) const {
    return counts[static_cast<std::size_t>(outcome)];
  }

  void add(ActAnswer other);
};

// "hold", "release", …
[[nodiscard]] std::string_view act_name(Act act);
[[nodiscard]] std::optional<Act> parse_act(std::string_view name);
// As --json and scripts see it: "done", "unchanged", "being-sent", "not-found".
[[nodiscard]] std::string_view outcome_name(ActOutcome outcome);

// What was asked for. Immutable; shared by the loops.
struct Order {
  Act act = Act::Retry;
  std::string text{};    // hold: the reason; bounce: what the sender is told; "": our own words
  std::string target{};  // reroute: as [[route]] to, checked; "": by the routes again
  std::string by{};      // who, for history: "uid 1000 (alice)"
  WallTime given{};      // when; reports that were made since are not meant by a bounce
};

inline constexpr std::size_t kOrderTextOctetsMax = 500;
// Of a hold for which a person gave none.
inline constexpr std::string_view kOperatorHold = "operator";

// The states in which the act changes something, so that a filter without a state means these. In
// an order in which nothing is met a second time behind the state that it was moved to.
[[nodiscard]] std::vector<DeliveryState> states_of(Act act);

struct Decision {
  enum class Kind : std::uint8_t {
    Nothing,  // Unchanged
    Move,     // to `after`
    Fail,     // for good, as `after` says; a report follows
  };
  Kind kind = Kind::Nothing;
  Delivery after;
};

// `undo_time` is how long what was deleted can be brought back.
[[nodiscard]] Decision decide(const Order& order, const Delivery& delivery, WallTime now,
                              base::Duration undo_time);

// What is brought back and was put on hold by the pause of a user that is none of these any more:
// nobody else would release it. Null: they are not known yet; before what waits is loaded they are.
void end_hold_of_past_pause(Delivery& delivery, const Pauses* pauses, WallTime now);

// The step of history of what decide() has led to.
[[nodiscard]] Attempt step_of(const Order& order, WallTime now);

}  // namespace rockdove::queue
