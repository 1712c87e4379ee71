#include "mta/mail/mime_fields.h"

#include <cstddef>

#include "mta/base/text.h"
#include "mta/mail/structured.h"

namespace rockdove::mail {
namespace {

std::string_view take_until(std::string_view& text, std::string_view ends) {
  const std::string_view taken = text.substr(0, text.find_first_of(ends));
  text.remove_prefix(taken.size());
  return taken;
}

std::string take_quoted(std::string_view& text) {
  std::string value;
  std::size_t i = 1;
  for (; i < text.size() && text[i] != '"'; ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    value += text[i];
  }
  text.remove_prefix(i < text.size() ? i + 1 : text.size());
  return value;
}

}  // namespace

ContentType parse_content_type(std::string_view value) {
  ContentType result;
  skip_blanks_and_comments(value);
  const std::string_view type = take_until(value, " \t\r\n/;(");
  skip_blanks_and_comments(value);
  if (!value.starts_with('/')) return result;
  value.remove_prefix(1);
  skip_blanks_and_comments(value);
  const std::string_view subtype = take_until(value, " \t\r\n;(");
  if (type.empty() || subtype.empty()) return result;
  result.type = base::lower_case(type) + "/" + base::lower_case(subtype);
  while (result.boundary.empty()) {
    take_until(value, ";");
    if (value.empty()) break;
    value.remove_prefix(1);
    skip_blanks_and_comments(value);
    const std::string_view name = take_until(value, " \t\r\n=;(");
    skip_blanks_and_comments(value);
    if (!value.starts_with('=')) continue;
    value.remove_prefix(1);
    skip_blanks_and_comments(value);
    std::string parameter =
        value.starts_with('"') ? take_quoted(value) : std::string(take_until(value, " \t\r\n;"));
    if (!base::equals_ignoring_case(name, "boundary")) continue;
    // RFC 2046 §5.1.1: it does not end in blanks.
    while (parameter.ends_with(' ') || parameter.ends_with('\t')) parameter.pop_back();
    if (parameter.size() > kBoundaryOctetsMax) break;
    result.boundary = std::move(parameter);
  }
  return result;
}

TransferEncoding parse_transfer_encoding(std::string_view value) {
  skip_blanks_and_comments(value);
  const std::string_view word = take_until(value, " \t\r\n;(");
  if (word.empty() || base::equals_ignoring_case(word, "7bit")) return TransferEncoding::SevenBit;
  if (base::equals_ignoring_case(word, "8bit")) return TransferEncoding::EightBit;
  if (base::equals_ignoring_case(word, "binary")) return TransferEncoding::Binary;
  return TransferEncoding::Encoded;
}

}  // namespace rockdove::mail
