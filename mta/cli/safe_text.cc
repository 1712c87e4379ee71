#include "mta/cli/safe_text.h"

#include "mta/base/utf8.h"

namespace rockdove::cli {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

bool is_obeyed(std::string_view sequence) {
  const auto octet = [sequence](std::size_t at) {
    return static_cast<unsigned char>(sequence[at]);
  };
  if (sequence.size() == 2) return octet(0) == 0xC2 && octet(1) < 0xA0;
  if (sequence.size() != 3 || octet(0) != 0xE2) return false;
  const bool is_embedding = octet(1) == 0x80 && octet(2) >= 0xAA && octet(2) <= 0xAE;
  return is_embedding || (octet(1) == 0x81 && octet(2) >= 0xA6 && octet(2) <= 0xA9);
}

}  // namespace

std::string safe_text(std::string_view text) {
  std::string safe;
  safe.reserve(text.size());
  while (!text.empty()) {
    const auto octet = static_cast<unsigned char>(text.front());
    if (octet < 128) {
      safe += (octet < 32 && octet != '\t') || octet == 127 ? '?' : text.front();
      text.remove_prefix(1);
      continue;
    }
    const std::size_t octets = base::utf8_sequence(text);
    if (octets == 0) {
      safe += kReplacement;
      text.remove_prefix(1);
      continue;
    }
    if (is_obeyed(text.substr(0, octets))) {
      safe += '?';
    } else {
      safe += text.substr(0, octets);
    }
    text.remove_prefix(octets);
  }
  return safe;
}

}  // namespace rockdove::cli
