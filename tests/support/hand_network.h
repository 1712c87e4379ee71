// A network whose other end is the test: each connect() waits until the test says what becomes of
// it, and what arrives on a connection is what the test says. A protocol that is over is destroyed,
// as by the real one.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mta/base/assert.h"
#include "mta/base/loop.h"
#include "mta/net/network.h"

namespace rockdove::tests {

class HandConnection final : public net::Wire {
 public:
  HandConnection(base::Loop& loop, net::ConnectRequest wanted,
                 std::unique_ptr<net::Protocol> protocol)
      : loop_(loop), request_(std::move(wanted)), protocol_(std::move(protocol)) {}

  [[nodiscard]] const net::ConnectRequest& request() const { return request_; }

  // The protocol is gone, and with it the connection.
  [[nodiscard]] bool is_gone() const { return protocol_ == nullptr; }

  // What it has said since this was asked last.
  std::string take_said() { return std::exchange(said_, {}); }

  [[nodiscard]] base::Instant deadline() const {
    return protocol_ == nullptr ? base::kNever : protocol_->deadline();
  }

  [[nodiscard]] bool wants_input() const {
    return protocol_ != nullptr && protocol_->wants_input();
  }

  void accept(const net::ConnectionInfo& info) {
    protocol_->connected(*this, info, loop_.now());
    settle();
  }

  void accept() { accept({{}, request_.to}); }

  void lose(const net::Loss& loss) {
    protocol_->lost(loss, loop_.now());
    protocol_.reset();
  }

  // Told the loss, but not destroyed yet: end() does that.
  void lose_slowly(const net::Loss& loss) { protocol_->lost(loss, loop_.now()); }

  void end() { protocol_.reset(); }

  void say(std::string_view bytes) {
    if (is_gone()) return;
    protocol_->receive(bytes, loop_.now());
    settle();
  }

  void close() {
    protocol_->peer_closed(loop_.now());
    settle();
  }

  void ring() {
    protocol_->deadline_reached(loop_.now());
    settle();
  }

  // The protocol has asked for TLS, and its clear words are said: it hears nothing until
  // begin_tls() or lose().
  [[nodiscard]] const std::optional<net::StartTls>& tls_wanted() const { return tls_wanted_; }

  // The handshake is done.
  void begin_tls(const net::TlsInfo& info) {
    tls_wanted_.reset();
    is_tls_ = true;
    protocol_->tls_started(info, loop_.now());
    settle();
  }

  [[nodiscard]] bool is_tls() const { return is_tls_; }

  // Turns that the protocol asked for, and deadlines.
  void settle() {
    while (protocol_ != nullptr) {
      if (!protocol_->output().empty()) {
        const std::string out(protocol_->output());
        said_ += out;
        protocol_->output_sent(out.size(), loop_.now());
        continue;
      }
      if (protocol_->is_over()) {
        protocol_.reset();
      } else if (std::exchange(turn_wanted_, false)) {
        protocol_->turn(loop_.now());
      } else {
        return;
      }
    }
  }

  void want_turn() override { turn_wanted_ = true; }

  void start_tls(net::StartTls how) override {
    MTA_ASSERT(!tls_wanted_ && !is_tls_);
    tls_wanted_ = std::move(how);
  }

 private:
  base::Loop& loop_;
  const net::ConnectRequest request_;
  std::string said_;
  bool turn_wanted_ = false;
  std::optional<net::StartTls> tls_wanted_;
  bool is_tls_ = false;
  std::unique_ptr<net::Protocol> protocol_;  // dies first: it may still use its wire
};

class HandNetwork final : public net::Network {
 public:
  explicit HandNetwork(base::Loop& loop) : loop_(loop) {}

  void connect(const net::ConnectRequest& request,
               std::unique_ptr<net::Protocol> protocol) override {
    connections_.push_back(std::make_unique<HandConnection>(loop_, request, std::move(protocol)));
  }

  // How many were asked for so far.
  [[nodiscard]] std::size_t count() const { return connections_.size(); }

  [[nodiscard]] HandConnection& operator[](std::size_t index) { return *connections_.at(index); }

  [[nodiscard]] HandConnection& last() { return *connections_.back(); }

  void settle() {
    for (const auto& connection : connections_) connection->settle();
  }

 private:
  base::Loop& loop_;
  std::vector<std::unique_ptr<HandConnection>> connections_;
};

}  // namespace rockdove::tests
