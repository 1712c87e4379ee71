// Prints the body of a message for people while it comes, in octets cut anywhere: text as it is,
// line by line and safe for a terminal; of the parts that are no text (RFC 2046) what they are and
// how large. Keeps a line and the header of a part at most, however large the body is.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "mta/mail/shown_header.h"

namespace rockdove::cli {

class BodyPrinter {
 public:
  // `header`: the message's own.
  BodyPrinter(std::ostream& out, const std::vector<mail::ShownField>& header);

  void receive(std::string_view octets);
  // There is no more; call once.
  void finish();

 private:
  // What stands at the current place.
  enum class Place : std::uint8_t {
    Text,
    PartHeader,
    Other,    // a part that is not shown
    Nothing,  // before the first part of a multipart, or behind the last: nobody is to see it
  };
  enum class Cut : std::uint8_t { Whole, Begun, GoesOn, Ended };  // a piece of a long line

  void line(std::string_view text, Cut cut);
  [[nodiscard]] bool is_boundary(std::string_view text);
  void header_line(std::string_view text);
  void enter(const std::vector<mail::ShownField>& header);
  void leave_part();

  std::ostream& out_;
  Place place_ = Place::Text;
  std::string line_;                     // that has not ended
  bool is_in_long_line_ = false;         // its beginning was handed over already
  std::vector<std::string> boundaries_;  // of the multiparts we are in, the outermost first
  std::string part_header_;
  std::string hidden_;        // what the part is that is not shown
  std::uint64_t octets_ = 0;  // of it
};

}  // namespace rockdove::cli
