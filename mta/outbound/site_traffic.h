// What traffic profiles make of a site: whose account it shares, how fast, over how many
// connections, and how its hosts are spoken to (contrib/doc/traffic.md).
//
// Sites that a provider is known for share the account "provider:NAME". A domain with a section of
// its own has a site of its own, whose rates hold beside those of the provider's account; without a
// provider its section is an account, "domain:PATTERN". All other sites are accounts of their own.
#pragma once

#include <memory>
#include <string_view>

#include "mta/outbound/site.h"
#include "mta/traffic/profiles.h"
#include "queue/settings.h"

namespace rockdove::outbound {

// `site` has its name, hosts and manner, and limits for the case that no profile says otherwise.
// `domain` is the recipients'. For mail by MX; no manner of a route is changed.
void use_profiles(Site& site, std::string_view domain, bool has_route,
                  const std::shared_ptr<const traffic::Profiles>& profiles);

// Of a route's hosts, which are the operator's choice: what [default] says of rates and connections
// is not about them, but a provider's section is where it knows the hosts, and what the route says
// itself goes before that: then the route is an account of its own.
void use_profiles_for_route(Site& site, const traffic::Knobs& limits,
                            const std::shared_ptr<const traffic::Profiles>& profiles);

// Before a session there ends.
[[nodiscard]] std::uint32_t messages_per_connection(const Site& site,
                                                    const queue::QueueSettings& settings);

// Lays settings over those of the site.
void use_knobs(Site& site, const traffic::Knobs& knobs);

// The same site with other settings laid over its own, for a time.
[[nodiscard]] std::shared_ptr<const Site> with_knobs(const std::shared_ptr<const Site>& site,
                                                     const traffic::Knobs& knobs);

}  // namespace rockdove::outbound
