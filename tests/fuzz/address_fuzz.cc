// What parses as an address or a path is in normal form: written out, it parses to the same again,
// fits its limits and has no octet that could end a command.
#include <algorithm>
#include <string>

#include "mta/base/utf8.h"
#include "mta/mail/address.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace rockdove;

void check_address(const mail::Address& address) {
  const std::string text = mail::format_address(address);
  FUZZ_CHECK(text.size() + 2 <= mail::kPathOctetsMax);
  FUZZ_CHECK(base::is_utf8(text));
  FUZZ_CHECK(std::all_of(text.begin(), text.end(), [](char c) {
    const auto octet = static_cast<unsigned char>(c);
    return octet >= 32 && octet != 127;
  }));
  FUZZ_CHECK(base::is_ascii(address.domain));
  FUZZ_CHECK(is_unicode(address) != base::is_ascii(text));
  const auto again = mail::parse_mailbox_or_local_part(text);
  FUZZ_CHECK(again && *again == address);
  if (address.domain.empty()) return;
  const auto strict = mail::parse_mailbox(text);
  FUZZ_CHECK(strict && *strict == address);
  const auto literal = mail::parse_address_literal(address.domain);
  FUZZ_CHECK(literal.has_value() != mail::is_valid_domain(address.domain));
  if (literal) FUZZ_CHECK(mail::format_address_literal(*literal) == address.domain);
}

void check_path(std::string_view text, mail::PathKind kind) {
  const auto path = mail::parse_path(text, kind);
  if (!path) return;
  FUZZ_CHECK(text.ends_with(path->rest));
  FUZZ_CHECK(text[text.size() - path->rest.size() - 1] == '>');
  if (path->address.is_null()) {
    FUZZ_CHECK(kind == mail::PathKind::Reverse);
    return;
  }
  check_address(path->address);
  const std::string written =
      "<" + mail::format_address(path->address) + ">" + std::string(path->rest);
  const auto again = mail::parse_path(written, kind);
  FUZZ_CHECK(again && again->address == path->address && again->rest == path->rest);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::as_text(data, size);
  if (const auto mailbox = mail::parse_mailbox(text)) check_address(*mailbox);
  if (const auto either = mail::parse_mailbox_or_local_part(text)) check_address(*either);
  check_path(text, mail::PathKind::Reverse);
  check_path(text, mail::PathKind::Forward);
  return 0;
}
