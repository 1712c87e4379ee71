// TLS as its users see it (RFC 8446, RFC 5246): who may be spoken to, and what came of it. The work
// is BoringSSL's, memory in and memory out, between a Connection's socket and its Protocol; nothing
// here names it.
//
// Contexts are made once, are immutable, and are shared by all loops; connections that began with
// one keep it alive, so that a reload replaces contexts without dropping anybody.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "mta/base/result.h"
#include "mta/base/time.h"

namespace rockdove::net {

// In rising order.
enum class TlsVersion : std::uint8_t { V1_0, V1_1, V1_2, V1_3 };

// "TLSv1.2", as logs, history and Received fields write it.
[[nodiscard]] std::string_view tls_version_name(TlsVersion version);

// A connection's TLS, once the handshake is done.
struct TlsInfo {
  TlsVersion version = TlsVersion::V1_2;
  std::string cipher;       // "ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_AES_128_GCM_SHA256"
  bool resumed = false;     // by a ticket: there was no new key exchange by certificate
  bool verified = false;    // we are the client, and name and chain of the server are good
  std::string server_name;  // as the client asked for it (SNI, RFC 6066 §3); may be empty
};

// "TLSv1.3 TLS_AES_128_GCM_SHA256", for logs and history.
[[nodiscard]] std::string describe(const TlsInfo& info);

// A certificate with its chain, and its key, as PEM text.
struct PemIdentity {
  std::string certificate;  // the server's own first, then those above it
  std::string key;          // without a passphrase
  std::string source;       // where it came from, for errors: a path
};

struct CertificateFacts {
  std::vector<std::string> names;  // of the subject, as in its DNS and IP alternative names
  std::string key;                 // "RSA-2048", "P-256", …
  base::WallTime not_before;
  base::WallTime not_after;
  bool is_self_signed = false;
};

// Of the first certificate in the text. Errors say what is wrong with it.
[[nodiscard]] base::Result<CertificateFacts> certificate_facts(std::string_view pem);

enum class KeyKind : std::uint8_t { Rsa2048, P256 };

// A new key with a certificate that it has signed itself, for `host_name`, valid from an hour
// before `now` for `valid_for`.
[[nodiscard]] base::Result<PemIdentity> make_self_signed(std::string_view host_name, KeyKind kind,
                                                         base::WallTime now,
                                                         base::Duration valid_for);

class TlsServerContext {
 public:
  virtual ~TlsServerContext() = default;
};

// Of identities for the same name the client's abilities choose (P-256 before RSA), among names its
// SNI; who names none of them gets the first. Errors: no identity, PEM that cannot be read, a key
// that does not belong to its certificate; each names the source. Session tickets are valid over
// all loops and over contexts of one process (so a reload keeps them).
[[nodiscard]] base::Result<std::shared_ptr<const TlsServerContext>> make_tls_server_context(
    const std::vector<PemIdentity>& identities);

class TlsClientContext {
 public:
  virtual ~TlsClientContext() = default;
};

struct TlsClientSettings {
  std::string ca_file;  // PEM; empty: the system's certificates (/etc/ssl/certs)
};

// Keeps sessions to resume, bounded, by host, port and what was verified.
[[nodiscard]] base::Result<std::shared_ptr<const TlsClientContext>> make_tls_client_context(
    const TlsClientSettings& settings);

struct StartTlsAsServer {
  std::shared_ptr<const TlsServerContext> context;
  TlsVersion least = TlsVersion::V1_2;
  // Of the handshake, what the protocol was shown already: it stood behind a PROXY header.
  std::string received{};
};

enum class TlsVerify : std::uint8_t {
  Nothing,      // any certificate will do: still safe from those who only listen
  NameAndChain  // RFC 9525: a chain to a known authority, and the name of `host`
};

struct StartTlsAsClient {
  std::shared_ptr<const TlsClientContext> context;
  std::string host;         // sent as SNI if it is a name; what NameAndChain compares
  std::uint16_t port = 25;  // with host, the key of sessions to resume
  TlsVerify verify = TlsVerify::Nothing;
  TlsVersion least = TlsVersion::V1_2;
};

using StartTls = std::variant<StartTlsAsServer, StartTlsAsClient>;

}  // namespace rockdove::net
