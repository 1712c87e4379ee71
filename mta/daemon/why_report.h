// Where deliveries are within the running relay, asked of the loops that may know: first the home
// of the destination, then all of them. Whoever does not answer within a second is not waited for.
// Belongs to its environment's loop; other loops only carry the number of a look back to it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "mta/admin/queue_explainer.h"
#include "mta/outbound/environment.h"
#include "mta/outbound/home.h"
#include "mta/outbound/rule_pauses.h"
#include "mta/outbound/session.h"
#include "queue/scheduler.h"

namespace rockdove::daemon {

class Locator {
 public:
  static constexpr base::Duration kPatience = std::chrono::seconds(1);

  // It and the dispatchers outlive the locator, which outlives the loops' last turns.
  explicit Locator(const outbound::Environment& environment) : env_(environment) {}

  Locator(const Locator&) = delete;
  Locator& operator=(const Locator&) = delete;

  // `user`: the account that handed its message in; `campaign` as in queue::Message. `done` runs on
  // our loop, never within this call.
  void locate(queue::QueueName queue, base::DeliveryId delivery, std::string user,
              std::string campaign, admin::QueueExplainer::Done done);

 private:
  struct Look {
    queue::QueueName queue;
    base::DeliveryId delivery;
    std::string user;
    std::string campaign;
    admin::QueueExplainer::Done done;
    admin::Whereabouts where;
    unsigned missing = 1;  // loops that have not answered
    bool is_finished = false;
    std::unique_ptr<base::Timer> timer;
  };

  // What one loop says of a delivery.
  struct Word {
    std::optional<outbound::Session::Standing> session;
    std::optional<queue::Scheduler::Place> place;
    std::optional<queue::Scheduler::Outlook> outlook;  // of `place`
    std::optional<queue::Scheduler::Standing> site;    // from the loop that owns the account
    std::optional<outbound::RulePauses::Told> tenant_pause;
    std::optional<outbound::RulePauses::Told> source_pause;
    base::Now now{};
  };

  // On the loop with this index; what it returns is taken on ours, if it still is in time.
  void ask(unsigned loop, std::uint64_t number,
           std::function<std::function<void(Look&)>(outbound::Dispatcher&)> question);
  void home_said(std::uint64_t number, Look& look, const outbound::Home::Standing& home);
  void ask_all(std::uint64_t number, const Look& look,
               const std::shared_ptr<const outbound::Site>& site);
  static void take(Look& look, const Word& word);
  void finish(std::uint64_t number, Look& look);

  const outbound::Environment& env_;
  std::unordered_map<std::uint64_t, Look> looks_;
  std::uint64_t next_ = 1;
};

}  // namespace rockdove::daemon
