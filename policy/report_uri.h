// The addresses that DMARC records name for reports (rua, ruf): URIs (RFC 3986), of which mailto:
// (RFC 6068) is the one that everybody must know. RFC 7489 §6.4 lets "!10m" behind one say how
// large a report may be; RFC 9989 §4.8 has that ignored.
#pragma once

#include <string_view>

#include "mta/base/result.h"
#include "policy/dmarc_record.h"

namespace rockdove::policy {

// One element of the list, without blanks around it. The error says what is wrong with it.
[[nodiscard]] base::Result<ReportUri> parse_report_uri(std::string_view text);

}  // namespace rockdove::policy
