#include "tests/sim/remote_server.h"

#include <utility>

namespace rockdove::sim {

SessionScript& SessionScript::does(Deed what, At where) {
  deed = what;
  at = where;
  return *this;
}

SessionScript& SessionScript::greets_with(int code, std::string_view enhanced,
                                          std::string_view text) {
  greeting = smtp::make_reply(code, enhanced, text);
  return *this;
}

// Nobody stalls for longer.
constexpr base::Duration kMuteMax = std::chrono::hours(1);

// One session of a RemoteServer.
class RemoteSession final : public net::Protocol {
 public:
  using At = SessionScript::At;

  RemoteSession(RemoteServer& server, SessionScript script)
      : server_(server),
        script_(std::move(script)),
        tls_(server.tls_),
        session_(server.limits_, server.greeting_, server.loop_.now().instant) {}

  void connected(net::Wire& wire, const net::ConnectionInfo&, base::Now now) override {
    wire_ = &wire;
    connection_ = server_.internet_.current();
    connected_ = now.instant;
    if (does_deed(At::Banner, now)) return;
    if (script_.greeting) {
      session_.refuse(*script_.greeting, now.instant);
    } else {
      session_.greet(now.instant);
    }
    pump(now);
  }

  void receive(std::string_view octets, base::Now now) override {
    if (mute_) return;
    if (tls_ == RemoteTls::None || within_tls_) {
      session_.receive(octets, now.instant);
      return pump(now);
    }
    // Line by line, to find STARTTLS, which the session below knows nothing of.
    line_ += octets;
    for (std::size_t end = line_.find('\n'); end != std::string::npos && !mute_;
         end = line_.find('\n')) {
      const std::string line = line_.substr(0, end + 1);
      line_.erase(0, end + 1);
      if (line == "STARTTLS\r\n") {
        start_tls(now);
      } else {
        session_.receive(line, now.instant);
        pump(now);
      }
    }
  }

  void tls_started(const net::TlsInfo&, base::Now) override { within_tls_ = true; }

  void peer_closed(base::Now now) override {
    if (mute_) {
      over_ = true;
      return;
    }
    session_.peer_closed(now.instant);
    pump(now);
  }

  void lost(const net::Loss&, base::Now now) override {
    session_.lost(now.instant);
    mute_ = true;
  }

  void deadline_reached(base::Now now) override {
    if (mute_) {
      over_ = true;
      return;
    }
    session_.deadline_reached(now.instant);
    pump(now);
  }

  void turn(base::Now now) override { pump(now); }

  [[nodiscard]] std::string_view output() const override { return out_; }

  void output_sent(std::size_t octets, base::Now) override { out_.erase(0, octets); }

  [[nodiscard]] base::Instant deadline() const override {
    return mute_ ? mute_until_ : session_.deadline();
  }

  [[nodiscard]] bool wants_input() const override { return mute_ || session_.wants_input(); }

  [[nodiscard]] bool is_over() const override { return over_ || session_.is_over(); }

 private:
  void say(std::string_view text) {
    out_ += text;
    said_ += text.size();
  }

  void start_tls(base::Now now) {
    switch (tls_) {
      case RemoteTls::None:
        break;
      case RemoteTls::Works:
        say("220 2.0.0 go ahead\r\n");
        wire_->start_tls(net::StartTlsAsServer{});
        break;
      case RemoteTls::Refuses:
        say("454 4.7.0 not now\r\n");
        break;
      case RemoteTls::Drops:
        server_.internet_.cut(connection_);
        break;
      case RemoteTls::Clear:
      case RemoteTls::Stalls:
        say("220 2.0.0 go ahead\r\n");
        if (tls_ == RemoteTls::Clear) say("what do you mean?\r\n");
        mute_ = true;
        mute_until_ = now.instant + kMuteMax;
        break;
    }
  }

  void pump(base::Now now) {
    while (!mute_) {
      const std::optional<smtp::ServerEvent> event = session_.next_event(now.instant);
      if (!event) return take_output(now);
      std::visit([this, now](const auto& what) { on(what, now); }, *event);
    }
  }

  void take_output(base::Now now) {
    std::string said(session_.output());
    session_.output_sent(said.size(), now.instant);
    constexpr std::string_view kDsn = "250-DSN\r\n";
    const std::size_t dsn = server_.hides_dsn_ ? said.find(kDsn) : std::string::npos;
    if (dsn != std::string::npos) said.erase(dsn, kDsn.size());
    const std::size_t last = said.rfind("\r\n250 ");
    if (std::exchange(is_hello_, false) && last != std::string::npos) {
      said.insert(last, "\r\n250-STARTTLS");
    }
    say(said);
  }

  // True when it did: then nothing else happens.
  bool does_deed(At here, base::Now now) {
    if (script_.at != here) return false;
    if (here >= At::Mail && transactions_ < script_.transactions_before) return false;
    take_output(now);
    script_.at = At::Never;
    mute_ = true;
    mute_until_ = now.instant + kMuteMax;
    switch (script_.deed) {
      case SessionScript::Deed::Drop:
        server_.internet_.cut(connection_);
        break;
      case SessionScript::Deed::Close:
        over_ = true;
        break;
      case SessionScript::Deed::Stall:
        break;
      case SessionScript::Deed::Garbage:
        out_ += "<html><h1>It works!</h1>\r\n";
        break;
      case SessionScript::Deed::Busy:
        out_ += "421 4.3.2 " + server_.name_ + " is busy\r\n";
        over_ = true;
        break;
    }
    return true;
  }

  void on(const smtp::HelloGiven&, base::Now now) {
    is_hello_ = tls_ != RemoteTls::None && !within_tls_;
    does_deed(At::Hello, now);
  }

  void on(const smtp::SenderOffered& event, base::Now now) {
    if (does_deed(At::Mail, now)) return;
    sender_ = mail::format_address(event.sender);
    recipients_.clear();
    content_.clear();
    session_.answer(script_.sender.value_or(smtp::make_reply(250, "2.1.0", "ok")), now.instant);
  }

  void on(const smtp::RecipientOffered& event, base::Now now) {
    if (does_deed(At::Rcpt, now)) return;
    const std::string address = mail::format_address(event.recipient);
    std::optional<smtp::Reply> reply;
    if (server_.recipient_rule_) reply = server_.recipient_rule_(address);
    if (!reply) recipients_.push_back(address);
    session_.answer(reply.value_or(smtp::make_reply(250, "2.1.5", "ok")), now.instant);
  }

  void on(const smtp::DataWanted&, base::Now now) {
    if (does_deed(At::Data, now)) return;
    session_.answer(script_.data.value_or(smtp::make_reply(354, "", "go ahead")), now.instant);
  }

  void on(const smtp::BodyPart& event, base::Now now) {
    content_ += event.octets;
    does_deed(At::Body, now);
  }

  void on(const smtp::BodyEnded& event, base::Now now) {
    if (event.how != smtp::BodyEnd::Dot) return;
    if (does_deed(At::Dot, now)) return;
    const smtp::Reply reply = script_.content.value_or(smtp::make_reply(250, "2.0.0", "taken"));
    if (!reply.is_success()) return session_.answer(reply, now.instant);
    Arrival arrival{connection_, connected_, 0, sender_, recipients_, content_};
    if (does_deed(At::Taken, now)) {
      arrival.reply_ends_at = said_ + 1'000'000;  // nobody will ever read it
    } else {
      ++transactions_;
      session_.answer(reply, now.instant);
      take_output(now);
      arrival.reply_ends_at = said_;
    }
    server_.received_.push_back({now.instant, sender_, recipients_, content_, within_tls_});
    server_.truth_.arrived(arrival);
  }

  // Neither is offered.
  void on(const smtp::HandshakeWanted&, base::Now) {}

  void on(const smtp::LoginOffered&, base::Now) {}

  void on(const smtp::TransactionReset&, base::Now) {}

  void on(const smtp::SessionOver&, base::Now) {}

  RemoteServer& server_;
  SessionScript script_;
  const RemoteTls tls_;
  smtp::ServerSession session_;
  net::Wire* wire_ = nullptr;
  std::string line_;  // not complete yet
  bool is_hello_ = false;
  bool within_tls_ = false;
  ConnectionId connection_ = 0;
  base::Instant connected_{};
  std::string out_;
  std::uint64_t said_ = 0;
  unsigned transactions_ = 0;
  bool mute_ = false;
  base::Instant mute_until_ = base::kNever;
  bool over_ = false;
  std::string sender_;
  std::vector<std::string> recipients_;
  std::string content_;
};

RemoteServer::RemoteServer(Internet& internet, SimLoop& loop, Truth& truth, std::string name)
    : internet_(internet), loop_(loop), truth_(truth), name_(std::move(name)) {
  greeting_.hostname = name_;
}

SessionScript& RemoteServer::next_session() {
  return scripts_.emplace_back();
}

SessionScript RemoteServer::take_script() {
  if (!scripts_.empty()) {
    SessionScript script = std::move(scripts_.front());
    scripts_.pop_front();
    return script;
  }
  return session_rule_ ? session_rule_() : SessionScript{};
}

void RemoteServer::heal() {
  scripts_.clear();
  session_rule_ = {};
  recipient_rule_ = {};
  limits_.recipients_max = 1000;
}

std::unique_ptr<net::Protocol> RemoteServer::accept() {
  ++sessions_;
  session_times_.push_back(loop_.now().instant);
  return std::make_unique<RemoteSession>(*this, take_script());
}

}  // namespace rockdove::sim
