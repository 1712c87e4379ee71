#include "mta/daemon/pause_keeper.h"

#include <algorithm>
#include <utility>

#include "mta/base/assert.h"

namespace rockdove::daemon {
namespace {

constexpr base::Duration kReadAgain = std::chrono::seconds(2);
// The wall clock may be set while we wait.
constexpr base::Duration kLookAtLeast = std::chrono::minutes(1);
// What loops put on hold while they heard of the end is found by a second pass.
constexpr unsigned kPasses = 2;
constexpr base::Duration kBetweenPasses = std::chrono::seconds(30);

}  // namespace

PauseKeeper::PauseKeeper(base::Loop& loop, queue::Store& store, base::Log& log, Publish publish,
                         Release release)
    : loop_(loop),
      store_(store),
      log_(log),
      publish_(std::move(publish)),
      release_(std::move(release)),
      timer_(loop_.make_timer([this] { look_at_clock(); })) {}

void PauseKeeper::start() {
  if (!is_known_ && !is_reading_) read();
}

void PauseKeeper::read() {
  is_reading_ = true;
  store_.read_notes(loop_, std::string(queue::kPauseNotes),
                    [this](base::Result<std::vector<queue::NotedRow>> rows) {
                      is_reading_ = false;
                      if (rows) return take(*rows);
                      log_.line(base::Level::Error, "the pauses cannot be read, nothing is sent")
                          .field("error", rows.error().text());
                      timer_->set(loop_.now().instant + kReadAgain);
                    });
}

void PauseKeeper::take(const std::vector<queue::NotedRow>& rows) {
  for (const queue::NotedRow& row : rows) {
    base::Result<queue::Pause> pause = queue::decode_pause(row.name, row.value);
    if (pause) {
      pauses_[row.name] = *std::move(pause);
    } else {
      log_.line(base::Level::Error, "a pause is left out").field("error", pause.error().text());
    }
  }
  is_known_ = true;
  for (const auto& [name, pause] : pauses_) {
    log_.line(base::Level::Info, pause.is_ending ? "a pause ends" : "paused")
        .field("what", name)
        .field("by", pause.by);
    if (pause.is_ending) releasing_.try_emplace(name);
  }
  publish();
  look_at_clock();
}

std::vector<queue::Pause> PauseKeeper::all() const {
  std::vector<queue::Pause> all;
  for (const auto& [name, pause] : pauses_) all.push_back(pause);
  return all;
}

void PauseKeeper::publish() {
  publish_(std::make_shared<const queue::Pauses>(all()));
}

void PauseKeeper::pause(queue::Pause pause, Done done) {
  const std::string name = queue::pause_name(pause);
  const bool is_full = pauses_.size() >= queue::kPausesMax && !pauses_.contains(name);
  if (!is_known_ || is_full) {
    const std::string why = is_full ? "there are " + std::to_string(queue::kPausesMax) + " pauses"
                                    : std::string("the queue is being opened; try again");
    return loop_.post([why, done = std::move(done)]() mutable { done(base::Error(why)); });
  }
  const std::string value = queue::encode_pause(pause);
  setting_.insert(name);
  store_.commit(loop_, queue::noted(queue::kPauseNotes, name, value),
                [this, name, pause = std::move(pause),
                 done = std::move(done)](base::Result<void> written) mutable {
                  MTA_ASSERT(written.is_ok());
                  setting_.erase(setting_.find(name));
                  pauses_[name] = std::move(pause);
                  releasing_.erase(name);
                  publish();
                  set_timer();
                  done({});
                });
}

void PauseKeeper::resume(queue::PauseKind kind, const std::string& pattern, const std::string& by,
                         Ended ended) {
  queue::Pause wanted;
  wanted.kind = kind;
  wanted.pattern = pattern;
  const std::string name = queue::pause_name(wanted);
  const auto found = pauses_.find(name);
  if (!is_known_ || found == pauses_.end() || found->second.is_ending) {
    return loop_.post([ended = std::move(ended), is_known = is_known_]() mutable {
      if (is_known) return ended(std::optional<queue::Pause>());
      ended(base::Error("the queue is being opened; try again"));
    });
  }
  end(name, by, [was = found->second, ended = std::move(ended)]() mutable {
    ended(std::optional<queue::Pause>(std::move(was)));
  });
}

void PauseKeeper::end(const std::string& name, const std::string& by,
                      base::UniqueFunction<void()> written) {
  queue::Pause pause = pauses_.at(name);
  if (!queue::holds_mail(pause.kind)) return forget(name, std::move(written));
  pause.is_ending = true;
  pause.by = by;  // who releases it
  pause.until.reset();
  const std::string value = queue::encode_pause(pause);
  store_.commit(loop_, queue::noted(queue::kPauseNotes, name, value),
                [this, name, pause = std::move(pause),
                 written = std::move(written)](base::Result<void> result) mutable {
                  MTA_ASSERT(result.is_ok());
                  pauses_[name] = std::move(pause);
                  releasing_[name] = {};
                  publish();
                  look_at_clock();
                  written();
                });
}

void PauseKeeper::forget(const std::string& name, base::UniqueFunction<void()> written) {
  store_.commit(loop_, queue::noted(queue::kPauseNotes, name, ""),
                [this, name, written = std::move(written)](base::Result<void> result) mutable {
                  MTA_ASSERT(result.is_ok());
                  pauses_.erase(name);
                  publish();
                  set_timer();
                  written();
                });
}

void PauseKeeper::look_at_clock() {
  if (!is_known_) return start();
  const base::Now now = loop_.now();
  std::vector<std::string> over;
  for (const auto& [name, pause] : pauses_) {
    const bool is_over = pause.until && *pause.until <= now.wall;
    if (is_over && !setting_.contains(name)) over.push_back(name);
  }
  for (const std::string& name : over) {
    log_.line(base::Level::Info, "a pause ends: its time is over").field("what", name);
    pauses_[name].until.reset();  // not twice
    end(name, "its time limit", [] {});
  }
  std::vector<std::string> to_release;
  for (const auto& [name, releasing] : releasing_) {
    if (!releasing.is_running && releasing.next <= now.instant) to_release.push_back(name);
  }
  for (const std::string& name : to_release) release(name);
  set_timer();
}

void PauseKeeper::set_timer() {
  if (!is_known_) return;
  const base::Now now = loop_.now();
  base::Instant next = base::kNever;
  for (const auto& [name, pause] : pauses_) {
    if (!pause.until || setting_.contains(name)) continue;
    const base::Duration wait =
        std::clamp<base::Duration>(*pause.until - now.wall, base::Duration(1), kLookAtLeast);
    next = std::min<base::Instant>(next, now.instant + wait);
  }
  for (const auto& [name, releasing] : releasing_) {
    if (!releasing.is_running) next = std::min(next, std::max(releasing.next, now.instant));
  }
  timer_->set(next);
}

void PauseKeeper::release(const std::string& name) {
  releasing_.at(name).is_running = true;
  release_(pauses_.at(name), [this, name](bool is_whole) { released(name, is_whole); });
}

void PauseKeeper::released(const std::string& name, bool is_whole) {
  const auto found = releasing_.find(name);
  // It was set again meanwhile, or is being set.
  if (found == releasing_.end() || setting_.contains(name)) return;
  Releasing& releasing = found->second;
  releasing.is_running = false;
  releasing.next = loop_.now().instant + kBetweenPasses;
  if (is_whole && ++releasing.passes >= kPasses) {
    releasing_.erase(found);
    return forget(name, [] {});
  }
  set_timer();
}

}  // namespace rockdove::daemon
