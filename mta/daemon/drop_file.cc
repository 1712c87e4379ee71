#include "mta/daemon/drop_file.h"

#include <algorithm>
#include <array>
#include <variant>

#include "mta/crypto/digest.h"
#include "mta/smtp/client_envelope.h"
#include "mta/smtp/command.h"

namespace rockdove::daemon {
namespace {

constexpr std::string_view kFirstLine = "Rockdove sendmail 1\r\n";
constexpr std::string_view kLastLine = "\r\nDATA\r\n";
constexpr std::size_t kNameCharacters = 32;

}  // namespace

std::string drop_folder_path(const std::string& state_dir) {
  return state_dir + "/incoming";
}

std::string make_drop_name() {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::array<std::uint8_t, kNameCharacters / 2> octets{};
  crypto::fill_random(octets);
  std::string name;
  for (const std::uint8_t octet : octets) {
    name += kDigits[octet >> 4];
    name += kDigits[octet & 15];
  }
  return name;
}

bool is_drop_name(std::string_view name) {
  return name.size() == kNameCharacters &&
         name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string format_drop_envelope(const smtp::OutgoingMessage& envelope) {
  smtp::PeerCapabilities all;  // what the daemon's own sessions offer
  all.extended = true;
  all.eight_bit_mime = true;
  all.smtputf8 = true;
  all.dsn = true;
  smtp::EnvelopePlan plan;
  plan.smtputf8 = envelope.smtputf8;
  std::string text(kFirstLine);
  smtp::append_mail(text, envelope, plan, all);
  for (const smtp::OutgoingRecipient& recipient : envelope.recipients)
    smtp::append_rcpt(text, recipient, all);
  text += kLastLine.substr(2);
  return text;
}

bool has_drop_envelope(std::string_view octets) {
  return octets.find(kLastLine) != std::string_view::npos;
}

base::Result<DropEnvelope> parse_drop_envelope(std::string_view octets) {
  if (!octets.starts_with(kFirstLine))
    return base::Error("it does not begin as sendmail's files do");
  const std::size_t end = octets.find(kLastLine);
  if (end == std::string_view::npos) return base::Error("its envelope does not end");
  DropEnvelope drop;
  drop.octets = end + kLastLine.size();
  std::string_view lines = octets.substr(0, end + 2);
  lines.remove_prefix(kFirstLine.size());
  bool has_sender = false;
  while (!lines.empty()) {
    const std::size_t octets_of_line = lines.find("\r\n");
    const smtp::Command command =
        smtp::parse_command(lines.substr(0, octets_of_line), smtp::AddressForm::OrUser);
    lines.remove_prefix(octets_of_line + 2);
    if (const auto* mail = std::get_if<smtp::MailCommand>(&command); mail && !has_sender) {
      has_sender = true;
      drop.envelope.sender = mail::format_address(mail->sender);
      drop.envelope.eight_bit = mail->eight_bit;
      drop.envelope.smtputf8 = mail->utf8;
      drop.envelope.returned = mail->returned;
      drop.envelope.envelope_id = mail->envelope_id;
    } else if (const auto* rcpt = std::get_if<smtp::RcptCommand>(&command);
               rcpt && has_sender && !rcpt->recipient.is_null()) {
      if (drop.envelope.recipients.size() == kDropRecipientsMax)
        return base::Error("it has more than 10,000 recipients");
      drop.envelope.smtputf8 = drop.envelope.smtputf8 || mail::is_unicode(rcpt->recipient);
      drop.envelope.recipients.push_back(
          {mail::format_address(rcpt->recipient), rcpt->notify, rcpt->original_recipient});
    } else {
      return base::Error("its envelope has a line that sendmail does not write");
    }
  }
  if (drop.envelope.recipients.empty()) return base::Error("it has no recipient");
  return drop;
}

}  // namespace rockdove::daemon
