// proxy: is this a good PROXY header? `hex`: its octets, or a list of them in the order they come.
#include "mta/net/proxy_header.h"
#include "tests/probe/area.h"
#include "tests/probe/hex.h"

namespace rockdove::probe {

nlohmann::json answer_proxy(const nlohmann::json& test_case, const Options& /*options*/) {
  const nlohmann::json& hex = test_case.at("hex");
  std::string octets;
  if (hex.is_string()) {
    octets = from_hex(hex.get<std::string>());
  } else {
    for (const nlohmann::json& part : hex) octets += from_hex(part.get<std::string>());
  }
  const net::ParsedProxyHeader parsed = net::parse_proxy_header(octets);
  nlohmann::json answer = {{"ok", std::holds_alternative<net::ProxyHeader>(parsed)}};
  if (const auto* header = std::get_if<net::ProxyHeader>(&parsed); header && header->ends) {
    answer["client"] = base::format_socket_address(header->ends->client);
    answer["called"] = base::format_socket_address(header->ends->called);
  } else if (const auto* error = std::get_if<base::Error>(&parsed)) {
    answer["error"] = error->text();
  }
  return answer;
}

}  // namespace rockdove::probe
