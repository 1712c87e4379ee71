#include "policy/author_domains.h"

#include <algorithm>
#include <utility>

#include "mta/base/result.h"
#include "mta/base/text.h"
#include "mta/mail/address_list.h"
#include "mta/mail/headers.h"
#include "mta/mail/idna.h"

namespace rockdove::policy {
namespace {

constexpr std::size_t kFieldOctetsMax = 16 * 1024;  // of one From field; real ones are under 1,000
constexpr std::size_t kShownOctets = 100;

class AuthorReader {
 public:
  void read(const mail::HeaderField& field);
  [[nodiscard]] Authors finish();

 private:
  void add_domain(std::string domain);
  void read_addresses(std::string_view value);
  void search(std::string_view value);

  Authors authors_;
  std::size_t fields_ = 0;
  std::size_t addresses_ = 0;
  bool has_too_many_ = false;
  std::string unreadable_;  // why
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
  if (field.value.size() > kFieldOctetsMax) {
    has_too_many_ = true;
    search(field.value.substr(0, kFieldOctetsMax));
    return;
  }
  read_addresses(field.value);
}

void AuthorReader::read_addresses(std::string_view value) {
  const auto list = mail::parse_address_list(value, kAuthorAddressesMax);
  if (!list) {
    if (unreadable_.empty()) unreadable_ = list.error().text();
    search(value);
    return;
  }
  addresses_ += list->size();
  for (const mail::Address& address : *list) {
    if (address.domain.empty() || address.domain.front() == '[') continue;
    add_domain(address.domain);
  }
}

// Octets that a domain is written with, in whatever alphabet. Underscores are in no domain of mail,
// but in names of the DNS.
bool is_domain_octet(char c) {
  const char lowered = base::to_lower(c);
  return (lowered >= 'a' && lowered <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || static_cast<unsigned char>(c) >= 128;
}

// What stands behind each "@" of a field that no list of addresses can be read from, since programs
// differ in what they then show.
void AuthorReader::search(std::string_view value) {
  constexpr std::size_t kTriesMax = 50;
  std::size_t at = value.find('@');
  for (std::size_t tries = 0; at != std::string_view::npos; ++tries, at = value.find('@', at + 1)) {
    if (tries == kTriesMax) {
      has_too_many_ = true;
      return;
    }
    std::string_view name = value.substr(at + 1);
    const auto end = std::find_if_not(name.begin(), name.end(), is_domain_octet);
    name = name.substr(0, static_cast<std::size_t>(end - name.begin()));
    while (name.starts_with('.')) name.remove_prefix(1);
    while (name.ends_with('.')) name.remove_suffix(1);
    if (name.empty() || name.size() > mail::kUnicodeDomainOctetsMax) continue;
    const base::Result<std::string> ascii = mail::to_ascii_domain(name);
    // A name that the DNS cannot have may still be below one that it has.
    add_domain(ascii ? *ascii : base::lower_case(name));
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
  if (has_too_many_) {
    return is(Form::TooMany, "From has more authors than are looked at");
  }
  if (fields_ > 1) {
    return is(Form::SeveralFields, "the message has " + std::to_string(fields_) + " From fields");
  }
  if (!unreadable_.empty()) {
    return is(Form::Unreadable,
              "From is not a list of addresses: " + base::printable(unreadable_, 2 * kShownOctets));
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
    constexpr std::size_t kFieldsMax = 20;
    if (++fields > kFieldsMax) break;
    reader.read(field);
  }
  return reader.finish();
}

}  // namespace rockdove::policy
