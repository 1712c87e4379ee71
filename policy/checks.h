// Which checks mail of strangers goes through: [policy] and [[policy.for]] of the configuration.
// Immutable while in use, and shared by all loops.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dns/public_suffix.h"
#include "mta/base/ip_address.h"
#include "mta/base/time.h"
#include "policy/check_mode.h"
#include "policy/client_policy.h"
#include "policy/dmarc_discovery.h"

namespace rockdove::policy {

// DKIM and ARC by themselves decide nothing, so they are never enforced.
struct Checks {
  CheckMode spf = CheckMode::Check;
  CheckMode dkim = CheckMode::Check;
  CheckMode arc = CheckMode::Check;
  CheckMode dmarc = CheckMode::Enforce;
  ClientModes client;

  // Something of the content is looked at by itself; DMARC looks at its From field in any case.
  [[nodiscard]] bool wants_signatures() const {
    return dkim != CheckMode::Off || arc != CheckMode::Off;
  }
};

// For some clients: what is set is in the place of what [policy] says.
struct ChecksFor {
  std::string listener;                  // its name; "": all
  std::vector<base::IpNetwork> clients;  // empty: all
  std::optional<CheckMode> spf;
  std::optional<CheckMode> dkim;
  std::optional<CheckMode> arc;
  std::optional<CheckMode> dmarc;
  std::optional<CheckMode> helo;
  std::optional<CheckMode> iprev;
  std::optional<CheckMode> dnsbl;
};

// What a message is judged by once its checks have been made.
struct JudgingSettings {
  Checks checks;
  std::vector<ChecksFor> overrides;  // the first that fits holds
  // Null: domains belong together by the tree walk of RFC 9989.
  std::shared_ptr<const dns::PublicSuffixes> suffixes;
  // Domains in lower case, in A-labels: an ARC chain that they have sealed, and that says that
  // DMARC passed there, stands in for a failure of DMARC here (RFC 8617 §7.2).
  std::vector<std::string> trusted_sealers;
  base::Duration quarantine = std::chrono::hours(24 * 30);  // how long such mail waits on hold

  [[nodiscard]] OrganisationRule organisation_rule() const { return {suffixes.get()}; }
};

// What holds for mail that this client hands to this listener.
[[nodiscard]] Checks checks_for(const JudgingSettings& settings, std::string_view listener,
                                const base::IpAddress& client);

}  // namespace rockdove::policy
