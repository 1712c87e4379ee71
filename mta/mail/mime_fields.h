// The two header fields of MIME that say what an entity's content is (RFC 2045 §5 and §6), read
// leniently: comments are skipped, parameters that make no sense are passed over, and boundaries
// may stand without the quotes that they need.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace rockdove::mail {

inline constexpr std::size_t kBoundaryOctetsMax = 200;  // RFC 2046 §5.1.1 says 70

struct ContentType {
  std::string type;      // "multipart/mixed", in lower case; "" if it could not be read
  std::string boundary;  // of its first such parameter; "" without one, or if it is too long
};

[[nodiscard]] ContentType parse_content_type(std::string_view value);

enum class TransferEncoding : std::uint8_t {
  SevenBit,
  EightBit,
  Binary,
  Encoded,  // quoted-printable, base64, or a word that nobody knows
};

[[nodiscard]] TransferEncoding parse_transfer_encoding(std::string_view value);

}  // namespace rockdove::mail
