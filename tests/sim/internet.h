// The network of the simulated world: connections between net::Protocol objects that delay, split,
// hold back and cut what is said. It keeps the contract of mta/net/protocol.h as net::Connection
// does: the order of calls, output_sent(), deadlines, half closes, and the words of a lost
// connection. TLS has no octets here: once both ends want it, a round trip later it has begun; one
// that meets clear text instead, or waits in vain, fails as the real one does.
//
// A connection has two ends: 0 made it, 1 took it. What end 0 says travels in pipe 0.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "mta/base/random.h"
#include "mta/net/network.h"
#include "tests/sim/sim_loop.h"

namespace rockdove::sim {

using ConnectionId = std::uint64_t;

// What goes wrong with a connection, once.
struct Fault {
  enum class Kind : std::uint8_t {
    None,
    ResetAfter,      // once `octets` have passed in the pipe `pipe`
    SilenceAfter,    // likewise: from then on nothing passes, and nobody is told
    BeforeFinalDot,  // the content but for its last octet arrives, then it is reset
    AfterFinalDot,   // the final dot arrives; the reply does not
  };
  Kind kind = Kind::None;
  unsigned pipe = 0;
  std::uint64_t octets = 0;
};

enum class Reach : std::uint8_t { Open, Refused, TimesOut, NoRoute };

class Internet {
 public:
  using Accept = std::function<std::unique_ptr<net::Protocol>(const net::ConnectionInfo&)>;

  // A place that takes connections for an address; several loops may share one.
  struct Door {
    SimLoop* loop;
    Accept accept;
  };

  // Both outlive it.
  Internet(Agenda& agenda, base::Random& random);
  ~Internet();
  Internet(const Internet&) = delete;
  Internet& operator=(const Internet&) = delete;

  void listen(const base::SocketAddress& address, std::vector<Door> doors);

  void close(const base::SocketAddress& address) { doors_.erase(address); }

  // How a host is reached; Open unless told.
  void set_reach(const base::IpAddress& host, Reach reach) { reach_[host] = reach; }

  [[nodiscard]] Reach reach(const base::IpAddress& host) const;

  // Asked for each new connection.
  void on_fault(std::function<Fault(const base::SocketAddress& to)> chooser) {
    choose_fault_ = std::move(chooser);
  }

  void set_latency_max(base::Duration latency) { latency_max_ = latency; }

  void connect(SimLoop& loop, const base::IpAddress& from, const net::ConnectRequest& request,
               std::unique_ptr<net::Protocol> protocol);

  // The loop's process is gone. Its ends are destroyed in two steps, because what it made may
  // refer to its connections: those that it took, those that it made. Their peers are told.
  enum class Which : std::uint8_t { Taken, Made };
  void vanish(const SimLoop& loop, Which which);

  // Ends that are not closed yet, at this loop.
  [[nodiscard]] std::size_t ends_at(const SimLoop& loop) const;

  [[nodiscard]] std::size_t connections() const { return connections_.size(); }

  // Octets of this pipe that were shown to the protocol at its end; also of connections long gone.
  [[nodiscard]] std::uint64_t delivered(ConnectionId id, unsigned pipe) const;
  // Whether end 0, which made it, has not closed yet.
  [[nodiscard]] bool is_open(ConnectionId id) const;

  // Whether an end of it was at a process that is gone.
  [[nodiscard]] bool is_orphaned(ConnectionId id) const { return orphaned_.contains(id); }

  // Breaks it in this turn, as by a peer that dies.
  void cut(ConnectionId id);

  // The connection to whose protocol a call is being made.
  [[nodiscard]] ConnectionId current() const { return current_; }

  [[nodiscard]] std::uint64_t connects_to(const base::IpAddress& host) const;

 private:
  struct End;
  struct Pipe;
  struct Connection;

  [[nodiscard]] Connection* find(ConnectionId id);
  [[nodiscard]] base::Duration latency();
  void later(ConnectionId id, unsigned end, std::chrono::nanoseconds delay,
             std::function<void(Connection&)> what);
  void open_end(Connection& connection, unsigned end);
  void accept(Connection& connection, Door& door);
  void settle(Connection& connection, unsigned end);
  void send(Connection& connection, unsigned end, std::string_view octets);
  // Whether the fault waits for a final dot, and this piece brings one.
  [[nodiscard]] static bool ends_content(const Connection& connection, unsigned pipe,
                                         std::string_view piece);
  void arrived(Connection& connection, unsigned pipe, std::size_t octets);
  [[nodiscard]] std::size_t pass(Connection& connection, unsigned pipe, std::string_view octets);
  void deliver(Connection& connection, unsigned end);
  void set_deadline(Connection& connection, unsigned end);
  void on_deadline(Connection& connection, unsigned end);
  void want_turn(ConnectionId id, unsigned end);
  void begin_tls(Connection& connection, unsigned end);
  void tls_started(Connection& connection, unsigned end);
  void finish(Connection& connection, unsigned end);
  void lose(Connection& connection, unsigned end, net::Loss loss);
  void reset(Connection& connection);
  void close_end(Connection& connection, unsigned end);
  void forget_if_closed(ConnectionId id);

  Agenda& agenda_;
  base::Random& random_;
  std::map<base::SocketAddress, std::vector<Door>> doors_;
  std::map<base::IpAddress, Reach> reach_;
  std::map<base::IpAddress, std::uint64_t> connects_;
  std::function<Fault(const base::SocketAddress&)> choose_fault_;
  base::Duration latency_max_{20};
  std::map<ConnectionId, std::unique_ptr<Connection>> connections_;
  std::map<ConnectionId, std::array<std::uint64_t, 2>> delivered_;
  std::set<ConnectionId> orphaned_;
  ConnectionId next_id_ = 1;
  ConnectionId current_ = 0;
  std::uint16_t next_port_ = 1024;
};

// The network of one loop.
class SimNetwork final : public net::Network {
 public:
  SimNetwork(Internet& internet, SimLoop& loop, const base::IpAddress& address)
      : internet_(internet), loop_(loop), address_(address) {}

  void connect(const net::ConnectRequest& request,
               std::unique_ptr<net::Protocol> protocol) override {
    internet_.connect(loop_, address_, request, std::move(protocol));
  }

 private:
  Internet& internet_;
  SimLoop& loop_;
  const base::IpAddress address_;
};

}  // namespace rockdove::sim
