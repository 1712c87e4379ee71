// The addresses at which this relay itself can be reached: a host that the DNS names for mail and
// that has one of them is ourselves, and what is sent there would come back (RFC 5321 §5.1).
#pragma once

#include <cstdint>
#include <vector>

#include "mta/base/ip_address.h"
#include "mta/inbound/settings.h"
#include "policy/client_policy.h"

namespace rockdove::daemon {

// Of each listener its addresses; one that listens everywhere is reached at those of all the
// machine's interfaces, as they are now.
[[nodiscard]] std::vector<base::SocketAddress> own_addresses(
    const inbound::InboundSettings& settings);

// Their policy for strangers, with what it must know of this machine: who a stranger is not.
[[nodiscard]] policy::ClientPolicyPointer complete_policy(const inbound::InboundSettings& settings,
                                                          std::uint64_t generation);

}  // namespace rockdove::daemon
