// Reads a DNS reply off the wire (RFC 1035 §4). The bytes are a stranger's: every offset is
// checked, compression pointers only lead backwards, and what is kept is bounded.
#pragma once

#include <string_view>

#include "dns/answers.h"

namespace rockdove::dns {

// What `reply` says to the question for `type` at `name` (normalised). CNAMEs in the reply are
// followed (RFC 1034 §3.6.2); records of other names are not looked at. A reply that cannot be read
// is a ServerFailure that says so.
[[nodiscard]] Answer read_reply(std::string_view reply, std::string_view name, RecordType type);

// A failed question: "asking for MX of example.com: timed out".
[[nodiscard]] Answer failure(Status status, std::string_view name, RecordType type,
                             std::string_view why);

}  // namespace rockdove::dns
