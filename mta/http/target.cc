#include "mta/http/target.h"

namespace rockdove::http {
namespace {

int hexadecimal_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_unreserved(char c) {  // RFC 3986 §2.3
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

void append_encoded(std::string& out, std::string_view text, std::string_view also_kept) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  for (const char c : text) {
    if (is_unreserved(c) || also_kept.find(c) != std::string_view::npos) {
      out += c;
      continue;
    }
    const auto octet = static_cast<unsigned char>(c);
    out += '%';
    out += kDigits[octet >> 4U];
    out += kDigits[octet & 15U];
  }
}

}  // namespace

const std::string* Target::find(std::string_view name) const {
  for (const auto& [key, value] : parameters) {
    if (key == name) return &value;
  }
  return nullptr;
}

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (text.size() - i < 3) return std::nullopt;
    const int high = hexadecimal_digit(text[i + 1]);
    const int low = hexadecimal_digit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

std::string percent_encoded(std::string_view text) {
  std::string out;
  append_encoded(out, text, "");
  return out;
}

base::Result<Target> parse_target(std::string_view text) {
  if (text.empty() || text.front() != '/') return base::Error("the request's target has no path");
  Target target;
  const std::size_t question = text.find('?');
  std::optional<std::string> path = percent_decoded(text.substr(0, question));
  if (!path) return base::Error("a percent sign in the path without two hexadecimal digits");
  target.path = *std::move(path);
  std::string_view rest =
      question == std::string_view::npos ? std::string_view() : text.substr(question + 1);
  while (!rest.empty()) {
    const std::size_t end = rest.find('&');
    const std::string_view pair = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    if (pair.empty()) continue;
    const std::size_t equals = pair.find('=');
    std::optional<std::string> name = percent_decoded(pair.substr(0, equals));
    std::optional<std::string> value = percent_decoded(
        equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1));
    if (!name || !value) {
      return base::Error("a percent sign in a parameter without two hexadecimal digits");
    }
    if (target.parameters.size() == kParametersMax) return base::Error("too many parameters");
    target.parameters.emplace_back(*std::move(name), *std::move(value));
  }
  return target;
}

std::string format_target(const Target& target) {
  std::string out;
  append_encoded(out, target.path, "/");
  char separator = '?';
  for (const auto& [name, value] : target.parameters) {
    out += separator;
    separator = '&';
    append_encoded(out, name, "");
    out += '=';
    append_encoded(out, value, "");
  }
  return out;
}

}  // namespace rockdove::http
