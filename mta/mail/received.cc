#include "mta/mail/received.h"

#include <algorithm>

#include "mta/base/text.h"
#include "mta/mail/date.h"
#include "mta/mail/headers.h"
#include "mta/mail/structured.h"

namespace rockdove::mail {
namespace {

// Words of a structured value, one after the other; comments and blanks between them are skipped.
class ValueWords {
 public:
  explicit ValueWords(std::string_view value) : rest_(value) {}

  // A word, a quoted string or ";"; empty at the end.
  std::string_view next() {
    skip_blanks_and_comments(rest_);
    if (rest_.empty()) return {};
    if (rest_.front() == '"') return take_enclosed(rest_, '"');
    const std::size_t octets =
        rest_.front() == ';' ? 1 : std::min(rest_.find_first_of(" \t\r\n(;\"", 1), rest_.size());
    const std::string_view word = rest_.substr(0, octets);
    rest_.remove_prefix(octets);
    return word;
  }

  [[nodiscard]] std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

// Moves behind the word after "by" and returns it. The word after "from" is skipped, because a
// client may have called itself "by".
std::string_view take_by(ValueWords& words) {
  for (std::string_view word = words.next(); !word.empty() && word != ";"; word = words.next()) {
    if (base::equals_ignoring_case(word, "from")) {
      if (words.next() == ";") return {};
    } else if (base::equals_ignoring_case(word, "by")) {
      const std::string_view host = words.next();
      return host == ";" ? std::string_view() : host;
    }
  }
  return {};
}

// RFC 3848: "S" for TLS, "A" for AUTH, behind what only an EHLO brings. RFC 6531 §4.3.
void append_protocol(std::string& field, const ReceivedStamp& stamp) {
  switch (stamp.protocol) {
    case WithProtocol::Smtp:
      field += stamp.utf8 ? "UTF8SMTP" : "SMTP";
      break;
    case WithProtocol::Esmtp:
      field += stamp.utf8 ? "UTF8SMTP" : "ESMTP";
      break;
    case WithProtocol::Lmtp:
      field += stamp.utf8 ? "UTF8LMTP" : "LMTP";
      break;
  }
  const bool has_suffixes = stamp.protocol != WithProtocol::Smtp || stamp.utf8;
  if (has_suffixes && !stamp.tls.empty()) field += 'S';
  if (has_suffixes && stamp.authenticated) field += 'A';
  if (!stamp.tls.empty()) field.append(" (").append(stamp.tls).append(1, ')');
}

// What a stranger says must not end the clause or the field, nor open a comment.
void append_helo(std::string& field, std::string_view helo) {
  constexpr std::string_view kHarmless = "-._:[]";
  if (helo.empty()) field += "unknown";
  for (const char c : helo.substr(0, kDomainOctetsMax)) {
    const bool is_letter_or_digit =
        (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool is_harmless = is_letter_or_digit || kHarmless.find(c) != std::string_view::npos;
    field += is_harmless ? c : '?';
  }
}

}  // namespace

std::string format_received(const ReceivedStamp& stamp) {
  constexpr std::size_t kFixedOctetsMax = 256;  // all but the three texts of variable length
  std::string field;
  field.reserve(kFixedOctetsMax + stamp.helo.size() + stamp.hostname.size());
  field += "Received: ";
  if (!stamp.local_user && (stamp.client || !stamp.helo.empty())) {
    field += "from ";
    append_helo(field, stamp.helo);
    if (stamp.client)
      field.append(" (").append(format_address_literal(*stamp.client)).append(1, ')');
    field += "\r\n\t";
  }
  field.append("by ").append(stamp.hostname).append(" (Rockdove");
  if (stamp.local_user) {
    field.append(", from userid ").append(std::to_string(*stamp.local_user)).append(")\r\n\tid ");
  } else {
    field += ") with ";
    append_protocol(field, stamp);
    field += " id ";
  }
  base::append_id(field, stamp.id);
  if (stamp.only_recipient != nullptr) {
    field += "\r\n\tfor <";
    append_address(field, *stamp.only_recipient);
    field += '>';
  }
  field += ";\r\n\t";
  append_date(field, stamp.now);
  field += "\r\n";
  return field;
}

bool is_own_received(std::string_view value, std::string_view hostname) {
  ValueWords words(value);
  if (!base::equals_ignoring_case(take_by(words), hostname)) return false;
  const std::size_t blanks =
      std::min(words.rest().find_first_not_of(" \t\r\n"), words.rest().size());
  const std::string_view comment = words.rest().substr(blanks);
  return comment.starts_with("(Rockdove)") || comment.starts_with("(Rockdove,");
}

std::string_view received_by(std::string_view value) {
  ValueWords words(value);
  return take_by(words);
}

std::vector<std::string_view> received_hosts(std::string_view block, std::size_t hosts_max) {
  std::vector<std::string_view> hosts;
  for (const HeaderField& field : HeaderFields(block)) {
    if (hosts.size() == hosts_max) break;
    if (!field.is("Received")) continue;
    const std::string_view host = received_by(field.value);
    if (!host.empty()) hosts.push_back(host);
  }
  return hosts;
}

}  // namespace rockdove::mail
