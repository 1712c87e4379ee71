// Whatever stands in a To field: each address that is found is one that can be sent to, and there
// are never more than asked for.
#include "mta/mail/address_list.h"
#include "tests/fuzz/fuzz.h"

using namespace rockdove;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kMost = 8;
  const auto addresses = mail::parse_address_list(fuzz::as_text(data, size), kMost);
  if (!addresses) return 0;
  FUZZ_CHECK(addresses->size() <= kMost);
  for (const mail::Address& address : *addresses) {
    FUZZ_CHECK(!address.is_null());
    const auto again = mail::parse_address_list("x <" + mail::format_address(address) + ">", kMost);
    FUZZ_CHECK(again && again->size() == 1 && again->front() == address);
  }
  return 0;
}
