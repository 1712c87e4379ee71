// Makes 7-bit content of 8-bit content (RFC 6152 §3, RFC 2045 §6), for servers without 8BITMIME:
// each MIME part that needs it becomes quoted-printable or base64, its Content-Transfer-Encoding
// says so, and the octets that a reader gets are the same.
//
// Give it the message, header block and empty line first, cut anywhere; it follows multipart
// boundaries and message/rfc822, and leaves parts alone that are 7-bit. It keeps at most a header
// and the first 32 KiB of a part. What it must not touch (a signature would break), or cannot
// (8-bit header fields), is copied as long as it is 7-bit, and else a problem: nothing is written
// any more, and the caller must not end the message.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mta/mail/transfer_encoder.h"

namespace rockdove::mail {

enum class SevenBitProblem : std::uint8_t {
  None,
  Header,     // an 8-bit header field, of the message or of a part
  Signed,     // 8-bit content under a DKIM-Signature, or in multipart/signed
  Encoded,    // 8-bit content that claims to be encoded, or in a type that allows no encoding
  Binary,     // 8-bit content with Content-Transfer-Encoding: binary
  Structure,  // parts nested too deep, a header too long, or no MIME that could be followed
};

// "a signature would not survive it", …: what follows "because".
[[nodiscard]] std::string_view describe(SevenBitProblem problem);

class SevenBitEncoder {
 public:
  // Appends what is ready of the message to `out`.
  void write(std::string_view octets, std::string& out);
  // The message is over.
  void finish(std::string& out);

  [[nodiscard]] SevenBitProblem problem() const { return problem_; }

  // What 8-bit octets would be that came next.
  [[nodiscard]] SevenBitProblem problem_of_eight_bit() const {
    return mode_ == Mode::Copy ? copy_problem_ : problem_;
  }

 private:
  enum class Mode : std::uint8_t {
    Header,   // of an entity: collected in held_ until the empty line
    Ignored,  // before the first part and behind the last: read by nobody, so 8-bit becomes "?"
    Copy,     // as it is; 8-bit is copy_problem_
    Waiting,  // a part whose form is not decided yet: in held_, its header first
    Encode,
  };

  struct Level {
    std::string boundary;
    bool is_digest = false;  // its parts are message/rfc822 where they do not say
  };

  // Lines: what is, or may be, a delimiter is kept apart from content.
  void line_part(std::string_view octets, std::string& out);
  void line_end(std::string& out);
  bool take_delimiter(std::string& out);

  // Entities.
  void begin_entity(bool is_message);
  void header_complete(std::string& out);
  void end_part(std::string& out);
  void text(std::string_view octets, std::string& out);
  void owed_line_end(std::string& out);
  void decide_form(std::string& out);
  void fail(SevenBitProblem problem);

  SevenBitProblem problem_ = SevenBitProblem::None;
  Mode mode_ = Mode::Header;
  SevenBitProblem copy_problem_ = SevenBitProblem::Encoded;
  std::vector<Level> levels_;
  bool is_message_ = true;  // the header at hand is that of a message, not of a part
  bool is_top_ = true;      // and of the outermost one
  bool is_text_ = true;     // the leaf at hand
  std::string held_;
  std::size_t header_octets_ = 0;  // with Waiting: of held_
  std::string line_;               // the beginning of a line that may be a delimiter
  bool in_line_ = false;           // within a line that is none
  bool after_return_ = false;      // the last octet was a CR, kept back
  bool end_owed_ = false;          // a CRLF kept back: if a delimiter follows, it belongs to that
  TransferEncoder encoder_;
};

// What stands in the way of re-encoding a message that has 8-bit text in its body, as far as that
// can be told from its header block, and from its whole body where that is at hand. None: nothing
// (or with the header alone: nothing that shows in it).
[[nodiscard]] SevenBitProblem foresee_seven_bit_problem(std::string_view header,
                                                        std::optional<std::string_view> body);

}  // namespace rockdove::mail
