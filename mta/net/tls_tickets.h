// The keys of session tickets (RFC 5077 §4, RFC 8446 §4.6.1): one set for all loops and contexts of
// the process, so that a client resumes its session wherever it comes back to, also after a reload.
// They live in memory only; tickets of another run are simply not known.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>

#include "mta/base/time.h"

namespace rockdove::net {

// Any thread.
class TlsTicketKeys {
 public:
  // A key seals for so long, and opens for as long again.
  static constexpr std::chrono::hours kLife{12};
  static constexpr std::size_t kOverheadMax = 64;

  // The one that all server contexts use.
  static TlsTicketKeys& of_process();

  // Writes the ticket to `out`, which has kOverheadMax octets more than `session`. The octets
  // written; none on an error.
  [[nodiscard]] std::optional<std::size_t> seal(std::span<const std::uint8_t> session,
                                                std::span<std::uint8_t> out, base::Instant now);
  // The session to `out`; none if the ticket is not of these keys.
  [[nodiscard]] std::optional<std::size_t> open(std::span<const std::uint8_t> ticket,
                                                std::span<std::uint8_t> out, base::Instant now);

 private:
  static constexpr std::size_t kNameOctets = 16;
  static constexpr std::size_t kNonceOctets = 24;

  struct Key {
    std::array<std::uint8_t, kNameOctets> name{};
    std::array<std::uint8_t, 32> secret{};
    base::Instant since{};
  };

  // Makes a new key when the last one's time is over.
  [[nodiscard]] Key current(base::Instant now);
  [[nodiscard]] std::optional<Key> named(std::span<const std::uint8_t> name, base::Instant now);

  std::mutex mutex_;
  std::optional<Key> last_;      // under mutex_
  std::optional<Key> previous_;  // under mutex_
};

}  // namespace rockdove::net
