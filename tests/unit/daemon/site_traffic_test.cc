#include "mta/outbound/site_traffic.h"

#include <catch2/catch.hpp>

#include "mta/daemon/traffic_file.h"

namespace rockdove::outbound {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kProfiles = R"(
[default]
connections = 10
messages_per_connection = 100
rate = "100/s"

[provider.outlook]
mx = ["*.mail.protection.outlook.com"]
connections = 4
connections_provider = 12
rate = ["2/s", "5000/h"]
connection_rate = "60/min"
ip = "v4"
retry = ["1m", "2m"]

[domain."vip.example"]
rate = "6/min"
connections = 1
tls = "require"

[domain."*.shop.example"]
port = 2525
)";

std::shared_ptr<const traffic::Profiles> profiles() {
  daemon::Problems problems("traffic.toml");
  const std::vector<traffic::ProfileFile> files{
      daemon::parse_profile_file(kProfiles, "traffic.toml", problems)};
  REQUIRE_FALSE(problems.has_errors());
  return std::make_shared<const traffic::Profiles>(files);
}

Site site_at(const std::string& host) {
  Site site;
  site.name = "mx:" + host;
  site.account = std::make_shared<const queue::AccountSpec>(queue::AccountSpec{site.name, {}, {}});
  site.connections_max = 7;
  site.hosts = {{host, {*base::parse_ip_address("2001:db8::1"), 25}},
                {host, {*base::parse_ip_address("192.0.2.1"), 25}}};
  site.equals = 2;
  site.manner.tls = TlsLevel::May;
  return site;
}

Site used(const std::string& host, std::string_view domain, bool has_route = false) {
  Site site = site_at(host);
  use_profiles(site, domain, has_route, profiles());
  return site;
}

const std::string kOutlook = "a-com.mail.protection.outlook.com";

TEST_CASE("without profiles a site stays as it is") {
  Site site = site_at("mx.example.net");
  use_profiles(site, "example.net", false, nullptr);
  CHECK(site.account->name == "mx:mx.example.net");
  CHECK(site.account->rates.empty());
  CHECK(site.connections_max == 7);
  CHECK(site.traffic.profiles == nullptr);
}

TEST_CASE("a site that no provider is known for is an account of its own, by [default]") {
  const Site site = used("mx.example.net", "example.net");
  CHECK(site.account->name == site.name);
  CHECK(traffic::format_rates(site.account->rates) == "100/s");
  CHECK(site.rates.empty());
  CHECK(site.connections_max == 10);
  CHECK(site.messages_per_connection == 100);
  CHECK(site.traffic.provider == nullptr);
}

TEST_CASE("all sites of a provider share its account, however their hosts are called") {
  const Site one = used(kOutlook, "a.com");
  const Site other = used("b-org.mail.protection.outlook.com", "b.org");
  CHECK(one.account->name == "provider:outlook");
  CHECK(other.account->name == "provider:outlook");
  CHECK(one.name != other.name);
  CHECK(traffic::format_rates(one.account->rates) == "2/s, 5000/h");
  CHECK(traffic::format_rates(one.account->connection_rates) == "60/min");
  CHECK(one.account->connections_max == 12);
  CHECK(one.connections_max == 4);
  CHECK(one.rates.empty());
  CHECK(one.retry == std::vector<base::Duration>{1min, 2min});
}

TEST_CASE("a domain's own section makes a site of its own within the provider's account") {
  const Site site = used(kOutlook, "vip.example");
  CHECK(site.name == "mx:" + kOutlook + "/domain:vip.example");
  CHECK(site.account->name == "provider:outlook");
  CHECK(traffic::format_rates(site.account->rates) == "2/s, 5000/h");
  CHECK(traffic::format_rates(site.rates) == "6/min");
  CHECK(site.connections_max == 1);
  CHECK(site.manner.tls == TlsLevel::Require);
  CHECK(site.traffic.domain == "vip.example");
}

TEST_CASE("a domain's section without a provider is an account of all its sites") {
  const Site one = used("mx1.example.net", "a.shop.example");
  const Site other = used("mx2.example.net", "b.shop.example");
  CHECK(one.account->name == "domain:*.shop.example");
  CHECK(other.account->name == "domain:*.shop.example");
  CHECK(one.name != other.name);
  CHECK(one.hosts.front().address.port == 2525);
}

TEST_CASE("a route's own TLS goes before a profile's") {
  CHECK(used("mx.example.net", "vip.example", true).manner.tls == TlsLevel::May);
}

TEST_CASE("addresses of the other family are left out, but not all that there are") {
  const Site site = used(kOutlook, "a.com");
  REQUIRE(site.hosts.size() == 1);
  CHECK(site.hosts.front().address.ip.is_v4());
  CHECK(site.equals == 1);
  Site v6 = site_at(kOutlook);
  v6.hosts.pop_back();
  v6.equals = 1;
  use_profiles(v6, "a.com", false, profiles());
  CHECK(v6.hosts.size() == 1);
}

TEST_CASE("a smarthost has no limits by [default], but a provider's where it knows the host") {
  Site own = site_at("relay.example.net");
  own.name = "route:office";
  own.account =
      std::make_shared<const queue::AccountSpec>(queue::AccountSpec{"route:office", {}, {}});
  use_profiles_for_route(own, {}, profiles());
  CHECK(own.account->name == "route:office");
  CHECK(own.account->rates.empty());
  CHECK(own.connections_max == 7);
  CHECK(own.traffic.profiles != nullptr);  // its replies teach nevertheless
  Site outlook = site_at(kOutlook);
  use_profiles_for_route(outlook, {}, profiles());
  CHECK(outlook.account->name == "provider:outlook");
  CHECK(outlook.connections_max == 4);
}

TEST_CASE("what a route says of its hosts goes before a provider's section") {
  traffic::Knobs limits;
  limits.rate.value = *traffic::parse_rates("30/min");
  Site site = site_at(kOutlook);
  use_profiles_for_route(site, limits, profiles());
  CHECK(site.account->name == site.name);
  CHECK(traffic::format_rates(site.account->rates) == "30/min");
  CHECK(site.connections_max == 4);
  Site alone = site_at("relay.example.net");
  use_profiles_for_route(alone, limits, nullptr);
  CHECK(traffic::format_rates(alone.account->rates) == "30/min");
  CHECK(alone.has_budget);
  traffic::Knobs connections;
  connections.connections.value = 2;
  Site without = site_at("relay.example.net");
  use_profiles_for_route(without, connections, nullptr);
  CHECK_FALSE(without.has_budget);
}

TEST_CASE("what a rule sets for a time is laid over a copy") {
  const auto routed = std::make_shared<const Site>(used(kOutlook, "a.com"));
  const Site& site = *routed;
  traffic::Knobs knobs;
  knobs.connections.value = 2;
  knobs.connections_provider.value = 3;
  knobs.messages_per_connection.value = 5;
  const std::shared_ptr<const Site> changed = with_knobs(routed, knobs);
  CHECK(changed->name == site.name);
  CHECK(changed->account->name == site.account->name);
  CHECK(changed->connections_max == 2);
  CHECK(changed->account->connections_max == 3);
  CHECK(changed->account->rates == site.account->rates);
  CHECK(changed->messages_per_connection == 5);
  CHECK(site.connections_max == 4);
}

TEST_CASE("limits of recipients and octets are the account's, and transactions fit into them") {
  traffic::Knobs limits;
  limits.recipient_rate.value =
      *traffic::parse_rates(std::vector<std::string_view>{"30/min", "10000/day"});
  limits.bytes.value = *traffic::parse_octet_rate("100M/min");
  Site site = site_at(kOutlook);
  use_profiles_for_route(site, limits, profiles());
  CHECK(site.account->name == site.name);
  CHECK(traffic::format_rates(site.account->recipient_rates) == "30/min, 10000/day");
  CHECK(site.account->octet_rates == std::vector<traffic::Rate>{{100'000, 60s, 1}});
  CHECK(site.recipients_per_transaction == 30);
  limits.recipient_rate.value = *traffic::parse_rates("10000/day");
  limits.recipients_per_transaction.value = 50;
  Site fewer = site_at(kOutlook);
  use_profiles_for_route(fewer, limits, profiles());
  CHECK(fewer.recipients_per_transaction == 50);
}

}  // namespace
}  // namespace rockdove::outbound
