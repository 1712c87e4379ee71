// Lists as `rockdove check` writes them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mta/base/ip_address.h"

namespace rockdove::cli {

// "a, b"; `none` where there are none.
[[nodiscard]] inline std::string joined(const std::vector<std::string>& words,
                                        std::string_view none) {
  if (words.empty()) return std::string(none);
  std::string text;
  for (const std::string& word : words) text.append(text.empty() ? "" : ", ").append(word);
  return text;
}

[[nodiscard]] inline std::vector<std::string> formatted(
    const std::vector<base::IpNetwork>& networks) {
  std::vector<std::string> words;
  for (const base::IpNetwork& network : networks) words.push_back(base::format_ip_network(network));
  return words;
}

[[nodiscard]] inline std::vector<std::string> formatted(
    const std::vector<base::SocketAddress>& addresses) {
  std::vector<std::string> words;
  for (const base::SocketAddress& address : addresses)
    words.push_back(base::format_socket_address(address));
  return words;
}

}  // namespace rockdove::cli
