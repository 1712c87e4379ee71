// Password hashes by yescrypt, as crypt(5) writes them: "$y$j9T$…salt…$…hash…". One takes about 20
// ms of processor time and 16 MiB of memory, on purpose: call these on a worker (base/workers.h),
// never on a loop. The only user of libcrypt.
#pragma once

#include <string>
#include <string_view>

#include "mta/base/result.h"

namespace rockdove::crypto {

// What libcrypt takes: 512 octets with the end of the string.
inline constexpr std::size_t kPasswordOctetsMax = 511;

// With a new salt of the system's chance. Errors: an empty or too long password, one with a NUL.
[[nodiscard]] base::Result<std::string> hash_password(std::string_view password);

// Whether `text` has the form of what hash_password() makes.
[[nodiscard]] bool is_password_hash(std::string_view text);

// Whether `hash` was made of `password`. A password that hash_password() refuses matches nothing,
// at once. An error: no memory for the hash, or `hash` is none.
[[nodiscard]] base::Result<bool> matches_password(std::string_view password,
                                                  const std::string& hash);

}  // namespace rockdove::crypto
