#include "tests/sim/internet.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "mta/base/assert.h"

namespace rockdove::sim {
namespace {

constexpr base::Duration kOverMax = std::chrono::seconds(30);
constexpr base::Duration kHalfClosedMax = std::chrono::minutes(5);
constexpr base::Duration kHandshakeMax = std::chrono::seconds(60);
constexpr base::Duration kLingerMax = std::chrono::seconds(2);
constexpr base::Duration kDeadlineStep{1};
constexpr std::size_t kUnsentOctetsMax = 64 * 1024;
constexpr int kWritesMaxPerTurn = 16;
constexpr int kVainDeadlinesMax = 50;
constexpr std::uint64_t kTinyUntil = 2'000;
constexpr std::string_view kFinalDot = "\r\n.\r\n";

}  // namespace

struct Internet::End final : net::Wire {
  enum class State : std::uint8_t { Connecting, Open, Lingering, Closed };

  // A handshake takes a round trip, once both want one; no octets travel for it.
  enum class Tls : std::uint8_t { Clear, Wanted, Handshaking, Started };

  void want_turn() override { internet->want_turn(id, number); }

  void start_tls(net::StartTls how) override {
    MTA_ASSERT(state == State::Open && tls == Tls::Clear);
    tls = Tls::Wanted;
    tls_how = std::move(how);
  }

  Internet* internet = nullptr;
  ConnectionId id = 0;
  unsigned number = 0;
  SimLoop* loop = nullptr;
  std::unique_ptr<net::Protocol> protocol;
  State state = State::Connecting;
  net::ConnectionInfo info;
  Tls tls = Tls::Clear;
  std::optional<net::StartTls> tls_how;
  base::Instant handshake_until = base::kNever;
  bool turn_wanted = false;
  bool peer_closed_told = false;
  base::Instant over_until = base::kNever;
  base::Instant half_closed_until = base::kNever;
  std::optional<Agenda::Handle> deadline;
  int vain_deadlines = 0;
};

struct Internet::Pipe {
  std::string wire;     // has left one end, and has not arrived
  std::string waiting;  // has arrived; the protocol does not want it yet
  base::Instant last_arrival{};
  std::uint64_t sent = 0;
  std::optional<std::uint64_t> clear_octets;  // all before this one was said in clear text
  std::uint64_t passed = 0;
  std::string tail;    // the last octets that passed, to see a final dot
  bool ended = false;  // a FIN has been sent
  bool end_arrived = false;
  bool has_gap = false;  // some of it was lost
};

struct Internet::Connection {
  ConnectionId id = 0;
  End ends[2];
  Pipe pipes[2];
  Fault fault;
  bool is_silent = false;
  bool is_tiny = false;  // its octets travel in very small pieces at first
  std::size_t capacity = 0;
};

Internet::Internet(Agenda& agenda, base::Random& random) : agenda_(agenda), random_(random) {}

Internet::~Internet() = default;

void Internet::listen(const base::SocketAddress& address, std::vector<Door> doors) {
  doors_[address] = std::move(doors);
}

Reach Internet::reach(const base::IpAddress& host) const {
  const auto found = reach_.find(host);
  return found == reach_.end() ? Reach::Open : found->second;
}

Internet::Connection* Internet::find(ConnectionId id) {
  const auto found = connections_.find(id);
  return found == connections_.end() ? nullptr : found->second.get();
}

base::Duration Internet::latency() {
  return base::Duration(random_.below(static_cast<std::uint64_t>(latency_max_.count()) + 1));
}

// Events find their connection again by its number, because much may have happened meanwhile.
void Internet::later(ConnectionId id, unsigned end, std::chrono::nanoseconds delay,
                     std::function<void(Connection&)> what) {
  Connection* connection = find(id);
  MTA_ASSERT(connection != nullptr && connection->ends[end].loop != nullptr);
  connection->ends[end].loop->at(agenda_.instant() + delay, [this, id, what = std::move(what)] {
    Connection* found = find(id);
    if (found == nullptr) return;
    current_ = id;
    what(*found);
    current_ = 0;
    forget_if_closed(id);
  });
}

void Internet::connect(SimLoop& loop, const base::IpAddress& from,
                       const net::ConnectRequest& request,
                       std::unique_ptr<net::Protocol> protocol) {
  ++connects_[request.to.ip];
  const ConnectionId id = next_id_++;
  auto made = std::make_unique<Connection>();
  Connection& connection = *made;
  connection.id = id;
  connection.capacity = std::size_t{1024} << random_.below(7);
  connection.is_tiny = random_.below(8) == 0;
  if (choose_fault_) connection.fault = choose_fault_(request.to);
  for (unsigned number = 0; number < 2; ++number) {
    End& end = connection.ends[number];
    end.internet = this;
    end.id = id;
    end.number = number;
  }
  const base::SocketAddress local{request.from.value_or(from), next_port_++};
  connection.ends[0].loop = &loop;
  connection.ends[0].protocol = std::move(protocol);
  connection.ends[0].info = {local, request.to};
  connection.ends[1].info = {request.to, local};
  connections_[id] = std::move(made);
  delivered_[id] = {0, 0};
  const auto doors = doors_.find(request.to);
  const Reach how = reach(request.to.ip);
  if (how == Reach::NoRoute) {
    return later(id, 0, base::Duration(0), [this](Connection& c) {
      lose(c, 0, {net::Loss::How::ConnectFailed, ENETUNREACH});
    });
  }
  if (how == Reach::TimesOut) {
    return later(id, 0, request.timeout, [this](Connection& c) {
      lose(c, 0, {net::Loss::How::ConnectTimedOut, ETIMEDOUT});
    });
  }
  if (how == Reach::Refused || doors == doors_.end()) {
    return later(id, 0, latency(), [this](Connection& c) {
      lose(c, 0, {net::Loss::How::ConnectFailed, ECONNREFUSED});
    });
  }
  Door& door = doors->second[random_.below(doors->second.size())];
  connection.ends[1].loop = door.loop;
  later(id, 0, latency(), [this](Connection& c) { open_end(c, 0); });
  later(id, 1, latency(),
        [this, accept_by = door](Connection& c) mutable { accept(c, accept_by); });
}

void Internet::open_end(Connection& connection, unsigned number) {
  End& end = connection.ends[number];
  if (end.state != End::State::Connecting) return;
  end.state = End::State::Open;
  end.protocol->connected(end, end.info, agenda_.now());
  settle(connection, number);
}

void Internet::accept(Connection& connection, Door& door) {
  End& end = connection.ends[1];
  if (end.state != End::State::Connecting) return;
  end.protocol = door.accept(end.info);
  if (end.protocol == nullptr) return reset(connection);
  open_end(connection, 1);
}

void Internet::want_turn(ConnectionId id, unsigned number) {
  Connection* connection = find(id);
  if (connection == nullptr) return;
  End& end = connection->ends[number];
  if (end.turn_wanted || end.state != End::State::Open) return;
  end.turn_wanted = true;
  later(id, number, base::Duration(0), [this, number](Connection& c) {
    End& wanting = c.ends[number];
    wanting.turn_wanted = false;
    if (wanting.state != End::State::Open) return;
    wanting.protocol->turn(agenda_.now());
    settle(c, number);
  });
}

void Internet::settle(Connection& connection, unsigned number) {
  End& end = connection.ends[number];
  Pipe& pipe = connection.pipes[number];
  for (int writes = 0; end.state == End::State::Open && end.tls != End::Tls::Handshaking;
       ++writes) {
    const std::size_t held = pipe.wire.size() + pipe.waiting.size();
    const std::size_t room = connection.capacity - std::min(connection.capacity, held);
    const std::string_view output = end.protocol->output().substr(0, room);
    if (output.empty()) break;
    if (writes == kWritesMaxPerTurn) {
      end.want_turn();
      break;
    }
    const std::size_t octets = output.size();
    send(connection, number, output);
    end.protocol->output_sent(octets, agenda_.now());
  }
  if (end.state != End::State::Open) return;
  if (end.tls == End::Tls::Wanted && end.protocol->output().empty() && !end.protocol->is_over()) {
    begin_tls(connection, number);
  }
  if (end.protocol->is_over()) {
    if (end.protocol->output().empty() || end.tls == End::Tls::Handshaking)
      return finish(connection, number);
    if (end.over_until == base::kNever) end.over_until = agenda_.instant() + kOverMax;
  }
  set_deadline(connection, number);
  Pipe& incoming = connection.pipes[1 - number];
  if (!incoming.waiting.empty() || (incoming.end_arrived && !end.peer_closed_told)) {
    later(connection.id, number, base::Duration(0),
          [this, number](Connection& c) { deliver(c, number); });
  }
}

void Internet::begin_tls(Connection& connection, unsigned number) {
  End& end = connection.ends[number];
  const End& other = connection.ends[1 - number];
  end.tls = End::Tls::Handshaking;
  end.handshake_until = agenda_.instant() + kHandshakeMax;
  connection.pipes[number].clear_octets = connection.pipes[number].sent;
  if (other.tls != End::Tls::Handshaking || other.tls_how->index() == end.tls_how->index()) return;
  const unsigned server =
      std::holds_alternative<net::StartTlsAsServer>(*end.tls_how) ? number : 1 - number;
  later(connection.id, server, latency() + latency(), [this, server](Connection& c) {
    if (c.is_silent) return;
    tls_started(c, server);
    if (find(c.id) != &c || c.ends[1 - server].state != End::State::Open) return;
    later(c.id, 1 - server, latency(), [this, server](Connection& found) {
      if (!found.is_silent) tls_started(found, 1 - server);
    });
  });
}

void Internet::tls_started(Connection& connection, unsigned number) {
  End& end = connection.ends[number];
  if (end.state != End::State::Open || end.tls != End::Tls::Handshaking) return;
  const net::StartTls& client =
      *connection
           .ends[std::holds_alternative<net::StartTlsAsClient>(*end.tls_how) ? number : 1 - number]
           .tls_how;
  const auto& asked = std::get<net::StartTlsAsClient>(client);
  net::TlsInfo info;
  info.version = net::TlsVersion::V1_3;
  info.cipher = "TLS_AES_128_GCM_SHA256";
  info.server_name = asked.host;
  info.verified = std::holds_alternative<net::StartTlsAsClient>(*end.tls_how) &&
                  asked.verify == net::TlsVerify::NameAndChain;
  end.tls = End::Tls::Started;
  end.handshake_until = base::kNever;
  end.protocol->tls_started(info, agenda_.now());
  settle(connection, number);
}

// In pieces, each with a delay of its own, in order.
void Internet::send(Connection& connection, unsigned number, std::string_view octets) {
  Pipe& pipe = connection.pipes[number];
  pipe.wire.append(octets);
  pipe.sent += octets.size();
  while (!octets.empty()) {
    std::size_t piece = octets.size();
    if (connection.is_tiny && pipe.passed < kTinyUntil) {
      piece = std::min<std::size_t>(piece, 1 + random_.below(12));
    } else if (random_.below(3) == 0) {
      piece = 1 + random_.below(piece);
    }
    octets.remove_prefix(piece);
    pipe.last_arrival = std::max(pipe.last_arrival, agenda_.instant() + latency());
    if (connection.ends[1 - number].loop == nullptr) continue;
    later(connection.id, 1 - number, pipe.last_arrival - agenda_.instant(),
          [this, number, piece](Connection& c) { arrived(c, number, piece); });
  }
}

// How many of these octets pass, as far as the fault lets them; it may strike here.
std::size_t Internet::pass(Connection& connection, unsigned number, std::string_view octets) {
  Pipe& pipe = connection.pipes[number];
  const Fault& fault = connection.fault;
  switch (fault.kind) {
    case Fault::Kind::None:
      break;
    case Fault::Kind::ResetAfter:
    case Fault::Kind::SilenceAfter:
      if (fault.pipe == number && pipe.passed + octets.size() > fault.octets) {
        return fault.octets - pipe.passed;
      }
      break;
    case Fault::Kind::BeforeFinalDot:
    case Fault::Kind::AfterFinalDot:
      if (number == 0) {
        const std::string text = pipe.tail + std::string(octets);
        const std::size_t dot = text.find(kFinalDot);
        if (dot == std::string::npos) break;
        const std::size_t end = dot + kFinalDot.size() - pipe.tail.size();
        return fault.kind == Fault::Kind::BeforeFinalDot ? end - 1 : end;
      }
      break;
  }
  return octets.size();
}

bool Internet::ends_content(const Connection& connection, unsigned number, std::string_view piece) {
  if (connection.fault.kind != Fault::Kind::AfterFinalDot || number != 0) return false;
  return (connection.pipes[0].tail + std::string(piece)).find(kFinalDot) != std::string::npos;
}

void Internet::arrived(Connection& connection, unsigned number, std::size_t octets) {
  Pipe& pipe = connection.pipes[number];
  if (connection.is_silent) return;
  MTA_ASSERT(octets <= pipe.wire.size());
  const std::string piece = pipe.wire.substr(0, octets);
  pipe.wire.erase(0, octets);
  const std::size_t passing = pass(connection, number, piece);
  const bool strikes = passing < octets || ends_content(connection, number, piece);
  pipe.passed += passing;
  pipe.waiting.append(piece, 0, passing);
  pipe.tail.append(piece, 0, passing);
  if (pipe.tail.size() > 4) pipe.tail.erase(0, pipe.tail.size() - 4);
  const End& receiver = connection.ends[1 - number];
  if (receiver.state == End::State::Closed) return reset(connection);
  deliver(connection, 1 - number);
  if (!strikes) return;
  pipe.has_gap = true;  // what comes behind it is never seen
  if (connection.fault.kind == Fault::Kind::SilenceAfter) {
    connection.is_silent = true;
    return;
  }
  if (connection.fault.kind == Fault::Kind::AfterFinalDot) {
    // Nothing of the reply gets through, also when the server is only now working on it.
    connection.is_silent = true;
    return later(connection.id, 1, latency() + std::chrono::seconds(random_.below(3)),
                 [this](Connection& c) { reset(c); });
  }
  reset(connection);
}

void Internet::deliver(Connection& connection, unsigned number) {
  End& end = connection.ends[number];
  Pipe& pipe = connection.pipes[1 - number];
  if (end.state == End::State::Lingering) {
    pipe.waiting.clear();
    if (pipe.end_arrived) close_end(connection, number);
    return;
  }
  if (end.state != End::State::Open) return;
  const base::Now now = agenda_.now();
  if (end.tls == End::Tls::Handshaking) {
    // What the other end says once its handshake is done waits until ours is.
    const std::uint64_t shown = delivered_[connection.id][1 - number];
    const bool is_clear =
        !pipe.waiting.empty() && (!pipe.clear_octets || shown < *pipe.clear_octets);
    if (!is_clear && !pipe.end_arrived) return;
    return lose(connection, number,
                {net::Loss::How::TlsFailed, 0,
                 is_clear ? "the peer spoke clear text"
                          : "the peer closed the connection within the handshake"});
  }
  if (!pipe.waiting.empty()) {
    if (!end.protocol->wants_input() || end.protocol->output().size() >= kUnsentOctetsMax) return;
    const std::string octets = std::exchange(pipe.waiting, {});
    delivered_[connection.id][1 - number] += octets.size();
    end.protocol->receive(octets, now);
    settle(connection, number);
    // There is room again.
    if (connection.ends[1 - number].state == End::State::Open) {
      later(connection.id, 1 - number, latency(),
            [this, number](Connection& c) { settle(c, 1 - number); });
    }
    return;
  }
  if (!pipe.end_arrived || end.peer_closed_told) return;
  end.peer_closed_told = true;
  end.half_closed_until = now.instant + kHalfClosedMax;
  end.protocol->peer_closed(now);
  settle(connection, number);
}

void Internet::set_deadline(Connection& connection, unsigned number) {
  End& end = connection.ends[number];
  if (end.deadline) end.loop->cancel(*end.deadline);
  end.deadline.reset();
  base::Instant at = end.protocol->deadline();
  if (at == base::kNever) at = end.half_closed_until;
  at = std::min({at, end.over_until, end.handshake_until});
  if (at == base::kNever) return;
  at = std::max(at, agenda_.instant() + kDeadlineStep);
  const ConnectionId id = connection.id;
  end.deadline = end.loop->at(at, [this, id, number] {
    Connection* found = find(id);
    if (found == nullptr) return;
    current_ = id;
    on_deadline(*found, number);
    current_ = 0;
    forget_if_closed(id);
  });
}

void Internet::on_deadline(Connection& connection, unsigned number) {
  End& end = connection.ends[number];
  end.deadline.reset();
  if (end.state != End::State::Open) return;
  const base::Now now = agenda_.now();
  if (end.over_until <= now.instant) {
    return lose(connection, number, {net::Loss::How::Broken, ETIMEDOUT});
  }
  if (end.handshake_until <= now.instant) {
    return lose(connection, number,
                {net::Loss::How::TlsFailed, ETIMEDOUT,
                 "the peer did not complete the handshake within 60 s"});
  }
  if (end.protocol->deadline() <= now.instant) {
    end.protocol->deadline_reached(now);
    const bool in_vain = !end.protocol->is_over() && end.protocol->deadline() <= now.instant;
    end.vain_deadlines = in_vain ? end.vain_deadlines + 1 : 0;
    if (end.vain_deadlines > kVainDeadlinesMax) {
      agenda_.fail("a deadline of a connection rings again and again and stays in the past");
    }
    return settle(connection, number);
  }
  if (end.protocol->deadline() == base::kNever && end.half_closed_until <= now.instant) {
    return lose(connection, number, {net::Loss::How::PeerClosed, 0});
  }
  set_deadline(connection, number);
}

// Over, and all is said: a FIN goes out, and the protocol is done.
void Internet::finish(Connection& connection, unsigned number) {
  End& end = connection.ends[number];
  end.protocol.reset();
  if (end.deadline) end.loop->cancel(*end.deadline);
  end.deadline.reset();
  Pipe& pipe = connection.pipes[number];
  pipe.ended = true;
  if (!connection.is_silent && connection.ends[1 - number].loop != nullptr) {
    pipe.last_arrival = std::max(pipe.last_arrival, agenda_.instant() + latency());
    later(connection.id, 1 - number, pipe.last_arrival - agenda_.instant(),
          [this, number](Connection& c) {
            c.pipes[number].end_arrived = true;
            deliver(c, 1 - number);
          });
  }
  if (end.peer_closed_told) return close_end(connection, number);
  end.state = End::State::Lingering;
  later(connection.id, number, kLingerMax, [this, number](Connection& c) {
    if (c.ends[number].state == End::State::Lingering) close_end(c, number);
  });
}

void Internet::lose(Connection& connection, unsigned number, net::Loss loss) {
  End& end = connection.ends[number];
  if (end.state == End::State::Closed) return;
  if (end.tls == End::Tls::Handshaking && loss.how == net::Loss::How::Broken) {
    loss = {net::Loss::How::TlsFailed, loss.code,
            "the peer reset the connection within the handshake"};
  }
  const std::unique_ptr<net::Protocol> protocol = std::move(end.protocol);
  close_end(connection, number);
  if (protocol != nullptr) protocol->lost(loss, agenda_.now());
  // The other end hears of it by a reset, if anything gets through.
  End& other = connection.ends[1 - number];
  if (other.loop == nullptr || other.state == End::State::Closed || connection.is_silent) return;
  later(connection.id, 1 - number, latency(), [this, number](Connection& c) {
    lose(c, 1 - number, {net::Loss::How::Broken, ECONNRESET});
  });
}

// Both ends hear of it; what is under way may or may not arrive before.
void Internet::reset(Connection& connection) {
  const ConnectionId id = connection.id;
  const bool was_silent = std::exchange(connection.is_silent, true);
  for (unsigned number = 0; number < 2; ++number) {
    End& end = connection.ends[number];
    if (end.loop == nullptr || end.state == End::State::Closed) continue;
    const bool data_first = !was_silent && random_.below(2) == 0;
    later(id, number, latency(), [this, number, data_first](Connection& c) {
      Pipe& incoming = c.pipes[1 - number];
      if (data_first && !incoming.has_gap) {
        incoming.waiting.append(std::exchange(incoming.wire, {}));
        c.pipes[1 - number].wire.clear();
        deliver(c, number);
      }
      const net::Loss::How how = c.ends[number].state == End::State::Connecting
                                     ? net::Loss::How::ConnectFailed
                                     : net::Loss::How::Broken;
      lose(c, number, {how, ECONNRESET});
    });
  }
}

void Internet::close_end(Connection& connection, unsigned number) {
  End& end = connection.ends[number];
  end.state = End::State::Closed;
  if (end.deadline) end.loop->cancel(*end.deadline);
  end.deadline.reset();
  end.protocol.reset();
}

void Internet::forget_if_closed(ConnectionId id) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  for (const End& end : found->second->ends) {
    if (end.state != End::State::Closed && end.loop != nullptr) return;
  }
  connections_.erase(found);
}

void Internet::vanish(const SimLoop& loop, Which which) {
  const unsigned number = which == Which::Taken ? 1 : 0;
  std::vector<ConnectionId> gone;
  for (const auto& [id, connection] : connections_) {
    if (connection->ends[number].loop == &loop) gone.push_back(id);
  }
  for (const ConnectionId id : gone) {
    orphaned_.insert(id);
    Connection& connection = *connections_.at(id);
    End& end = connection.ends[number];
    end.deadline.reset();  // it went with the loop
    close_end(connection, number);
    end.loop = nullptr;
    End& other = connection.ends[1 - number];
    if (other.loop != nullptr && other.state != End::State::Closed) {
      // The kernel still sends what it was given, or the whole machine is gone.
      const bool machine_gone = random_.below(2) == 0;
      if (machine_gone) connection.is_silent = true;
      later(id, 1 - number, base::Duration(100) + latency(), [this, number](Connection& c) {
        lose(c, 1 - number, {net::Loss::How::Broken, ECONNRESET});
      });
    }
    forget_if_closed(id);
  }
}

std::size_t Internet::ends_at(const SimLoop& loop) const {
  std::size_t count = 0;
  for (const auto& [id, connection] : connections_) {
    for (const End& end : connection->ends) {
      if (end.loop == &loop && end.state != End::State::Closed) ++count;
    }
  }
  return count;
}

std::uint64_t Internet::delivered(ConnectionId id, unsigned pipe) const {
  const auto found = delivered_.find(id);
  return found == delivered_.end() ? 0 : found->second[pipe];
}

bool Internet::is_open(ConnectionId id) const {
  const auto found = connections_.find(id);
  return found != connections_.end() && found->second->ends[0].state != End::State::Closed &&
         found->second->ends[0].protocol != nullptr;
}

void Internet::cut(ConnectionId id) {
  later(id, 1, base::Duration(0), [this](Connection& c) {
    c.is_silent = true;  // nothing that is under way arrives any more
    reset(c);
  });
}

std::uint64_t Internet::connects_to(const base::IpAddress& host) const {
  const auto found = connects_.find(host);
  return found == connects_.end() ? 0 : found->second;
}

}  // namespace rockdove::sim
