#include "mta/outbound/site_traffic.h"

#include <algorithm>
#include <vector>

#include "queue/account_name.h"

namespace rockdove::outbound {
namespace {

constexpr std::uint16_t kSmtpPort = 25;

std::vector<traffic::MxHost> mx_hosts_of(const Site& site) {
  std::vector<traffic::MxHost> hosts;
  for (const HostAddress& host : site.hosts) {
    if (host.unix_path.empty() && (hosts.empty() || hosts.back().name != host.host))
      hosts.push_back({host.host, host.preference});
  }
  return hosts;
}

TlsLevel level_of(traffic::TlsWish wish) {
  switch (wish) {
    case traffic::TlsWish::Off:
      return TlsLevel::Off;
    case traffic::TlsWish::May:
      return TlsLevel::May;
    case traffic::TlsWish::Require:
      return TlsLevel::Require;
    case traffic::TlsWish::Verify:
      return TlsLevel::Verify;
  }
  MTA_ASSERT(false);
}

// Leaves the hosts as they are where none of that family is among them: mail that goes is better
// than a wish.
void keep_family(Site& site, traffic::IpFamily family) {
  if (family == traffic::IpFamily::Any) return;
  const auto is_other = [family](const HostAddress& host) {
    return host.is_v6() != (family == traffic::IpFamily::V6);
  };
  if (std::all_of(site.hosts.begin(), site.hosts.end(), is_other)) return;
  const auto equals_end = site.hosts.begin() + static_cast<std::ptrdiff_t>(site.equals);
  const auto others = std::count_if(site.hosts.begin(), equals_end, is_other);
  site.equals = std::max<std::size_t>(site.equals - static_cast<std::size_t>(others), 1);
  std::erase_if(site.hosts, is_other);
}

template <typename T>
void take(const traffic::Knob<T>& knob, T& target) {
  if (knob.value) target = *knob.value;
}

void use_manners(Site& site, const traffic::Knobs& knobs) {
  take(knobs.messages_per_connection, site.messages_per_connection);
  take(knobs.recipients_per_transaction, site.recipients_per_transaction);
  take(knobs.retry, site.retry);
  take(knobs.connect_timeout, site.connect_timeout);
  take(knobs.reply_timeout, site.reply_timeout);
  take(knobs.idle_timeout, site.idle_timeout);
  take(knobs.host_tries, site.host_tries);
  take(knobs.connections_source, site.source_connections_max);
  if (knobs.port.value) {
    for (HostAddress& host : site.hosts) {
      if (host.address.port == kSmtpPort)
        host.address.port = static_cast<std::uint16_t>(*knobs.port.value);
    }
  }
  if (knobs.ip.value) keep_family(site, *knobs.ip.value);
}

void use_budget(queue::AccountSpec& account, const traffic::Knobs& knobs) {
  take(knobs.rate, account.rates);
  take(knobs.connection_rate, account.connection_rates);
  take(knobs.connections_provider, account.connections_max);
  take(knobs.recipient_rate, account.recipient_rates);
  if (knobs.bytes.value) account.octet_rates = {knobs.bytes.value->in_units()};
}

// A transaction of more recipients than a rate has would use up more than its window.
void fit_transactions(Site& site) {
  std::uint32_t& most = site.recipients_per_transaction;
  const auto fit = [&most](const std::vector<traffic::Rate>& rates) {
    for (const traffic::Rate& rate : rates)
      most = std::min(most == 0 ? std::uint32_t{queue::kJobDeliveriesMax} : most, rate.count);
  };
  fit(site.account->recipient_rates);
  fit(site.recipient_rates);
}

std::shared_ptr<const queue::AccountSpec> account_of(std::string name,
                                                     const traffic::Knobs& knobs) {
  auto account = std::make_shared<queue::AccountSpec>();
  account->name = std::move(name);
  use_budget(*account, knobs);
  return account;
}

}  // namespace

void use_profiles(Site& site, std::string_view domain, bool has_route,
                  const std::shared_ptr<const traffic::Profiles>& profiles) {
  if (profiles == nullptr) return;
  const traffic::Provider* const provider = profiles->provider_of(domain, mx_hosts_of(site));
  const traffic::DomainSection* const section = profiles->find_domain(domain);
  site.traffic = {profiles, provider, section == nullptr ? "" : std::string(domain)};
  const traffic::Knobs knobs = profiles->effective(domain, provider, std::nullopt);
  use_manners(site, knobs);
  take(knobs.connections, site.connections_max);
  if (knobs.tls.value && !has_route) {
    site.manner.tls = level_of(*knobs.tls.value);
    site.manner.tls_from = Manner::TlsFrom::Profile;
  }
  if (section != nullptr) site.name += "/domain:" + section->pattern;
  if (provider == nullptr) {
    site.account = account_of(section == nullptr ? site.name : "domain:" + section->pattern, knobs);
    return fit_transactions(site);
  }
  site.account = account_of(queue::account_of_provider(provider->name),
                            profiles->effective("", provider, std::nullopt));
  if (section != nullptr) {
    take(section->knobs.rate, site.rates);
    take(section->knobs.connection_rate, site.connection_rates);
    take(section->knobs.recipient_rate, site.recipient_rates);
    if (section->knobs.bytes.value) site.octet_rates = {section->knobs.bytes.value->in_units()};
  }
  fit_transactions(site);
}

void use_profiles_for_route(Site& site, const traffic::Knobs& limits,
                            const std::shared_ptr<const traffic::Profiles>& profiles) {
  traffic::Knobs knobs;
  if (profiles != nullptr) {
    const traffic::Provider* const provider = profiles->provider_of("", mx_hosts_of(site));
    site.traffic = {profiles, provider, ""};
    if (provider != nullptr) knobs = provider->knobs;
    // It counts connections to everywhere but to mailboxes.
    if (site.manner.speaks == ToHosts::Speaks::Smtp)
      knobs.connections_source = profiles->defaults().knobs.connections_source;
  }
  traffic::lay_over(knobs, limits);
  use_manners(site, knobs);
  take(knobs.connections, site.connections_max);
  const traffic::Provider* const provider = site.traffic.provider;
  const bool is_own = provider == nullptr || limits.rate.value || limits.connection_rate.value ||
                      limits.recipient_rate.value || limits.bytes.value;
  site.has_budget = limits.rate.value || limits.recipient_rate.value || limits.bytes.value;
  site.account = account_of(is_own ? site.name : queue::account_of_provider(provider->name), knobs);
  fit_transactions(site);
}

std::uint32_t messages_per_connection(const Site& site, const queue::QueueSettings& settings) {
  return site.messages_per_connection > 0 ? site.messages_per_connection
                                          : settings.messages_per_connection;
}

void use_knobs(Site& site, const traffic::Knobs& knobs) {
  use_manners(site, knobs);
  take(knobs.connections, site.connections_max);
  auto account = std::make_shared<queue::AccountSpec>(*site.account);
  use_budget(*account, knobs);
  site.account = std::move(account);
  fit_transactions(site);
}

std::shared_ptr<const Site> with_knobs(const std::shared_ptr<const Site>& site,
                                       const traffic::Knobs& knobs) {
  auto changed = std::make_shared<Site>(*site);
  changed->as_routed = site;
  use_knobs(*changed, knobs);
  return changed;
}

}  // namespace rockdove::outbound
