// Live reload of the lists that the policy reads from files (list_files.h): looks at them every few
// seconds on a thread that may wait, and brings all loops a policy with the new lists. Nothing else
// of the configuration changes by it. On the first loop.
#pragma once

#include <functional>
#include <memory>

#include "mta/base/log.h"
#include "mta/base/loop.h"
#include "mta/base/workers.h"
#include "mta/daemon/list_files.h"
#include "policy/client_policy.h"

namespace rockdove::daemon {

class ListWatch {
 public:
  static constexpr base::Duration kLookEach = std::chrono::seconds(5);

  struct Parts {
    base::Loop& loop;
    base::Log& log;
    // Brings it to every loop.
    std::function<void(const policy::ClientPolicyPointer& policy)> use;
  };

  // Of the policy that is in use. It ends when the loops have ended, or were never run.
  ListWatch(Parts parts, policy::ClientPolicyPointer policy)
      : parts_(std::move(parts)), policy_(std::move(policy)), disk_(1, kLooksMax) {}

  ListWatch(const ListWatch&) = delete;
  ListWatch& operator=(const ListWatch&) = delete;

  // These on the loop's thread.
  void start();
  // By a reload, which has read all files anew.
  void settings_replaced(policy::ClientPolicyPointer policy);
  void stop();

 private:
  static constexpr std::size_t kLooksMax = 2;  // that wait for the disk

  void watch_files();
  void look();
  void looked(const std::shared_ptr<ListFiles>& files, ListFiles::Found& found);

  Parts parts_;
  policy::ClientPolicyPointer policy_;  // that is in use
  std::shared_ptr<ListFiles> files_;    // touched by the disk's thread alone; null: none
  std::unique_ptr<base::Timer> timer_;  // null: not started, or stopped
  bool is_looking_ = false;
  base::WorkerPool disk_;  // ends first: what it still finds has no loop any more
};

}  // namespace rockdove::daemon
