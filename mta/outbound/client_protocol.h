// Carries one ClientSession over one connection, for a Session of outbound/session.h, and begins
// TLS when its plan says so: before the first word, or when STARTTLS was taken. It belongs to the
// network; a session that gives it up detaches it, and it ends by itself, with QUIT where that was
// asked for.
#pragma once

#include <optional>
#include <string>

#include "mta/net/protocol.h"
#include "mta/outbound/session.h"
#include "mta/outbound/tls_policy.h"
#include "mta/smtp/client_session.h"

namespace rockdove::outbound {

class ClientProtocol final : public net::Protocol {
 public:
  // `options` is not null.
  ClientProtocol(Session& session, std::shared_ptr<const smtp::ClientOptions> options,
                 ConnectionPlan plan)
      : session_(&session), options_(std::move(options)), plan_(std::move(plan)) {}

  ~ClientProtocol() override;

  void connected(net::Wire& wire, const net::ConnectionInfo& info, base::Now now) override;
  void receive(std::string_view bytes, base::Now now) override;
  void peer_closed(base::Now now) override;
  void lost(const net::Loss& loss, base::Now now) override;
  void deadline_reached(base::Now now) override;
  void turn(base::Now now) override;
  void tls_started(const net::TlsInfo& info, base::Now now) override;
  [[nodiscard]] std::string_view output() const override;
  void output_sent(std::size_t octets, base::Now now) override;
  [[nodiscard]] base::Instant deadline() const override;
  [[nodiscard]] bool wants_input() const override;
  [[nodiscard]] bool is_over() const override;

  // The session's hand. Only while connected.
  [[nodiscard]] smtp::ClientSession& smtp() { return *smtp_; }

  [[nodiscard]] bool is_connected() const { return smtp_.has_value(); }

  void want_turn();

  // STARTTLS was taken. From within a call of the session's pump() only.
  void start_tls();

  // What it knows of its TLS.
  [[nodiscard]] TlsState tls_state() const;

  // As net::describe(TlsInfo); "" in clear.
  [[nodiscard]] const std::string& tls() const { return tls_; }

  // Then Session::took_too_long() is called, whatever else goes on.
  void set_limit(base::Instant until) { limit_until_ = until; }

  void set_idle_until(base::Instant until) { idle_until_ = until; }

  // The session lets go; what is still to be said (QUIT) is said.
  void detach() { session_ = nullptr; }

  // The session lets go, and the connection ends at once.
  void drop(base::Now now);

 private:
  void after_change(base::Now now);

  Session* session_;  // null: detached
  const std::shared_ptr<const smtp::ClientOptions> options_;
  net::Wire* wire_ = nullptr;
  const ConnectionPlan plan_;
  std::optional<smtp::ClientSession> smtp_;  // none: not connected, or in an implicit handshake
  std::string tls_;
  bool handshake_began_ = false;
  std::optional<net::Loss> loss_;
  base::Instant idle_until_ = base::kNever;
  base::Instant limit_until_ = base::kNever;
  bool dropped_ = false;
};

}  // namespace rockdove::outbound
