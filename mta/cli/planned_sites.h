// The sites of a mailing, as the relay would make them (outbound/site_traffic.h): by MX hosts, or
// by the routes of the configuration.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mta/base/result.h"
#include "mta/outbound/settings.h"
#include "mta/outbound/site.h"
#include "mta/traffic/profiles.h"
#include "queue/rehearsal.h"
#include "queue/settings.h"

namespace rockdove::cli {

class PlannedSites {
 public:
  // `queue` outlives it.
  // `outbound`: its routes and pools of sources count.
  PlannedSites(outbound::OutboundSettings outbound,
               std::shared_ptr<const traffic::Profiles> profiles,
               const queue::QueueSettings& queue);

  // Whether mail to this domain, from nobody in particular, has a route that does not go by MX.
  [[nodiscard]] bool has_route(std::string_view domain) const;
  // Only of one with a route. false: it ends on this machine (a folder, discard), and takes no
  // time to speak of.
  [[nodiscard]] bool add_by_route(std::string_view domain, std::uint64_t recipients);
  // `hosts` as the DNS has them, at least one.
  void add(std::string_view domain, const std::vector<traffic::MxHost>& hosts,
           std::uint64_t recipients);

  // By name; with sources each from those that the mail of nobody in particular leaves from, by
  // weight, since receivers count by our address.
  [[nodiscard]] std::vector<queue::RehearsedSite> all() const;

  // The account that an operator calls so: by its name ("mx:mx1.example"), by the provider's or the
  // route's alone, each also with " from ADDRESS" of one of our sources. Of the profiles and the
  // configuration, whether mail was added to it or not, and of the sites with mail. Fails with a
  // sentence that guesses what was meant.
  [[nodiscard]] base::Result<std::string> find_account(std::string_view name) const;

 private:
  // The first that matches; null: none, or one that goes by MX.
  [[nodiscard]] const outbound::Route* route_of(std::string_view domain) const;
  [[nodiscard]] std::shared_ptr<outbound::Site> site_of(const outbound::Route& route,
                                                        const outbound::ToHosts& to) const;
  // What accounts are called, those of all sources, to their names.
  [[nodiscard]] std::map<std::string, std::string, std::less<>> known_accounts() const;
  [[nodiscard]] bool has_source(std::string_view address) const;
  void count(std::shared_ptr<const outbound::Site> site, std::uint64_t recipients);

  outbound::OutboundSettings outbound_;
  std::shared_ptr<const traffic::Profiles> profiles_;
  const queue::QueueSettings& queue_;

  struct Planned {
    std::shared_ptr<const outbound::Site> site;
    std::uint64_t recipients = 0;
  };

  std::map<std::string, Planned> sites_;
};

}  // namespace rockdove::cli
