#include "mta/smtp/peer_capabilities.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "mta/base/text.h"

namespace rockdove::smtp {
namespace {

// Of what a peer says about itself.
constexpr std::size_t kKeptTextOctetsMax = 512;

// Takes what stands before the next `separator`, and the separator.
std::string_view take_until(std::string_view& text, char separator) {
  const std::size_t end = text.find(separator);
  const std::string_view taken = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return taken;
}

// Mechanisms, separated by blanks.
void learn_auth(std::string_view mechanisms, PeerCapabilities& peer) {
  peer.auth = true;
  while (!mechanisms.empty()) {
    const std::string_view mechanism = take_until(mechanisms, ' ');
    if (base::equals_ignoring_case(mechanism, "PLAIN")) peer.auth_plain = true;
    if (base::equals_ignoring_case(mechanism, "LOGIN")) peer.auth_login = true;
  }
}

// RFC 9422 §4: NAME=VALUE, separated by blanks; values are numbers above 0 of up to 6 digits. One
// that is not is no limit.
void learn_limits(std::string_view limits, PeerCapabilities& peer) {
  while (!limits.empty()) {
    std::string_view value = take_until(limits, ' ');
    const std::string_view name = take_until(value, '=');
    std::uint32_t number = 0;
    const char* const end = value.data() + value.size();
    if (value.empty() || std::from_chars(value.data(), end, number).ptr != end) continue;
    if (base::equals_ignoring_case(name, "MAILMAX")) peer.messages_max = number;
    if (base::equals_ignoring_case(name, "RCPTMAX")) peer.recipients_max = number;
    if (base::equals_ignoring_case(name, "RCPTDOMAINMAX")) peer.recipient_domains_max = number;
  }
}

void learn_line(std::string_view line, PeerCapabilities& peer) {
  std::string_view arguments = line;
  const std::string_view keyword = take_until(arguments, ' ');
  const auto is = [keyword](std::string_view name) {
    return base::equals_ignoring_case(keyword, name);
  };
  if (is("PIPELINING")) peer.pipelining = true;
  if (is("8BITMIME")) peer.eight_bit_mime = true;
  if (is("ENHANCEDSTATUSCODES")) peer.enhanced_codes = true;
  if (is("CHUNKING")) peer.chunking = true;
  if (is("SMTPUTF8")) peer.smtputf8 = true;
  if (is("DSN")) peer.dsn = true;
  if (is("MT-PRIORITY")) peer.mt_priority = true;
  if (is("STARTTLS")) peer.starttls = true;
  if (is("AUTH")) learn_auth(arguments, peer);
  // As it was written before RFC 2554, and still is: "AUTH=LOGIN PLAIN".
  if (base::starts_with_ignoring_case(keyword, "AUTH=")) learn_auth(line.substr(5), peer);
  if (is("LIMITS")) learn_limits(arguments, peer);
  if (!is("SIZE")) return;
  peer.size = true;
  const std::string_view limit = base::trimmed(arguments);
  std::from_chars(limit.data(), limit.data() + limit.size(), peer.size_octets_max);
}

}  // namespace

void learn_capabilities(const Reply& hello, HelloKind kind, PeerCapabilities& peer) {
  std::string banner = std::move(peer.banner);
  peer = PeerCapabilities();
  peer.banner = std::move(banner);
  std::string_view text = hello.text;
  const std::string_view first = take_until(text, '\n');
  peer.name = first.substr(0, std::min(first.find(' '), kKeptTextOctetsMax));
  if (peer.name.empty()) peer.name = "the server";
  peer.extended = kind != HelloKind::Helo;
  while (peer.extended && !text.empty()) learn_line(take_until(text, '\n'), peer);
  peer.smtputf8 = peer.smtputf8 && peer.eight_bit_mime;
}

}  // namespace rockdove::smtp
