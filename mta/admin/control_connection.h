// A connection to the control socket: HTTP in and out, requests to the ControlServer.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "mta/admin/exchange.h"
#include "mta/base/loop.h"
#include "mta/http/server_conversation.h"
#include "mta/net/protocol.h"

namespace rockdove::admin {

class ControlServer;

class ControlConnection : public net::Protocol {
 public:
  ControlConnection(ControlServer& server, Reach reach) : server_(server), reach_(reach) {}

  ~ControlConnection() override;

  void connected(net::Wire& wire, const net::ConnectionInfo& info, base::Now now) override;
  void receive(std::string_view bytes, base::Now now) override;
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
  friend class Exchange;

  void take_requests(base::Now now);
  void forget_exchange();
  [[nodiscard]] base::Now now() const;
  void want_turn();

  ControlServer& server_;
  const Reach reach_;
  net::Wire* wire_ = nullptr;
  std::optional<net::PeerCredentials> peer_;
  std::optional<http::ServerConversation> conversation_;
  std::shared_ptr<Exchange> exchange_;  // the one being answered
};

}  // namespace rockdove::admin
