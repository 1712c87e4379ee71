// One connection that asks one server about one recipient: EHLO, TLS and AUTH as deliveries there
// would have them, MAIL FROM:<>, RCPT TO, QUIT, never DATA. For the verifier (outbound/verifier.h),
// which it tells what came of it, once.
//
// It belongs to the network and outlives its question, to say QUIT.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "mta/net/protocol.h"
#include "mta/outbound/tls_policy.h"
#include "mta/smtp/client_session.h"

namespace rockdove::outbound {

// What came of asking one server.
struct AskedServer {
  enum class How : std::uint8_t {
    Answered,      // `reply` is its answer to MAIL or RCPT, as `stage` says
    NoRoute,       // this machine cannot reach addresses of this family
    NotConnected,  // `detail` says why
    TlsFailed,     // `detail` says how: a tls_failure_text()
    Failed,        // it was reached, but ended the conversation before an answer: `detail`
  };
  How how = How::Failed;
  smtp::Stage stage = smtp::Stage::Connect;
  smtp::Reply reply;
  std::string detail;
};

class RecipientConversation final : public net::Protocol {
 public:
  class Asker {
   public:
    virtual ~Asker() = default;
    // At most once.
    virtual void asked(std::uint64_t question, AskedServer result, base::Now now) = 0;
    // Its connection is closed. The last call.
    virtual void ended(RecipientConversation& conversation) = 0;
  };

  // `asker` and `options` stay until ended() or let_go().
  RecipientConversation(Asker& asker, std::uint64_t question, std::string address,
                        const smtp::ClientOptions& options, ConnectionPlan plan);
  ~RecipientConversation() override;

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

  // Nobody wants its result any more: the connection ends at once.
  void drop(base::Now now);
  // The same, and the asker is not called again.
  void let_go(base::Now now);

 private:
  void pump(base::Now now);
  void start_tls();
  void handshake_failed(smtp::FailKind kind, base::Now now);
  [[nodiscard]] TlsState tls_state() const;
  void tell(AskedServer result, base::Now now);

  Asker* asker_;  // null: has let go
  const std::uint64_t question_;
  const std::string address_;
  const smtp::ClientOptions& options_;
  const ConnectionPlan plan_;
  bool handshake_began_ = false;
  bool is_inside_ = false;  // TLS
  std::optional<net::Loss> loss_;
  base::Instant handshake_until_ = base::kNever;  // of an implicit one
  bool told_ = false;                             // or nobody wants to know any more
  net::Wire* wire_ = nullptr;
  std::optional<smtp::ClientSession> smtp_;
  bool dropped_ = false;
};

}  // namespace rockdove::outbound
