#include "mta/mail/dsn.h"

#include <algorithm>
#include <charconv>

#include "mta/base/text.h"
#include "mta/base/utf8.h"

namespace rockdove::mail {
namespace {

constexpr std::string_view kHexDigits = "0123456789ABCDEF";
constexpr std::uint32_t kReplacement = 0xFFFD;

// QCHAR of RFC 6533 §3.
bool stands_for_itself(char c) {
  return c > 0x20 && c < 0x7f && c != '\\' && c != '+' && c != '=';
}

// Of a whole sequence of two to four octets (RFC 3629 §3).
std::uint32_t code_point(std::string_view sequence) {
  const auto lead = static_cast<unsigned char>(sequence.front());
  std::uint32_t value = lead & (0x7FU >> sequence.size());
  for (const char c : sequence.substr(1))
    value = value << 6 | (static_cast<unsigned char>(c) & 63U);
  return value;
}

void append_character(std::string& out, std::uint32_t value) {
  const auto add = [&out](std::uint32_t octet) { out += static_cast<char>(octet); };
  if (value < 0x80) return add(value);
  if (value < 0x800) {
    add(0xC0 | value >> 6);
  } else if (value < 0x10000) {
    add(0xE0 | value >> 12);
    add(0x80 | (value >> 6 & 63));
  } else {
    add(0xF0 | value >> 18);
    add(0x80 | (value >> 12 & 63));
    add(0x80 | (value >> 6 & 63));
  }
  add(0x80 | (value & 63));
}

void append_escape(std::string& out, std::uint32_t value) {
  out += "\\x{";
  bool has_begun = false;
  for (int shift = 20; shift >= 0; shift -= 4) {
    const std::uint32_t digit = value >> shift & 15;
    has_begun = has_begun || digit != 0 || shift <= 4;
    if (has_begun) out += kHexDigits[digit];
  }
  out += '}';
}

// The character that an escape at the front of `text` stands for; its octets are taken off.
std::optional<std::uint32_t> take_escape(std::string_view& text) {
  if (!text.starts_with("\\x{")) return std::nullopt;
  const std::string_view digits = text.substr(3, std::min<std::size_t>(text.find('}'), 9) - 3);
  if (digits.size() < 2 || digits.size() > 6 || text.substr(3 + digits.size(), 1) != "}" ||
      digits.find_first_not_of(kHexDigits) != std::string_view::npos) {
    return std::nullopt;
  }
  std::uint32_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  const bool is_control = value < 0x20 || (value >= 0x7F && value < 0xA0);
  const bool is_character = value <= 0x10FFFF && (value < 0xD800 || value > 0xDFFF);
  if (is_control || !is_character) return std::nullopt;
  text.remove_prefix(digits.size() + 4);
  return value;
}

}  // namespace

std::string format_notify(const NotifySet& notify) {
  if (notify.never) return "NEVER";
  std::string text;
  const auto add = [&text](bool is_set, std::string_view word) {
    if (!is_set) return;
    if (!text.empty()) text += ',';
    text += word;
  };
  add(notify.success, "SUCCESS");
  add(notify.failure, "FAILURE");
  add(notify.delay, "DELAY");
  return text;
}

std::optional<NotifySet> parse_notify(std::string_view text) {
  NotifySet notify;
  while (true) {
    const std::size_t comma = text.find(',');
    const std::string word = base::lower_case(text.substr(0, comma));
    bool* flag = word == "never"     ? &notify.never
                 : word == "success" ? &notify.success
                 : word == "failure" ? &notify.failure
                 : word == "delay"   ? &notify.delay
                                     : nullptr;
    if (flag == nullptr || *flag) return std::nullopt;
    *flag = true;
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  if (notify.never && (notify.success || notify.failure || notify.delay)) return std::nullopt;
  return notify;
}

std::string encode_xtext(std::string_view octets) {
  std::string xtext;
  xtext.reserve(octets.size());
  for (const char octet : octets) {
    const auto value = static_cast<unsigned char>(octet);
    if (value > 0x20 && value < 0x7f && octet != '+' && octet != '=') {
      xtext += octet;
      continue;
    }
    xtext += '+';
    xtext += kHexDigits[value >> 4];
    xtext += kHexDigits[value & 15];
  }
  return xtext;
}

std::optional<std::string> decode_xtext(std::string_view xtext) {
  std::string octets;
  octets.reserve(xtext.size());
  for (std::size_t i = 0; i < xtext.size(); ++i) {
    const auto value = static_cast<unsigned char>(xtext[i]);
    if (value <= 0x20 || value >= 0x7f || xtext[i] == '=') return std::nullopt;
    if (xtext[i] != '+') {
      octets += xtext[i];
      continue;
    }
    if (xtext.size() - i < 3) return std::nullopt;
    const std::size_t high = kHexDigits.find(xtext[i + 1]);
    const std::size_t low = kHexDigits.find(xtext[i + 2]);
    if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
    octets += static_cast<char>(high << 4 | low);
    i += 2;
  }
  return octets;
}

std::string encode_utf8_address(std::string_view address) {
  std::string out;
  out.reserve(address.size() * 2);
  while (!address.empty()) {
    const std::size_t octets = base::utf8_sequence(address);
    const char first = address.front();
    if (octets > 0) {
      append_escape(out, code_point(address.substr(0, octets)));
    } else if (stands_for_itself(first)) {
      out += first;
    } else {
      const auto value = static_cast<unsigned char>(first);
      append_escape(out, value < 0x80 ? value : kReplacement);
    }
    address.remove_prefix(std::max<std::size_t>(octets, 1));
  }
  return out;
}

std::optional<std::string> decode_utf8_address(std::string_view text) {
  std::string address;
  address.reserve(text.size());
  while (!text.empty()) {
    if (text.front() == '\\') {
      const std::optional<std::uint32_t> character = take_escape(text);
      if (!character) return std::nullopt;
      append_character(address, *character);
      continue;
    }
    const std::size_t octets = base::utf8_sequence(text);
    if (octets == 0 && !stands_for_itself(text.front())) return std::nullopt;
    address.append(text.substr(0, std::max<std::size_t>(octets, 1)));
    text.remove_prefix(std::max<std::size_t>(octets, 1));
  }
  return address;
}

}  // namespace rockdove::mail
