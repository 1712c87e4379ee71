#include "policy/txt_strings.h"

namespace rockdove::policy {
namespace {

constexpr std::size_t kStringOctetsMax = 255;  // RFC 1035 §3.3

}  // namespace

std::string format_txt_strings(std::string_view text) {
  std::string strings;
  for (std::size_t at = 0; at == 0 || at < text.size(); at += kStringOctetsMax) {
    if (at > 0) strings += ' ';
    strings += '"';
    for (const char c : text.substr(at, kStringOctetsMax)) {
      if (c == '"' || c == '\\') strings += '\\';
      strings += c;
    }
    strings += '"';
  }
  return strings;
}

}  // namespace rockdove::policy
