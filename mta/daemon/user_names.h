// The names of this machine's users, from /etc/passwd alone: asking the name service could wait for
// a network, and a loop never waits. Who is not in it has no name here.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

#include "mta/base/time.h"

namespace rockdove::daemon {

class UserNames {
 public:
  explicit UserNames(std::string path = "/etc/passwd") : path_(std::move(path)) {}

  // "" when there is none. From any thread. The file is read again when it has changed, which is
  // looked at once a second.
  [[nodiscard]] std::string of(std::uint32_t user, base::Instant now);

 private:
  void read();

  const std::string path_;
  std::mutex mutex_;
  std::unordered_map<std::uint32_t, std::string> names_;  // under mutex_, as all that follows
  base::Instant look_again_ = base::Instant::min();
  std::int64_t changed_ = -1;  // nanoseconds since 1970, of the content that is known
};

}  // namespace rockdove::daemon
