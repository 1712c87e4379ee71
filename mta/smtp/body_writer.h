// The content of a message on its way to the wire. For DATA, dots at the beginning of lines are
// doubled (RFC 5321 §4.5.2) and the end is written; for BDAT (RFC 3030) it goes as it is, only
// looked at. Bodies in the queue have only CRLF line ends and no NUL; should one not, nothing from
// there on is written, because a bare CR or LF passed on is how mail is smuggled past the next hop.
// The caller must then cut the connection before the end.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "mta/base/byte_buffer.h"

namespace rockdove::smtp {

enum class BodyFault : std::uint8_t { None, BareLineFeed, BareCarriageReturn, NullOctet };

// The fault as a phrase for the log; "" for none.
[[nodiscard]] std::string_view describe(BodyFault fault);

class BodyWriter {
 public:
  // Appends `octets` to `wire`, stuffed. Cut them anywhere.
  void write(std::string_view octets, base::ByteBuffer& wire);

  // Ends the last line if it has no end, then writes the line of the final dot. Nothing is written
  // if there was a fault.
  void finish(base::ByteBuffer& wire);

  [[nodiscard]] BodyFault fault() const { return fault_; }

 private:
  bool at_line_start_ = true;
  bool after_return_ = false;  // the last octet was a CR, kept back
  BodyFault fault_ = BodyFault::None;
};

// Looks at content that is not changed, in the order of its octets.
class LineEndCheck {
 public:
  void look(std::string_view octets);
  // There are no more octets.
  void finish();

  [[nodiscard]] BodyFault fault() const { return fault_; }

 private:
  bool after_return_ = false;
  BodyFault fault_ = BodyFault::None;
};

}  // namespace rockdove::smtp
