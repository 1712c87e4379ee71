// What speaks over a connection. A Protocol is told what happened and the time; it never touches a
// socket. The connection shows it all that arrived, then sends what it said, in one write a turn.
//
// Order of calls: connected() once; then receive(), output_sent(), deadline_reached(), turn() in
// any order; then peer_closed() at most once (the peer will send nothing more; what is written may
// still arrive, so a protocol that only waited for the peer says is_over() now); then, unless
// is_over() ended it first, lost() once. A connection that was never made hears lost() alone. After
// is_over() with nothing left to send, or after lost(), only the destructor follows. No call is
// made from within a call of the protocol's own to its Wire.
//
// TLS: a protocol that calls Wire::start_tls() within one of these calls has said its last clear
// word. Output it has then still goes in clear; after that the handshake runs, in which it hears
// nothing but deadline_reached() and turn() and should have no output, until tls_started(), or
// lost() with How::TlsFailed. What receive() was shown before is its own to forget (RFC 3207 §6).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mta/base/ip_address.h"
#include "mta/base/time.h"
#include "mta/net/tls.h"

namespace rockdove::net {

// Who is at the other end of a Unix socket, as the kernel says (SO_PEERCRED).
struct PeerCredentials {
  std::uint32_t user = 0;
  std::uint32_t group = 0;
  std::int32_t process = 0;
};

struct ConnectionInfo {
  base::SocketAddress local;  // 0.0.0.0:0, as is `peer`, on a Unix socket
  base::SocketAddress peer;
  std::optional<PeerCredentials> credentials = std::nullopt;  // of a Unix socket's peer
};

// Why a connection is gone.
struct Loss {
  enum class How : std::uint8_t {
    ConnectFailed,    // there never was one; `code` says why
    ConnectTimedOut,  // nobody answered the SYN within the time given
    Broken,           // reset, or a write failed
    TlsFailed,        // the handshake or a record of TLS was not good, or the connection ended
                      // within the handshake or 60 s passed; `detail` says what
    PeerClosed  // the peer ended it in order, and what the protocol still wrote had no reader;
                // or it wrote nothing and had no deadline for 5 minutes after peer_closed()
  };
  How how = How::Broken;
  int code = 0;          // errno where there is one, as ENETUNREACH
  std::string detail{};  // with TlsFailed: in plain words, "the certificate has expired"
};

// "connection refused", "timed out while connecting", "reset by the peer", …
[[nodiscard]] std::string describe(const Loss& loss);

// The connection, as its protocol may use it. Outlives the protocol; belongs to its loop's thread.
class Wire {
 public:
  virtual ~Wire() = default;
  // Asks for a turn() soon, within this turn of the loop or the next: an answer has come that was
  // not read from the peer.
  virtual void want_turn() = 0;

  // See above; once a connection. Only from within a call to the protocol. Within connected() it is
  // implicit TLS (RFC 8314 §3).
  virtual void start_tls(StartTls how) = 0;
};

class Protocol {
 public:
  virtual ~Protocol() = default;

  // `wire` stays valid for the protocol's lifetime.
  virtual void connected(Wire& wire, const ConnectionInfo& info, base::Now now) = 0;
  // Takes all of `bytes`; what it cannot use yet it keeps, within its limits.
  virtual void receive(std::string_view bytes, base::Now now) = 0;
  virtual void peer_closed(base::Now now) = 0;
  virtual void lost(const Loss& loss, base::Now now) = 0;
  virtual void deadline_reached(base::Now now) = 0;
  virtual void turn(base::Now now) = 0;

  // After Wire::start_tls(): from here on all goes through TLS.
  virtual void tls_started(const TlsInfo& info, base::Now now) {
    static_cast<void>(info);
    static_cast<void>(now);
  }

  // What is to be sent; valid until the next call that is not const. The connection takes it in one
  // go and says how much with output_sent(): always all of it, or less if it keeps enough unsent.
  [[nodiscard]] virtual std::string_view output() const = 0;
  virtual void output_sent(std::size_t octets, base::Now now) = 0;

  // kNever: waits for nothing. One that deadline_reached() leaves in the past rings again after 1
  // ms.
  [[nodiscard]] virtual base::Instant deadline() const = 0;
  // false: stop reading, and let TCP hold the peer back.
  [[nodiscard]] virtual bool wants_input() const = 0;
  // true: close once all output is sent. A peer that does not take it within 30 s is lost (Broken).
  [[nodiscard]] virtual bool is_over() const = 0;
};

}  // namespace rockdove::net
