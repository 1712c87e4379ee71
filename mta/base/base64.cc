#include "mta/base/base64.h"

#include <array>
#include <cstdint>

namespace rockdove::base {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t kForeign = 255;

constexpr std::array<std::uint8_t, 256> make_values() {
  std::array<std::uint8_t, 256> values{};
  values.fill(kForeign);
  for (std::size_t i = 0; i < kAlphabet.size(); ++i)
    values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::uint8_t>(i);
  return values;
}

constexpr std::array<std::uint8_t, 256> kValues = make_values();

std::uint32_t octet_at(std::string_view octets, std::size_t at) {
  return static_cast<unsigned char>(octets[at]);
}

}  // namespace

void append_base64(std::string& out, std::string_view octets) {
  const std::size_t start = out.size();
  out.resize(start + (octets.size() + 2) / 3 * 4, '=');
  char* to = out.data() + start;
  std::size_t at = 0;
  for (; octets.size() - at >= 3; at += 3) {
    const std::uint32_t group =
        octet_at(octets, at) << 16 | octet_at(octets, at + 1) << 8 | octet_at(octets, at + 2);
    *to++ = kAlphabet[group >> 18];
    *to++ = kAlphabet[group >> 12 & 63];
    *to++ = kAlphabet[group >> 6 & 63];
    *to++ = kAlphabet[group & 63];
  }
  const std::size_t left = octets.size() - at;
  if (left == 0) return;
  std::uint32_t group = octet_at(octets, at) << 16;
  if (left == 2) group |= octet_at(octets, at + 1) << 8;
  *to++ = kAlphabet[group >> 18];
  *to++ = kAlphabet[group >> 12 & 63];
  if (left == 2) *to = kAlphabet[group >> 6 & 63];
}

std::string encode_base64(std::string_view octets) {
  std::string text;
  append_base64(text, octets);
  return text;
}

std::optional<std::string> decode_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && text.ends_with('=')) {
    text.remove_suffix(1);
    ++padding;
  }
  std::string octets;
  octets.reserve(text.size() / 4 * 3 + 3);
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (const char c : text) {
    const std::uint8_t value = kValues[static_cast<unsigned char>(c)];
    if (value == kForeign) return std::nullopt;
    bits = bits << 6 | value;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    octets += static_cast<char>(bits >> count & 255);
  }
  // RFC 4648 §3.5: the bits that are left over are zero.
  if ((bits & ((1U << count) - 1)) != 0) return std::nullopt;
  return octets;
}

}  // namespace rockdove::base
