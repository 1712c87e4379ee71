// The content of a message after DATA (RFC 5321 §4.1.1.4), read from the wire: dots are unstuffed
// (§4.5.2), the end is found, and nothing but CRLF "." CRLF is the end. Or the content of BDAT's
// chunks (RFC 3030 §2), where dots are text and the end is where the session says finish().
//
// A bare CR or LF before or after a dot could end the message for us and not for the next hop, or
// the other way round: then what follows is a message that nobody checked (SMTP smuggling). So bare
// CRs and LFs refuse the message, or, with LineEndings::Fix, become CRLF and are counted; a line
// that such a repair begins never ends the message either. NUL octets are always refused (RFC 5322
// §2.3; other servers end a text there).
//
// Nothing is copied: what comes out are views of what went in. For any cut of the same octets the
// parts, joined, are the same, and so is everything else that can be asked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace rockdove::smtp {

enum class LineEndings : std::uint8_t { Reject, Fix };

// How the end is marked: by a dot's line, or by counts that the session keeps.
enum class BodyFraming : std::uint8_t { Dots, Chunks };

// How a message's content ended. All of them were read up to CRLF "." CRLF, or to the end of the
// chunk, unless the session ended.
enum class BodyEnd : std::uint8_t {
  Dot,                 // well, be it by a dot or with the last chunk
  TooBig,              // more octets than BodyLimits allows
  BareLineFeed,        // an LF without a CR before it
  BareCarriageReturn,  // a CR without an LF after it
  NullOctet,
  LineTooLong,
};

struct BodyLimits {
  std::uint64_t octets_max = 50'000'000;  // unstuffed, CRLFs included, without the final dot's line
  std::size_t line_octets_max = 65'536;   // without CRLF and the stuffed dot
  LineEndings line_endings = LineEndings::Reject;
  BodyFraming framing = BodyFraming::Dots;
};

class BodyReader {
 public:
  explicit BodyReader(const BodyLimits& limits) : limits_(limits) {}

  struct Part {
    // Unstuffed content, maybe empty; a view of the input, or of constants.
    std::string_view octets;
    // How much of the input is done with. 0 only if there are octets instead, or no input.
    std::size_t taken = 0;
  };

  // Reads from the front of `input`; call again with the rest until nothing is left or is_ended().
  // After a fault no more content comes out, but the end is still looked for.
  [[nodiscard]] Part read(std::string_view input);

  // With chunks: the last one has been read whole. Gives what was kept back; a content whose last
  // line has no CRLF stays so. Call it once.
  [[nodiscard]] Part finish();

  // The final dot's line has been read, and what follows it in the input is the next command; or
  // finish() was called.
  [[nodiscard]] bool is_ended() const { return ended_; }

  // The first fault so far, or Dot.
  [[nodiscard]] BodyEnd how() const { return how_; }

  // Content given out.
  [[nodiscard]] std::uint64_t octets() const { return octets_; }

  // Read from the wire in all, the end included.
  [[nodiscard]] std::uint64_t wire_octets() const { return wire_octets_; }

  // Bare CRs and LFs that were made CRLF.
  [[nodiscard]] std::uint64_t fixed_line_endings() const { return fixed_line_endings_; }

  // The longest line of a message without fault, without its CRLF. RFC 5321 §4.5.3.1.6 allows 998.
  [[nodiscard]] std::size_t longest_line() const {
    return how_ == BodyEnd::Dot ? longest_line_ : 0;
  }

 private:
  enum class State : std::uint8_t {
    LineStart,   // at the beginning, or after CRLF on the wire
    InLine,      // anywhere else
    Dot,         // a dot at LineStart, kept back
    DotReturn,   // and a CR after it, kept back
    Return,      // a CR, kept back
    TwoReturns,  // only with Fix: two CRs, kept back; before an LF they are one line's end
  };

  [[nodiscard]] bool is_at_dot(char octet) const {
    return state_ == State::LineStart && octet == '.' && limits_.framing == BodyFraming::Dots;
  }

  Part read_text(std::string_view input);
  Part read_octet(char octet);
  Part give(std::string_view octets, std::size_t taken);
  Part bare(BodyEnd fault, std::string_view repaired, std::size_t taken, State next);
  void end_line();
  void fail(BodyEnd how);

  BodyLimits limits_;
  State state_ = State::LineStart;
  BodyEnd how_ = BodyEnd::Dot;
  bool ended_ = false;
  std::uint64_t octets_ = 0;
  std::uint64_t wire_octets_ = 0;
  std::uint64_t fixed_line_endings_ = 0;
  std::size_t line_octets_ = 0;
  std::size_t longest_line_ = 0;
};

}  // namespace rockdove::smtp
