// Whatever values are written into an Authentication-Results field, it stays one field, and is read
// again as it was meant; whatever such a field has in it, one in our name is found, and taking it
// out leaves none.
#include <string>
#include <vector>

#include "mta/mail/headers.h"
#include "policy/authentication_results.h"
#include "tests/fuzz/fuzz.h"

using namespace rockdove;
using namespace rockdove::policy;

namespace {

const std::vector<std::string> kOwn = {"mx.example.net"};

std::string text(fuzz::Choices& choices) {
  return std::string(choices.next_text(choices.next(40)));
}

void check_writing(fuzz::Choices& choices) {
  std::vector<MethodResult> results(choices.next(5));
  for (MethodResult& result : results) {
    result = {"dkim", "fail", text(choices), text(choices), {}};
    result.properties.resize(choices.next(4), {"header", "d", ""});
    for (ResultProperty& property : result.properties) property.value = text(choices);
  }
  const FieldText kind = choices.next(2) == 0 ? FieldText::Ascii : FieldText::Utf8;
  const std::string field = format_authentication_results("mx.example.net", results, kind);
  FUZZ_CHECK(field.ends_with("\r\n"));
  FUZZ_CHECK(mail::HeaderFields(field).begin()->whole == field);
  for (std::size_t i = 0; i + 2 < field.size(); ++i) {
    if (field[i] == '\n') FUZZ_CHECK(field[i - 1] == '\r' && field[i + 1] == '\t');
    if (field[i] == '\r') FUZZ_CHECK(field[i + 1] == '\n');
  }
  FUZZ_CHECK(remove_forged_results(field, kOwn)->header.empty());
  const auto again = parse_authentication_results(mail::HeaderFields(field).begin()->value);
  FUZZ_CHECK(again.is_ok());
  FUZZ_CHECK(again->results.size() == results.size());
  for (std::size_t i = 0; i < results.size(); ++i) {
    FUZZ_CHECK(again->results[i].method == "dkim" && again->results[i].result == "fail");
    FUZZ_CHECK(again->results[i].properties.size() == results[i].properties.size());
    FUZZ_CHECK(again->results[i].reason.empty() == results[i].reason.empty());
  }
}

void check_reading(std::string_view value) {
  const auto field = parse_authentication_results(value);
  const auto why = reason_to_remove(value, kOwn);
  if (!field) return;
  FUZZ_CHECK(!field->authserv_id.empty());
  FUZZ_CHECK(field->results.size() <= kResultsMax);
  if (field->authserv_id == kOwn[0] || field->version != 1) FUZZ_CHECK(why);
}

void check_header(std::string_view header) {
  const auto scrubbed = remove_forged_results(header, kOwn);
  if (!scrubbed) return;
  FUZZ_CHECK(scrubbed->removed > 0 && scrubbed->header.size() < header.size());
  FUZZ_CHECK(!remove_forged_results(scrubbed->header, kOwn));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view rest = fuzz::as_text(data, size).substr(1);
  fuzz::Choices choices(rest);
  switch (data[0] % 3) {
    case 0:
      check_writing(choices);
      break;
    case 1:
      check_reading(rest);
      break;
    default:
      check_header(rest);
  }
  return 0;
}
