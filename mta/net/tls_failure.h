// Why a handshake or a record of TLS was not good, in words for the log of somebody who never read
// RFC 8446: what the peer offers, what it did not like, what it sent instead.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mta/net/tls.h"

namespace rockdove::net {

// What a ClientHello offers.
struct TlsOffer {
  std::uint16_t version = 0;           // the highest, as on the wire; 0: there was no ClientHello
  std::vector<std::uint16_t> ciphers;  // as on the wire, at most 100
};

struct TlsTrouble {
  bool we_are_server = false;
  bool was_open = false;    // the handshake had been done before
  std::uint32_t error = 0;  // BoringSSL's; 0: unknown
  TlsVersion least = TlsVersion::V1_2;
  int clear_alert = 0;            // that came in clear, after this side had begun to encrypt
  TlsOffer offer;                 // of the peer, if we are the server
  std::string_view first_octets;  // that the peer sent, at most 64
};

[[nodiscard]] std::string describe_tls_trouble(const TlsTrouble& trouble);

}  // namespace rockdove::net
