#include "mta/mail/report.h"

#include <algorithm>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "mta/mail/headers.h"
#include "mta/mail/report_text.h"

using namespace rockdove;
using namespace rockdove::mail;

namespace {

constexpr std::uint64_t kArrival = 1'795'293'965'000;  // Sat, 21 Nov 2026 20:46:05

Report report_on(std::vector<ReportedRecipient> recipients) {
  return {.reporting_mta = "relay.example.net",
          .report_id = "0000000000Zz",
          .to = {"alice", "example.com"},
          .arrival = base::from_unix_milliseconds(kArrival),
          .now = base::from_unix_milliseconds(kArrival + 5 * 86'400'000ULL),
          .message_id = "0000000000Z0",
          .recipients = std::move(recipients),
          .original_header = "Message-ID: <1@example.com>\r\nSubject: March invoice\r\n",
          .original_body = "Hello\r\n"};
}

ReportedRecipient failed(FailureKind kind, std::string text = "550 5.1.1 No such user") {
  return {.recipient = {"bob", "example.net"},
          .kind = kind,
          .status = {5, 1, 1},
          .remote_mta = "mx.example.net",
          .text = std::move(text),
          .last_attempt = base::from_unix_milliseconds(kArrival + 1000),
          .attempts = 3};
}

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

std::size_t count(std::string_view text, std::string_view part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1))
    ++found;
  return found;
}

// All lines end in CRLF; the longest has so many octets.
std::size_t longest_line(std::string_view text) {
  std::size_t longest = 0;
  while (!text.empty()) {
    const std::size_t end = text.find("\r\n");
    REQUIRE(end != std::string_view::npos);
    CHECK(text.substr(0, end).find_first_of("\r\n") == std::string_view::npos);
    longest = std::max(longest, end);
    text.remove_prefix(end + 2);
  }
  return longest;
}

// The contents of the parts, with their own fields.
std::vector<std::string> parts_of(const ReportMessage& message) {
  const std::size_t start = message.header.find("boundary=\"") + 10;
  const std::string mark =
      "--" + message.header.substr(start, message.header.find('"', start) - start);
  std::vector<std::string> parts;
  std::size_t at = 0;
  REQUIRE(message.body.starts_with(mark + "\r\n"));
  for (;;) {
    at += mark.size() + 2;
    const std::size_t end = message.body.find("\r\n" + mark, at);
    if (end == std::string::npos) break;
    parts.push_back(message.body.substr(at, end - at));
    at = end + 2;
  }
  REQUIRE(message.body.ends_with("\r\n" + mark + "--\r\n"));
  return parts;
}

}  // namespace

TEST_CASE("report: the header says who, to whom, about what, and that a machine wrote it") {
  const ReportMessage message = build_report(report_on({failed(FailureKind::NoSuchUser)}));
  CHECK(message.header ==
        "Date: Thu, 26 Nov 2026 20:46:05 +0000\r\n"
        "From: Mail Delivery System <MAILER-DAEMON@relay.example.net>\r\n"
        "To: <alice@example.com>\r\n"
        "Subject: Not delivered: your message to bob@example.net\r\n"
        "Message-ID: <0000000000Zz.report@relay.example.net>\r\n"
        "In-Reply-To: <1@example.com>\r\n"
        "References: <1@example.com>\r\n"
        "Auto-Submitted: auto-replied\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=delivery-status;\r\n"
        "\tboundary=\"=_rockdove_0000000000Zz\"\r\n");
  CHECK_FALSE(message.is_eight_bit);
}

TEST_CASE("report: a person reads what happened, what to do and the server's own words") {
  const std::string text = report_text(report_on({failed(FailureKind::NoSuchUser)}));
  CHECK(text ==
        "This is the mail system relay.example.net.\r\n"
        "\r\n"
        "Your message could not be delivered. It is not tried any more; below is the\r\n"
        "reason for each address, and what you can do.\r\n"
        "\r\n"
        "  Subject: March invoice\r\n"
        "  Handed in: Sat, 21 Nov 2026 20:46:05 +0000\r\n"
        "  Our number: 0000000000Z0\r\n"
        "\r\n"
        "  bob@example.net\r\n"
        "    There is no such mailbox.\r\n"
        "    Please check the spelling of the address. If it is right, the person may\r\n"
        "    have left or moved: ask them for their new address another way.\r\n"
        "    The server mx.example.net said:\r\n"
        "      550 5.1.1 No such user\r\n"
        "\r\n");
}

TEST_CASE("report: a program reads the fields of RFC 3464") {
  Report report = report_on({failed(FailureKind::NoSuchUser)});
  report.original_envelope_id = "QQ314159";
  const auto parts = parts_of(build_report(report));
  REQUIRE(parts.size() == 3);
  CHECK(parts[1] ==
        "Content-Description: Delivery report\r\nContent-Type: message/delivery-status\r\n\r\n"
        "Original-Envelope-Id: QQ314159\r\n"
        "Reporting-MTA: dns; relay.example.net\r\n"
        "Arrival-Date: Sat, 21 Nov 2026 20:46:05 +0000\r\n"
        "X-Rockdove-Message: 0000000000Z0\r\n"
        "\r\n"
        "Final-Recipient: rfc822; bob@example.net\r\n"
        "Action: failed\r\n"
        "Status: 5.1.1\r\n"
        "Remote-MTA: dns; mx.example.net\r\n"
        "Diagnostic-Code: smtp; 550 5.1.1 No such user\r\n"
        "Last-Attempt-Date: Sat, 21 Nov 2026 20:46:06 +0000\r\n");
}

TEST_CASE("report: each kind of failure has advice of its own") {
  std::vector<std::string> texts;
  for (int kind = 0; kind <= static_cast<int>(FailureKind::ReturnedByOperator); ++kind) {
    texts.push_back(report_text(report_on({failed(static_cast<FailureKind>(kind))})));
  }
  std::sort(texts.begin(), texts.end());
  CHECK(std::unique(texts.begin(), texts.end()) == texts.end());
  CHECK(has(report_text(report_on({failed(FailureKind::Expired)})), "for 5d, 3 times in all."));
}

TEST_CASE("report: a loop names the stations of the message, the oldest first") {
  Report report = report_on({failed(FailureKind::Loop, "")});
  report.original_header =
      "Received: from b by c.example; x\r\nReceived: from a by b.example; x\r\n";
  CHECK(has(report_text(report), "were:\r\n      b.example\r\n      c.example\r\n"));
}

TEST_CASE("report: an unregistered failure is explained by its code, or not at all") {
  ReportedRecipient recipient = failed(FailureKind::Other);
  recipient.status = {5, 6, 3};
  CHECK(has(report_text(report_on({recipient})),
            "delivered: the message would have to be converted"));
  recipient.status = {};
  CHECK(has(report_text(report_on({recipient})),
            "    It could not be delivered.\r\n    Please read"));
  recipient.text.clear();
  CHECK(has(report_text(report_on({recipient})), "delivered.\r\n    Please show this report"));
  CHECK(has(build_report(report_on({recipient})).body, "\r\nStatus: 5.0.0\r\n"));
}

TEST_CASE("report: a delay is a notice, with the time until which we try") {
  ReportedRecipient recipient = failed(FailureKind::Other, "connect: Connection timed out");
  recipient.action = ReportAction::Delayed;
  recipient.status = {4, 4, 1};
  recipient.text_source = TextSource::Ourselves;
  recipient.retry_until = base::from_unix_milliseconds(kArrival + 5 * 86'400'000ULL);
  const ReportMessage message = build_report(report_on({recipient}));
  CHECK(has(message.header, "Subject: Not delivered yet: your message to bob@example.net\r\n"));
  CHECK(has(message.body, "We go on trying until Thu, 26 Nov 2026 20:46:05 +0000."));
  CHECK(has(message.body, "Action: delayed\r\nStatus: 4.4.1\r\n"));
  CHECK(has(message.body, "Diagnostic-Code: x-rockdove; connect: Connection timed out\r\n"));
  CHECK(has(message.body, "Will-Retry-Until: Thu, 26 Nov 2026 20:46:05 +0000\r\n"));
}

TEST_CASE("report: success is told as such, with a status of class 2") {
  ReportedRecipient recipient = failed(FailureKind::Other, "250 2.0.0 ok");
  for (const ReportAction action :
       {ReportAction::Delivered, ReportAction::Relayed, ReportAction::Expanded}) {
    recipient.action = action;
    const ReportMessage message = build_report(report_on({recipient}));
    CHECK(has(message.header, action == ReportAction::Delivered
                                  ? "Subject: Delivered: your message"
                                  : "Subject: Sent on: your message"));
    CHECK(has(message.body, "All is well."));
    CHECK(has(message.body, "\r\nStatus: 2.1.1\r\n"));
  }
}

TEST_CASE("report: a stranger's words add no field, no part and no long line") {
  ReportedRecipient recipient =
      failed(FailureKind::NoSuchUser,
             "550-5.1.1 a\r\n550 b\r\n\r\n--=_rockdove_0000000000Zz\r\nBcc: x\x80\x07y\r\n" +
                 std::string(1500, 'z') + std::string(3000, ' '));
  recipient.recipient = {"\"a\r\nBcc:  x\"", "example.net"};
  recipient.remote_mta = "mx\r\nBcc: y";
  Report report = report_on({recipient});
  report.original_header = "Subject: x\r\n y\x80\r\nMessage-ID: <1@a>\r\n";
  report.original_body = "--=_rockdove_0000000000Zz--\r\n";
  const ReportMessage message = build_report(report);
  CHECK_FALSE(has(message.header + message.body, "\r\nBcc:"));
  CHECK(longest_line(message.header) <= 78);
  CHECK(longest_line(message.body) <= 78);
  const auto parts = parts_of(message);
  REQUIRE(parts.size() == 3);
  CHECK(has(parts[0], "550-5.1.1 a\r\n      550 b\r\n"));
  CHECK(has(parts[0], "Bcc: x??y"));
  CHECK(has(parts[1], "Final-Recipient: rfc822; \"a??Bcc:  x\"@example.net\r\n"));
  CHECK(has(parts[1], "Remote-MTA: dns; mx Bcc: y\r\n"));
  CHECK(std::all_of(parts[0].begin(), parts[0].end(), [](char c) { return c > 0; }));
}

TEST_CASE("report: a server's words are cut at 2 KiB") {
  const ReportMessage message =
      build_report(report_on({failed(FailureKind::Other, std::string(100'000, 'z'))}));
  CHECK(message.body.size() < 8'000);
  CHECK(has(message.body, "... (cut)"));
}

TEST_CASE(
    "report: a hundred recipients are listed in full, the rest counted, all are in the second "
    "part") {
  std::vector<ReportedRecipient> many;
  for (int i = 0; i < 123; ++i) {
    many.push_back(failed(FailureKind::NoSuchUser));
    many.back().recipient.local = "user" + std::to_string(i);
  }
  Report report = report_on(std::move(many));
  report.further_failures = 7;
  const ReportMessage message = build_report(report);
  CHECK(has(message.header, "Subject: Not delivered: your message to 130 recipients\r\n"));
  const auto parts = parts_of(message);
  CHECK(count(parts[0], "There is no such mailbox.") == 100);
  CHECK(has(parts[0], "And 23 more addresses"));
  CHECK(has(parts[0], "stands for 7 further failures"));
  CHECK(count(parts[1], "\r\nFinal-Recipient: ") == 123);
  CHECK(count(parts[1], "\r\nDiagnostic-Code: ") == 100);
  CHECK(has(parts[1], "X-Rockdove-Further-Failures: 7\r\n"));
}

TEST_CASE("report: the message comes back whole when it fits, else its header, else nothing") {
  Report report = report_on({failed(FailureKind::NoSuchUser)});
  const std::size_t whole = report.original_header.size() + 2 + report.original_body->size();
  report.returned_octets_max = whole;
  CHECK(parts_of(build_report(report))[2] ==
        "Content-Description: Your message\r\nContent-Type: message/rfc822\r\n\r\n"
        "Message-ID: <1@example.com>\r\nSubject: March invoice\r\n\r\nHello\r\n");
  report.returned_octets_max = whole - 1;
  CHECK(parts_of(build_report(report))[2] ==
        "Content-Description: Header of your message\r\nContent-Type: text/rfc822-headers\r\n\r\n"
        "Message-ID: <1@example.com>\r\nSubject: March invoice\r\n");
  report.returned_octets_max = 30;
  CHECK(has(parts_of(build_report(report))[2], "\r\n\r\nMessage-ID: <1@example.com>\r\n"));
  CHECK_FALSE(has(parts_of(build_report(report))[2], "Subject"));
  report.returned_octets_max = 0;
  CHECK(parts_of(build_report(report)).size() == 2);
}

TEST_CASE("report: what cannot travel as it is does not come back") {
  Report report = report_on({failed(FailureKind::NoSuchUser)});
  for (const std::string& body : {std::string(999, 'x') + "\r\n", std::string("a\nb\r\n"),
                                  std::string("a\rb\r\n"), std::string("a\0b\r\n", 5)}) {
    report.original_body = body;
    CHECK(has(build_report(report).body, "text/rfc822-headers"));
  }
  report.original_header = "A: 1\r\nB: \n.\r\nC: 2\r\n";
  CHECK(has(build_report(report).body, "\r\n\r\nA: 1\r\nC: 2\r\n"));
}

TEST_CASE("report: a returned message with eight-bit text is marked as such") {
  Report report = report_on({failed(FailureKind::NoSuchUser)});
  report.original_body = "gr\xc3\xbc\xc3\x9f\r\n";
  const ReportMessage message = build_report(report);
  CHECK(message.is_eight_bit);
  CHECK(has(message.header, "Content-Transfer-Encoding: 8bit\r\n"));
  CHECK(has(parts_of(message)[2], "Content-Transfer-Encoding: 8bit\r\n"));
}

TEST_CASE("report: a sender without a domain is at our own") {
  Report report = report_on({failed(FailureKind::NoSuchUser)});
  report.to = {"root", ""};
  CHECK(has(build_report(report).header, "\r\nTo: <root@relay.example.net>\r\n"));
}

namespace {

constexpr std::string_view kUtf8Local =
    "b\xC3\xBC"
    "cher";

Report utf8_report(Address to) {
  ReportedRecipient recipient = failed(FailureKind::NeedsUtf8, "553 5.6.7 no SMTPUTF8 here");
  recipient.recipient.local = kUtf8Local;
  recipient.original_recipient = "utf-8;" + std::string(kUtf8Local) + "@example.net";
  Report report = report_on({recipient});
  report.to = std::move(to);
  report.original_header = "Message-ID: <1@example.com>\r\nSubject: M\xC3\xA4rz\r\n";
  report.original_is_smtputf8 = true;
  return report;
}

}  // namespace

TEST_CASE("report: to a sender with a UTF-8 address it is internationalised mail, RFC 6533") {
  const ReportMessage message = build_report(utf8_report({"j\xC3\xBCrgen", "example.com"}));
  CHECK(message.is_smtputf8);
  CHECK(message.is_eight_bit);
  CHECK(has(message.header, "\r\nTo: <j\xC3\xBCrgen@example.com>\r\n"));
  CHECK(has(message.header,
            "\r\nSubject: Not delivered: your message to b\xC3\xBC"
            "cher@example.net\r\n"));
  const auto parts = parts_of(message);
  REQUIRE(parts.size() == 3);
  CHECK(has(parts[0], "Content-Transfer-Encoding: quoted-printable\r\n"));
  CHECK(has(parts[0], "b=C3=BCcher@example.net"));
  CHECK(has(parts[1],
            "Content-Type: message/global-delivery-status\r\n"
            "Content-Transfer-Encoding: 8bit\r\n"));
  CHECK(has(parts[1],
            "\r\nOriginal-Recipient: utf-8; b\xC3\xBC"
            "cher@example.net\r\n"
            "Final-Recipient: utf-8; b\xC3\xBC"
            "cher@example.net\r\n"));
  CHECK(has(parts[2], "Content-Type: message/global\r\nContent-Transfer-Encoding: 8bit\r\n"));
}

TEST_CASE("report: to other senders an address with UTF-8 is written in ASCII, RFC 6533") {
  Report report = utf8_report({"alice", "example.com"});
  const ReportMessage message = build_report(report);
  CHECK_FALSE(message.is_smtputf8);
  CHECK(std::all_of(message.header.begin(), message.header.end(), [](char c) { return c > 0; }));
  CHECK(has(message.header,
            "\r\nSubject: Not delivered: your message to\r\n"
            " =?utf-8?B?YsO8Y2hlckBleGFtcGxlLm5ldA==?=\r\n"));
  const auto parts = parts_of(message);
  REQUIRE(parts.size() == 3);
  CHECK(has(parts[1], "Content-Type: message/delivery-status\r\n\r\n"));
  CHECK(has(parts[1],
            "\r\nOriginal-Recipient: utf-8; b\\x{FC}cher@example.net\r\n"
            "Final-Recipient: utf-8; b\\x{FC}cher@example.net\r\n"));
  CHECK(has(parts[2], "Content-Type: message/global\r\n"));
  report.original_body.reset();
  CHECK(has(parts_of(build_report(report))[2], "Content-Type: message/global-headers\r\n"));
  // UTF-8 in the header of mail that did not say SMTPUTF8 keeps the ordinary forms.
  report.original_is_smtputf8 = false;
  CHECK(has(parts_of(build_report(report))[2], "Content-Type: text/rfc822-headers\r\n"));
}

TEST_CASE("report: a long subject in UTF-8 becomes several encoded words") {
  Report report = utf8_report({"alice", "example.com"});
  report.recipients[0].recipient.local = "";
  for (int i = 0; i < 32; ++i) report.recipients[0].recipient.local += "\xC3\xBC";
  const ReportMessage message = build_report(report);
  CHECK(longest_line(message.header) <= 78);
  CHECK(count(message.header, "=?utf-8?B?") == 2);
}

TEST_CASE("report: what the sender called the recipient comes back as Original-Recipient") {
  ReportedRecipient recipient = failed(FailureKind::NoSuchUser);
  recipient.original_recipient = "rfc822;Bob+x@example.org";
  CHECK(has(build_report(report_on({recipient})).body,
            "\r\n\r\nOriginal-Recipient: rfc822; Bob+x@example.org\r\nFinal-Recipient: "));
  recipient.original_recipient = "rfc822;a\r\nBcc: b@c";
  CHECK(
      has(build_report(report_on({recipient})).body, "Original-Recipient: rfc822; a Bcc: b@c\r\n"));
}

TEST_CASE("report: what failed by TLS until its time was over says both") {
  ReportedRecipient recipient = failed(FailureKind::TlsFailed, "451 4.7.5 wrong certificate");
  recipient.status = {4, 4, 7};
  const std::string text = report_text(report_on({recipient}));
  CHECK(has(text, "could not be encrypted"));
  CHECK(has(text, "for 5d, 3 times"));
}
