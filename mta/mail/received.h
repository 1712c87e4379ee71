// Received fields: the stamp that each mail system puts on a message (RFC 5321 §4.4). They tell
// where a message has been, so they end loops.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mta/base/ids.h"
#include "mta/base/ip_address.h"
#include "mta/base/time.h"
#include "mta/mail/address.h"

namespace rockdove::mail {

enum class WithProtocol : std::uint8_t { Smtp, Esmtp, Lmtp };

struct ReceivedStamp {
  std::string_view helo;                    // what the client called itself: any octets at all
  std::optional<base::IpAddress> client{};  // nullopt: local, over a socket file
  // Who is logged in on this machine handed it in: "by HOSTNAME (Rockdove, from userid 33)", as
  // Postfix says it, without "from" and "with".
  std::optional<std::uint32_t> local_user{};
  std::string_view hostname;  // ours
  // How it came. With the three below it becomes a word of the registry (RFC 3848, RFC 6531 §4.3):
  // "ESMTPSA", "UTF8SMTPS", …
  WithProtocol protocol = WithProtocol::Esmtp;
  std::string_view tls{};      // "TLSv1.3 TLS_AES_128_GCM_SHA256", shown as a comment; "" in clear
  bool authenticated = false;  // by AUTH
  bool utf8 = false;           // with SMTPUTF8
  base::MessageId id;
  const Address* only_recipient = nullptr;  // null: several, which must not learn of each other
  base::WallTime now;
};

// The whole field with its CRLF, folded. A HELO that is neither a domain nor an address literal has
// its odd octets replaced by "?", and is cut at 255.
[[nodiscard]] std::string format_received(const ReceivedStamp& stamp);

// Whether a Received field's value says "by HOSTNAME (Rockdove)", or "… (Rockdove, …)".
[[nodiscard]] bool is_own_received(std::string_view value, std::string_view hostname);

// The host that a Received field's value names after "by": a view into it, empty when there is
// none. Outside comments and quotes; a stranger's text, so show it with base::printable.
[[nodiscard]] std::string_view received_by(std::string_view value);

// The hosts that have taken the message, the latest first, at most `hosts_max`; fields without "by"
// are left out.
[[nodiscard]] std::vector<std::string_view> received_hosts(std::string_view block,
                                                           std::size_t hosts_max);

}  // namespace rockdove::mail
