// Dates of header fields: date-time of RFC 5322 §3.3, and on reading also its obsolete forms (§4.3)
// and that of ctime(3), which old devices send; and timestamps of RFC 3339.
#pragma once

#include <string>
#include <string_view>

#include "mta/base/result.h"
#include "mta/base/time.h"

namespace rockdove::mail {

// "Sat, 21 Nov 2026 20:46:05 +0000", always in UTC: 31 characters in the years 0 to 9999.
[[nodiscard]] std::string format_date(base::WallTime time);
void append_date(std::string& text, base::WallTime time);

// Takes comments and folding white space anywhere, years of two and three digits, names of zones, a
// missing or wrong day name, a missing zone (UTC). A date before 1970 or after 9999 is an error.
[[nodiscard]] base::Result<base::WallTime> parse_date(std::string_view text);

// "2026-11-21T20:46:05Z", "2026-11-21 21:46:05.123+01:00" (RFC 3339 §5.6, with a blank for T);
// seconds may be left out. A time without a zone could be anybody's: an error, as are those before
// 1970.
[[nodiscard]] base::Result<base::WallTime> parse_timestamp(std::string_view text);

}  // namespace rockdove::mail
