// Next hops of the simulated world, built on smtp::ServerSession. Each takes mail as told: well, or
// with any of the misbehaviours that the internet knows, and keeps what it took.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mta/smtp/server_session.h"
#include "tests/sim/internet.h"
#include "tests/sim/truth.h"

namespace rockdove::sim {

// One session's behaviour. By default it takes everything.
struct SessionScript {
  enum class At : std::uint8_t { Never, Banner, Hello, Mail, Rcpt, Data, Body, Dot, Taken };
  enum class Deed : std::uint8_t {
    Drop,     // the connection breaks
    Close,    // it is closed in order, without a word
    Stall,    // nothing is said any more
    Garbage,  // something that is no reply
    Busy,     // 421, and closed
  };

  // At::Dot: the whole content has come, and is forgotten. At::Taken: it was taken, and the deed
  // comes in the place of the reply.
  At at = At::Never;
  Deed deed = Deed::Drop;
  unsigned transactions_before = 0;     // that go well before the deed, for At::Mail and later
  std::optional<smtp::Reply> greeting;  // in the place of 220
  std::optional<smtp::Reply> sender;    // to MAIL
  std::optional<smtp::Reply> data;      // to DATA
  std::optional<smtp::Reply> content;   // to the final dot

  SessionScript& does(Deed what, At where);
  SessionScript& greets_with(int code, std::string_view enhanced, std::string_view text);
};

// What a server makes of STARTTLS.
enum class RemoteTls : std::uint8_t {
  None,  // does not offer it
  Works,
  Refuses,  // 454
  Drops,    // the connection breaks in answer to it
  Stalls,   // 220, and then nothing
  Clear,    // 220, and then clear text in the place of a handshake
};

struct ReceivedMail {
  base::Instant at;
  std::string sender;
  std::vector<std::string> recipients;
  std::string content;
  bool within_tls = false;
};

class RemoteServer {
 public:
  // What to say to a RCPT; nullopt: 250.
  using RecipientRule = std::function<std::optional<smtp::Reply>(const std::string& address)>;
  using SessionRule = std::function<SessionScript()>;

  RemoteServer(Internet& internet, SimLoop& loop, Truth& truth, std::string name);

  [[nodiscard]] const std::string& name() const { return name_; }

  // The next session goes by this script; several calls queue up.
  SessionScript& next_session();

  // The sessions for which no script is queued.
  void sessions_go_by(SessionRule rule) { session_rule_ = std::move(rule); }

  void recipients_go_by(RecipientRule rule) { recipient_rule_ = std::move(rule); }

  // Of sessions that begin from now on; heal() leaves it.
  void set_tls(RemoteTls tls) { tls_ = tls; }

  // Of sessions that begin from now on: it does not offer DSN.
  void hide_dsn() { hides_dsn_ = true; }

  void set_recipients_max(std::size_t recipients) { limits_.recipients_max = recipients; }

  // Takes everything from now on.
  void heal();

  [[nodiscard]] const std::vector<ReceivedMail>& received() const { return received_; }

  [[nodiscard]] std::size_t sessions() const { return sessions_; }

  // When each session began.
  [[nodiscard]] const std::vector<base::Instant>& session_times() const { return session_times_; }

  [[nodiscard]] std::unique_ptr<net::Protocol> accept();

 private:
  friend class RemoteSession;

  [[nodiscard]] SessionScript take_script();

  Internet& internet_;
  SimLoop& loop_;
  Truth& truth_;
  const std::string name_;
  smtp::ServerLimits limits_;
  smtp::Greeting greeting_;
  std::deque<SessionScript> scripts_;
  SessionRule session_rule_;
  RecipientRule recipient_rule_;
  std::vector<ReceivedMail> received_;
  std::vector<base::Instant> session_times_;
  std::size_t sessions_ = 0;
  RemoteTls tls_ = RemoteTls::None;
  bool hides_dsn_ = false;
};

}  // namespace rockdove::sim
