// What a thread has cost so far, for those who watch over the loops. It is no clock to wait by, and
// no decision may depend on it.
#pragma once

#include <chrono>

namespace rockdove::base {

// The processor time that the calling thread has used, its own and the kernel's for it. Half a
// microsecond itself: unlike the clocks of time.h, this one is a system call.
[[nodiscard]] std::chrono::nanoseconds thread_processor_time();

}  // namespace rockdove::base
