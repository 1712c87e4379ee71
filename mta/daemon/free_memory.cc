#include "mta/daemon/free_memory.h"

#include <algorithm>
#include <malloc.h>

namespace rockdove::daemon {

namespace {

std::size_t free_octets() {
  return mallinfo2().fordblks;
}

}  // namespace

void FreeMemory::give_back() {
  const std::size_t now = free_octets();
  free_kept_ = std::min(free_kept_, now);
  if (now < free_kept_ + kWorthIt) return;
  malloc_trim(0);
  free_kept_ = free_octets();
}

}  // namespace rockdove::daemon
