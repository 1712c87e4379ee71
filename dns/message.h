// Reads a DNS reply off the wire (RFC 1035 §4). The bytes are a stranger's: every offset is
// checked, compression pointers only lead backwards, and what is kept is bounded.
#pragma once

#include <cstdint>
#include <string_view>

#include "dns/answers.h"

namespace rockdove::dns {

// The number of a record type on the wire (RFC 1035 §3.2.2, RFC 3596 §2.1).
[[nodiscard]] constexpr std::uint16_t wire_type(RecordType type) {
  switch (type) {
    case RecordType::A:
      return 1;
    case RecordType::PTR:
      return 12;
    case RecordType::MX:
      return 15;
    case RecordType::TXT:
      return 16;
    case RecordType::AAAA:
      return 28;
  }
  return 0;
}

// What `reply` says to the question for `type` at `name` (normalised). CNAMEs in the reply are
// followed (RFC 1034 §3.6.2); records of other names are not looked at. A reply that cannot be read
// is a ServerFailure that says so.
[[nodiscard]] Answer read_reply(std::string_view reply, std::string_view name, RecordType type);

// A failed question: "asking for MX of example.com: timed out".
[[nodiscard]] Answer failure(Status status, std::string_view name, RecordType type,
                             std::string_view why);

}  // namespace rockdove::dns
