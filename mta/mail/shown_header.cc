#include "mta/mail/shown_header.h"

#include "mta/base/text.h"
#include "mta/mail/encoded_word.h"
#include "mta/mail/headers.h"

namespace rockdove::mail {
namespace {

// RFC 5322 §2.2.3: a fold is a line's end before a blank, and vanishes.
std::string unfolded(std::string_view value) {
  std::string text;
  text.reserve(value.size());
  for (const char c : base::trimmed(value)) {
    if (c != '\r' && c != '\n') text += c;
  }
  return text;
}

}  // namespace

std::vector<ShownField> shown_fields(std::string_view block) {
  std::vector<ShownField> fields;
  for (const HeaderField& field : HeaderFields(block)) {
    fields.push_back({std::string(field.name), decode_encoded_words(unfolded(field.value))});
  }
  return fields;
}

}  // namespace rockdove::mail
