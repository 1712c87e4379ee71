// Users of this machine as clients: they have no address, but a number that the kernel vouches for
// (SO_PEERCRED of a socket file, or the owner of a file). Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "mta/base/ip_address.h"
#include "mta/inbound/settings.h"

namespace rockdove::inbound {

// Stands for a user wherever clients are counted by their address: of 0:1::/32, which no host can
// have (RFC 4291 §2.4 reserves 0000::/8), and each in a /64 of its own.
[[nodiscard]] base::IpAddress key_of_local_user(std::uint32_t user);

// "uid 33 (www-data)", or "uid 33" without a name. As it stands in log, history and queue.
[[nodiscard]] std::string describe_local_user(std::uint32_t user, std::string_view name);

// A key as "uid 33", any other address as itself.
[[nodiscard]] std::string describe_client(const base::IpAddress& client);

// Whether the settings let this user hand mail in.
[[nodiscard]] bool may_submit(const SubmissionSettings& settings, std::uint32_t user,
                              std::string_view name);
// Whether they let him say whose mail it is (X-Rockdove-Tenant).
[[nodiscard]] bool may_name_tenant(const SubmissionSettings& settings, std::uint32_t user,
                                   std::string_view name);

}  // namespace rockdove::inbound
