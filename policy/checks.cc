#include "policy/checks.h"

#include <algorithm>

namespace rockdove::policy {
namespace {

bool fits(const ChecksFor& rule, std::string_view listener, const base::IpAddress& client) {
  if (!rule.listener.empty() && rule.listener != listener) return false;
  return rule.clients.empty() || std::any_of(rule.clients.begin(), rule.clients.end(),
                                             [&client](const base::IpNetwork& network) {
                                               return network.contains(client);
                                             });
}

}  // namespace

Checks checks_for(const JudgingSettings& settings, std::string_view listener,
                  const base::IpAddress& client) {
  Checks checks = settings.checks;
  for (const ChecksFor& rule : settings.overrides) {
    if (!fits(rule, listener, client)) continue;
    checks.spf = rule.spf.value_or(checks.spf);
    checks.dkim = rule.dkim.value_or(checks.dkim);
    checks.arc = rule.arc.value_or(checks.arc);
    checks.dmarc = rule.dmarc.value_or(checks.dmarc);
    checks.client.helo = rule.helo.value_or(checks.client.helo);
    checks.client.iprev = rule.iprev.value_or(checks.client.iprev);
    checks.client.dnsbl = rule.dnsbl.value_or(checks.client.dnsbl);
    return checks;
  }
  return checks;
}

}  // namespace rockdove::policy
