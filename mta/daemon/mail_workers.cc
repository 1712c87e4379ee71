#include "mta/daemon/mail_workers.h"

#include <algorithm>

#include "mta/base/ids.h"

namespace rockdove::daemon {
namespace {

constexpr std::size_t kWaitingMax = 65'536;  // one for each message that is coming in, at most

struct Attached {
  std::unique_ptr<WorkingTable::Attachment> working;
  std::unique_ptr<base::CounterTable::Attachment> counting;
};

}  // namespace

std::unique_ptr<base::WorkerPool> make_mail_workers(WorkingTable& working,
                                                    base::CounterTable& counters) {
  const unsigned threads =
      std::min(base::default_worker_threads(), kWorkingThreadsMax - base::kLoopsMax);
  return std::make_unique<base::WorkerPool>(
      threads, kWaitingMax, [&working, &counters](unsigned thread) -> std::shared_ptr<void> {
        return std::shared_ptr<Attached>(
            new Attached{working.attach(base::kLoopsMax + thread), counters.attach()});
      });
}

}  // namespace rockdove::daemon
