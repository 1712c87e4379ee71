// What all loops' attempts came to within the last minute, summed, and those that have lasted
// longest so far. Whoever does not answer within a second is not waited for. Belongs to its
// environment's loop.
#pragma once

#include <memory>
#include <unordered_map>

#include "mta/admin/top.h"
#include "mta/outbound/activity.h"
#include "mta/outbound/environment.h"
#include "mta/outbound/session.h"

namespace rockdove::daemon {

class ActivityCollector {
 public:
  static constexpr base::Duration kPatience = std::chrono::seconds(1);

  // It and the dispatchers outlive the collector, which outlives the loops' last turns.
  explicit ActivityCollector(const outbound::Environment& environment) : env_(environment) {}

  ActivityCollector(const ActivityCollector&) = delete;
  ActivityCollector& operator=(const ActivityCollector&) = delete;

  // `done` runs on our loop, never within this call.
  void collect(admin::ActivitySource::Done done);

 private:
  struct Collection {
    admin::ActivitySource::Done done;
    std::unordered_map<std::string, outbound::AttemptCounts> destinations;
    std::array<std::uint64_t, queue::kReasons> deferrals{};
    std::vector<admin::RecentActivity::Slow> slowest;
    unsigned missing = 0;
    bool is_finished = false;
    std::unique_ptr<base::Timer> timer;
  };

  // What one loop says.
  struct Word {
    outbound::Activity::Seen seen;
    std::vector<outbound::Session::Standing> at_work;
    base::Instant now{};
  };

  void take(std::uint64_t number, const Word& word);
  void finish(std::uint64_t number, Collection& collection);

  const outbound::Environment& env_;
  std::unordered_map<std::uint64_t, Collection> collections_;
  std::uint64_t next_ = 1;
};

}  // namespace rockdove::daemon
