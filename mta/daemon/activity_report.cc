#include "mta/daemon/activity_report.h"

#include <utility>

#include "mta/outbound/dispatcher.h"

namespace rockdove::daemon {

void ActivityCollector::collect(admin::ActivitySource::Done done) {
  const std::uint64_t number = next_++;
  Collection& collection = collections_[number];
  collection.done = std::move(done);
  collection.missing = env_.loop_count();
  collection.timer =
      env_.loop.make_timer([this, number] { finish(number, collections_.at(number)); });
  collection.timer->set(env_.now().instant + kPatience);
  for (unsigned loop = 0; loop < env_.loop_count(); ++loop) {
    env_.loops[loop]->post([this, number, dispatcher = env_.peers[loop]] {
      const base::Instant now = dispatcher->now().instant;
      Word word{dispatcher->settler().activity().last_minute(now),
                dispatcher->longest_at_work(admin::kTopSlowestMax), now};
      env_.loop.post([this, number, word = std::move(word)] { take(number, word); });
    });
  }
}

void ActivityCollector::take(std::uint64_t number, const Word& word) {
  const outbound::Activity::Seen& seen = word.seen;
  const auto found = collections_.find(number);
  if (found == collections_.end() || found->second.is_finished) return;
  Collection& collection = found->second;
  for (const auto& [name, counts] : seen.destinations) collection.destinations[name].add(counts);
  for (std::size_t i = 0; i < seen.deferrals.size(); ++i) {
    collection.deferrals[i] += seen.deferrals[i];
  }
  for (const outbound::SlowAttempt& one : seen.slowest) {
    collection.slowest.push_back({one.destination, one.host, "", one.took});
  }
  for (const outbound::Session::Standing& one : word.at_work) {
    const auto took = std::chrono::duration_cast<base::Duration>(word.now - one.since);
    collection.slowest.push_back({one.destination, one.host, one.stage, took});
  }
  if (--collection.missing == 0) finish(number, collection);
}

void ActivityCollector::finish(std::uint64_t number, Collection& collection) {
  collection.is_finished = true;
  collection.timer->set(base::kNever);
  // Later, because this may be the timer's own call, and the collection owns the timer.
  env_.loop.post([this, number] {
    auto node = collections_.extract(number);
    Collection& finished = node.mapped();
    admin::RecentActivity activity;
    activity.deferrals = finished.deferrals;
    activity.silent_loops = finished.missing;
    activity.slowest = std::move(finished.slowest);
    activity.destinations.reserve(finished.destinations.size());
    for (const auto& [name, counts] : finished.destinations) {
      activity.destinations.push_back(
          {name, counts.delivered, counts.deferred, counts.bounced, counts.slowest});
    }
    finished.done(std::move(activity));
  });
}

}  // namespace rockdove::daemon
