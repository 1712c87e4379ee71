#include "mta/mail/address_list.h"

#include <algorithm>
#include <string>

#include "mta/base/text.h"
#include "mta/mail/structured.h"

namespace rockdove::mail {

using base::Error;
using base::Result;

namespace {

constexpr std::size_t kShownOctets = 80;

class ListReader {
 public:
  ListReader(std::string_view value, std::size_t addresses_max)
      : rest_(value), addresses_max_(addresses_max) {}

  Result<std::vector<Address>> read();

 private:
  Result<void> take(char special);
  Result<void> take_angle();
  Result<void> end_entry();
  Result<void> add(std::string_view text);
  [[nodiscard]] Error no_address(std::string_view text, std::string_view why) const;

  std::string_view rest_;
  const std::size_t addresses_max_;
  std::vector<Address> addresses_;
  // Of the entry that is being read: what may be an address, or the name in front of one.
  std::string words_;
  bool has_gap_ = false;    // blanks between two words of it
  bool has_at_ = false;     // an "@" outside of quotes: it is no name
  bool after_gap_ = false;  // blanks stand before what comes next
  bool has_angle_ = false;  // its address was in angle brackets
};

Error ListReader::no_address(std::string_view text, std::string_view why) const {
  return Error("\"" + base::printable(base::trimmed(text), kShownOctets) +
               "\" is no address: " + std::string(why));
}

Result<std::vector<Address>> ListReader::read() {
  constexpr std::string_view kSpecial = ",;:<>\"[( \t\r\n";
  while (true) {
    after_gap_ = skip_blanks_and_comments(rest_);
    if (rest_.empty()) break;
    const char first = rest_.front();
    std::string_view word;
    if (first == '"' || first == '[') {
      word = take_enclosed(rest_, first == '"' ? '"' : ']');
    } else if (kSpecial.find(first) == std::string_view::npos) {
      word = rest_.substr(0, rest_.find_first_of(kSpecial));
      rest_.remove_prefix(word.size());
    } else if (Result<void> taken = take(first); !taken) {
      return taken.error();
    }
    if (word.empty()) continue;
    // Blanks around dots and "@" belong to the address (RFC 5322 §4.4); others part words.
    const bool is_joined = words_.empty() || words_.back() == '@' || words_.back() == '.' ||
                           word.front() == '@' || word.front() == '.';
    has_gap_ = has_gap_ || (after_gap_ && !is_joined);
    has_at_ = has_at_ || (first != '"' && word.find('@') != std::string_view::npos);
    words_ += word;
  }
  if (Result<void> ended = end_entry(); !ended) return ended.error();
  return std::move(addresses_);
}

Result<void> ListReader::take(char special) {
  if (special == '<') return take_angle();
  rest_.remove_prefix(1);
  switch (special) {
    case ':':  // what stood before is a group's name
      if (has_at_) return no_address(words_ + ":", "a comma is missing behind it");
      words_.clear();
      has_gap_ = false;
      return {};
    case ',':
    case ';':  // the end of a group, or a comma of those who know it so
      return end_entry();
    default:
      return no_address(words_ + ">", "it has no opening angle bracket");
  }
}

// What stood before is a name.
Result<void> ListReader::take_angle() {
  if (has_angle_) return no_address(rest_.substr(0, kShownOctets), "a comma is missing before it");
  rest_.remove_prefix(1);
  std::string text;
  while (true) {
    const bool has_gap = skip_blanks_and_comments(rest_) && !text.empty() && text.back() != '@' &&
                         text.back() != '.';
    if (rest_.empty()) return no_address("<" + text, "it has no closing angle bracket");
    const char first = rest_.front();
    if (first == '>') break;
    if (has_gap && std::string_view("@.:,").find(first) == std::string_view::npos &&
        text.back() != ',')
      return no_address("<" + text, "there are blanks in it");
    if (first == '"' || first == '[') {
      text += take_enclosed(rest_, first == '"' ? '"' : ']');
      continue;
    }
    if (first == ':') text.clear();  // a route ends (RFC 5322 §4.4)
    if (first != ':') text += first;
    rest_.remove_prefix(1);
  }
  rest_.remove_prefix(1);
  has_angle_ = true;
  words_.clear();
  has_gap_ = false;
  has_at_ = false;
  return add(text);
}

Result<void> ListReader::end_entry() {
  const std::string words = std::move(words_);
  const bool had_gap = has_gap_;
  const bool had_angle = has_angle_;
  words_.clear();
  has_gap_ = false;
  has_at_ = false;
  has_angle_ = false;
  if (words.empty()) return {};
  if (had_angle) return no_address(words, "a comma is missing before it");
  if (had_gap) return no_address(words, "there are blanks in it");
  return add(words);
}

Result<void> ListReader::add(std::string_view text) {
  Result<Address> address = parse_mailbox_or_local_part(text);
  if (!address) return no_address(text, address.error().text());
  if (addresses_.size() == addresses_max_)
    return Error("there are more than " + std::to_string(addresses_max_) + " addresses");
  addresses_.push_back(*std::move(address));
  return {};
}

}  // namespace

Result<std::vector<Address>> parse_address_list(std::string_view value, std::size_t addresses_max) {
  return ListReader(value, addresses_max).read();
}

}  // namespace rockdove::mail
