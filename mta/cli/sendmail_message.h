// What `sendmail` makes of the text that a program gives it: line ends, the header's fields, and
// the recipients that the header names. Text in, text out.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mta/base/result.h"
#include "mta/base/time.h"
#include "mta/mail/address.h"

namespace rockdove::cli {

inline constexpr std::size_t kSendmailRecipientsMax = 100'000;

enum class LoneDot : std::uint8_t { EndsMessage, IsText };

// The message as it goes on the wire: each line ends with CRLF, be it with LF, CRLF or CR in
// `input`; NUL octets, which no mail may have, are left out; lines of the body over 65,000 octets
// are broken. mbox's "From " line in front is skipped.
[[nodiscard]] std::string to_wire_lines(std::string_view input, LoneDot dot);

// What is added to a header that lacks it.
struct OwnFields {
  std::string from;  // the value of the From field; "": none
  base::WallTime now;
  std::string message_id;  // "<left@right>"
};

enum class Extraction : std::uint8_t { None, Recipients };

struct PreparedMail {
  std::string content;
  std::vector<mail::Address> recipients;  // that the header names, if they were asked for
};

// `text` is as to_wire_lines() gives it. Recipients stand in To, Cc and Bcc, or, where there is any
// of these, in Resent-To, Resent-Cc and Resent-Bcc (RFC 5322 §3.6.6). Bcc and Resent-Bcc, and what
// only a mailbox has (Return-Path, Content-Length), go no further. The error is one of the data.
[[nodiscard]] base::Result<PreparedMail> prepare_mail(std::string_view text, Extraction extraction,
                                                      const OwnFields& own);

// The value of a From field: "Name <address>", the name in whatever form it needs.
[[nodiscard]] std::string format_from(std::string_view full_name, const std::string& address);

}  // namespace rockdove::cli
