// Learns how fast a provider takes mail when it says so only by pushing back, and follows when that
// moves: additive increase, multiplicative decrease, with a memory (adr/0018 has the figures).
//
//            push-back: times the rule's factor
//   ceiling ──────────────▶ blocked ──accepted──▶ recover ──▶ approach ──▶ probe ──▶ ceiling
//                              ▲  └ push-back ┘   to 95 % of  to 105 %,    faster
//                              └────────────────── the mark ──  slowly  ── and faster
//
// The *mark* is where we believe the limit to be: the rate that failed, corrected by what the
// provider has in fact taken. After a cut the rate is soon back below the mark, creeps over it, and
// doubles again and again where nothing was known to fail. A push-back of what was sent before the
// last cut had its effect is the same push-back. Ones that come before anything is accepted again
// slow us down more but say nothing about the limit: the provider is waiting for a window of its
// own to empty; how long it took is remembered as *patience*.
//
// All steps count messages, reply times and patience, never seconds, so that the same law serves
// six messages a minute and hundreds a second. One Backoff for each limiter; it is told the time.
#pragma once

#include <cstdint>
#include <optional>

#include "mta/base/time.h"
#include "mta/traffic/throughput.h"

namespace rockdove::traffic {

// What outlives a restart. rate 0: nothing was learned.
struct BackoffState {
  double rate = 0;  // messages a second
  double mark = 0;
  base::Duration patience{0};
  base::WallTime pushed_back;  // last
};

class Backoff {
 public:
  // Messages a second: what the profile allows at most, and below which no push-back brings us.
  // 0 < floor <= ceiling; kNoCeiling where the profile has no rate.
  struct Settings {
    double ceiling;
    double floor;
  };

  static constexpr double kNoCeiling = 1e6;
  // What was learned is forgotten when no push-back came for so long.
  static constexpr base::Duration kForgetAfter = std::chrono::hours(7 * 24);

  explicit Backoff(const Settings& settings);
  // After a restart: it goes on where it was, within the settings. What cannot be is not taken.
  Backoff(const Settings& settings, const BackoffState& state, base::WallTime now);

  // Other settings from now on; what was learned stays.
  void set(const Settings& settings);

  // What happened. `sent` is when MAIL of the answered message was sent. Each message that is sent
  // is answered once, by one of these, or never.
  void sent(base::Instant now);
  void accepted(base::Instant sent, base::Instant now);
  void refused(base::Instant sent, base::Instant now);  // 5yz, which says nothing about our rate
  // A rule knows this reply as a push-back. `factor` is between 0 and 1; `floor` in messages a
  // second, 0 for none beside that of the settings. true: the rate was cut; false: it belongs to a
  // push-back that is known.
  bool pushed_back(double factor, double floor, base::Instant sent, base::Now now);
  // A 4yz that no rule knows. When such replies become much more than they were, it is a push-back,
  // too. true: the rate was cut.
  bool deferred(base::Instant sent, base::Now now);

  // For Limiter::set_pace(), after each answer; nullopt: the ceiling itself.
  [[nodiscard]] std::optional<double> pace() const;
  // Where the provider's limit is believed to be; nullopt before the first push-back.
  [[nodiscard]] std::optional<double> mark() const;

  // How often the rate was cut.
  [[nodiscard]] std::uint64_t cuts() const { return cuts_; }

  [[nodiscard]] BackoffState state() const;

 private:
  // How a push-back is to be understood.
  enum class Finding : std::uint8_t { First, Blocked, NewGround, Early, AtMark };

  void answered(base::Instant sent, base::Instant now, double deferred);
  void grow(base::Instant now);
  void cut(double factor, double floor, base::Now now);
  [[nodiscard]] Finding judge(double failed, double factor) const;
  void learn(Finding finding, double failed, double factor, base::Instant now);
  void lower_mark(double to, base::Instant now);
  [[nodiscard]] Seconds memory() const;

  Settings settings_;
  double rate_;
  double mark_ = 0;         // 0: none yet
  Seconds patience_{0};     // how long the provider lets us wait until it takes mail again
  Seconds reply_time_{-1};  // smoothed; below 0: no reply yet
  SendRate send_rate_;
  Throughput throughput_;
  std::optional<base::Instant> last_cut_;       // what was sent before it belongs to it
  std::optional<base::Instant> blocked_since_;  // the push-back since which nothing was accepted
  std::optional<base::Instant> mark_lowered_;
  std::uint32_t accepted_since_cut_ = 0;  // of what was sent after it
  std::uint32_t confirmed_ = 0;           // push-backs in a row that came at the mark
  bool from_block_ = false;               // the way up begins far below the mark
  bool block_learned_ = false;            // and has lowered the mark
  double share_now_ = 0;                  // of answers that were 4yz, the last few
  double share_before_ = 0;               // the same, of many
  std::uint64_t cuts_ = 0;
  base::WallTime pushed_back_;
};

}  // namespace rockdove::traffic
