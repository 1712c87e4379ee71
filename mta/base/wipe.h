// Overwrites secrets (passwords, keys) before their memory goes back, in a way that the compiler
// does not leave out.
#pragma once

#include <cstring>
#include <string>

namespace rockdove::base {

// Zeroes all that the string's memory holds, then empties it. Copies that were made elsewhere stay.
inline void wipe(std::string& secret) {
  secret.resize(secret.capacity());
  ::explicit_bzero(secret.data(), secret.size());
  secret.clear();
}

}  // namespace rockdove::base
