// Keyed digests, and chance for secrets, over BoringSSL. For passwords see password.h.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace rockdove::crypto {

using Digest = std::array<std::uint8_t, 32>;

// HMAC with SHA-256 (RFC 2104, RFC 6234).
[[nodiscard]] Digest hmac_sha256(std::span<const std::uint8_t> key, std::string_view message);

// From the system's generator; ends the process when there is none, because nothing that needs
// secrets could go on.
void fill_random(std::span<std::uint8_t> octets);

// Takes as long for any two texts of one length, so that the time says nothing about where they
// differ.
[[nodiscard]] bool equal_in_constant_time(std::string_view a, std::string_view b);

}  // namespace rockdove::crypto
