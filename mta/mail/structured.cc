#include "mta/mail/structured.h"

#include <algorithm>
#include <cstddef>

namespace rockdove::mail {

bool skip_comment(std::string_view& text) {
  std::size_t depth = 0;
  std::size_t octets = 0;
  do {
    if (text[octets] == '(') ++depth;
    if (text[octets] == ')') --depth;
    octets += text[octets] == '\\' ? 2U : 1U;
  } while (depth > 0 && octets < text.size());
  text.remove_prefix(std::min(octets, text.size()));
  return depth == 0;
}

bool skip_blanks_and_comments(std::string_view& text) {
  const std::size_t before = text.size();
  while (true) {
    text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
    if (!text.starts_with('(')) return text.size() != before;
    skip_comment(text);
  }
}

std::string_view take_enclosed(std::string_view& text, char close) {
  std::size_t octets = 1;
  while (octets < text.size() && text[octets] != close) octets += text[octets] == '\\' ? 2U : 1U;
  const std::string_view taken = text.substr(0, octets + 1);
  text.remove_prefix(taken.size());
  return taken;
}

}  // namespace rockdove::mail
