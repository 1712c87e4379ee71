// Replies of SMTP servers (RFC 5321 §4.2), with enhanced status codes (RFC 2034, RFC 3463): as
// values, the way to the wire, and the way back. They are what peers answer, never errors of ours;
// what a refusal costs a message is decided in queue/failure.
//
// ReplyParser is fed whatever arrives, cut anywhere, and gives the same replies for any cut.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "mta/base/byte_buffer.h"
#include "mta/mail/enhanced_code.h"

namespace rockdove::smtp {

struct Reply {
  // 200 to 599 as on the wire; 0: there was no reply (see RecipientResult).
  int code = 0;
  std::optional<mail::EnhancedCode> enhanced;
  // Lines separated by '\n', none at the end; without codes, CR or other control characters. What a
  // peer sent may hold octets above 126.
  std::string text;

  [[nodiscard]] bool is_none() const { return code == 0; }

  [[nodiscard]] bool is_success() const { return code >= 200 && code < 300; }  // 2yz

  [[nodiscard]] bool is_intermediate() const { return code >= 300 && code < 400; }  // 3yz

  [[nodiscard]] bool is_transient() const { return code >= 400 && code < 500; }  // 4yz

  [[nodiscard]] bool is_permanent() const { return code >= 500; }  // 5yz

  bool operator==(const Reply&) const = default;
};

// "5.1.1" is the enhanced code, empty for none; it must be well formed (asserted). `text` may have
// several lines, separated by '\n'.
[[nodiscard]] Reply make_reply(int code, std::string_view enhanced, std::string_view text);

// Appends the reply as it goes on the wire: "250-…" for all lines but the last, the enhanced code
// in front of each line's text (RFC 2034 §4), CRLF after each. Lines over 512 octets are cut (RFC
// 5321 §4.5.3.1.5); what is not printable ASCII or UTF-8 text becomes "?".
void append_reply(std::string& wire, const Reply& reply);
[[nodiscard]] std::string format_reply(const Reply& reply);

// For logs and reports: "550 5.1.1 No such user; see https://…". Lines are joined by "; ", what is
// longer than `octets_max` ends in "…", control characters and octets above 126 show as \xNN.
[[nodiscard]] std::string one_line(const Reply& reply, std::size_t octets_max = 512);

// How far a conversation had come when something was said or went wrong. Stored in the queue as its
// number: only ever add to the end.
enum class Stage : std::uint8_t {
  Resolve = 0,  // before there was a host to talk to
  Connect = 1,
  Banner = 2,  // waiting for 220
  Hello = 3,   // EHLO or HELO
  Mail = 4,
  Rcpt = 5,
  Data = 6,      // DATA was sent, its 354 awaited
  Body = 7,      // the content is being sent, its final dot has not left
  FinalDot = 8,  // the final dot has left, its reply is awaited
  Idle = 9,      // between transactions, RSET and QUIT included
  StartTls = 10,
  Auth = 11,
};

// "resolve", "connect", "banner", "EHLO", "MAIL", "RCPT", "DATA", "body", "final dot", "idle", …
[[nodiscard]] std::string_view stage_name(Stage stage);

inline constexpr std::size_t kReplyLineOctetsMax =
    2048;  // RFC 5321 §4.5.3.1.5 says 512; many send more
inline constexpr std::size_t kReplyLinesMax = 128;
inline constexpr std::size_t kReplyOctetsMax = 16 * 1024;

// What cannot be a reply: not three digits, lines of one reply with different codes, over a limit.
// `what` is a phrase for the log, with the beginning of what was said.
struct Malformed {
  std::string what;
};

class ReplyParser {
 public:
  void receive(std::string_view octets) { input_.append(octets); }

  // The next reply that is complete, nullopt when more is needed. After Malformed, Malformed again.
  // Lines may end in a bare LF; that endangers nobody and some appliances do it.
  [[nodiscard]] std::optional<std::variant<Reply, Malformed>> next();

  // Whether octets are waiting that are not a whole reply yet.
  [[nodiscard]] bool is_between_replies() const { return input_.is_empty() && lines_ == 0; }

 private:
  std::optional<Malformed> add_line(std::string_view line);

  base::ByteBuffer input_;
  std::size_t scanned_ = 0;  // octets at the front of input_ that hold no LF
  Reply building_;
  std::size_t lines_ = 0;
  std::size_t octets_ = 0;
  bool complete_ = false;
  std::optional<Malformed> malformed_;
};

}  // namespace rockdove::smtp
