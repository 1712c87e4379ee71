// STATE_DIR/lock: who serves from a state directory holds it for life, alone, with the number of
// its process written in it; who only looks at the queue takes it shared for a moment. It is a
// flock(2), so it ends with the process, however that ends.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>

#include <sys/types.h>

#include "mta/base/result.h"
#include "mta/base/time.h"

namespace rockdove::daemon {

class StateLock {
 public:
  // Alone. Another daemon is an error that names its process at once; commands that are looking are
  // waited for, as long as `patience`.
  [[nodiscard]] static base::Result<std::unique_ptr<StateLock>> take_alone(
      const std::string& state_dir, base::Duration patience = std::chrono::seconds(5));

  // Shared. An error when a daemon holds it, or when there is no such directory.
  [[nodiscard]] static base::Result<std::unique_ptr<StateLock>> take_shared(
      const std::string& state_dir);

  ~StateLock();
  StateLock(const StateLock&) = delete;
  StateLock& operator=(const StateLock&) = delete;

 private:
  enum class How : std::uint8_t { Alone, Shared };

  StateLock(int file, How how) : file_(file), how_(how) {}

  int file_;
  How how_;
};

// Nobody serves from there.
struct NoDaemon {};

// Somebody does; `process` is 0 when it has not been written yet.
struct DaemonHolds {
  pid_t process = 0;
};

// Looks without waiting and without keeping anything.
[[nodiscard]] base::Result<std::variant<NoDaemon, DaemonHolds>> find_daemon(
    const std::string& state_dir);

}  // namespace rockdove::daemon
