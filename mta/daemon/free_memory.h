// Gives memory back to the system after a crowd has left. glibc keeps what was freed for the next
// use, which is right from one message to the next, but not after ten thousand connections.
#pragma once

#include <cstddef>

namespace rockdove::daemon {

class FreeMemory {
 public:
  // To be called each minute, from a thread whose time does not matter. Asks malloc to give back
  // whole free pages (malloc_trim(3)) if kWorthIt more has become free since it was asked last;
  // other threads that allocate meanwhile may wait for some milliseconds.
  void give_back();

  static constexpr std::size_t kWorthIt = std::size_t{8} << 20U;  // octets

 private:
  // The least that was free since malloc was asked: what it gave back it still counts as free.
  std::size_t free_kept_ = 0;
};

}  // namespace rockdove::daemon
