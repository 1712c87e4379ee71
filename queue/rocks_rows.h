// The queue's rows in RocksDB; the only adapter to it. What is chosen for it, and why, stands in
// rocks_rows.cc; what has been measured, in contrib/doc/architecture.md.
//
// After a failed write or background error the instance must be closed and opened again: this is
// queue::ThreadedStore's work (fact 10 of architecture.md).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "queue/rows.h"

namespace rockdove::queue {

struct RocksSettings {
  std::string directory;  // made if it is missing, its parent must be there
  // Told what RocksDB warns about; from any thread. May be empty.
  std::function<void(std::string_view)> warn;
};

// Everything that was written with Sync::Yes is there, and of the rest a part from the front.
[[nodiscard]] Result<std::unique_ptr<Rows>> open_rocks_rows(const RocksSettings& settings);

// For commands while no daemon runs. Changes no file; writing is an error.
[[nodiscard]] Result<std::unique_ptr<Rows>> open_rocks_rows_read_only(
    const RocksSettings& settings);

}  // namespace rockdove::queue
