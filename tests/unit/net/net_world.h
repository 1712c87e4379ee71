// What the tests of mta/net share: a loop on a thread of its own with a network, protocols that
// note what they hear and do what the test says, and plain blocking sockets for the other side.
// Everything is on 127.0.0.1 and ports that the kernel chooses; every wait is for a condition, 30 s
// at most.
#pragma once

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <poll.h>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include <sys/socket.h>

#include "mta/net/socket_address.h"
#include "mta/net/uv_loop.h"
#include "mta/net/uv_network.h"

namespace rockdove::net {

inline constexpr std::chrono::seconds kPatience{30};

// What one protocol has heard. Of the loop's thread.
struct Heard {
  int connected = 0;
  int turns = 0;
  int deadlines = 0;
  int peer_closed = 0;
  int destroyed = 0;
  std::size_t octets = 0;
  std::size_t sent = 0;
  std::string text;  // the first 64 KiB
  std::vector<Loss> losses;
  ConnectionInfo info;
};

// A protocol whose every wish is a member that the test sets.
class Puppet : public Protocol {
 public:
  using Reaction = std::function<void(Puppet&)>;

  explicit Puppet(std::shared_ptr<Heard> heard) : heard_(std::move(heard)) {}

  ~Puppet() override { ++heard_->destroyed; }

  Puppet(const Puppet&) = delete;
  Puppet& operator=(const Puppet&) = delete;

  std::function<void(Puppet&, const TlsInfo&)> when_tls_started;
  Reaction when_connected, when_received, when_peer_closed, when_deadline, when_turn, when_sent;
  std::string to_send;
  std::string arrived;  // by the last receive()
  bool over = false;
  bool input_wanted = true;
  base::Instant until = base::kNever;
  base::Now now{};
  Wire* wire = nullptr;

  void connected(Wire& its_wire, const ConnectionInfo& info, base::Now at) override {
    wire = &its_wire;
    ++heard_->connected;
    heard_->info = info;
    react(when_connected, at);
  }

  void receive(std::string_view octets, base::Now at) override {
    heard_->octets += octets.size();
    if (heard_->text.size() < 65536) heard_->text += octets;
    arrived = octets;
    react(when_received, at);
  }

  void peer_closed(base::Now at) override {
    ++heard_->peer_closed;
    react(when_peer_closed, at);
  }

  void tls_started(const TlsInfo& info, base::Now at) override {
    now = at;
    if (when_tls_started) when_tls_started(*this, info);
  }

  void lost(const Loss& loss, base::Now) override { heard_->losses.push_back(loss); }

  void deadline_reached(base::Now at) override {
    ++heard_->deadlines;
    react(when_deadline, at);
  }

  void turn(base::Now at) override {
    ++heard_->turns;
    react(when_turn, at);
  }

  std::string_view output() const override { return std::string_view(to_send).substr(sent_); }

  void output_sent(std::size_t octets, base::Now at) override {
    heard_->sent += octets;
    sent_ += octets;
    if (sent_ == to_send.size()) {
      to_send.clear();
      sent_ = 0;
    }
    react(when_sent, at);
  }

  base::Instant deadline() const override { return until; }

  bool wants_input() const override { return input_wanted; }

  bool is_over() const override { return over; }

 private:
  void react(Reaction& reaction, base::Now at) {
    now = at;
    if (reaction) reaction(*this);
  }

  std::shared_ptr<Heard> heard_;
  std::size_t sent_ = 0;
};

class NetWorld {
 public:
  NetWorld() : thread_([this] { loop.run(); }) {}

  ~NetWorld() {
    ask([this] {
      network.stop_listening();
      network.close_all();
    });
    loop.stop();
    thread_.join();
  }

  NetWorld(const NetWorld&) = delete;
  NetWorld& operator=(const NetWorld&) = delete;

  // Runs `question` on the loop's thread and brings back its answer.
  template <typename F>
  std::invoke_result_t<F> ask(F question) {
    std::packaged_task<std::invoke_result_t<F>()> task(std::move(question));
    auto answer = task.get_future();
    loop.post([&task] { task(); });
    return answer.get();
  }

  // Whether `condition`, asked on the loop's thread, came true in time.
  template <typename F>
  bool comes_true(F condition) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!ask(condition)) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
  }

  using Prepare = std::function<void(Puppet&)>;

  // Listens; each accepted connection gets a puppet that notes into `heard` and is prepared so.
  base::SocketAddress serve(std::shared_ptr<Heard> heard, Prepare prepare) {
    base::SocketAddress any{base::IpAddress::v4({127, 0, 0, 1}), 0};
    ListeningSocket socket = std::move(open_listening_socket(any, ReusePort::No)).value();
    const base::SocketAddress address = socket.address();
    ask([&] { network.listen(std::move(socket), accept_with(heard, prepare)); });
    return address;
  }

  static Network::Accept accept_with(std::shared_ptr<Heard> heard, Prepare prepare) {
    return [heard, prepare](const ConnectionInfo&) {
      auto puppet = std::make_unique<Puppet>(heard);
      if (prepare) prepare(*puppet);
      return puppet;
    };
  }

  void connect(const ConnectRequest& request, std::shared_ptr<Heard> heard, Prepare prepare) {
    ask([&] {
      auto puppet = std::make_unique<Puppet>(heard);
      if (prepare) prepare(*puppet);
      network.connect(request, std::move(puppet));
    });
  }

  UvLoop loop{0};
  UvNetwork network{loop};

 private:
  std::thread thread_;
};

// The other side: a blocking socket that gives up after kPatience.
class Client {
 public:
  explicit Client(const base::SocketAddress& to, int receive_buffer = 0)
      : socket_(::socket(to.ip.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM, 0)) {
    if (receive_buffer > 0) {
      setsockopt(number(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    }
    const timeval patience{kPatience.count(), 0};
    setsockopt(number(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(number(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    const KernelAddress address = to_kernel(to);
    is_connected_ = ::connect(number(), address.get(), address.octets) == 0;
  }

  [[nodiscard]] int number() const { return socket_.number(); }

  [[nodiscard]] bool is_connected() const { return is_connected_; }

  bool say(std::string_view text) {
    while (!text.empty()) {
      const ssize_t sent = ::send(number(), text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  // At least `octets`, or what there was until the end, a reset or the end of patience.
  std::string hear(std::size_t octets) {
    std::string heard;
    char part[65536];
    while (heard.size() < octets) {
      const ssize_t got = ::recv(number(), part, sizeof part, 0);
      last_error = got < 0 ? errno : 0;
      if (got <= 0) break;
      heard.append(part, static_cast<std::size_t>(got));
    }
    return heard;
  }

  std::string hear_all() { return hear(static_cast<std::size_t>(-1)); }

  void end() { ::shutdown(number(), SHUT_WR); }

  void close() { socket_.close(); }

  // Closes with a reset.
  void reset() {
    const linger now{1, 0};
    setsockopt(number(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    socket_.close();
  }

  int last_error = 0;  // errno of the last hear(); 0: the peer's end, or enough

 private:
  FileDescriptor socket_;
  bool is_connected_ = false;
};

}  // namespace rockdove::net
