#include "mta/outbound/router.h"

#include <catch2/catch.hpp>

#include "mta/outbound/target.h"
#include "tests/support/fake_resolver.h"

namespace rockdove::outbound {
namespace {

using namespace std::chrono_literals;
using Texts = std::vector<std::string>;

OutboundSettings make_settings() {
  OutboundSettings settings;
  settings.routes = {
      {"by-client", "", "", "", {*base::parse_ip_network("10.0.0.0/8")}, ToDiscard{}},
      {"by-listener", "", "", "submission", {}, ToDiscard{}},
      {"reports", "", "<>", "", {}, ToDiscard{}},
      {"by-sender", "*@x.example", "*@news.example", "", {}, ToDiscard{}},
      {"port", "*@x.example", "", "", {}, ToMx{2525}},
      {"plain", "*@y.example", "", "", {}, ToMx{25}},
  };
  return settings;
}

TEST_CASE("the first route whose conditions all hold wins") {
  const OutboundSettings settings = make_settings();
  const base::IpAddress client = *base::parse_ip_address("192.0.2.1");
  const auto name = [&](const RoutedMail& mail) {
    const Route* route = find_route(settings, mail);
    return route == nullptr ? std::string("none") : route->name;
  };
  CHECK(name({"a@x.example", "s@news.example", "in", *base::parse_ip_address("10.1.1.1")}) ==
        "by-client");
  CHECK(name({"a@x.example", "s@news.example", "submission", client}) == "by-listener");
  CHECK(name({"a@x.example", "", "in", client}) == "reports");
  CHECK(name({"a@x.example", "s@News.example", "in", client}) == "by-sender");
  CHECK(name({"a@x.example", "s@other.example", "in", client}) == "port");
  CHECK(name({"a@z.example", "s@news.example", "in", client}) == "none");
}

TEST_CASE("a destination is the route's name, or the domain with the route's port") {
  const OutboundSettings settings = make_settings();
  const auto destination = [&](std::string_view recipient, std::string_view sender) {
    return destination_of(settings, {recipient, sender, "in", {}});
  };
  CHECK(destination("a@x.example", "") == "route:reports");
  CHECK(destination("a@X.Example", "s@s.example") == "x.example:2525");
  CHECK(destination("a@Y.Example", "s@s.example") == "y.example");
  CHECK(destination("\"a@y.example\"@Z.example", "s@s.example") == "z.example");
  CHECK(destination("a@[IPv6:2001:db8::1]", "s@s.example") == "[ipv6:2001:db8::1]");
  CHECK(destination("ü@Bücher.example", "s@s.example") == "xn--bcher-kva.example");
}

TEST_CASE("what a person has said goes before all routes") {
  const OutboundSettings settings = make_settings();
  const auto destination = [&](std::string_view route_to) {
    return destination_of(settings, {"a@X.Example", "", "in", {}, "", route_to});
  };
  CHECK(destination("") == "route:reports");
  CHECK(destination("mx") == "x.example");
  CHECK(destination("mx:2525") == "x.example:2525");
  CHECK(destination("smtp://b.example:25") == "to:smtp://b.example:25");
  CHECK(destination("discard:") == "to:discard:");
  CHECK(destination("route:reports") == "route:reports");
  CHECK(destination("route:gone") == "route:reports");  // by the routes again
  CHECK(destination("what this version does not know") == "route:reports");
}

TEST_CASE("a target is one, or several hosts with commas") {
  CHECK(format_target(*parse_targets("smtp://a.example, smtp://b.example:26")) ==
        "smtp://a.example:25, smtp://b.example:26");
  CHECK(format_target(*parse_targets(" mx:2525")) == "mx:2525");
  CHECK_FALSE(parse_targets(""));
  CHECK_FALSE(parse_targets("mx, smtp://a.example"));
  CHECK_FALSE(parse_targets("smtp://a.example, lmtp://b.example"));
  CHECK_FALSE(parse_targets("smtp://a.example,,smtp://b.example"));
}

TEST_CASE("an MX route with a TLS level of its own has destinations of its own") {
  OutboundSettings settings;
  settings.mx_tls = TlsLevel::May;
  settings.routes = {{"bank", "*@bank.example", "", "", {}, ToMx{25}},
                     {"odd", "*@odd.example", "", "", {}, ToMx{2525}},
                     {"same", "*@same.example", "", "", {}, ToMx{25}}};
  settings.routes[0].tls = TlsLevel::Verify;
  settings.routes[1].tls = TlsLevel::Off;
  CHECK(destination_of(settings, {"a@bank.example", "", "", {}}) == "bank.example/bank");
  CHECK(destination_of(settings, {"a@odd.example", "", "", {}}) == "odd.example:2525/odd");
  CHECK(destination_of(settings, {"a@same.example", "", "", {}}) == "same.example");
}

TEST_CASE("a route may ask for the account that handed the mail in") {
  OutboundSettings settings;
  settings.routes = {{"mine", "", "", "", {}, ToDiscard{}, "scan*"}};
  CHECK(find_route(settings, {"a@x.example", "", "", {}, "scanner"}) != nullptr);
  CHECK(find_route(settings, {"a@x.example", "", "", {}, "other"}) == nullptr);
  CHECK(find_route(settings, {"a@x.example", "", "", {}, ""}) == nullptr);
}

TEST_CASE("what is secret never goes in clear by a level that was not set for it") {
  const HostAddress plain{"a", {}};
  const HostAddress implicit{"a", {}, true};
  const HostAddress socket{"", {}, false, "/run/lmtp"};
  Manner manner;
  manner.tls = TlsLevel::May;
  CHECK(level_at(manner, plain) == TlsLevel::May);
  CHECK(level_at(manner, implicit) == TlsLevel::Require);
  CHECK(level_at(manner, socket) == TlsLevel::Off);
  manner.credentials = Credentials{"u", "p"};
  CHECK(level_at(manner, plain) == TlsLevel::Require);
  manner.tls = TlsLevel::Off;
  CHECK(level_at(manner, plain) == TlsLevel::Off);
  CHECK(level_at(manner, implicit) == TlsLevel::Require);
  manner.tls = TlsLevel::Verify;
  CHECK(level_at(manner, implicit) == TlsLevel::Verify);
}

struct Bench {
  tests::FakeResolver resolver;
  base::Random random{1};
  OutboundSettings settings;
  queue::QueueSettings queue;
  Ourselves ourselves;
  dns::HostsFile hosts_file = dns::HostsFile::parse("192.0.2.77 in-hosts.example\n");
  Router router{settings, queue, ourselves, hosts_file, resolver, random};

  Resolution resolve(std::string_view destination) {
    std::optional<Resolution> result;
    router.resolve(destination, [&result](Resolution resolution) {
      REQUIRE_FALSE(result);
      result = std::move(resolution);
    });
    resolver.run();
    REQUIRE(result);
    return std::move(*result);
  }

  // Which must be found.
  Resolved found(std::string_view destination) {
    Resolution resolution = resolve(destination);
    REQUIRE(std::holds_alternative<Resolved>(resolution));
    return std::get<Resolved>(std::move(resolution));
  }

  queue::Failure not_found(std::string_view destination) {
    const Resolution resolution = resolve(destination);
    REQUIRE(std::holds_alternative<NotResolved>(resolution));
    return std::get<NotResolved>(resolution).failure;
  }
};

Texts hosts_of(const Resolved& resolved) {
  Texts texts;
  for (const HostAddress& host : resolved.site->hosts) texts.push_back(describe(host));
  return texts;
}

TEST_CASE("a domain goes to its MX hosts by preference, at port 25") {
  Bench bench;
  bench.queue.site_connections = 7;
  bench.resolver.mx("x.example", 20, "b.x.example");
  bench.resolver.mx("x.example", 10, "a.x.example");
  bench.resolver.address("a.x.example", "192.0.2.1");
  bench.resolver.address("a.x.example", "2001:db8::1");
  bench.resolver.address("b.x.example", "192.0.2.2");
  const Resolved resolved = bench.found("x.example");
  CHECK(hosts_of(resolved) == Texts{"a.x.example[2001:db8::1]:25", "a.x.example[192.0.2.1]:25",
                                    "b.x.example[192.0.2.2]:25"});
  CHECK(resolved.site->name == "mx:a.x.example,b.x.example");
  CHECK(resolved.site->connections_max == 7);
  CHECK(resolved.site->equals == 1);
  CHECK(resolved.keep_for == 5min);
}

TEST_CASE("MX hosts of the best preference are equals, each connection begins at another") {
  Bench bench;
  for (const auto& [name, preference, address] :
       {std::tuple{"a", 10, "192.0.2.1"}, {"b", 10, "192.0.2.2"}, {"c", 20, "192.0.2.3"}}) {
    const std::string host = std::string(name) + ".x.example";
    bench.resolver.mx("x.example", static_cast<std::uint16_t>(preference), host);
    bench.resolver.address(host, address);
  }
  const Resolved resolved = bench.found("x.example");
  const Site& site = *resolved.site;
  REQUIRE(site.hosts.size() == 3);
  CHECK(site.equals == 2);
  CHECK(&site.host(0, 0) == &site.hosts[0]);
  CHECK(&site.host(1, 0) == &site.hosts[1]);
  CHECK(&site.host(1, 1) == &site.hosts[0]);
  CHECK(&site.host(1, 2) == &site.hosts[2]);
}

TEST_CASE("a destination's port is part of its account") {
  Bench bench;
  bench.resolver.address("x.example", "192.0.2.1");
  const Resolved resolved = bench.found("x.example:2525");
  CHECK(hosts_of(resolved) == Texts{"x.example[192.0.2.1]:2525"});
  CHECK(resolved.site->name == "mx:x.example:2525");
}

TEST_CASE("address literals are taken as they are") {
  Bench bench;
  CHECK(hosts_of(bench.found("[192.0.2.9]")) == Texts{"[192.0.2.9]:25"});
  CHECK(hosts_of(bench.found("[ipv6:2001:db8::1]")) == Texts{"[2001:db8::1]:25"});
  CHECK(hosts_of(bench.found("[ipv6:2001:db8::1]:2525")) == Texts{"[2001:db8::1]:2525"});
  CHECK(bench.resolver.asked().empty());
}

TEST_CASE("an answer is kept for half a minute at least and an hour at most") {
  Bench bench;
  bench.resolver.address("x.example", "192.0.2.1");
  bench.resolver.set_ttl(1s);
  CHECK(bench.found("x.example").keep_for == 30s);
  bench.resolver.set_ttl(48h);
  CHECK(bench.found("x.example").keep_for == 1h);
}

TEST_CASE("what the DNS says against a domain has its code") {
  Bench bench;
  bench.resolver.mx("null.example", 0, "");
  bench.resolver.mx("empty.example", 10, "nowhere.example");
  bench.resolver.fails("broken.example", dns::RecordType::MX, dns::Status::ServerFailure);
  bench.resolver.mx("loop.example", 10, "relay.example");
  bench.resolver.address("relay.example", "192.0.2.1");
  bench.ourselves.names = {"relay.example"};
  const auto check = [&bench](const char* domain, int code, const char* status,
                              queue::Cause cause) {
    INFO(domain);
    const queue::Failure failure = bench.not_found(domain);
    CHECK(failure.stage == smtp::Stage::Resolve);
    CHECK(failure.cause == cause);
    CHECK(failure.reply.code == code);
    REQUIRE(failure.reply.enhanced);
    CHECK(mail::format_enhanced_code(*failure.reply.enhanced) == status);
  };
  check("unknown.example", 550, "5.1.2", queue::Cause::Permanent);
  check("empty.example", 550, "5.4.4", queue::Cause::Permanent);
  check("null.example", 556, "5.1.10", queue::Cause::Permanent);
  check("loop.example", 554, "5.4.6", queue::Cause::Permanent);
  check("not..a..domain", 553, "5.1.2", queue::Cause::Permanent);
  check("broken.example", 451, "4.4.3", queue::Cause::Temporary);
}

TEST_CASE("a route goes to its hosts, in order or shared, whatever their MX records say") {
  Bench bench;
  bench.queue.route_connections = 9;
  ToHosts hosts;
  hosts.hosts = {{"smart.example", 587}, {"192.0.2.50", 25}, {"in-hosts.example", 2525}};
  bench.settings.routes = {{"first", "", "", "", {}, hosts}};
  hosts.order = ToHosts::Order::Share;
  bench.settings.routes.push_back({"share", "", "", "", {}, hosts});
  bench.resolver.mx("smart.example", 10, "mx.smart.example");
  bench.resolver.address("smart.example", "192.0.2.40");
  const Resolved first = bench.found("route:first");
  CHECK(hosts_of(first) == Texts{"smart.example[192.0.2.40]:587", "[192.0.2.50]:25",
                                 "in-hosts.example[192.0.2.77]:2525"});
  CHECK(first.site->name == "route:first");
  CHECK(first.site->connections_max == 9);
  CHECK(first.site->equals == 1);
  CHECK(bench.found("route:share").site->equals == 3);
}

TEST_CASE("a route goes on with the hosts that have an address; without any, mail waits") {
  Bench bench;
  ToHosts hosts;
  hosts.hosts = {{"gone.example", 25}, {"192.0.2.50", 25}};
  bench.settings.routes = {{"half", "", "", "", {}, hosts}};
  hosts.hosts.pop_back();
  bench.settings.routes.push_back({"none", "", "", "", {}, hosts});
  CHECK(hosts_of(bench.found("route:half")) == Texts{"[192.0.2.50]:25"});
  const queue::Failure failure = bench.not_found("route:none");
  CHECK(failure.cause == queue::Cause::Temporary);
  CHECK(failure.reply.code == 451);
}

TEST_CASE("a route may discard, be gone, or go by MX by now") {
  Bench bench;
  bench.settings.routes = {{"hole", "", "", "", {}, ToDiscard{}}, {"mx", "", "", "", {}, ToMx{26}}};
  CHECK(std::holds_alternative<Discard>(bench.resolve("route:hole")));
  CHECK(std::holds_alternative<RouteGone>(bench.resolve("route:other")));
  CHECK(std::holds_alternative<RouteGone>(bench.resolve("route:mx")));
}

TEST_CASE("mail by MX has its level of TLS, and never credentials") {
  Bench bench;
  bench.resolver.mx("bank.example", 10, "a.bank.example");
  bench.resolver.address("a.bank.example", "192.0.2.1");
  bench.settings.mx_tls = TlsLevel::May;
  bench.settings.routes = {{"bank", "*@bank.example", "", "", {}, ToMx{25}}};
  bench.settings.routes[0].tls = TlsLevel::Verify;
  bench.settings.routes[0].credentials = Credentials{"u", "p"};
  const Resolved plain = bench.found("bank.example");
  CHECK(plain.site->manner.tls == TlsLevel::May);
  const Resolved strict = bench.found("bank.example/bank");
  CHECK(strict.site->manner.tls == TlsLevel::Verify);
  CHECK_FALSE(strict.site->manner.credentials);
  CHECK(strict.site->name == plain.site->name + "/bank");
  // The route is gone, or is as all others: the rules are asked again.
  CHECK(std::holds_alternative<RouteGone>(bench.resolve("bank.example/other")));
  bench.settings.routes[0].tls = TlsLevel::May;
  CHECK(std::holds_alternative<RouteGone>(bench.resolve("bank.example/bank")));
}

TEST_CASE("a route's hosts have its manner, and sockets need no DNS") {
  Bench bench;
  ToHosts lmtp;
  lmtp.speaks = ToHosts::Speaks::Lmtp;
  lmtp.hosts.resize(2);
  lmtp.hosts[0].unix_path = "/run/dovecot/lmtp";
  lmtp.hosts[1].name = "in-hosts.example";
  lmtp.hosts[1].port = 24;
  ToHosts smarthost;
  smarthost.hosts = {{"192.0.2.9", 465, true}};
  bench.settings.routes = {{"boxes", "", "", "", {}, lmtp},
                           {"smart", "", "", "", {}, smarthost},
                           {"archive", "", "", "", {}, ToMaildir{"/var/mail/archive"}}};
  bench.settings.routes[1].tls = TlsLevel::Verify;
  bench.settings.routes[1].credentials = Credentials{"u", "p"};
  const Resolved boxes = bench.found("route:boxes");
  CHECK(hosts_of(boxes) == Texts{"lmtp+unix:/run/dovecot/lmtp", "in-hosts.example[192.0.2.77]:24"});
  CHECK(boxes.site->manner.speaks == ToHosts::Speaks::Lmtp);
  const Resolved smart = bench.found("route:smart");
  CHECK(smart.site->hosts.at(0).implicit_tls);
  CHECK(smart.site->manner.tls == TlsLevel::Verify);
  CHECK(smart.site->manner.credentials == Credentials{"u", "p"});
  const Resolved archive = bench.found("route:archive");
  CHECK(archive.site->maildir == "/var/mail/archive");
  CHECK(archive.site->name == "route:archive");
  CHECK(archive.site->hosts.empty());
}

}  // namespace
}  // namespace rockdove::outbound
