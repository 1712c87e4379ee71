#include "mta/smtp/client_envelope.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <string_view>

#include "mta/base/text.h"
#include "mta/base/utf8.h"
#include "mta/mail/dsn.h"
#include "mta/mail/idna.h"

namespace rockdove::smtp {
namespace {

bool is_safe(std::string_view address) {
  return std::none_of(address.begin(), address.end(), [](char c) {
    const auto octet = static_cast<unsigned char>(c);
    return octet < 32 || octet == 127;
  });
}

void append_number(std::string& text, std::uint64_t number) {
  char digits[20];
  const auto end = std::to_chars(std::begin(digits), std::end(digits), number).ptr;
  text.append(std::begin(digits), end);
}

// What stands after the last @; the whole of an address without one.
std::string_view domain_of(std::string_view address) {
  return address.substr(address.rfind('@') + 1);
}

std::optional<Reply> refuse(const OutgoingMessage& message, const PeerCapabilities& peer) {
  const bool safe =
      is_safe(message.sender) &&
      std::all_of(message.recipients.begin(), message.recipients.end(),
                  [](const OutgoingRecipient& each) { return is_safe(each.address); });
  if (!safe) return make_reply(553, "5.1.3", "an address with control characters cannot be sent");
  if (message.extent == Extent::RecipientsOnly) return std::nullopt;
  if (peer.size && peer.size_octets_max > 0 && message.octets > peer.size_octets_max) {
    std::string text = "the message has ";  // RFC 1870 §5
    append_number(text, message.octets);
    text += " octets, but " + peer.name + " takes at most ";
    append_number(text, peer.size_octets_max);
    return make_reply(552, "5.3.4", text);
  }
  if (!message.eight_bit || peer.eight_bit_mime) return std::nullopt;
  if (!base::is_ascii(message.header)) {
    return make_reply(554, "5.6.3",
                      "the header has 8-bit text, which " + peer.name +
                          " does not take (8BITMIME), and a header cannot be re-encoded");
  }
  const mail::SevenBitProblem problem =
      mail::foresee_seven_bit_problem(message.header, message.body);
  if (problem != mail::SevenBitProblem::None) return cannot_be_seven_bit(peer, problem);
  return std::nullopt;
}

bool needs_smtputf8(const OutgoingMessage& message) {
  if (message.smtputf8 || !base::is_ascii(message.sender)) return true;
  return std::any_of(message.recipients.begin(), message.recipients.end(),
                     [](const OutgoingRecipient& each) { return !base::is_ascii(each.address); });
}

// nullopt: only its domain could be written in ASCII (RFC 5890), or not even that.
std::optional<std::string> in_ascii(std::string_view address) {
  if (base::is_ascii(address)) return std::string(address);
  const std::size_t at = address.rfind('@');
  if (at == std::string_view::npos || !base::is_ascii(address.substr(0, at))) return std::nullopt;
  const base::Result<std::string> domain = mail::to_ascii_domain(address.substr(at + 1));
  if (!domain) return std::nullopt;
  return std::string(address.substr(0, at + 1)) + *domain;
}

// To a peer without SMTPUTF8 (RFC 6531 §3.5): domains can be written as A-labels, local parts and
// header fields as nothing else.
void write_in_ascii(const OutgoingMessage& message, const PeerCapabilities& peer,
                    EnvelopePlan& plan) {
  std::optional<std::string> sender = in_ascii(message.sender);
  if (!sender || !base::is_ascii(message.header)) {
    plan.refusal = not_without_smtputf8(peer);
    return;
  }
  plan.rewritten = message;
  plan.rewritten->sender = *std::move(sender);
  for (std::size_t i = 0; i < message.recipients.size(); ++i) {
    std::optional<std::string> address = in_ascii(message.recipients[i].address);
    if (!address) plan.refused.push_back(static_cast<std::uint32_t>(i));
    if (address) plan.rewritten->recipients[i].address = *std::move(address);
  }
}

// Which recipients are offered, of those that are not refused (RFC 9422 §4).
void keep_limits(const std::vector<OutgoingRecipient>& recipients, const PeerCapabilities& peer,
                 EnvelopePlan& plan) {
  const bool is_limited =
      (peer.recipients_max > 0 && recipients.size() > peer.recipients_max) ||
      (peer.recipient_domains_max > 0 && recipients.size() > peer.recipient_domains_max);
  if (!is_limited && plan.refused.empty()) return;
  plan.is_partial = true;
  std::vector<std::string> domains;
  for (std::uint32_t i = 0; i < recipients.size(); ++i) {
    if (std::binary_search(plan.refused.begin(), plan.refused.end(), i)) continue;
    bool fits = peer.recipients_max == 0 || plan.offered.size() < peer.recipients_max;
    if (fits && peer.recipient_domains_max > 0) {
      std::string domain = base::lower_case(domain_of(recipients[i].address));
      const bool is_known = std::find(domains.begin(), domains.end(), domain) != domains.end();
      fits = is_known || domains.size() < peer.recipient_domains_max;
      if (fits && !is_known) domains.push_back(std::move(domain));
    }
    (fits ? plan.offered : plan.postponed).push_back(i);
  }
}

}  // namespace

Reply cannot_be_seven_bit(const PeerCapabilities& peer, mail::SevenBitProblem problem) {
  return make_reply(554, "5.6.3",
                    "the message has 8-bit text, which " + peer.name +
                        " does not take (8BITMIME), and it cannot be re-encoded: " +
                        std::string(mail::describe(problem)));
}

Reply not_without_smtputf8(const PeerCapabilities& peer) {
  return make_reply(550, "5.6.7",
                    "an address or the header has characters outside ASCII, which " + peer.name +
                        " does not take (SMTPUTF8)");
}

Reply beyond_limits(const PeerCapabilities& peer) {
  return make_reply(452, "4.5.3",
                    "enough for one transaction: " + peer.name + " limits its recipients");
}

EnvelopePlan plan_envelope(const OutgoingMessage& message, const PeerCapabilities& peer) {
  EnvelopePlan plan;
  plan.refusal = refuse(message, peer);
  if (plan.refusal) return plan;
  const bool utf8 = needs_smtputf8(message);
  plan.smtputf8 = utf8 && peer.smtputf8;
  if (utf8 && !peer.smtputf8) write_in_ascii(message, peer, plan);
  if (plan.refusal) return plan;
  keep_limits(message.recipients, peer, plan);
  if (message.eight_bit && !peer.eight_bit_mime) {
    plan.form = ContentForm::SevenBit;
  } else if (peer.chunking && (!peer.pipelining || message.octets >= kChunkedOctetsMin)) {
    plan.form = ContentForm::Chunks;
  }
  return plan;
}

void append_mail(std::string& wire, const OutgoingMessage& message, const EnvelopePlan& plan,
                 const PeerCapabilities& peer) {
  wire.append("MAIL FROM:<").append(message.sender).append(">");
  // Of what is re-encoded on the way nobody knows the size yet.
  const bool is_sent = message.extent == Extent::Message;
  if (peer.size && is_sent && plan.form != ContentForm::SevenBit) {
    wire.append(" SIZE=");
    append_number(wire, message.octets);
  }
  if (message.eight_bit && peer.eight_bit_mime) wire.append(" BODY=8BITMIME");  // RFC 6152 §3
  if (plan.smtputf8) wire.append(" SMTPUTF8");                                  // RFC 6531 §3.4
  // RFC 6710 §5: who was told a priority passes it on; 0 is what nobody has to say.
  if (peer.mt_priority && message.priority != 0)
    wire.append(" MT-PRIORITY=").append(std::to_string(message.priority));
  if (peer.dsn) {
    if (message.returned == mail::ReturnContent::Full) wire.append(" RET=FULL");
    if (message.returned == mail::ReturnContent::Headers) wire.append(" RET=HDRS");
    if (!message.envelope_id.empty())
      wire.append(" ENVID=").append(mail::encode_xtext(message.envelope_id));
  }
  wire.append("\r\n");
}

void append_rcpt(std::string& wire, const OutgoingRecipient& recipient,
                 const PeerCapabilities& peer) {
  wire.append("RCPT TO:<").append(recipient.address).append(">");
  if (peer.dsn) {
    if (!recipient.notify.is_unset())
      wire.append(" NOTIFY=").append(mail::format_notify(recipient.notify));
    const std::string_view original = recipient.original;
    const std::size_t end = original.find(';');
    if (end != std::string_view::npos) {
      const std::string_view type = original.substr(0, end);
      wire.append(" ORCPT=").append(mail::encode_xtext(type)) += ';';
      if (base::equals_ignoring_case(type, "utf-8")) {
        wire.append(mail::encode_utf8_address(original.substr(end + 1)));
      } else {
        wire.append(mail::encode_xtext(original.substr(end + 1)));
      }
    }
  }
  wire.append("\r\n");
}

}  // namespace rockdove::smtp
