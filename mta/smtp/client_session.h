// One outbound SMTP conversation (RFC 5321) without a socket, a clock or a thread.
//
//   Banner ──220──▶ Hello ──250──▶ Ready ──start()──▶ MAIL, RCPT…, DATA ──354──▶ body() … "." ──▶
//   Ready
//                                   └──quit()──▶ over
//
// Tell it what happened, then drain next_event() and output(), and give content while wants_body().
// With PIPELINING (RFC 2920) MAIL, all RCPT and DATA leave in one write, else one by one. It never
// waits without a deadline, and it knows at each moment whether the peer may already have taken a
// message: once the final dot has left and its reply is missing, the end is *uncertain*.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "mta/base/byte_buffer.h"
#include "mta/base/time.h"
#include "mta/smtp/body_writer.h"
#include "mta/smtp/reply.h"

namespace rockdove::smtp {

using base::Duration;
using base::Instant;

// RFC 5321 §4.5.3.2.
struct ClientTimeouts {
  Duration banner = base::Duration(5 * 60'000);
  Duration hello = base::Duration(5 * 60'000);
  Duration mail = base::Duration(5 * 60'000);
  Duration rcpt = base::Duration(5 * 60'000);
  Duration data_start = base::Duration(2 * 60'000);  // until 354
  Duration body_block = base::Duration(3 * 60'000);  // between two signs of progress
  Duration final_dot = base::Duration(10 * 60'000);
  Duration reset = base::Duration(60'000);
  Duration quit = base::Duration(10'000);
};

struct ClientOptions {
  std::string hostname;  // what we call ourselves in EHLO
  ClientTimeouts timeouts;
};

struct PeerCapabilities {
  std::string banner;     // text of the 220
  std::string name;       // what it calls itself in its reply to EHLO
  bool extended = false;  // it took EHLO
  bool pipelining = false;
  bool eight_bit_mime = false;
  bool enhanced_codes = false;
  bool size = false;
  std::uint64_t size_octets_max = 0;  // 0: SIZE named no limit (RFC 1870 §4)
  bool chunking = false;
  bool smtputf8 = false;
  bool dsn = false;
  bool starttls = false;
};

// How far a transaction goes.
enum class Extent : std::uint8_t {
  Message,
  // MAIL and RCPT, to learn whether the peer knows its recipients; nothing is sent to them.
  RecipientsOnly,
};

struct OutgoingMessage {
  std::string sender;                   // without <>; empty: the null sender
  std::vector<std::string> recipients;  // without <>; at least one
  std::uint64_t octets = 0;             // of the content, for SIZE=
  bool eight_bit = false;               // it has octets above 127
  Extent extent = Extent::Message;
};

struct RecipientResult {
  Stage stage = Stage::Mail;  // where it was decided, or how far it had come
  // The reply that decided it. is_none(): nothing did.
  Reply reply;
};

// EHLO or HELO succeeded: is_ready() now.
struct Greeted {};

// The transaction is over, the session is not (or a SessionClosed or SessionFailed follows).
struct TransactionEnded {
  std::vector<RecipientResult> results;  // one a recipient, in their order
  Stage stage = Stage::FinalDot;         // how far the transaction came
  // The connection ended after the final dot and before its reply: recipients whose reply is_none()
  // may or may not have got the message.
  bool uncertain = false;
};

enum class FailKind : std::uint8_t {
  Refused,  // by a reply that ends the session: `reply`
  TimedOut,
  Lost,       // the connection broke, or the peer closed it
  Malformed,  // it said what is no reply, or a reply that nobody asked for
  Abandoned,  // by abandon()
  BadBody,    // the content that we were to send has bare CR, LF or NUL
};

// The session ended in another way than by QUIT. The last event.
struct SessionFailed {
  Stage stage = Stage::Banner;
  FailKind kind = FailKind::Lost;
  std::optional<Reply> reply;
  std::string detail;  // for the log, where there is more to say; may be empty
  // A transaction was running: `results` has an entry for each of its recipients.
  bool transaction_open = false;
  // Its final dot has left: the end is uncertain for results whose reply is_none().
  bool past_final_dot = false;
  std::vector<RecipientResult> results;
};

// The session ended in order: after quit(), or by a 421 between transactions. The last event.
struct SessionClosed {
  std::optional<Reply> reply;  // the 221 or 421, if there was one
};

using ClientEvent = std::variant<Greeted, TransactionEnded, SessionFailed, SessionClosed>;

enum class BodyLast : std::uint8_t { No, Yes };

class ClientSession {
 public:
  // The connection is up; waits for the banner. `options` outlives it.
  ClientSession(const ClientOptions& options, Instant now);

  // What happened.
  void receive(std::string_view bytes, Instant now);
  void peer_closed(Instant now);
  void lost(Instant now);
  void deadline_reached(Instant now);

  // What is to be done.
  // Only when is_ready() or can_start_next(). A message that this peer cannot take (larger than its
  // SIZE: 552 5.3.4; 8-bit without 8BITMIME: 554 5.6.3; an address with control characters: 553
  // 5.1.3) ends at once with results of our own making, at Stage::Mail, without a word to the peer.
  // With Extent::RecipientsOnly it ends after the last reply to RCPT, at Stage::Rcpt: each result
  // is what the peer said, 2yz included; RSET goes before the next transaction, if there is one.
  void start(const OutgoingMessage& message, Instant now);
  // Content, with CRLF line ends and not stuffed; only when wants_body(). The last part, maybe
  // empty, adds the final dot.
  void body(std::string_view octets, BodyLast last, Instant now);
  // Says QUIT once no transaction is running; before the banner and EHLO are through, ends at once.
  void quit(Instant now);
  // Gives up the running transaction and with it the connection: before the final dot nothing else
  // can keep the peer from taking the message. Over at once, by SessionFailed.
  void abandon(Instant now);

  // What it wants. Call next_event() until nullopt after each of the above.
  [[nodiscard]] std::optional<ClientEvent> next_event(Instant now);

  // Valid until the next call that is not const.
  [[nodiscard]] std::string_view output() const { return output_.view(); }

  void output_sent(std::size_t octets, Instant now);
  // kNever only between transactions (how long to keep an idle session is its owner's to say) and
  // once it is over.
  [[nodiscard]] Instant deadline() const;

  [[nodiscard]] bool wants_input() const { return state_ != State::Over; }

  // Over; close once output() is empty. Events may still be waiting.
  [[nodiscard]] bool is_over() const { return state_ == State::Over; }

  // Greeted, no transaction running, not quitting.
  [[nodiscard]] bool is_ready() const;
  // The final dot has left and is not answered yet, but the peer pipelines: the next transaction's
  // commands may follow it (RFC 2920 §3.1).
  [[nodiscard]] bool can_start_next() const;
  // The peer said 354, the last part was not given yet, and less than 128 KiB are unsent.
  [[nodiscard]] bool wants_body() const;

  [[nodiscard]] const PeerCapabilities& peer() const { return peer_; }

  // What it is waiting for.
  [[nodiscard]] Stage stage() const;

  [[nodiscard]] std::size_t memory() const { return output_.memory(); }

 private:
  enum class State : std::uint8_t { Talking, Quitting, Over };
  // A reply that is due, in the order of the commands.
  enum class Due : std::uint8_t { Banner, Ehlo, Helo, Reset, Mail, Rcpt, Data, FinalDot, Quit };
  // What a transaction has come to.
  enum class Phase : std::uint8_t {
    None,
    Envelope,  // replies to MAIL, RCPT and DATA are due
    Body,
    Dot,      // the final dot is in output() or has left
    Decided,  // by ourselves; to be told once previous_ has ended
  };

  struct Transaction {
    Phase phase = Phase::None;
    OutgoingMessage message;  // only where it is sent command by command
    std::vector<RecipientResult> results;
    std::size_t answered = 0;  // recipients whose RCPT has a reply
    std::size_t accepted = 0;
    bool mail_accepted = false;
    bool recipients_only = false;
    bool lone_dot = false;  // 354 though nobody was accepted
    bool dot_left = false;
    Stage stage = Stage::Mail;
  };

  // A queue that keeps its memory.
  class DueReplies {
   public:
    [[nodiscard]] bool is_empty() const { return taken_ == replies_.size(); }

    [[nodiscard]] Due front() const { return replies_[taken_]; }

    void push_back(Due due) { replies_.push_back(due); }

    void take() {
      if (++taken_ == replies_.size()) clear();
    }

    void clear() {
      replies_.clear();
      taken_ = 0;
    }

   private:
    std::vector<Due> replies_;
    std::size_t taken_ = 0;
  };

  void on_reply(Reply reply);
  void on_banner(Reply reply);
  void on_hello(Reply reply, Due due);
  void on_mail(const Reply& reply);
  void on_rcpt(Reply reply);
  void on_data(Reply reply);
  void on_final_dot(Reply reply);
  void on_unasked(Reply reply);
  void learn(const Reply& hello, Due due);
  [[nodiscard]] std::optional<Reply> refuse_locally(const OutgoingMessage& message) const;
  void send(std::string_view command, Due due);
  void send_mail(const OutgoingMessage& message);
  void send_rcpt(std::string_view recipient);
  void expect_final_dot();
  void decide_open(Transaction& transaction, const Reply& reply, Stage stage);
  void end_transaction(Transaction& transaction);
  void say_quit_when_idle();
  void refuse_session(Stage stage, Reply reply);
  void fail(FailKind kind, std::optional<Reply> reply, std::string detail);
  void close(std::optional<Reply> reply);
  [[nodiscard]] bool is_dot_left() const;
  [[nodiscard]] Duration timeout() const;

  const ClientOptions& options_;
  ReplyParser parser_;
  base::ByteBuffer output_;
  PeerCapabilities peer_;
  State state_ = State::Talking;
  DueReplies due_;
  std::vector<ClientEvent> events_;
  std::size_t events_taken_ = 0;
  Transaction previous_;  // its final dot has left, its reply is due, and current_ runs already
  Transaction current_;
  BodyWriter writer_;
  std::uint64_t sent_ = 0;         // octets that have left in all
  std::uint64_t dot_ends_at_ = 0;  // value of sent_ at which current_'s final dot has left
  bool greeted_ = false;
  bool quit_wanted_ = false;
  bool reset_needed_ = false;  // the peer may still hold a transaction that came to nothing
  Instant progress_;           // of the last sign of life or of ours
};

}  // namespace rockdove::smtp
