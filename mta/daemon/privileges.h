// The rights of the process: started as root, it becomes an ordinary user before it reads any
// input, and keeps the one capability that binding port 25 at a reload needs.
#pragma once

#include <cstdint>
#include <string>

#include "mta/base/result.h"

namespace rockdove::daemon {

// Started as root: become `user` with its groups, for good, and keep CAP_NET_BIND_SERVICE only. Not
// root: nothing. Before any other thread exists, because capabilities are each thread's own. An
// error, as an unknown user, may leave the process half way: it must end then. `user` "root" is
// refused.
[[nodiscard]] base::Result<void> become_user(const std::string& user);

// As root: become the owner of `path`, for good, who keeps the one right to read every file, so
// that what a command writes there is his. Not root, or root's own path: nothing. Before any other
// thread exists.
[[nodiscard]] base::Result<void> become_owner_of(const std::string& path);

// Gives `path`, a file or directory, to `user` when we are root: what serve makes before it changes
// user.
[[nodiscard]] base::Result<void> give_to_user(const std::string& path, const std::string& user);

// Whether `user` may read the file `path`; the error says who may not read what. From root only:
// asked in a process of its own, which becomes the user. An unknown user may.
[[nodiscard]] base::Result<void> check_readable_as(const std::string& user,
                                                   const std::string& path);

// Raises RLIMIT_NOFILE to its hard limit; the answer is what may be open at once from now on.
[[nodiscard]] base::Result<std::uint64_t> raise_descriptor_limit();

}  // namespace rockdove::daemon
