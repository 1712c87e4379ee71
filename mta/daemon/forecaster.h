// When the mail that waits will have gone, by account: the homes of its destinations say which
// sites take it and from which sources, the owners of their accounts how fast it goes there
// (Scheduler::outlook). Whoever
// does not answer within a second is not waited for. Belongs to its environment's loop.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "mta/admin/queue_explainer.h"
#include "mta/outbound/environment.h"
#include "mta/outbound/site.h"
#include "mta/outbound/source_chooser.h"
#include "queue/scheduler.h"

namespace rockdove::daemon {

class Forecaster {
 public:
  static constexpr base::Duration kPatience = std::chrono::seconds(1);

  // It and the dispatchers outlive the forecaster, which outlives the loops' last turns.
  explicit Forecaster(const outbound::Environment& environment) : env_(environment) {}

  Forecaster(const Forecaster&) = delete;
  Forecaster& operator=(const Forecaster&) = delete;

  // `done` runs on our loop, never within this call.
  void forecast(std::vector<admin::Waiting> waiting, admin::QueueExplainer::ForecastDone done);

 private:
  struct SiteMail {
    std::shared_ptr<const outbound::Site> site;
    double deliveries = 0;  // as much as falls to a source
    double octets = 0;      // likewise
    base::WallTime latest_due{};
    // Until when persons have paused it; none: they have not; never: until somebody ends that.
    std::optional<base::WallTime> paused_until{};
  };

  // Of one source address, where there are such.
  struct AccountMail {
    std::string of_all_sources;  // the account without the source
    double deliveries = 0;
    double octets = 0;
    std::map<std::string, SiteMail> sites;
    bool is_known = false;  // its owner has answered
  };

  // What one home says of a destination.
  struct Found {
    admin::Waiting waiting;
    std::shared_ptr<const outbound::Site> site;
    std::vector<outbound::SourceChooser::Share> shares{};
    std::optional<base::WallTime> paused_until{};
  };

  struct Outlook {
    queue::Scheduler::Outlook found;
    base::Now now{};
  };

  struct Work {
    admin::QueueExplainer::ForecastDone done;
    admin::Forecast forecast;
    std::map<std::string, AccountMail> accounts;
    unsigned missing = 0;  // loops that have not answered
    bool is_finished = false;
    std::unique_ptr<base::Timer> timer;
  };

  // On the loop with this index; what it returns is run on ours, if it still is in time.
  void ask(unsigned loop, std::uint64_t number,
           std::function<std::function<void(Work&)>(outbound::Dispatcher&)> question);
  static std::vector<Found> find_sites(outbound::Dispatcher& dispatcher,
                                       const std::vector<admin::Waiting>& waiting);
  static void take_sites(Work& work, const std::vector<Found>& found);
  void ask_owners(std::uint64_t number, Work& work);
  static void take_forecast(Work& work, const std::string& name,
                            const admin::AccountForecast& forecast);
  static void take_outlook(admin::AccountForecast& forecast, const SiteMail& mail,
                           const Outlook& outlook);
  void finish(std::uint64_t number, Work& work);

  const outbound::Environment& env_;
  std::unordered_map<std::uint64_t, Work> works_;
  std::uint64_t next_ = 1;
};

}  // namespace rockdove::daemon
