#include "mta/base/processor_time.h"

#include <ctime>

#include "mta/base/assert.h"

namespace rockdove::base {

std::chrono::nanoseconds thread_processor_time() {
  timespec used{};
  MTA_ASSERT(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used) == 0);
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

}  // namespace rockdove::base
