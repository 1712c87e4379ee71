// A message's header as people read it: fields unfolded (RFC 5322 §2.2.3) and their encoded words
// decoded (RFC 2047). For showing only; nothing is decided by it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rockdove::mail {

struct ShownField {
  std::string name;   // as written
  std::string value;  // UTF-8, without blanks at its ends; may have control characters
};

// In the order of the block; ends at a line that is no field.
[[nodiscard]] std::vector<ShownField> shown_fields(std::string_view block);

}  // namespace rockdove::mail
