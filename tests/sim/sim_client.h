// Clients of the simulated world: each makes one connection to the relay, hands in its messages one
// after the other, and notes what it was told about each.
#pragma once

#include <deque>
#include <memory>
#include <optional>

#include "mta/net/protocol.h"
#include "mta/smtp/client_session.h"
#include "tests/sim/truth.h"

namespace rockdove::sim {

class SimClient final : public net::Protocol {
 public:
  // `options` and the submissions outlive it.
  SimClient(Truth& truth, const smtp::ClientOptions& options, std::deque<Submission*> messages)
      : truth_(truth), options_(options), messages_(std::move(messages)) {}

  void connected(net::Wire& wire, const net::ConnectionInfo& info, base::Now now) override;
  void receive(std::string_view octets, base::Now now) override;
  void peer_closed(base::Now now) override;
  void lost(const net::Loss& loss, base::Now now) override;
  void deadline_reached(base::Now now) override;
  void turn(base::Now now) override;
  [[nodiscard]] std::string_view output() const override;
  void output_sent(std::size_t octets, base::Now now) override;
  [[nodiscard]] base::Instant deadline() const override;
  [[nodiscard]] bool wants_input() const override;
  [[nodiscard]] bool is_over() const override;

 private:
  void pump(base::Now now);
  void next_message(base::Now now);
  void note(const std::vector<smtp::RecipientResult>& results, bool past_final_dot);

  Truth& truth_;
  const smtp::ClientOptions& options_;
  std::deque<Submission*> messages_;
  Submission* current_ = nullptr;
  std::optional<smtp::ClientSession> session_;
  bool lost_ = false;
};

}  // namespace rockdove::sim
