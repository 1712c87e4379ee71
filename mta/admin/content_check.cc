#include "mta/admin/content_check.h"

#include <cstddef>

#include "mta/base/utf8.h"

namespace rockdove::admin {

using base::Error;
using base::Result;

Result<void> ContentCheck::header(std::string_view block) {
  constexpr std::string_view kEnd = "\r\n\r\n";
  const std::size_t end = block.find(kEnd);
  if (end == std::string_view::npos || end + kEnd.size() != block.size() ||
      block.starts_with("\r\n")) {
    return Error("its content has no header with an empty line behind it, where its envelope says");
  }
  body(block);
  return {};
}

void ContentCheck::body(std::string_view octets) {
  lines_.look(octets);
  is_eight_bit_ = is_eight_bit_ || !base::is_ascii(octets);
}

Result<void> ContentCheck::finish() {
  lines_.finish();
  switch (lines_.fault()) {
    case smtp::BodyFault::None:
      return {};
    case smtp::BodyFault::BareLineFeed:
      return Error("its content has a line feed alone, which mail has not");
    case smtp::BodyFault::BareCarriageReturn:
      return Error("its content has a carriage return alone, which mail has not");
    case smtp::BodyFault::NullOctet:
      return Error("its content has a zero octet, which mail has not");
  }
  return {};
}

}  // namespace rockdove::admin
