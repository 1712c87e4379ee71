// The connection of `rockdove send`: hands over one message, then says QUIT. TLS and login are as
// for a next hop of the relay (outbound/tls_policy.h), but what goes wrong with TLS is told, and
// never tried again in clear.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mta/base/unique_function.h"
#include "mta/net/protocol.h"
#include "mta/outbound/tls_policy.h"
#include "mta/smtp/client_session.h"

namespace rockdove::cli {

struct SendJob {
  smtp::ClientOptions options;
  outbound::Manner manner;
  smtp::OutgoingMessage envelope;
  std::string content;          // with CRLF line ends
  bool shows_dialogue = false;  // on standard error
};

struct SendOutcome {
  bool connected = false;
  bool ended = false;                          // the transaction came to its end
  std::vector<smtp::RecipientResult> results;  // one a recipient, when there was a transaction
  std::string failure;                         // what else went wrong; "": nothing
  std::optional<smtp::Reply> reply{};          // that ended the session before its transaction
  std::string tls;                             // as net::describe(TlsInfo); "": none
};

class SendSession : public net::Protocol {
 public:
  // Job and outcome outlive it; `done` is called once, when the outcome is known and the session is
  // over.
  SendSession(const SendJob& job, const outbound::HostAddress& host, SendOutcome& outcome,
              base::UniqueFunction<void()> done)
      : job_(job),
        plan_(outbound::plan_connection(job.manner, host, outbound::InClear::No)),
        outcome_(outcome),
        done_(std::move(done)) {}

  void connected(net::Wire& wire, const net::ConnectionInfo& info, base::Now now) override;
  void receive(std::string_view bytes, base::Now now) override;
  void peer_closed(base::Now now) override;
  void lost(const net::Loss& loss, base::Now now) override;
  void deadline_reached(base::Now now) override;

  void turn(base::Now now) override {
    if (session_) pump(now);
  }

  void tls_started(const net::TlsInfo& info, base::Now now) override;

  [[nodiscard]] std::string_view output() const override;
  void output_sent(std::size_t octets, base::Now now) override;
  [[nodiscard]] base::Instant deadline() const override;
  [[nodiscard]] bool wants_input() const override;
  [[nodiscard]] bool is_over() const override;

 private:
  void pump(base::Now now);
  void on(const smtp::TransactionEnded& ended, base::Now now);
  void on(const smtp::SessionFailed& failed);
  void finish();
  void start_tls(base::Now now);
  [[nodiscard]] outbound::TlsState tls_state() const;
  void show(char who, std::string_view text, std::string& line) const;
  // For the dialogue: these octets of output() are being sent.
  void show_sent(std::string_view octets);
  // A line of AUTH, of which only the mechanism is shown.
  void show_secret(std::string_view octets);

  // Where content stands in all that is sent in this session.
  struct Span {
    enum class Ends : std::uint8_t { Silently, WithDot };
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    Ends ends = Ends::Silently;
  };

  const SendJob& job_;
  const outbound::ConnectionPlan plan_;
  SendOutcome& outcome_;
  base::UniqueFunction<void()> done_;
  net::Wire* wire_ = nullptr;
  std::optional<smtp::ClientSession> session_;  // with smtps://: once the handshake is done
  bool handshake_began_ = false;
  base::Instant handshake_until_ = base::kNever;
  std::optional<net::Loss> loss_;
  std::size_t content_given_ = 0;
  std::uint64_t sent_ = 0;    // octets
  std::deque<Span> content_;  // not sent whole yet; kept where the dialogue is shown
  bool content_shown_ = false;
  std::string client_line_;  // shown when it is whole
  std::string server_line_;
  bool finished_ = false;
};

}  // namespace rockdove::cli
