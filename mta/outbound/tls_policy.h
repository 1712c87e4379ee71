// How one connection to a next hop is to be made: in clear or with TLS, with or without a password
// (settings.h, RFC 3207, RFC 8314), and what a failure of TLS is called. Shared by the sessions
// that deliver and those that ask about recipients.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "mta/net/protocol.h"
#include "mta/outbound/site.h"
#include "mta/smtp/client_session.h"

namespace rockdove::outbound {

struct ConnectionPlan {
  TlsLevel level = TlsLevel::Off;  // at this host
  bool implicit = false;           // the handshake comes before the first word
  smtp::ClientTerms terms;
  // Set unless TLS is not to be begun: for the handshake, whenever it comes.
  std::optional<net::StartTlsAsClient> tls;
};

enum class InClear : std::uint8_t {
  No,
  Yes,  // TLS is known not to work there; only with May
};

[[nodiscard]] ConnectionPlan plan_connection(const Manner& manner, const HostAddress& host,
                                             InClear in_clear);

// TLS is asked for, and this process has no TLS to offer.
[[nodiscard]] bool cannot_begin_tls(const ConnectionPlan& plan);

// What a connection knew of its TLS when it failed.
struct TlsState {
  bool was_tried = false;         // STARTTLS was taken, or it is implicit: a handshake began
  bool is_inside = false;         // the handshake was done
  bool peer_offers_tls = false;   // STARTTLS stood in its EHLO
  std::optional<net::Loss> loss;  // if it was lost
};

// Whether it was TLS that failed, so that a session in clear may still work.
[[nodiscard]] bool is_tls_failure(const smtp::SessionFailed& failed, const TlsState& state,
                                  const ConnectionPlan& plan);

// "offers no STARTTLS", "refused STARTTLS (454 4.7.0 not now)", "TLS failed: …": goes on behind the
// host's name.
[[nodiscard]] std::string tls_failure_text(const smtp::SessionFailed& failed,
                                           const TlsState& state);

// 451 of our own for TLS that must be and cannot be. `what` is a tls_failure_text().
[[nodiscard]] smtp::Reply tls_required_reply(std::string_view host, std::string_view what,
                                             const Manner& manner, const ConnectionPlan& plan,
                                             const TlsState& state);

}  // namespace rockdove::outbound
