#include "policy/tag_list.h"

#include <algorithm>
#include <limits>

#include "mta/base/base64.h"
#include "mta/base/text.h"
#include "policy/shown_text.h"

namespace rockdove::policy {
namespace {

using base::Error;
using base::Result;

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_tag_name(std::string_view name) {
  return !name.empty() && is_letter(name.front()) &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return is_letter(c) || is_digit(c) || c == '_'; });
}

// Printable characters, blanks, and folds: CRLF with a blank behind it. A semicolon cannot be here.
bool is_tag_text(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto octet = static_cast<unsigned char>(text[i]);
    if (is_blank(text[i]) || (octet > 32 && octet != 127)) continue;
    const bool is_fold =
        text[i] == '\r' && i + 2 < text.size() && text[i + 1] == '\n' && is_blank(text[i + 2]);
    if (!is_fold) return false;
    i += 2;
  }
  return true;
}

}  // namespace

Result<TagList> TagList::parse(std::string_view text) {
  TagList list;
  if (!is_tag_text(text)) return Error("there are characters in it that a tag list cannot have");
  while (!text.empty()) {
    const std::size_t semicolon = text.find(';');
    const bool is_last = semicolon == std::string_view::npos;
    const std::string_view part = text.substr(0, semicolon);
    text.remove_prefix(is_last ? text.size() : semicolon + 1);
    if (base::trimmed(part).empty()) {
      // Only behind the last tag's semicolon may there be nothing.
      if (is_last && !list.tags_.empty()) break;
      return Error("a tag is empty");
    }
    const std::size_t equals = part.find('=');
    if (equals == std::string_view::npos) return Error("a tag has no \"=\"");
    Tag tag;
    tag.name = base::trimmed(part.substr(0, equals));
    tag.region = part.substr(equals + 1);
    tag.value = base::trimmed(tag.region);
    if (!is_tag_name(tag.name)) return Error("a tag's name is not valid");
    if (list.find(tag.name) != nullptr) {
      return Error("the tag " + shown_text(tag.name) + " is there twice");
    }
    if (list.tags_.size() == kTagsMax) return Error("there are too many tags");
    list.tags_.push_back(tag);
  }
  if (list.tags_.empty()) return Error("there is no tag in it");
  return list;
}

const Tag* TagList::find(std::string_view name) const {
  const auto found =
      std::find_if(tags_.begin(), tags_.end(), [name](const Tag& tag) { return tag.name == name; });
  return found == tags_.end() ? nullptr : &*found;
}

std::string without_blanks(std::string_view value) {
  std::string text;
  text.reserve(value.size());
  for (const char c : value) {
    if (!is_blank(c) && c != '\r' && c != '\n') text += c;
  }
  return text;
}

std::optional<std::string> decode_tag_base64(std::string_view value) {
  std::optional<std::string> octets = base::decode_base64(without_blanks(value));
  if (octets && octets->empty()) octets.reset();
  return octets;
}

std::optional<std::uint64_t> parse_tag_number(std::string_view value, std::size_t digits_max) {
  constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
  if (value.empty() || value.size() > digits_max) return std::nullopt;
  std::uint64_t number = 0;
  for (const char c : value) {
    if (!is_digit(c)) return std::nullopt;
    const auto digit = static_cast<std::uint64_t>(c - '0');
    number = number > (kMax - digit) / 10 ? kMax : number * 10 + digit;
  }
  return number;
}

std::vector<std::string_view> split_at_colons(std::string_view value) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t colon = value.find(':');
    parts.push_back(base::trimmed(value.substr(0, colon)));
    if (colon == std::string_view::npos) return parts;
    value.remove_prefix(colon + 1);
  }
}

}  // namespace rockdove::policy
