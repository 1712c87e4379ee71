// A queue of a few messages over rows in memory, for tests of what reads them.
#pragma once

#include <cstdint>
#include <vector>

#include <catch2/catch.hpp>

#include "queue/ledger.h"
#include "tests/support/memory_rows.h"
#include "tests/unit/queue/sample_mail.h"

namespace rockdove::tests {

class SmallQueue {
 public:
  SmallQueue() { REQUIRE(ledger_.open()); }

  void apply(const queue::Change& change) {
    const queue::Change* const group[] = {&change};
    REQUIRE(ledger_.apply(group));
  }

  // sample_message(tick), to these.
  queue::Message accept(std::uint64_t tick, const std::vector<queue::Delivery>& deliveries) {
    const queue::Message message =
        sample_message(tick, static_cast<std::uint32_t>(deliveries.size()));
    apply(queue::accepted(message, deliveries));
    return message;
  }

  MemoryDisk disk;
  MemoryRows rows{disk};
  queue::Damaged damaged;

 private:
  queue::Ledger ledger_{rows};
};

}  // namespace rockdove::tests
