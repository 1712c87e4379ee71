// Looks every minute which source addresses are on this machine. One that is not is set aside, with
// a warning, until it is: mail goes from the others. On the first loop.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "mta/base/log.h"
#include "mta/base/loop.h"
#include "mta/outbound/settings.h"
#include "mta/outbound/source_chooser.h"

namespace rockdove::daemon {

class SourceWatch {
 public:
  static constexpr base::Duration kLookEach = std::chrono::minutes(1);

  struct Parts {
    base::Loop& loop;
    base::Log& log;
    std::function<bool(const base::IpAddress& address)> is_here;
    // Brings them to every loop; called when they have changed.
    std::function<void(const std::shared_ptr<const outbound::AbsentAddresses>& absent)> use;
  };

  SourceWatch(Parts parts, const std::vector<outbound::SourcePool>& pools);
  SourceWatch(const SourceWatch&) = delete;
  SourceWatch& operator=(const SourceWatch&) = delete;

  // These on the loop's thread. The first look is within start().
  void start();
  void settings_replaced(const std::vector<outbound::SourcePool>& pools);

 private:
  void look();
  void warn(const outbound::Source& source);

  Parts parts_;
  std::vector<std::shared_ptr<const outbound::Source>> sources_;  // each once
  std::shared_ptr<const outbound::AbsentAddresses> absent_;
  std::unique_ptr<base::Timer> timer_;  // null: not started
};

}  // namespace rockdove::daemon
