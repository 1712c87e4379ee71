#include "mta/base/utf8.h"

#include <cstdint>
#include <cstring>

namespace rockdove::base {

std::size_t utf8_sequence(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = at(0);
  if (lead < 0xC2 || lead > 0xF4) return 0;
  const std::size_t octets = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (text.size() < octets) return 0;
  for (std::size_t i = 1; i < octets; ++i) {
    if ((at(i) & 0xC0) != 0x80) return 0;
  }
  const unsigned char second = at(1);
  if (lead == 0xE0 && second < 0xA0) return 0;  // longer than needed
  if (lead == 0xED && second > 0x9F) return 0;  // a surrogate
  if (lead == 0xF0 && second < 0x90) return 0;
  if (lead == 0xF4 && second > 0x8F) return 0;  // above U+10FFFF
  return octets;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    if (static_cast<unsigned char>(text.front()) < 128) {
      text.remove_prefix(1);
      continue;
    }
    const std::size_t octets = utf8_sequence(text);
    if (octets == 0) return false;
    text.remove_prefix(octets);
  }
  return true;
}

bool is_ascii(std::string_view text) {
  // Eight octets at a time: this is asked of every body.
  constexpr std::uint64_t kHighBits = 0x8080808080808080;
  while (text.size() >= sizeof(std::uint64_t)) {
    std::uint64_t octets = 0;
    std::memcpy(&octets, text.data(), sizeof(octets));
    if ((octets & kHighBits) != 0) return false;
    text.remove_prefix(sizeof(octets));
  }
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) & 0x80) != 0) return false;
  }
  return true;
}

}  // namespace rockdove::base
