// What this thread works on right now, noted where it survives the end of the process: each thread
// has two slots in a shared file mapping (daemon::WorkingTable gives them), and a crash leaves
// there what it happened at. A delivery or a client at which the process failed three times is then
// put aside, instead of ending the process again and again.
//
// Noting costs a few plain stores; without a table it does nothing. Only the thread itself, and a
// signal handler that interrupts it, touches its slots.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>

#include "mta/base/ids.h"
#include "mta/base/ip_address.h"

namespace rockdove::base {

// A protocol's turn may start work of its own inside: two levels are noted, deeper ones are not.
inline constexpr unsigned kWorkingLevels = 2;

// As it lies in the file.
struct alignas(64) WorkingSlot {
  enum Kind : std::uint32_t { Nothing = 0, Delivery = 1, Client = 2 };

  std::uint32_t kind = Nothing;
  std::uint32_t crashed = 0;      // 1: the thread failed while this was noted
  std::uint64_t message = 0;      // of a delivery
  std::uint32_t number = 0;       // of a delivery; 4 or 6, the family, of a client
  std::uint8_t address[16] = {};  // of a client
};

// A thread's slots; its own by `working_slots` while a table is attached.
struct WorkingThread {
  WorkingSlot* slots = nullptr;  // kWorkingLevels of them
  unsigned depth = 0;
};

// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): a signal handler must find it
inline constinit thread_local WorkingThread working_thread;

// The kind is stored last and cleared first, so that the handler never sees half a slot; a fence
// for the compiler is enough, because the handler runs on the same processor.
inline void working_on(DeliveryId id) {
  WorkingThread& thread = working_thread;
  if (thread.slots != nullptr && thread.depth < kWorkingLevels) {
    WorkingSlot& slot = thread.slots[thread.depth];
    slot.message = id.message.value;
    slot.number = id.number;
    std::atomic_signal_fence(std::memory_order_release);
    slot.kind = WorkingSlot::Delivery;
  }
  ++thread.depth;
}

inline void working_on(const IpAddress& client) {
  WorkingThread& thread = working_thread;
  if (thread.slots != nullptr && thread.depth < kWorkingLevels) {
    WorkingSlot& slot = thread.slots[thread.depth];
    slot.number = client.is_v4() ? 4 : 6;
    std::memcpy(slot.address, client.octets().data(), sizeof(slot.address));
    std::atomic_signal_fence(std::memory_order_release);
    slot.kind = WorkingSlot::Client;
  }
  ++thread.depth;
}

// Ends what was noted last.
inline void working_done() {
  WorkingThread& thread = working_thread;
  --thread.depth;
  if (thread.slots == nullptr || thread.depth >= kWorkingLevels) return;
  thread.slots[thread.depth].kind = WorkingSlot::Nothing;
  std::atomic_signal_fence(std::memory_order_release);
}

class WorkingOn {
 public:
  explicit WorkingOn(DeliveryId id) { working_on(id); }

  explicit WorkingOn(const IpAddress& client) { working_on(client); }

  ~WorkingOn() { working_done(); }

  WorkingOn(const WorkingOn&) = delete;
  WorkingOn& operator=(const WorkingOn&) = delete;
};

}  // namespace rockdove::base
