#include "mta/mail/report_text.h"

#include <algorithm>

#include "mta/base/assert.h"
#include "mta/base/text.h"
#include "mta/base/utf8.h"
#include "mta/mail/date.h"
#include "mta/mail/headers.h"
#include "mta/mail/received.h"

namespace rockdove::mail {
namespace {

constexpr std::size_t kTextColumns = 78;  // RFC 5322 §2.1.1
constexpr std::size_t kSubjectShownMax = 200;
constexpr std::size_t kHostShownMax = 255;

// For what has no advice of its own.
constexpr std::string_view kAskPostmaster = "Please show this report to your postmaster.";
constexpr std::string_view kReadTheWords =
    "Please read what is said below. If it does not help you, show this report to your postmaster.";

struct Advice {
  std::string_view what;   // what happened
  std::string_view to_do;  // what the reader can do about it
};

Advice advice_on(FailureKind kind) {
  switch (kind) {
    case FailureKind::Other:
      break;
    case FailureKind::NoSuchUser:
      return {
          "There is no such mailbox.",
          "Please check the spelling of the address. If it is right, the person may have left or "
          "moved: ask them for their new address another way."};
    case FailureKind::MailboxFull:
      return {
          "The recipient's mailbox is full.",
          "Please try again in a few days, or tell the person in another way that their mailbox "
          "has no space left."};
    case FailureKind::MessageTooBig:
      return {
          "The message is bigger than the other side accepts.",
          "Please make the attachments smaller, send them in several messages, or put the files "
          "where the recipient can fetch them and send a link."};
    case FailureKind::RefusedByPolicy:
      return {
          "The other side refused the message because of its rules against unwanted mail.",
          "Your message may be quite in order. The words of the other server, below, often say "
          "what it did not like or name a page about it. Please show them to your postmaster; the "
          "recipient's postmaster can also allow your address."};
    case FailureKind::DomainNotFound:
      return {
          "The part of the address after the @ does not exist, or no server takes mail for it.",
          "Please check the spelling of what follows the @. If it is right, ask the recipient for "
          "another address."};
    case FailureKind::DomainTakesNoMail:
      return {"The owner of the part after the @ has declared that it takes no mail at all.",
              "Please check the spelling of the address, or ask the recipient for an address at "
              "another domain."};
    case FailureKind::Expired:
      return {
          "The message was tried again and again, but the other side could not be reached or put "
          "it off each time.",
          "The fault is most likely on the other side or on the way to it. Please send the message "
          "again later, or tell the recipient in another way that mail does not reach them."};
    case FailureKind::Loop:
      return {"The message runs in circles between mail systems, so it was stopped.",
              "You have done nothing wrong. Please show this report to your postmaster: two mail "
              "systems, or two forwardings, each pass this address on to the other."};
    case FailureKind::RelayDenied:
      return {
          "The next mail server does not pass on mail to this address for us.",
          "Please check the spelling of what follows the @. If it is right, show this report to "
          "your postmaster: the sending or the receiving mail system needs other settings."};
    case FailureKind::TlsFailed:
      return {
          "The connection to the other side could not be encrypted as it has to be, so the message "
          "was not sent.",
          "Please show this report to your postmaster: a certificate or an encryption setting, "
          "here or there, is wrong."};
    case FailureKind::LoginFailed:
      return {"The next mail server did not accept our user name and password.",
              "Please show this report to your postmaster: the login for that server has to be "
              "renewed. After that, send the message again."};
    case FailureKind::NeedsUtf8:
      return {
          "An address or the header of the message has letters beyond A to Z, and the mail system "
          "on the other side does not take such mail.",
          "Please use an address of the recipient that has only the letters A to Z, if there is "
          "one, and send from such an address of your own. Otherwise tell the recipient in another "
          "way; their mail system would have to learn what is called SMTPUTF8."};
    case FailureKind::NotConvertible:
      return {
          "The message has accented letters or other special characters in a form that the other "
          "side does not take, and changing the form would break the message, for example its "
          "digital signature.",
          "Please send it again without the signature, or put the text into an attachment. If that "
          "does not help, show this report to your postmaster."};
    case FailureKind::ReturnedByOperator:
      return {"The postmaster of this mail system has returned the message.",
              "Please ask the postmaster if you do not know why."};
  }
  return {};
}

void append_line(std::string& out, std::string_view indent, std::string_view text) {
  out += indent;
  append_wrapped(out, text, {.column = indent.size(), .indent = indent});
  out += "\r\n";
}

void append_blank(std::string& out) {
  out += "\r\n";
}

bool any_with(const Report& report, ReportAction action) {
  return std::any_of(
      report.recipients.begin(), report.recipients.end(),
      [&](const ReportedRecipient& recipient) { return recipient.action == action; });
}

std::string plural(std::uint64_t count, std::string_view one, std::string_view many) {
  return std::to_string(count) + " " + std::string(count == 1 ? one : many);
}

// The action that the report as a whole is about: the gravest one.
ReportAction main_action(const Report& report) {
  for (const ReportAction action : {ReportAction::Failed, ReportAction::Delayed,
                                    ReportAction::Relayed, ReportAction::Expanded}) {
    if (any_with(report, action)) return action;
  }
  return ReportAction::Delivered;
}

// The octets of the printable character at the front of `text`; 0: there is none.
std::size_t shown_octets(std::string_view text, Charset charset) {
  const char c = text.front();
  if (c >= 32 && c < 127) return 1;
  if (charset == Charset::Ascii) return 0;
  const std::size_t octets = base::utf8_sequence(text);
  // U+0080 to U+009F are control characters.
  const bool is_control = c == '\xC2' && octets == 2 && static_cast<unsigned char>(text[1]) < 0xA0;
  return is_control ? 0 : octets;
}

std::string_view opening(ReportAction action) {
  switch (action) {
    case ReportAction::Failed:
      return "Your message could not be delivered. It is not tried any more; below is the reason "
             "for "
             "each address, and what you can do.";
    case ReportAction::Delayed:
      return "Your message has not been delivered yet. You need not do anything, and please do not "
             "send it again: we go on trying.";
    case ReportAction::Delivered:
    case ReportAction::Relayed:
    case ReportAction::Expanded:
      return "Here is what you asked to be told about your message. All is well.";
  }
  MTA_ASSERT(false);
}

// The subject that the sender will remember his message by, when it is plain text.
void append_about(std::string& out, const Report& report) {
  const auto subject = find_field(report.original_header, "Subject");
  std::string shown;
  if (subject) shown = tamed(subject->value, kSubjectShownMax, Charset::Utf8);
  if (!shown.empty() && shown.find("=?") == std::string::npos) {
    append_line(out, "  ", "Subject: " + shown);
  }
  append_line(out, "  ", "Handed in: " + format_date(report.arrival));
  if (!report.message_id.empty()) append_line(out, "  ", "Our number: " + report.message_id);
}

void append_remote_words(std::string& out, const ReportedRecipient& recipient) {
  if (recipient.text.empty()) return;
  const bool is_remote = recipient.text_source == TextSource::RemoteServer;
  std::string introduction = is_remote ? "The other server said:" : "In technical words:";
  if (is_remote && !recipient.remote_mta.empty()) {
    introduction = "The server " + tamed(recipient.remote_mta, kHostShownMax) + " said:";
  }
  append_line(out, "    ", introduction);
  std::string_view rest = std::string_view(recipient.text).substr(0, kReportedTextOctetsMax);
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string line = tamed(rest.substr(0, end), kReportedTextOctetsMax, Charset::Utf8);
    if (!line.empty()) {
      out += "      ";
      append_wrapped(out, line, {.column = 6, .indent = "      ", .word_octets_max = 72});
      append_blank(out);
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (recipient.text.size() > kReportedTextOctetsMax) append_line(out, "      ", "... (cut)");
}

// Where the message has been, in the order of its way.
void append_hops(std::string& out, std::string_view header) {
  const auto hosts = received_hosts(header, kReportedHopsMax);
  if (hosts.empty()) return;
  append_line(out, "    ", "Its last stations, the oldest of them first, were:");
  for (auto host = hosts.rbegin(); host != hosts.rend(); ++host) {
    append_line(out, "      ", tamed(*host, kHostShownMax));
  }
}

// ": there is no such mailbox"; empty when the code says nothing but that it failed.
std::string reason_of(const EnhancedCode& status) {
  return status.subject == 0 ? std::string() : ": " + std::string(explain(status));
}

void append_failure(std::string& out, const Report& report, const ReportedRecipient& recipient) {
  Advice advice = advice_on(recipient.kind);
  std::string what(advice.what);
  if (recipient.kind == FailureKind::Other) {
    what = "It could not be delivered" + reason_of(recipient.status) + ".";
    advice.to_do = recipient.text.empty() ? kAskPostmaster : kReadTheWords;
  }
  const bool is_expired =
      recipient.kind == FailureKind::Expired || recipient.status == EnhancedCode{4, 4, 7};
  if (is_expired && report.now > report.arrival) {
    what += " We have tried for " + base::format_duration(report.now - report.arrival);
    if (recipient.attempts > 0)
      what += ", " + plural(recipient.attempts, "time", "times") + " in all";
    what += ".";
  }
  append_line(out, "    ", what);
  append_line(out, "    ", advice.to_do);
  if (recipient.kind == FailureKind::Loop) append_hops(out, report.original_header);
}

void append_recipient(std::string& out, const Report& report, const ReportedRecipient& recipient) {
  out.append("  ").append(shown_address(recipient.recipient, Charset::Utf8)).append("\r\n");
  switch (recipient.action) {
    case ReportAction::Failed:
      append_failure(out, report, recipient);
      break;
    case ReportAction::Delayed: {
      std::string text = "Not delivered yet";
      if (recipient.attempts > 0)
        text += " after " + plural(recipient.attempts, "attempt", "attempts");
      append_line(out, "    ", text + reason_of(recipient.status) + ".");
      // These do not heal by waiting.
      if (recipient.kind == FailureKind::TlsFailed || recipient.kind == FailureKind::LoginFailed) {
        append_line(out, "    ", advice_on(recipient.kind).to_do);
      }
      if (recipient.retry_until) {
        append_line(out, "    ",
                    "We go on trying until " + format_date(*recipient.retry_until) + ".");
      }
      break;
    }
    case ReportAction::Delivered:
      append_line(out, "    ", "Delivered.");
      break;
    case ReportAction::Relayed:
      append_line(out, "    ", "Passed on to a mail system that sends no reports of delivery.");
      break;
    case ReportAction::Expanded:
      append_line(out, "    ",
                  "This address stands for several others, and the message was sent on to all of "
                  "them.");
      break;
  }
  append_remote_words(out, recipient);
  append_blank(out);
}

}  // namespace

std::string tamed(std::string_view text, std::size_t octets_max, Charset charset) {
  std::string shown;
  for (std::size_t octets = 0; !text.empty(); text.remove_prefix(octets)) {
    octets = 1;
    const char c = text.front();
    const bool is_blank = c == ' ' || c == '\t' || c == '\r' || c == '\n';
    if (is_blank && (shown.empty() || shown.back() == ' ')) continue;
    if (shown.size() >= octets_max) {
      shown += "...";
      break;
    }
    octets = shown_octets(text, charset);
    if (is_blank) {
      shown += ' ';
    } else if (octets > 0) {
      shown += text.substr(0, octets);
    } else {
      shown += '?';
    }
    octets = std::max<std::size_t>(octets, 1);
  }
  while (!shown.empty() && shown.back() == ' ') shown.pop_back();
  return shown;
}

std::string shown_address(const Address& address, Charset charset) {
  const std::string text = format_address(address).substr(0, kPathOctetsMax);
  std::string shown;
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t octets = shown_octets(rest, charset);
    if (octets > 0) {
      shown += rest.substr(0, octets);
    } else {
      shown += '?';
    }
    rest.remove_prefix(std::max<std::size_t>(octets, 1));
  }
  return shown;
}

void append_wrapped(std::string& out, std::string_view text, const Wrapping& wrapping) {
  std::size_t column = wrapping.column;
  bool is_line_start = true;
  while (!text.empty()) {
    const std::size_t blank = std::min(text.find(' '), text.size());
    std::string_view word = text.substr(0, std::min(blank, wrapping.word_octets_max));
    // Not within a character of UTF-8.
    while (word.size() > 1 && word.size() < blank &&
           (static_cast<unsigned char>(text[word.size()]) & 0xC0) == 0x80) {
      word.remove_suffix(1);
    }
    text.remove_prefix(word.size());
    const bool is_whole = word.size() == blank;
    if (is_whole && !text.empty()) text.remove_prefix(1);
    if (!is_line_start && column + 1 + word.size() > kTextColumns) {
      out.append("\r\n").append(wrapping.indent);
      column = wrapping.indent.size();
      is_line_start = true;
    }
    if (!is_line_start) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
    is_line_start = false;
  }
}

std::string report_subject(const Report& report) {
  std::string subject;
  switch (main_action(report)) {
    case ReportAction::Failed:
      subject = "Not delivered: ";
      break;
    case ReportAction::Delayed:
      subject = "Not delivered yet: ";
      break;
    case ReportAction::Delivered:
      subject = "Delivered: ";
      break;
    case ReportAction::Relayed:
    case ReportAction::Expanded:
      subject = "Sent on: ";
      break;
  }
  subject += "your message to ";
  const std::uint64_t count = report.recipients.size() + report.further_failures;
  if (count > 1) return subject + std::to_string(count) + " recipients";
  return subject +
         tamed(format_address(report.recipients.front().recipient), kPathOctetsMax, Charset::Utf8);
}

std::string report_text(const Report& report) {
  std::string out;
  append_line(out, "", "This is the mail system " + report.reporting_mta + ".");
  append_blank(out);
  append_line(out, "", opening(main_action(report)));
  append_blank(out);
  append_about(out, report);
  append_blank(out);
  const std::size_t shown = std::min(report.recipients.size(), kReportedInFullMax);
  for (std::size_t i = 0; i < shown; ++i) append_recipient(out, report, report.recipients[i]);
  if (report.recipients.size() > shown) {
    append_line(out, "",
                "And " +
                    plural(report.recipients.size() - shown, "more address", "more addresses") +
                    ", named in the second part of this report, which is meant for programs.");
    append_blank(out);
  }
  if (report.further_failures > 0) {
    append_line(out, "",
                "This report also stands for " +
                    plural(report.further_failures, "further failure", "further failures") +
                    " of the same message. No more reports about it will follow.");
    append_blank(out);
  }
  return out;
}

}  // namespace rockdove::mail
