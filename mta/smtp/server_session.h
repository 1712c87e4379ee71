// One inbound SMTP conversation (RFC 5321) without a socket, a clock or a thread.
//
// Tell it what happened, then drain next_event() and output(). It asks the application one question
// at a time and reads no further until answer(), which keeps replies in command order when the
// client pipelines (RFC 2920 §3.2). Replies to a pipelined burst gather in output() and leave in
// one write.
//
//   Greeting ──greet()──▶ Hello ──EHLO──▶ Ready ──MAIL──▶ Mail ──RCPT──▶ Rcpt ──DATA──▶ Body ─┐
//       │                  ▲                ▲◀──RSET, EHLO───┴──────────────┘                 │
//       └─refuse(), early  │                └─────────────────── CRLF "." CRLF ───────────────┘
//         talk──▶ Over     │
//                          ├── tls_started() ◀── Handshake ◀──STARTTLS── Ready
//   Ready ──AUTH──▶ Credentials ──the last response, "*"──▶ Ready
//   Rcpt ──BDAT──▶ Body ──end of a chunk──▶ Chunks ──BDAT──▶ Body; ──end of the LAST──▶ Ready
//   any ──BDAT that is refused──▶ Dropping (its octets) ──▶ as before
//
// From every state a deadline, a limit, QUIT or the end of the connection lead to Over. Everything
// that was learned before TLS is forgotten (RFC 3207 §4.2), AUTH included.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "mta/base/byte_buffer.h"
#include "mta/base/time.h"
#include "mta/mail/address.h"
#include "mta/mail/dsn.h"
#include "mta/smtp/body_reader.h"
#include "mta/smtp/command.h"
#include "mta/smtp/command_tally.h"
#include "mta/smtp/reply.h"
#include "mta/smtp/sasl_server.h"

namespace rockdove::smtp {

using base::Duration;
using base::Instant;

struct ServerLimits {
  std::size_t command_octets_max = 2048;  // RFC 5321 §4.5.3.1.4 says 512; extensions add to it
  // RFC 5321 §4.5.3.1.6 says 1000 with CRLF, but scanners and ERP systems send whole pages on one
  // line and refusing them loses mail. Without CRLF. BodyEnded tells the longest line there was.
  std::size_t text_line_octets_max = 65'536;
  std::size_t recipients_max = 1000;              // RFC 5321 §4.5.3.1.8 wants at least 100
  std::uint64_t message_octets_max = 50'000'000;  // told as SIZE
  // What is read and dropped after a message turned out too big, so that the client can be told; it
  // is cut off after that.
  std::uint64_t dropped_octets_max = 64 * 1024 * 1024;
  unsigned commands_max = 2000;  // since the last message that was accepted, or the start
  unsigned errors_max = 50;      // replies 5yz, counted likewise
  Duration command_timeout = base::Duration(5 * 60'000);  // RFC 5321 §4.5.3.2.7
  Duration data_timeout = base::Duration(5 * 60'000);     // between two arrivals of content
  Duration handshake_timeout = base::Duration(60'000);    // of TLS
  Duration session_timeout = base::Duration(2 * 3'600'000);
  unsigned failed_logins_max = 5;  // after one more the session ends
  LineEndings line_endings = LineEndings::Reject;
};

struct Greeting {
  std::string hostname;  // ours, in 220, 250 and 221
  std::string text = "ESMTP Rockdove";
};

// What this connection may use beyond what everybody may.
struct ServerOffers {
  enum class Tls : std::uint8_t {
    Off,
    Unavailable,  // it is meant to be offered, but there is no certificate: 454, and not in EHLO
    Optional,
    Required,  // 530 to what matters before STARTTLS
  };
  enum class Auth : std::uint8_t { Off, UnderTls, Always };

  Tls tls = Tls::Off;
  Auth auth = Auth::Off;
  bool auth_required = false;  // 530 to MAIL before AUTH
  // RFC 3461. Who offers it takes over the duty to report (§5.2.2).
  enum class Dsn : std::uint8_t { Off, Offered };
  Dsn dsn = Dsn::Offered;
  // MT-PRIORITY (RFC 6710) and FUTURERELEASE (RFC 4865): for those whose mail we send.
  enum class Wishes : std::uint8_t { Off, WithAuth, Always };
  Wishes wishes = Wishes::Off;
  base::Duration hold_for_max{};    // FUTURERELEASE's largest interval, whole seconds
  base::WallTime hold_until_max{};  // and its latest time
  AddressForm addresses = AddressForm::Mailbox;
};

enum class CloseReason : std::uint8_t {
  Quit,
  PeerClosed,  // without QUIT
  CommandTimeout,
  DataTimeout,
  SessionTimeout,
  TooManyErrors,
  TooManyCommands,
  TooMuchData,  // went on and on after its message was too big
  EarlyTalker,  // spoke before the greeting
  Refused,      // by refuse()
  ShutDown,     // by close_with()
  Lost,         // by lost()
  HandshakeTimeout,
  TooManyLogins,  // that failed
};

// "quit", "peer closed", "command timeout", …, for logs.
[[nodiscard]] std::string_view close_reason_name(CloseReason reason);

// Informs; no answer. `name` is valid until the next call that is not const.
struct HelloGiven {
  std::string_view name;
  bool extended = false;
};

// Answer with 2yz, 4yz or 5yz.
struct SenderOffered {
  mail::Address sender;    // is_null() for <>
  std::uint64_t size = 0;  // as announced, at most message_octets_max; 0: not announced
  bool eight_bit = false;
  bool utf8 = false;                                          // SMTPUTF8 (RFC 6531)
  mail::ReturnContent returned = mail::ReturnContent::Unset;  // RET (RFC 3461)
  std::string envelope_id{};                                  // ENVID, decoded
  std::optional<int> priority{};               // MT-PRIORITY (RFC 6710); only where it is offered
  std::optional<base::Duration> hold_for{};    // HOLDFOR (RFC 4865); likewise
  std::optional<base::WallTime> hold_until{};  // HOLDUNTIL (RFC 4865); likewise; may have passed
};

// Likewise.
struct RecipientOffered {
  mail::Address recipient;
  mail::NotifySet notify{};          // NOTIFY (RFC 3461)
  std::string original_recipient{};  // ORCPT, decoded: "rfc822;bob@x"
};

// Answer with 354 (which is not sent where BDAT began the content), or 4yz or 5yz, which ends the
// transaction (no TransactionReset follows). Asked only when at least one recipient was accepted.
struct DataWanted {};

// STARTTLS was taken (RFC 3207): when output() has been sent in clear, let the handshake begin, and
// say tls_started(). Informs; no answer.
struct HandshakeWanted {};

// AUTH (RFC 4954). Answer with 235, or 4yz or 5yz. Take the strings out and wipe them.
struct LoginOffered {
  std::string user;  // UTF-8, not empty
  std::string password;
  AuthMechanism mechanism = AuthMechanism::Plain;
};

// Content, unstuffed, with its CRLFs. Valid until the next call that is not const.
struct BodyPart {
  std::string_view octets;
};

// The content is over. how == Dot: answer; 2yz only once the message is durable. Every other `how`:
// the session has refused it by itself; forget the transaction, there is no answer.
struct BodyEnded {
  BodyEnd how = BodyEnd::Dot;
  std::uint64_t octets = 0;
  std::uint64_t fixed_line_endings = 0;
  std::size_t longest_line = 0;  // without CRLF
};

// Forget sender, recipients and body: RSET, a new EHLO, or the session ended before the final dot.
// Comes only after SenderOffered was answered with 2yz.
struct TransactionReset {};

// The last event. Output may still be waiting to be sent.
struct SessionOver {
  CloseReason reason = CloseReason::Quit;
};

using ServerEvent =
    std::variant<HelloGiven, SenderOffered, RecipientOffered, DataWanted, BodyPart, BodyEnded,
                 HandshakeWanted, LoginOffered, TransactionReset, SessionOver>;

class ServerSession {
 public:
  // Starts silent: call greet() or refuse(). What the client says before that is early talk and
  // ends the session with 554. `limits` and `greeting` outlive it.
  ServerSession(const ServerLimits& limits, const Greeting& greeting, Instant now,
                const ServerOffers& offers = {});

  // What happened.
  // TLS from the first octet (RFC 8314): nothing is said or heard before tls_started(), after which
  // greet() or refuse() are due.
  void begin_with_tls(Instant now);
  // After HandshakeWanted or begin_with_tls().
  void tls_started(Instant now);
  void greet(Instant now);                       // says 220
  void refuse(const Reply& reply, Instant now);  // says 421 or 554 instead, and is over
  void receive(std::string_view bytes, Instant now);
  // The client will send nothing more; what it sent is still worked off and answered.
  void peer_closed(Instant now);
  // The connection is gone. A question that is open stays open and may be answered, in vain.
  void lost(Instant now);
  void deadline_reached(Instant now);
  // To the last question; asserts that there is one.
  void answer(const Reply& reply, Instant now);
  // Ends the session with `reply` (421) before the next command is read; within a message's content
  // and while a question is open, once that has been answered.
  void close_with(const Reply& reply, Instant now);

  // What it wants. Call next_event() until nullopt after each of the above.
  [[nodiscard]] std::optional<ServerEvent> next_event(Instant now);

  // Valid until the next call that is not const.
  [[nodiscard]] std::string_view output() const { return output_.view(); }

  void output_sent(std::size_t octets, Instant now);
  // kNever while a question is open: its answer is the application's to give in time.
  [[nodiscard]] Instant deadline() const;
  [[nodiscard]] bool wants_input() const;

  // SessionOver was taken. Close once output() is empty.
  [[nodiscard]] bool is_over() const { return over_told_; }

  // For logs and metrics.
  [[nodiscard]] bool has_open_question() const { return question_ != Question::None; }

  [[nodiscard]] std::string_view hello_name() const { return hello_name_; }  // "" before EHLO

  [[nodiscard]] bool is_extended() const { return extended_; }  // EHLO, not HELO

  // The account that has authenticated; "" before AUTH.
  [[nodiscard]] const std::string& user() const { return user_; }

  // By which mechanism, once there is a user().
  [[nodiscard]] AuthMechanism mechanism() const { return mechanism_; }

  // Also behind STARTTLS.
  [[nodiscard]] const CommandTally& tally() const { return tally_; }

  [[nodiscard]] bool has_tls() const { return tls_; }

  [[nodiscard]] bool is_in_handshake() const { return state_ == State::Handshake; }

  [[nodiscard]] std::uint64_t commands() const { return commands_; }  // in all

  [[nodiscard]] std::uint64_t errors() const { return errors_; }  // replies 5yz in all

  [[nodiscard]] std::size_t recipients() const {
    return recipients_;
  }  // accepted in this transaction

  [[nodiscard]] std::string_view state_name() const;

  [[nodiscard]] std::size_t memory() const { return input_.memory() + output_.memory(); }

 private:
  enum class State : std::uint8_t {
    Greeting,
    Hello,
    Ready,
    Mail,
    Rcpt,
    Body,         // content: after DATA, or within a chunk of BDAT
    Chunks,       // between two chunks
    Dropping,     // within a chunk that is refused
    Credentials,  // a response of AUTH is awaited
    Handshake,
    Over
  };
  enum class Question : std::uint8_t { None, Sender, Recipient, Data, Message, Login };
  using Event = std::optional<ServerEvent>;

  Event next_command(Instant now);
  Event next_body_part(Instant now);
  Event chunk_ended(Instant now);
  Event body_ended(Instant now);
  Event drop_chunk(Instant now);
  Event take_line(std::string_view line);
  bool answer_data(const Reply& reply, Instant now);
  Event refuse_chunk(Reply reply);
  Event step_of(SaslServer::Step&& step);
  void end_credentials();
  Event say_login(const Reply& reply);
  [[nodiscard]] std::string extensions() const;
  Event on(HelloCommand&& command);
  Event on(MailCommand&& command);
  Event on(RcptCommand&& command);
  Event on(DataCommand&& command);
  Event on(RsetCommand&& command);
  Event on(NoopCommand&& command);
  Event on(VrfyCommand&& command);
  Event on(HelpCommand&& command);
  Event on(QuitCommand&& command);
  Event on(StartTlsCommand&& command);
  Event on(AuthCommand&& command);
  Event on(BdatCommand&& command);
  Event on(Refusal&& refusal);

  Event say(const Reply& reply);
  void finish(CloseReason reason);
  void finish_with(const Reply& reply, CloseReason reason);
  Event tell_end();
  void release_held();
  [[nodiscard]] bool is_in_transaction() const;
  [[nodiscard]] bool offers_auth() const;

  [[nodiscard]] bool offers_wishes() const {
    return offers_.wishes == ServerOffers::Wishes::Always ||
           (offers_.wishes == ServerOffers::Wishes::WithAuth && !user_.empty());
  }

  [[nodiscard]] std::optional<Reply> refuse_wishes(const MailCommand& command) const;

  [[nodiscard]] bool must_start_tls() const {
    return !tls_ && offers_.tls == ServerOffers::Tls::Required;
  }

  const ServerLimits& limits_;
  const Greeting& greeting_;
  const ServerOffers offers_;
  base::ByteBuffer input_;
  base::ByteBuffer output_;
  std::size_t held_ = 0;  // octets at the front of input_ that the last event's views point to
  State state_ = State::Greeting;
  Question question_ = Question::None;
  CloseReason reason_ = CloseReason::Quit;
  bool extended_ = false;
  bool peer_closed_ = false;
  bool skipping_line_ = false;   // the rest of a command line that was too long
  bool bare_line_feed_ = false;  // the rest of a command line that had one
  bool progressed_ = false;
  bool hello_owed_ = false;  // a HelloGiven is to be told after the TransactionReset
  bool reset_owed_ = false;  // a TransactionReset is to be told before SessionOver
  bool over_told_ = false;
  bool tls_ = false;
  bool utf8_ = false;        // this transaction's SMTPUTF8
  bool chunked_ = false;     // its content comes by BDAT
  bool chunk_last_ = false;  // this chunk is its LAST
  State after_drop_ = State::Ready;
  State after_handshake_ = State::Hello;
  std::uint64_t chunk_left_ = 0;  // octets of this chunk, or of the one that is dropped
  std::uint64_t chunk_octets_ = 0;
  std::size_t recipients_ = 0;
  std::uint64_t commands_ = 0;
  std::uint64_t errors_ = 0;
  unsigned idle_commands_ = 0;  // since a message was accepted
  unsigned idle_errors_ = 0;
  unsigned failed_logins_ = 0;
  Instant session_deadline_;
  Instant step_deadline_;
  std::string hello_name_;
  std::string user_;
  std::string login_user_;  // whose login is being checked
  std::optional<SaslServer> sasl_;
  AuthMechanism mechanism_ = AuthMechanism::Plain;
  CommandTally tally_;
  std::optional<BodyReader> body_;
  std::optional<Reply> drop_reply_;  // to the chunk that is dropped
  std::optional<Reply> farewell_;
};

}  // namespace rockdove::smtp
