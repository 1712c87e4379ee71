// Digests with and without a key, and chance for secrets, over BoringSSL. For passwords see
// password.h.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace rockdove::crypto {

using Digest = std::array<std::uint8_t, 32>;

// HMAC with SHA-256 (RFC 2104, RFC 6234).
[[nodiscard]] Digest hmac_sha256(std::span<const std::uint8_t> key, std::string_view message);

// SHA-256 (RFC 6234) of octets that come piece by piece.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void add(std::string_view octets);
  // Of all that was added; nothing may be added behind it.
  [[nodiscard]] Digest finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// In hexadecimal digits, lower case.
[[nodiscard]] std::string format_digest(const Digest& digest);

// From the system's generator; ends the process when there is none, because nothing that needs
// secrets could go on.
void fill_random(std::span<std::uint8_t> octets);

// Takes as long for any two texts of one length, so that the time says nothing about where they
// differ.
[[nodiscard]] bool equal_in_constant_time(std::string_view a, std::string_view b);

}  // namespace rockdove::crypto
