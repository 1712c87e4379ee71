// Whatever stands in a list's file: it is refused with the lines that are wrong, or each entry is
// found again in the list that it became, in a form that is an entry itself.
#include "mta/base/text.h"
#include "policy/address_lists.h"
#include "policy/dns_lists.h"
#include "tests/fuzz/fuzz.h"

using namespace rockdove;

namespace {

// What was found is an entry that means the same.
void check_found(const std::optional<std::string>& found) {
  if (!found) return;
  policy::AddressListBuilder builder;
  FUZZ_CHECK(builder.add(*found).is_ok());
  FUZZ_CHECK(builder.finish()->size() == 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::as_text(data, size);
  static_cast<void>(policy::expand_list_text(text, "a", "d", "z"));
  const policy::ParsedList parsed = policy::parse_address_list(text);
  FUZZ_CHECK((parsed.list == nullptr) == !parsed.problems.empty());
  FUZZ_CHECK(parsed.problems.size() <= policy::kListProblemsMax);
  if (parsed.list == nullptr) return 0;
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = base::trimmed(rest.substr(0, end));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    check_found(parsed.list->find_sender(line));
    check_found(parsed.list->find_domain(line));
    check_found(parsed.list->find_helo(line));
    const auto network = base::parse_ip_network(base::printable(line, 80));
    if (!network) continue;
    const std::optional<std::string> found = parsed.list->find_client(network->base);
    FUZZ_CHECK(found.has_value());
    check_found(found);
  }
  return 0;
}
