// Digests with and without a key, and chance for secrets, over BoringSSL. For passwords see
// password.h.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace rockdove::crypto {

using Digest = std::array<std::uint8_t, 32>;

// HMAC with SHA-256 (RFC 2104, RFC 6234).
[[nodiscard]] Digest hmac_sha256(std::span<const std::uint8_t> key, std::string_view message);

// SHA-256 (RFC 6234) of octets that come piece by piece. A copy goes on from where the original
// was.
class Sha256 {
 public:
  Sha256();

  void add(std::string_view octets);
  // Of all that was added so far; more may be added behind it.
  [[nodiscard]] Digest finish() const;

 private:
  // BoringSSL's state, which has no pointers in it.
  alignas(8) std::array<std::byte, 112> state_;
};

[[nodiscard]] Digest sha256(std::string_view octets);

// The digest's octets as text; valid as long as it.
[[nodiscard]] inline std::string_view as_text(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

// In hexadecimal digits, lower case.
[[nodiscard]] std::string format_digest(const Digest& digest);

// From the system's generator; ends the process when there is none, because nothing that needs
// secrets could go on.
void fill_random(std::span<std::uint8_t> octets);

// Takes as long for any two texts of one length, so that the time says nothing about where they
// differ.
[[nodiscard]] bool equal_in_constant_time(std::string_view a, std::string_view b);

}  // namespace rockdove::crypto
