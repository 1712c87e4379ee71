// The PROXY header against any bytes: cut anywhere they give the same answer at the same octet; it
// never claims more octets than there are, nor more than its limit; what is good stays good with
// anything behind it.
#include <string>

#include "mta/net/proxy_header.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace rockdove;

std::string describe(const net::ParsedProxyHeader& parsed) {
  if (const auto* error = std::get_if<base::Error>(&parsed)) return error->text();
  if (std::holds_alternative<net::ProxyHeaderUnfinished>(parsed)) return "";
  const auto& header = std::get<net::ProxyHeader>(parsed);
  std::string text = std::to_string(header.octets);
  if (header.ends) {
    text += " " + base::format_socket_address(header.ends->client);
    text += " " + base::format_socket_address(header.ends->called);
  }
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::as_text(data, size);
  const net::ParsedProxyHeader whole = net::parse_proxy_header(text);
  if (const auto* header = std::get_if<net::ProxyHeader>(&whole)) {
    FUZZ_CHECK(header->octets > 0 && header->octets <= size);
    FUZZ_CHECK(header->octets <= net::kProxyHeaderOctetsMax);
    FUZZ_CHECK(describe(net::parse_proxy_header(text.substr(0, header->octets))) ==
               describe(whole));
    FUZZ_CHECK(std::holds_alternative<net::ProxyHeaderUnfinished>(
        net::parse_proxy_header(text.substr(0, header->octets - 1))));
  }
  // The first answer that is one does not change with more octets.
  std::string first;
  for (std::size_t octets = 0; octets <= size && first.empty(); ++octets)
    first = describe(net::parse_proxy_header(text.substr(0, octets)));
  FUZZ_CHECK(first == describe(whole));
  FUZZ_CHECK(!first.empty() || size < net::kProxyHeaderOctetsMax);
  return 0;
}
