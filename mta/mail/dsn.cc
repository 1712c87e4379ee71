#include "mta/mail/dsn.h"

#include "mta/base/text.h"

namespace rockdove::mail {
namespace {

constexpr std::string_view kHexDigits = "0123456789ABCDEF";

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

}  // namespace rockdove::mail
