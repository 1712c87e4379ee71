// One outbound SMTP conversation (RFC 5321) without a socket, a clock or a thread.
//
//   Banner ──220──▶ Hello ──250─(AUTH, 235)─▶ Ready ──start()──▶ Envelope ─354─▶ Body ─"."─▶ Ready
//                    │ ▲                        └──quit()──▶ over
//                    │ └─tls_started()─┐
//                    └─(STARTTLS, 220)─┘
//
// Tell it what happened, then drain next_event() and output(), and give content while wants_body().
// With PIPELINING (RFC 2920) MAIL, all RCPT and DATA leave in one write, else one by one. Content
// goes by DATA, stuffed, or by BDAT (RFC 3030) in one chunk for each part that body() is given, to
// peers that offer it: what is large, and to those that do not pipeline everything. To a peer
// without 8BITMIME it is re-encoded (mail/seven_bit.h).
//
// The session never waits without a deadline, and it knows at each moment whether the peer may
// already have taken a message: once the final dot or the LAST chunk has left and its reply is
// missing, the end is *uncertain*. With LMTP (RFC 2033) each recipient has such a reply.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "mta/base/byte_buffer.h"
#include "mta/base/time.h"
#include "mta/mail/seven_bit.h"
#include "mta/smtp/body_writer.h"
#include "mta/smtp/client_auth.h"
#include "mta/smtp/client_envelope.h"
#include "mta/smtp/outgoing.h"
#include "mta/smtp/peer_capabilities.h"
#include "mta/smtp/reply.h"

namespace rockdove::smtp {

using base::Duration;
using base::Instant;

// RFC 5321 §4.5.3.2.
struct ClientTimeouts {
  Duration banner = base::Duration(5 * 60'000);
  Duration hello = base::Duration(5 * 60'000);
  Duration start_tls = base::Duration(2 * 60'000);  // until 220, and then for the handshake
  Duration auth = base::Duration(2 * 60'000);       // between two lines of AUTH
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

enum class Dialect : std::uint8_t {
  Smtp,
  Lmtp,  // RFC 2033: LHLO, and after the content a reply a recipient
};

// Whether STARTTLS is said (RFC 3207).
enum class UseTls : std::uint8_t {
  Never,
  IfOffered,  // if the peer then refuses it by a reply, the session goes on in clear
  Required,   // not offered, or refused: SessionFailed at Stage::StartTls
};

// How this one peer is to be spoken to.
struct ClientTerms {
  Dialect dialect = Dialect::Smtp;
  UseTls tls = UseTls::Never;
  bool inside_tls = false;  // the connection went through its handshake before the session began
  // Null: no AUTH. Else a session that cannot log in fails at Stage::Auth.
  std::shared_ptr<const ClientCredentials> credentials;
  bool auth_in_clear = false;  // the password may be sent without TLS
};

// STARTTLS was answered with 220: the owner starts TLS, then says tls_started(). Unless
// wants_tls() is false by then: the peer said more in clear, and how that ended is the next event.
struct TlsWanted {};

// Hello, and TLS and AUTH as far as they were wanted, succeeded: is_ready() now.
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
  BadBody,    // the content that we were to send has bare CR, LF or NUL; or it cannot be
              // re-encoded for this peer, then `reply` (554 5.6.3) says why
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

using ClientEvent =
    std::variant<TlsWanted, Greeted, TransactionEnded, SessionFailed, SessionClosed>;

enum class BodyLast : std::uint8_t { No, Yes };

class ClientSession {
 public:
  // The connection is up; waits for the banner. `options` outlives it.
  ClientSession(const ClientOptions& options, Instant now, ClientTerms terms = {});

  // What happened.
  void receive(std::string_view bytes, Instant now);
  void peer_closed(Instant now);
  void lost(Instant now);
  void deadline_reached(Instant now);
  // The handshake is done; only when wants_tls(). What the peer said of itself before is forgotten
  // (RFC 3207 §4.2), and EHLO is said again.
  void tls_started(Instant now);

  // What is to be done.
  // Only when is_ready() or can_start_next(). A message that this peer cannot take (larger than its
  // SIZE: 552 5.3.4; without 8BITMIME an 8-bit header, or 8-bit text that is seen not to allow
  // another encoding: 554 5.6.3; UTF-8 in header or sender without SMTPUTF8: 550 5.6.7; an address
  // with control characters: 553 5.1.3) ends at once with results of our own making, at
  // Stage::Mail, without a word to the peer. So do, at Stage::Rcpt, single recipients: with a UTF-8
  // local part without SMTPUTF8 (550 5.6.7), or more than the peer's LIMITS allow (452 4.5.3,
  // is_postponed). With Extent::RecipientsOnly it ends after the last reply to RCPT, at
  // Stage::Rcpt: each result is what the peer said, 2yz included; RSET goes before the next
  // transaction, if there is one.
  void start(const OutgoingMessage& message, Instant now);
  // Content, with CRLF line ends and not stuffed, its header first; only when wants_body(). The
  // last part, maybe empty, adds the final dot.
  void body(std::string_view octets, BodyLast last, Instant now);
  // Says QUIT once no transaction is running; before the banner and EHLO are through, ends at once.
  void quit(Instant now);
  // Gives up the running transaction and with it the connection: before the final dot nothing else
  // can keep the peer from taking the message. Over at once, by SessionFailed.
  void abandon(Instant now);

  // What it wants. Call next_event() until nullopt after each of the above.
  [[nodiscard]] std::optional<ClientEvent> next_event(Instant now);

  // Valid until the next call that is not const.
  [[nodiscard]] std::string_view output() const {
    return output_.is_empty() ? secret_.view() : output_.view();
  }

  void output_sent(std::size_t octets, Instant now);
  // kNever only between transactions (how long to keep an idle session is its owner's to say) and
  // once it is over.
  [[nodiscard]] Instant deadline() const;

  [[nodiscard]] bool wants_input() const { return state_ != State::Over; }

  // Over; close once output() is empty. Events may still be waiting.
  [[nodiscard]] bool is_over() const { return state_ == State::Over; }

  // STARTTLS was taken, tls_started() is waited for. Until then it has nothing to say.
  [[nodiscard]] bool wants_tls() const { return state_ == State::Handshake; }

  // Greeted, no transaction running, not quitting. Never again once the peer has had as many
  // transactions as its MAILMAX allows; the session says QUIT by itself then.
  [[nodiscard]] bool is_ready() const;
  // The final dot has left and is not answered yet, but the peer pipelines: the next transaction's
  // commands may follow it (RFC 2920 §3.1).
  [[nodiscard]] bool can_start_next() const;
  // The peer said 354, or takes the next chunk (the first one maybe before it has answered RCPT);
  // the last part was not given yet, and less than 128 KiB are unsent.
  [[nodiscard]] bool wants_body() const;

  [[nodiscard]] const PeerCapabilities& peer() const { return peer_; }

  // What it is waiting for.
  [[nodiscard]] Stage stage() const;

  [[nodiscard]] std::size_t memory() const { return output_.memory() + held_.capacity(); }

 private:
  enum class State : std::uint8_t { Talking, Handshake, Quitting, Over };
  // A reply that is due, in the order of the commands.
  enum class Due : std::uint8_t {
    Banner,
    Ehlo,
    Helo,
    StartTls,
    Auth,
    Reset,
    Mail,
    Rcpt,
    Data,
    Chunk,
    FinalDot,  // or the LAST chunk
    Quit
  };
  // What a transaction has come to.
  enum class Phase : std::uint8_t {
    None,
    Envelope,  // replies to MAIL, RCPT and DATA are due
    Body,
    Dot,      // the final dot, or the LAST chunk, is in output() or has left
    Ending,   // refused; replies to chunks are due
    Decided,  // by ourselves; to be told once previous_ has ended
  };

  struct Transaction {
    Phase phase = Phase::None;
    OutgoingMessage message;  // only where it is sent command by command
    EnvelopePlan plan;
    std::vector<RecipientResult> results;
    std::size_t offered = 0;   // recipients that RCPT is said for
    std::size_t answered = 0;  // of these, those whose RCPT has a reply
    std::size_t accepted = 0;
    std::size_t final_due = 0;  // replies to the final dot that are still to come
    bool mail_accepted = false;
    bool recipients_only = false;
    std::optional<Reply> closing;  // a 421 after the final dot
    bool is_void = false;          // whatever the final dot's reply, nobody is delivered to
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
  // Whether it may answer what is due.
  [[nodiscard]] bool fits(const Reply& reply, Due due) const;
  void on_banner(Reply reply);
  void on_hello(Reply reply, Due due);
  void on_start_tls(Reply reply);
  void on_auth(Reply reply);
  void on_mail(const Reply& reply);
  void on_rcpt(Reply reply);
  void on_data(const Reply& reply);
  void on_chunk(const Reply& reply);
  void on_final_dot(Reply reply);
  void on_unasked(Reply reply);
  void say_hello();
  void introduce();
  void start_auth();
  void send(std::string_view command, Due due);
  void send_envelope(const OutgoingMessage& message);
  // The recipient at `place` among those that are offered.
  void send_rcpt(const OutgoingMessage& message, std::size_t place);
  void envelope_answered();
  void write_stuffed(std::string_view octets, BodyLast last);
  void write_re_encoded(std::string_view octets, BodyLast last);
  void write_chunk(std::string_view octets, BodyLast last);
  void expect_final_dot();
  [[nodiscard]] static std::size_t index_of(const Transaction& transaction, std::size_t place);
  void decide_open(Transaction& transaction, const Reply& reply, Stage stage);
  void decide_next(Transaction& transaction, const Reply& reply);
  void end_transaction(Transaction& transaction);
  void say_quit_when_idle();
  void refuse_session(Stage stage, Reply reply);
  void fail(FailKind kind, std::optional<Reply> reply, std::string detail);
  void close(std::optional<Reply> reply);
  [[nodiscard]] bool is_dot_left() const;
  [[nodiscard]] bool is_exhausted() const;
  [[nodiscard]] Duration timeout() const;

  const ClientOptions& options_;
  const ClientTerms terms_;
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
  LineEndCheck line_end_check_;                     // of chunks
  std::unique_ptr<mail::SevenBitEncoder> encoder_;  // of ContentForm::SevenBit
  std::string held_;                                // content that has no chunk yet
  bool last_held_ = false;                          // and it is the last of it
  bool chunk_given_ = false;                        // a chunk of current_ is on its way
  std::optional<ClientAuth> auth_;
  SecretLine secret_;              // goes behind output_
  std::uint64_t sent_ = 0;         // octets that have left in all
  std::uint64_t dot_ends_at_ = 0;  // value of sent_ at which current_'s final dot has left
  bool inside_tls_ = false;
  bool tls_refused_ = false;  // STARTTLS was offered, and not answered with 220
  bool logged_in_ = false;
  bool greeted_ = false;
  std::uint32_t mails_ = 0;  // transactions begun
  bool quit_wanted_ = false;
  bool reset_needed_ = false;  // the peer may still hold a transaction that came to nothing
  Instant progress_;           // of the last sign of life or of ours
};

}  // namespace rockdove::smtp
