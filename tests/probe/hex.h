// Octets as hex in conformance cases.
#pragma once

#include <string>
#include <string_view>

namespace rockdove::probe {

// Throws what std::stoi throws for what is no hex; a last odd digit is dropped.
inline std::string from_hex(std::string_view hex) {
  std::string octets;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    octets += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return octets;
}

inline std::string to_hex(std::string_view octets) {
  std::string hex;
  for (const char c : octets) {
    hex += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
    hex += "0123456789abcdef"[static_cast<unsigned char>(c) & 15];
  }
  return hex;
}

}  // namespace rockdove::probe
