// A load for contrib/bench/tls: an SMTP source, a sink and idle clients, each with STARTTLS or
// without, over this project's own net layer, because smtp-source and smtp-sink know no TLS.
//
//   tls_load source PORT MESSAGES SIZE SESSIONS PER_CONNECTION clear|tls|tls12|fresh
//   tls_load sink PORT clear|tls
//   tls_load idle PORT CONNECTIONS clear|tls|mute
//
// A source waits for each reply before the next command, as smtp-source and most clients do.
// `fresh` resumes nothing, `tls12` speaks TLS 1.2 at most. A source prints the messages that were
// taken, the handshakes, and how many of them were resumed. A sink prints how many messages it has
// taken, a line each time that changes. Idle clients print a line when all have greeted, and stay
// until their standard input ends; `mute` ones connect and say nothing.
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <unistd.h>
#include <utility>

#include <sys/resource.h>

#include "mta/base/loop.h"
#include "mta/net/tls_context.h"
#include "mta/net/uv_loop.h"
#include "mta/net/uv_network.h"

namespace rockdove {

namespace {

using net::StartTlsAsClient;
using net::StartTlsAsServer;

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "tls_load: %s\n", why.c_str());
  std::exit(1);
}

enum class Manner : std::uint8_t { Clear, Tls, Tls12, Fresh, Mute };

Manner manner_of(std::string_view word) {
  if (word == "clear") return Manner::Clear;
  if (word == "tls") return Manner::Tls;
  if (word == "tls12") return Manner::Tls12;
  if (word == "fresh") return Manner::Fresh;
  if (word == "mute") return Manner::Mute;
  give_up("clear, tls, tls12, fresh or mute?");
}

base::SocketAddress loopback(std::uint16_t port) {
  return {base::IpAddress::v4({127, 0, 0, 1}), port};
}

// What both kinds of protocol here have in common.
class Speaker : public net::Protocol {
 public:
  void peer_closed(base::Now) override { over_ = true; }

  void lost(const net::Loss&, base::Now) override {}

  void deadline_reached(base::Now) override {}

  void turn(base::Now) override {}

  [[nodiscard]] std::string_view output() const override { return output_; }

  void output_sent(std::size_t octets, base::Now) override { output_.erase(0, octets); }

  [[nodiscard]] base::Instant deadline() const override { return base::kNever; }

  [[nodiscard]] bool wants_input() const override { return true; }

  [[nodiscard]] bool is_over() const override { return over_; }

 protected:
  std::string output_;
  bool over_ = false;
};

// What all connections of a source share.
struct Work {
  net::UvLoop* loop = nullptr;
  net::UvNetwork* network = nullptr;
  std::uint16_t port = 0;
  Manner manner = Manner::Clear;
  std::shared_ptr<const net::TlsClientContext> context;
  std::string content;
  std::size_t to_begin = 0;  // messages
  std::size_t per_connection = 1;
  std::size_t connections = 0;
  std::size_t taken = 0;
  std::size_t handshakes = 0;
  std::size_t resumed = 0;
  std::size_t names = 0;
  bool stays = false;  // idle: greets, and then nothing
  std::size_t greeted = 0;
};

class Source final : public Speaker {
 public:
  explicit Source(Work& work) : work_(work) { ++work_.connections; }

  ~Source() override;

  void connected(net::Wire& wire, const net::ConnectionInfo&, base::Now) override {
    wire_ = &wire;
    if (work_.manner == Manner::Mute) ++work_.greeted;
  }

  void receive(std::string_view bytes, base::Now) override {
    if (work_.manner == Manner::Mute) return;
    while (!bytes.empty()) {
      const std::size_t end = bytes.find('\n');
      line_ += bytes.substr(0, end);
      if (end == std::string_view::npos) return;
      bytes.remove_prefix(end + 1);
      const std::string line = std::exchange(line_, {});
      if (line.size() > 3 && line[3] == '-') continue;
      if (line[0] != '2' && line[0] != '3') give_up("the server said " + line);
      step();
    }
  }

  void tls_started(const net::TlsInfo& info, base::Now) override {
    ++work_.handshakes;
    work_.resumed += info.resumed ? 1U : 0U;
    say("EHLO source.bench.test\r\n", State::Greeted);
  }

  void lost(const net::Loss& loss, base::Now) override {
    if (work_.manner != Manner::Mute) give_up(describe(loss));
  }

 private:
  enum class State : std::uint8_t {
    Banner,
    Clear,
    Tls,
    Greeted,
    Sender,
    Recipient,
    Data,
    Content,
    Quit
  };

  void say(std::string_view text, State next) {
    output_ += text;
    state_ = next;
  }

  void begin_message() {
    if (work_.to_begin == 0 || begun_ == work_.per_connection) return say("QUIT\r\n", State::Quit);
    --work_.to_begin;
    ++begun_;
    say("MAIL FROM:<a@bench.test>\r\n", State::Sender);
  }

  void step() {
    switch (state_) {
      case State::Banner:
        return say("EHLO source.bench.test\r\n",
                   work_.manner == Manner::Clear ? State::Greeted : State::Clear);
      case State::Clear:
        return say("STARTTLS\r\n", State::Tls);
      case State::Tls:
        // No session fits a name that nobody had before.
        return wire_->start_tls(
            StartTlsAsClient{work_.context, work_.manner == Manner::Fresh
                                                ? std::to_string(++work_.names) + ".bench.test"
                                                : "mx.bench.test"});
      case State::Greeted:
        ++work_.greeted;
        if (work_.stays) return;
        return begin_message();
      case State::Sender:
        return say("RCPT TO:<b@dest.test>\r\n", State::Recipient);
      case State::Recipient:
        return say("DATA\r\n", State::Data);
      case State::Data:
        return say(work_.content, State::Content);
      case State::Content:
        ++work_.taken;
        return begin_message();
      case State::Quit:
        over_ = true;
        return;
    }
  }

  Work& work_;
  net::Wire* wire_ = nullptr;
  std::string line_;
  State state_ = State::Banner;
  std::size_t begun_ = 0;
};

// Mute ones come from many addresses, other than those of who speaks.
void connect_one(Work& work) {
  net::ConnectRequest request{loopback(work.port), {}};
  if (work.manner == Manner::Mute) {
    const auto last = static_cast<std::uint8_t>(1 + work.connections % 250);
    request.from = base::IpAddress::v4({127, 0, 1, last});
  }
  work.network->connect(request, std::make_unique<Source>(work));
}

Source::~Source() {
  --work_.connections;
  if (work_.stays) return;
  if (work_.to_begin > 0) {
    work_.loop->post([&work = work_] { connect_one(work); });
  } else if (work_.connections == 0) {
    work_.loop->stop();
  }
}

class Sink final : public Speaker {
 public:
  Sink(std::size_t& taken, std::shared_ptr<const net::TlsServerContext> context)
      : taken_(taken), context_(std::move(context)) {}

  void connected(net::Wire& wire, const net::ConnectionInfo&, base::Now) override {
    wire_ = &wire;
    output_ = "220 sink.bench.test ESMTP\r\n";
  }

  void receive(std::string_view bytes, base::Now) override {
    pending_ += bytes;
    while (true) {
      if (in_content_) {
        const std::size_t end = pending_.find("\r\n.\r\n");
        if (end == std::string::npos) {
          if (pending_.size() > 4) pending_.erase(0, pending_.size() - 4);
          return;
        }
        pending_.erase(0, end + 5);
        in_content_ = false;
        ++taken_;
        output_ += "250 2.0.0 taken\r\n";
      }
      const std::size_t end = pending_.find('\n');
      if (end == std::string::npos) return;
      const std::string line = pending_.substr(0, end);
      pending_.erase(0, end + 1);
      answer(line);
    }
  }

  void tls_started(const net::TlsInfo&, base::Now) override { is_tls_ = true; }

 private:
  void answer(std::string_view line) {
    const std::string_view verb = line.substr(0, 4);
    if (verb == "EHLO") {
      output_ += context_ != nullptr && !is_tls_
                     ? "250-sink.bench.test\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 8BITMIME\r\n"
                     : "250-sink.bench.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n";
    } else if (verb == "STAR") {
      output_ += "220 2.0.0 go on\r\n";
      pending_.clear();
      wire_->start_tls(StartTlsAsServer{context_});
    } else if (verb == "DATA") {
      output_ += "354 go on\r\n";
      in_content_ = true;
      pending_.insert(0, "\r\n");  // so that a dot on the first line ends it, too
    } else if (verb == "QUIT") {
      output_ += "221 2.0.0 bye\r\n";
      over_ = true;
    } else {
      output_ += "250 2.0.0 ok\r\n";
    }
  }

  std::size_t& taken_;
  std::shared_ptr<const net::TlsServerContext> context_;
  net::Wire* wire_ = nullptr;
  std::string pending_;
  bool in_content_ = false;
  bool is_tls_ = false;
};

std::string make_content(std::size_t octets) {
  std::string text =
      "From: a@bench.test\r\nTo: b@dest.test\r\nSubject: bench\r\nMessage-ID: "
      "<x@bench.test>\r\n\r\n";
  while (text.size() < octets) {
    text += "The quick brown fox jumps over the lazy dog and has some time left over.\r\n";
  }
  return text + ".\r\n";
}

int run_source(Work& work, std::size_t sessions) {
  net::UvLoop loop{0};
  net::UvNetwork network{loop};
  work.loop = &loop;
  work.network = &network;
  loop.post([&work, sessions] {
    for (std::size_t i = 0; i < sessions; ++i) connect_one(work);
  });
  loop.run();
  std::printf("%zu messages %zu handshakes %zu resumed\n", work.taken, work.handshakes,
              work.resumed);
  work.stays = true;
  return 0;
}

int run_idle(Work& work, std::size_t connections) {
  net::UvLoop loop{0};
  net::UvNetwork network{loop};
  work.loop = &loop;
  work.network = &network;
  work.stays = true;
  std::size_t asked = 0;
  // A hundred at once, so that nobody's backlog overflows.
  std::unique_ptr<base::Timer> timer;
  timer = loop.make_timer([&] {
    while (asked < connections && asked < work.greeted + 100) {
      ++asked;
      connect_one(work);
    }
    if (work.greeted == connections) {
      std::printf("%zu idle\n", connections);
      std::fflush(stdout);
      return;
    }
    timer->set(loop.now().instant + base::Duration(5));
  });
  loop.post([&] { timer->set(loop.now().instant); });
  std::thread until([&loop] {
    char octet = 0;
    while (::read(STDIN_FILENO, &octet, 1) > 0) {
    }
    loop.stop();
  });
  loop.run();
  until.join();
  return 0;
}

int run_sink(std::uint16_t port, Manner manner) {
  net::UvLoop loop{0};
  net::UvNetwork network{loop};
  std::shared_ptr<const net::TlsServerContext> context;
  if (manner != Manner::Clear) {
    const auto identity = net::make_self_signed("sink.bench.test", net::KeyKind::P256,
                                                base::read_clocks().wall, std::chrono::hours(24));
    context = net::make_tls_server_context({*identity}).value();
  }
  std::size_t taken = 0;
  std::size_t told = 0;
  base::Result<net::ListeningSocket> socket =
      net::open_listening_socket(loopback(port), net::ReusePort::No);
  if (!socket) give_up(socket.error().text());
  network.listen(std::move(*socket), [&](const net::ConnectionInfo&) {
    return std::make_unique<Sink>(taken, context);
  });
  std::unique_ptr<base::Timer> timer;
  timer = loop.make_timer([&] {
    if (taken != told) {
      std::printf("%zu\n", taken);
      std::fflush(stdout);
    }
    told = taken;
    timer->set(loop.now().instant + base::Duration(10));
  });
  loop.post([&] { timer->set(loop.now().instant); });
  loop.run();
  return 0;
}

std::size_t number(const char* word) {
  return static_cast<std::size_t>(std::strtoull(word, nullptr, 10));
}

}  // namespace

}  // namespace rockdove

int main(int count, char** words) {
  using namespace rockdove;
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  const std::string_view what = count > 1 ? words[1] : "";
  Work work;
  if (count > 2) work.port = static_cast<std::uint16_t>(number(words[2]));
  if (what == "sink" && count == 4) return run_sink(work.port, manner_of(words[3]));
  work.context = net::make_tls_client_context({}).value();
  if (what == "idle" && count == 5) {
    work.manner = manner_of(words[4]);
    return run_idle(work, number(words[3]));
  }
  if (what != "source" || count != 8) give_up("source, sink or idle? See tests/bench/tls_load.cc");
  work.to_begin = number(words[3]);
  work.content = make_content(number(words[4]));
  work.per_connection = number(words[6]);
  work.manner = manner_of(words[7]);
  if (work.manner == Manner::Tls12) {
    const auto& context = dynamic_cast<const net::BoringClientContext&>(*work.context);
    SSL_CTX_set_max_proto_version(context.context(), TLS1_2_VERSION);
  }
  return run_source(work, number(words[5]));
}
