#include "mta/traffic/backoff.h"

#include <algorithm>
#include <cmath>

namespace rockdove::traffic {

using base::Instant;
using base::Now;
using base::WallTime;

namespace {

// adr/0018 shows what other values do; none of these is sharp.
constexpr double kRecoverTo = 0.95;       // of the mark, quickly
constexpr double kApproachTo = 1.05;      // of the mark, slowly
constexpr double kRecoverStep = 0.25;     // of the rate, an accepted message
constexpr double kApproachMessages = 80;  // times 1 to 3, as the mark was confirmed
constexpr double kConfirmedMax = 2;
constexpr double kDoubleMessages = 30;       // when probing
constexpr double kApproachReplies = 10;      // reply times that an approach takes at least
constexpr double kMemoryMessages = 64;       // over which throughput is averaged at least
constexpr double kEarly = 0.9;               // of the mark: a push-back below it comes early,
constexpr std::uint32_t kEarlyMessages = 8;  // and so does one after so few messages
constexpr double kNewGround = 1.15;          // of the mark: above it nothing was known
constexpr double kAboveThroughput = 1.02;    // a limit is a little above what it let through
constexpr double kPatienceKept = 0.7;        // of it, when a shorter one is seen
constexpr double kPaceFollowed = 0.7;        // of the pace: who sends less learns nothing about it
constexpr double kOwnFactor = 0.5;           // where no rule names one
constexpr double kShareHigh = 0.5;           // of the last answers that are 4yz,
constexpr double kShareRisen = 0.25;         // and so much more than before
constexpr double kLimitMin = 1e-6;

double within(double rate, double factor) {
  return std::isfinite(rate) && rate > 0 ? rate * factor : 0;
}

}  // namespace

Backoff::Backoff(const Settings& settings) : settings_(settings), rate_(settings.ceiling) {
  set(settings);
}

Backoff::Backoff(const Settings& settings, const BackoffState& state, WallTime now)
    : Backoff(settings) {
  const double rate = within(state.rate, 1);
  const double mark = within(state.mark, 1);
  if (rate == 0 || mark == 0 || now - state.pushed_back > kForgetAfter) return;
  rate_ = std::clamp(rate, settings_.floor, settings_.ceiling);
  mark_ = std::clamp(mark, settings_.floor, settings_.ceiling);
  patience_ = std::clamp(state.patience, base::Duration(0), base::Duration(std::chrono::hours(24)));
  pushed_back_ = std::min(state.pushed_back, now);
}

void Backoff::set(const Settings& settings) {
  settings_.ceiling = std::clamp(settings.ceiling, kLimitMin, kNoCeiling);
  settings_.floor = std::clamp(settings.floor, kLimitMin, settings_.ceiling);
  rate_ = mark_ == 0 ? settings_.ceiling : std::clamp(rate_, settings_.floor, settings_.ceiling);
}

std::optional<double> Backoff::pace() const {
  return rate_ < settings_.ceiling ? std::optional(rate_) : std::nullopt;
}

std::optional<double> Backoff::mark() const {
  return mark_ > 0 ? std::optional(mark_) : std::nullopt;
}

BackoffState Backoff::state() const {
  if (mark_ == 0) return {};
  return {rate_, mark_, std::chrono::duration_cast<base::Duration>(patience_), pushed_back_};
}

void Backoff::sent(Instant now) {
  send_rate_.sent(now);
}

void Backoff::answered(Instant sent, Instant now, double deferred) {
  const Seconds time = std::max(Seconds(now - sent), Seconds(0));
  reply_time_ = reply_time_ < Seconds(0) ? time : reply_time_ + (time - reply_time_) / 8;
  share_now_ += (deferred - share_now_) / 16;
  share_before_ += (deferred - share_before_) / 128;
}

Seconds Backoff::memory() const {
  const double rate = mark_ > 0 ? mark_ : rate_;
  return std::max({Seconds(kMemoryMessages / rate), 2 * patience_, 4 * reply_time_, Seconds(1e-3)});
}

void Backoff::accepted(Instant sent, Instant now) {
  answered(sent, now, 0);
  throughput_.accepted(now, memory());
  if (mark_ == 0 || (last_cut_ && sent < *last_cut_)) return;
  ++accepted_since_cut_;
  if (blocked_since_) {
    patience_ = std::max(Seconds(now - *blocked_since_) - reply_time_, kPatienceKept * patience_);
    blocked_since_.reset();
  }
  grow(now);
}

void Backoff::refused(Instant sent, Instant now) {
  answered(sent, now, 0);
}

// Steps are shares of the rate divided by messages, at least by those that are under way in a reply
// time: what we do is answered only then.
void Backoff::grow(Instant now) {
  const double under_way = reply_time_.count() * rate_;
  const double in_block = patience_.count() * rate_;
  if (rate_ < kRecoverTo * mark_) {
    const double step = (from_block_ ? 1.0 : kRecoverStep) / std::max(1.0, under_way);
    rate_ = std::min(kRecoverTo * mark_, rate_ * (1 + step));
  } else if (send_rate_.at(now) < kPaceFollowed * rate_) {
    return;
  } else if (rate_ < kApproachTo * mark_) {
    const double confirmed = std::min(static_cast<double>(confirmed_), kConfirmedMax);
    const double messages =
        std::max({kApproachMessages * (1 + confirmed), kApproachReplies * under_way, in_block});
    rate_ += mark_ * (kApproachTo - kRecoverTo) / messages;
  } else {
    const double messages =
        std::max({kDoubleMessages, kApproachReplies / 2 * under_way, in_block / 2});
    rate_ *= 1 + std::log(2.0) / messages;
    confirmed_ = 0;
  }
  rate_ = std::min(rate_, settings_.ceiling);
}

bool Backoff::pushed_back(double factor, double floor, Instant sent, Now now) {
  answered(sent, now.instant, 0);
  if (last_cut_ && sent < *last_cut_) return false;
  cut(factor, floor, now);
  return true;
}

// A rise counts, not the share itself: greylisting and full mailboxes defer whatever our rate is.
bool Backoff::deferred(Instant sent, Now now) {
  answered(sent, now.instant, 1);
  if (last_cut_ && sent < *last_cut_) return false;
  if (share_now_ < kShareHigh || share_now_ < share_before_ + kShareRisen) return false;
  share_now_ = 0;  // should it soon be as high again although we are slower, it was not our rate
  cut(kOwnFactor, 0, now);
  return true;
}

void Backoff::cut(double factor, double floor, Now now) {
  factor = std::clamp(factor, 0.01, 0.99);
  // Who has not sent as fast as he might was pushed back at what he sent.
  const double sending = send_rate_.at(now.instant);
  double failed = rate_;
  if (sending > 0 && sending < kPaceFollowed * rate_) failed = std::max(sending, settings_.floor);
  learn(judge(failed, factor), failed, factor, now.instant);
  const double least = std::clamp(floor, settings_.floor, settings_.ceiling);
  rate_ = std::max(std::min(failed, settings_.ceiling) * factor, least);
  accepted_since_cut_ = 0;
  last_cut_ = now.instant;
  pushed_back_ = now.wall;
  ++cuts_;
}

Backoff::Finding Backoff::judge(double failed, double factor) const {
  if (mark_ == 0) return Finding::First;
  if (accepted_since_cut_ == 0 || failed < 0.999 * factor * mark_) return Finding::Blocked;
  if (failed > kNewGround * mark_) return Finding::NewGround;
  if (failed < kEarly * mark_ || accepted_since_cut_ < kEarlyMessages) return Finding::Early;
  return Finding::AtMark;
}

void Backoff::learn(Finding finding, double failed, double factor, Instant now) {
  // Between two push-backs a provider has taken as much as it wants to, however it counts.
  const double taken = kAboveThroughput * throughput_.at(now, memory());
  if (finding == Finding::Blocked) {
    if (accepted_since_cut_ == 0 && !block_learned_) {
      lower_mark(factor * mark_, now);
      block_learned_ = true;
      confirmed_ = 0;
    }
    from_block_ = true;
    if (!blocked_since_) blocked_since_ = now;
    return;
  }
  from_block_ = false;
  block_learned_ = false;
  blocked_since_ = now;
  switch (finding) {
    case Finding::Blocked:
      return;
    case Finding::First:
      mark_ = failed;
      return;
    case Finding::NewGround:
      mark_ = std::clamp(taken, mark_, failed);
      confirmed_ = 0;
      return;
    case Finding::Early:
      lower_mark(std::clamp(taken, factor * mark_, std::max(factor * mark_, failed)), now);
      confirmed_ = 0;
      return;
    case Finding::AtMark:
      mark_ = std::clamp(taken, kEarly * failed, failed);
      ++confirmed_;
      return;
  }
}

// While a provider's window empties it takes a message now and then, and refuses the next: that is
// still the same fall of its limit.
void Backoff::lower_mark(double to, Instant now) {
  if (to >= mark_ || (mark_lowered_ && Seconds(now - *mark_lowered_) < patience_)) return;
  mark_ = std::max(to, settings_.floor);
  mark_lowered_ = now;
}

}  // namespace rockdove::traffic
