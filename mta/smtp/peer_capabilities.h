// What a server says about itself in its reply to EHLO or LHLO (RFC 5321 §4.1.1.1): its name, then
// an extension a line. Learnt anew after STARTTLS (RFC 3207 §4.2): nothing said in clear is
// believed after it.
#pragma once

#include <cstdint>
#include <string>

#include "mta/smtp/reply.h"

namespace rockdove::smtp {

struct PeerCapabilities {
  std::string banner;     // text of the 220
  std::string name;       // what it calls itself in its reply to EHLO
  bool extended = false;  // it took EHLO or LHLO
  bool pipelining = false;
  bool eight_bit_mime = false;
  bool enhanced_codes = false;
  bool size = false;
  std::uint64_t size_octets_max = 0;  // 0: SIZE named no limit (RFC 1870 §4)
  bool chunking = false;
  bool smtputf8 = false;  // only beside 8BITMIME, which RFC 6531 §3.1 demands with it
  bool dsn = false;
  bool mt_priority = false;  // RFC 6710
  bool starttls = false;
  bool auth = false;  // AUTH, with any mechanism
  bool auth_plain = false;
  bool auth_login = false;
  // LIMITS (RFC 9422 §4); 0: not said.
  std::uint32_t messages_max = 0;           // MAILMAX: transactions a connection
  std::uint32_t recipients_max = 0;         // RCPTMAX: a transaction
  std::uint32_t recipient_domains_max = 0;  // RCPTDOMAINMAX: a transaction
};

enum class HelloKind : std::uint8_t { Ehlo, Lhlo, Helo };

// Fills all but `banner` from a 2yz reply. After HELO nothing but the name is looked at.
void learn_capabilities(const Reply& hello, HelloKind kind, PeerCapabilities& peer);

}  // namespace rockdove::smtp
