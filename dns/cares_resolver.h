// Asks real name servers, with c-ares on a libuv loop (RFC 1035; TCP after truncation, RFC 7766;
// EDNS with 1232 octets, RFC 6891). No search domains: a name means itself. A server that left a
// question to the next one is asked last for ten minutes.
//
// The only place that knows <ares.h>.
#pragma once

#include <memory>
#include <vector>

#include "dns/resolver.h"
#include "mta/base/ip_address.h"
#include "mta/base/result.h"

namespace rockdove::net {
class UvLoop;
}

namespace rockdove::dns {

struct CaresSettings {
  // None: those of /etc/resolv.conf. At most kServersMax are used.
  std::vector<base::SocketAddress> servers;
  // For the first answer of one server; doubles with each round. However many servers there are, a
  // question ends after kQuestionTimeMax. What arrives later than this still counts.
  base::Duration timeout = std::chrono::milliseconds(1'500);
  unsigned tries = 4;  // rounds over all servers
};

inline constexpr std::size_t kServersMax = 8;

// Questions at once on one loop; more wait their turn within their 30 seconds. One that has had no
// answer for kSlowAfter holds no such place any more: else names that never answer, of which a
// stranger may name as many as he likes, would hold up everybody's questions until they time out.
inline constexpr std::size_t kQuestionsAtOnceMax = 500;
inline constexpr base::Duration kSlowAfter = std::chrono::seconds(1);
inline constexpr std::size_t kQuestionsOpenMax = 4'000;  // the slow ones, too

// From the loop's thread (or before it runs), as is the destruction; `loop` outlives the resolver.
[[nodiscard]] base::Result<std::unique_ptr<Resolver>> make_cares_resolver(
    net::UvLoop& loop, const CaresSettings& settings);

}  // namespace rockdove::dns
