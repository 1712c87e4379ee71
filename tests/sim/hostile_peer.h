// Peers of the simulated world that mean no good, as servers and as clients: each plays along up to
// one stage, and there says what it wants, as fast or as slowly as it wants, for as long as it is
// let. They never take mail.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/internet.h"

namespace rockdove::sim {

struct Attack {
  enum class End : std::uint8_t { Stay, Close, Reset };

  std::string name;
  std::size_t stage = 0;     // good lines before it
  std::string says;          // in the place of a good line; "": the good line
  std::string forever;       // behind it, again and again
  std::size_t piece = 4096;  // octets said at once
  base::Duration pause{0};   // between two pieces
  bool is_deaf = false;      // reads nothing from here on
  End end = End::Stay;       // what it does when all is said
};

// As a server: its lines answer the connection, EHLO, MAIL, RCPT, DATA and the content.
inline constexpr std::size_t kServerStages = 6;
// As a client: EHLO, MAIL, RCPT, DATA and the content, all behind the greeting.
inline constexpr std::size_t kClientStages = 5;

class HostilePeer final : public net::Protocol {
 public:
  enum class Role : std::uint8_t { Server, Client };

  // `attack` and `internet` outlive it.
  HostilePeer(Internet& internet, const Attack& attack, Role role)
      : internet_(internet), attack_(attack), role_(role) {}

  void connected(net::Wire& wire, const net::ConnectionInfo& info, base::Now now) override;
  void receive(std::string_view octets, base::Now now) override;
  void peer_closed(base::Now now) override;
  void lost(const net::Loss& loss, base::Now now) override;
  void deadline_reached(base::Now now) override;
  void turn(base::Now now) override;

  [[nodiscard]] std::string_view output() const override {
    return std::string_view(out_).substr(sent_);
  }

  void output_sent(std::size_t octets, base::Now now) override;

  [[nodiscard]] base::Instant deadline() const override { return next_piece_; }

  [[nodiscard]] bool wants_input() const override { return !(is_attacking_ && attack_.is_deaf); }

  [[nodiscard]] bool is_over() const override { return is_over_; }

 private:
  void say_next_line(base::Now now);
  void say_piece(base::Now now);
  [[nodiscard]] bool has_ended_line(std::string_view octets);

  Internet& internet_;
  const Attack& attack_;
  const Role role_;
  ConnectionId connection_ = 0;
  std::size_t line_ = 0;
  std::string tail_;    // of what was read
  std::string to_say_;  // of the attack
  std::string out_;
  std::size_t sent_ = 0;  // octets of out_, of which megabytes may wait for a peer that is slow
  base::Instant next_piece_ = base::kNever;
  bool is_attacking_ = false;
  bool is_over_ = false;
};

// Every kind of attack at every stage, for this role.
[[nodiscard]] std::vector<Attack> all_attacks(HostilePeer::Role role);

}  // namespace rockdove::sim
