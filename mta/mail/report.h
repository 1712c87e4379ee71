// Delivery reports, "bounces": multipart/report of RFC 6522 with message/delivery-status of RFC
// 3464. A value in, the text of a message out. The first part is for a person: what happened to
// whom, what to do about it, and the remote server's own words; the second is for programs; the
// third returns the message or its header.
//
// Where an address of the report has UTF-8 in it (RFC 6531), the forms of RFC 6533 take the place
// of these: for a sender with such an address the whole report is internationalised mail, for
// others only the address is written otherwise.
//
// Recipients, the remote server's words and the returned message are a stranger's. None of them can
// add a field or a part, and all of them are bounded. Who gets a report at all is not decided here:
// the null sender never does (RFC 5321 §6.1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mta/base/time.h"
#include "mta/mail/address.h"
#include "mta/mail/enhanced_code.h"

namespace rockdove::mail {

inline constexpr std::size_t kReportedInFullMax = 100;           // recipients; the rest in brief
inline constexpr std::size_t kReportedTextOctetsMax = 2 * 1024;  // of a server's words, a recipient
inline constexpr std::size_t kReportedHopsMax = 30;

// RFC 3464 §2.3.3.
enum class ReportAction : std::uint8_t { Failed, Delayed, Delivered, Relayed, Expanded };

// What went wrong, as far as the advice to a person differs.
enum class FailureKind : std::uint8_t {
  Other,  // explained by its status code
  NoSuchUser,
  MailboxFull,
  MessageTooBig,
  RefusedByPolicy,     // spam, reputation, SPF, DKIM, DMARC, block lists
  DomainNotFound,      // the domain does not exist, or has no host that takes mail
  DomainTakesNoMail,   // null MX, RFC 7505
  Expired,             // could not be delivered in the time that the queue keeps a message
  Loop,                // the message has been here, or anywhere, too often
  RelayDenied,         // the next hop does not pass mail on for us
  TlsFailed,           // the connection could not be encrypted as it must be
  LoginFailed,         // the next hop did not take our user name and password
  NeedsUtf8,           // the next hop takes no internationalised mail (SMTPUTF8, RFC 6531)
  NotConvertible,      // the next hop takes no 8-bit text, and rewriting would break the message
  ReturnedByOperator,  // a person ended it
};

// Whose words `ReportedRecipient::text` are.
enum class TextSource : std::uint8_t { RemoteServer, Ourselves };

struct ReportedRecipient {
  Address recipient;  // as the message was sent to in the end
  ReportAction action = ReportAction::Failed;
  FailureKind kind = FailureKind::Other;
  EnhancedCode status{};     // unset: made from the action (5.0.0, 4.0.0, 2.0.0)
  std::string remote_mta{};  // name of the server that decided; empty: none was reached
  // "550 5.1.1 No such user", code included, lines separated by '\n' or CRLF; may be empty.
  std::string text{};
  TextSource text_source = TextSource::RemoteServer;
  base::WallTime last_attempt{};  // 0: there was none
  std::uint32_t attempts = 0;
  std::optional<base::WallTime> retry_until{};  // for Delayed
  // ORCPT of RFC 3461 §4.2, decoded: "rfc822;bob@example.net"; empty: none.
  std::string original_recipient{};
};

struct Report {
  std::string reporting_mta;  // our host name
  // Names this report and no other: 1 to 40 letters, digits, "-" and "." (asserted); a message id's
  // text is right. It makes Message-ID and boundary.
  std::string report_id;
  Address to;  // the sender of the message; without a domain it gets reporting_mta
  base::WallTime arrival;
  base::WallTime now;
  std::string message_id{};            // our id of the message that this is about; empty: not shown
  std::string original_envelope_id{};  // ENVID of RFC 3461, decoded; empty: none
  std::vector<ReportedRecipient> recipients;  // at least one (asserted)
  std::uint64_t further_failures = 0;         // failures of the same message that no report names
  std::string_view original_header{};         // a header block (headers.h)
  bool original_is_smtputf8 = false;          // it is internationalised mail (RFC 6532)
  // The body, when all of it is at hand; it is returned when the whole message fits.
  std::optional<std::string_view> original_body{};
  std::size_t returned_octets_max = 50 * 1024;
};

struct ReportMessage {
  std::string header;  // a header block; on the wire an empty line follows
  std::string body;
  // It has octets above 127, so it wants BODY=8BITMIME (RFC 6152).
  bool is_eight_bit = false;
  // Its header has UTF-8, so it needs SMTPUTF8 (RFC 6531).
  bool is_smtputf8 = false;
};

// Lines end in CRLF and have at most 998 octets; those of text at most 78, where words let them.
[[nodiscard]] ReportMessage build_report(const Report& report);

}  // namespace rockdove::mail
