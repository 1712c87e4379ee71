#include "policy/author_domains.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "dns/answers.h"
#include "mta/base/text.h"
#include "mta/base/utf8.h"
#include "mta/mail/address.h"
#include "mta/mail/encoded_word.h"
#include "mta/mail/headers.h"
#include "mta/mail/idna.h"
#include "mta/mail/structured.h"

namespace rockdove::policy {
namespace {

std::size_t count_at_signs(std::string_view text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '@'));
}

// Domains as DNS and DMARC have them. libidn2 takes up to 0.4 ms for a name that is not ASCII, so
// only a few of these are looked at.
class DomainReader {
 public:
  // nullopt: it is no domain of mail, nor one with underscores, which some machines have in their
  // names.
  std::optional<std::string> read(std::string_view text) {
    if (base::is_ascii(text))
      return text.ends_with('.') ? std::nullopt : dns::normalised_name(text);
    if (text == last_) return last_result_;
    if (conversions_ == kConversionsMax) {
      has_too_many_ = true;
      return std::nullopt;
    }
    ++conversions_;
    last_ = text;
    base::Result<std::string> ascii = mail::to_ascii_domain(text);
    last_result_ = ascii ? std::optional(*std::move(ascii)) : std::nullopt;
    return last_result_;
  }

  [[nodiscard]] bool has_too_many() const { return has_too_many_; }

 private:
  static constexpr std::size_t kConversionsMax = 8;

  std::string last_;
  std::optional<std::string> last_result_;
  std::size_t conversions_ = 0;
  bool has_too_many_ = false;
};

// Octets that a domain is written with, in whatever alphabet. Underscores are in no domain of mail,
// but in names of the DNS.
bool is_domain_octet(char c) {
  const char lowered = base::to_lower(c);
  return (lowered >= 'a' && lowered <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || static_cast<unsigned char>(c) >= 128;
}

// One From field, read as an address list (RFC 5322 §3.4) until something in it is odd.
class ListReader {
 public:
  ListReader(std::string_view value, DomainReader& names) : rest_(value), names_(names) {}

  // What is odd; empty: nothing.
  std::string_view read();

  [[nodiscard]] std::size_t addresses() const { return addresses_; }

  [[nodiscard]] const std::vector<std::string>& domains() const { return domains_; }

 private:
  void read_special(char special);
  void read_special_in_angle(char special);
  void take_word();
  void take_quoted();
  void append(std::string_view word);
  void end_entry();
  void take_address();

  void odd(std::string_view why) {
    if (odd_.empty()) odd_ = why;
  }

  std::string_view rest_;
  DomainReader& names_;
  std::string_view odd_;
  std::size_t addresses_ = 0;
  std::vector<std::string> domains_;
  // Of what may be an address, or the name in front of one.
  std::string words_;
  std::size_t at_ = std::string::npos;  // the last "@" outside of quotes
  bool has_gap_ = false;                // blanks between two words
  bool after_gap_ = false;              // blanks stand before what comes next
  bool is_in_angle_ = false;
  bool has_angle_ = false;  // the entry's address was in angle brackets
};

std::string_view ListReader::read() {
  constexpr std::string_view kSpecial = ",;:<>";
  while (odd_.empty() && addresses_ <= kAuthorAddressesMax) {
    const std::size_t before = rest_.size();
    while (true) {
      rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\r\n"), rest_.size()));
      if (!rest_.starts_with('(')) break;
      if (!mail::skip_comment(rest_)) odd("a comment is not closed");
    }
    after_gap_ = rest_.size() != before;
    if (rest_.empty()) break;
    const char first = rest_.front();
    if (first == '"') {
      take_quoted();
    } else if (kSpecial.find(first) == std::string_view::npos) {
      take_word();
    } else {
      rest_.remove_prefix(1);
      if (is_in_angle_) {
        read_special_in_angle(first);
      } else {
        read_special(first);
      }
    }
  }
  if (is_in_angle_) odd("an angle bracket is not closed");
  if (odd_.empty()) end_entry();
  return odd_;
}

void ListReader::read_special(char special) {
  const auto forget_name = [this] {
    words_.clear();
    at_ = std::string::npos;
    has_gap_ = false;
  };
  if (special == ',' || special == ';') return end_entry();
  if (special == '>') return odd("an angle bracket closes what none opens");
  if (special == ':') {  // what stood before is a group's name
    if (at_ != std::string::npos || has_angle_) odd("a comma is missing");
    return forget_name();
  }
  if (has_angle_) odd("a comma is missing");
  is_in_angle_ = true;
  forget_name();
}

void ListReader::read_special_in_angle(char special) {
  if (special != '>') {
    // Routes (RFC 5322 §4.4) are out of use, and programs differ in which of the domains they show.
    return odd(special == ',' || special == ':' ? "an address has a route in front of it"
                                                : "an angle bracket is not closed");
  }
  is_in_angle_ = false;
  has_angle_ = true;
  take_address();
}

// Up to blanks, a comment, or what has a meaning in lists. A literal belongs to the word.
void ListReader::take_word() {
  std::size_t octets = rest_.find_first_of(",;:<>\"( \t\r\n[");
  if (octets != std::string_view::npos && rest_[octets] == '[') {
    const bool is_literal = octets > 0 ? rest_[octets - 1] == '@' : words_.ends_with('@');
    octets = is_literal ? rest_.find(']', octets) : octets;
    octets = octets == std::string_view::npos ? octets : octets + 1;
  }
  append(rest_.substr(0, octets));
  rest_.remove_prefix(std::min(octets, rest_.size()));
}

void ListReader::take_quoted() {
  const std::string_view quoted = mail::take_enclosed(rest_, '"');
  // Whether its last octet is the closing one, and not one that a backslash quotes.
  std::size_t octets = 1;
  while (octets < quoted.size() && quoted[octets] != '"')
    octets += quoted[octets] == '\\' ? 2U : 1U;
  if (octets >= quoted.size()) odd("a quote is not closed");
  append(quoted);
}

void ListReader::append(std::string_view word) {
  // Blanks around dots and "@" belong to the address (RFC 5322 §4.4); others part words.
  const bool is_joined = words_.empty() || words_.back() == '@' || words_.back() == '.' ||
                         word.front() == '@' || word.front() == '.';
  has_gap_ = has_gap_ || (after_gap_ && !is_joined);
  const std::size_t at = word.front() == '"' ? std::string_view::npos : word.rfind('@');
  if (at != std::string_view::npos) at_ = words_.size() + at;
  words_ += word;
}

void ListReader::end_entry() {
  if (!has_angle_) {
    take_address();
  } else if (!words_.empty()) {
    odd("a comma is missing");
  }
  has_angle_ = false;
}

// What the words come to: an address, or nobody.
void ListReader::take_address() {
  const std::string text = std::exchange(words_, {});
  const std::size_t at = std::exchange(at_, std::string::npos);
  const bool had_gap = std::exchange(has_gap_, false);
  if (text.empty()) return;
  const std::size_t at_signs =
      count_at_signs(text.find("=?") == std::string::npos ? text : mail::encoded_octets(text));
  if (at == std::string::npos) {
    if (at_signs > 0) odd("a quoted or encoded word hides an address");
    if (!had_gap) ++addresses_;
    return;
  }
  if (at_signs > 1) return odd("an address has more than one @");
  if (had_gap) return odd("an address has blanks in it, or a comma is missing");
  const std::string_view local = std::string_view(text).substr(0, at);
  const bool has_control = std::any_of(text.begin(), text.end(),
                                       [](char c) { return (c >= 0 && c < ' ') || c == '\x7f'; });
  const bool has_backslash = !local.starts_with('"') && local.find('\\') != std::string_view::npos;
  if (local.empty() || has_control || has_backslash || !base::is_utf8(local))
    return odd("an address has a character that it cannot have");
  ++addresses_;
  const std::string_view domain = std::string_view(text).substr(at + 1);
  if (mail::parse_address_literal(domain)) return;
  std::optional<std::string> name = names_.read(domain);
  if (!name) return odd("an address has a domain that cannot be one");
  if (domains_.empty() || domains_.back() != *name) domains_.push_back(*std::move(name));
}

class AuthorReader {
 public:
  void read(const mail::HeaderField& field);

  void leave_out_fields() { has_too_many_ = true; }

  [[nodiscard]] Authors finish();

 private:
  void add_domain(std::string domain);
  void search(std::string_view text);

  Authors authors_;
  DomainReader names_;
  std::size_t fields_ = 0;
  std::size_t addresses_ = 0;
  std::size_t tries_ = 0;
  bool has_too_many_ = false;
  std::string_view unreadable_;  // why
};

void AuthorReader::add_domain(std::string domain) {
  std::vector<std::string>& domains = authors_.domains;
  if (std::find(domains.begin(), domains.end(), domain) != domains.end()) return;
  if (domains.size() == kAuthorDomainsMax) {
    has_too_many_ = true;
    return;
  }
  domains.push_back(std::move(domain));
}

void AuthorReader::read(const mail::HeaderField& field) {
  ++fields_;
  ListReader list(field.value, names_);
  const std::string_view odd = list.read();
  addresses_ += list.addresses();
  if (addresses_ > kAuthorAddressesMax) has_too_many_ = true;
  if (odd.empty()) {
    for (const std::string& domain : list.domains()) add_domain(domain);
    return;
  }
  if (unreadable_.empty()) unreadable_ = odd;
  search(field.value);
  if (field.value.find("=?") != std::string_view::npos) search(mail::encoded_octets(field.value));
}

// What stands behind each "@" of a field that no list of addresses can be read from, since programs
// differ in what they then show.
void AuthorReader::search(std::string_view text) {
  for (std::size_t at = text.find('@');
       at != std::string_view::npos && !has_too_many_ && !names_.has_too_many();
       at = text.find('@', at + 1)) {
    if (++tries_ > kAuthorAddressesMax) {
      has_too_many_ = true;
      return;
    }
    std::string_view name = text.substr(at + 1);
    const auto end = std::find_if_not(name.begin(), name.end(), is_domain_octet);
    name = name.substr(0, static_cast<std::size_t>(end - name.begin()));
    while (name.starts_with('.')) name.remove_prefix(1);
    while (name.ends_with('.')) name.remove_suffix(1);
    if (name.empty() || name.size() > mail::kUnicodeDomainOctetsMax) continue;
    // A name that the DNS cannot have may still be below one that it has.
    add_domain(names_.read(name).value_or(base::lower_case(name)));
  }
}

Authors AuthorReader::finish() {
  using Form = Authors::Form;
  const auto is = [&](Form form, std::string why) {
    authors_.form = form;
    authors_.why = std::move(why);
    return std::move(authors_);
  };
  if (fields_ == 0) return is(Form::Missing, "the message has no From field");
  if (has_too_many_ || names_.has_too_many()) {
    return is(Form::TooMany, "From has more authors than are looked at");
  }
  if (fields_ > 1) {
    return is(Form::SeveralFields, "the message has " + std::to_string(fields_) + " From fields");
  }
  if (!unreadable_.empty()) {
    return is(Form::Unreadable, "From is not a list of addresses: " + std::string(unreadable_));
  }
  if (addresses_ == 0) return is(Form::NoAddress, "From has no address in it");
  if (authors_.domains.empty()) return is(Form::NoDomain, "no address in From has a domain");
  if (authors_.domains.size() > 1) {
    return is(Form::SeveralDomains,
              "From has addresses of " + std::to_string(authors_.domains.size()) + " domains");
  }
  return is(Form::Single, "");
}

}  // namespace

Authors find_authors(std::string_view header) {
  AuthorReader reader;
  std::size_t fields = 0;
  for (const mail::HeaderField& field : mail::HeaderFields(header)) {
    if (!field.is("From")) continue;
    if (++fields > kAuthorFieldsMax) {
      reader.leave_out_fields();
      break;
    }
    reader.read(field);
  }
  return reader.finish();
}

}  // namespace rockdove::policy
