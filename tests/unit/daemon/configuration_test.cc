// A text goes in, settings and problems come out; files are a map, so nothing depends on the
// machine.
#include "mta/daemon/configuration.h"

#include <fstream>
#include <map>
#include <sstream>
#include <tuple>

#include <catch2/catch.hpp>

#include "mta/base/quantity.h"
#include "mta/daemon/config_table.h"
#include "mta/daemon/config_target.h"
#include "parsed.h"
#include "tests/support/temporary_directory.h"

using namespace rockdove;
using namespace rockdove::daemon;

TEST_CASE("an empty file is a configuration with the defaults and a warning") {
  const Parsed parsed = parse("");
  REQUIRE(parsed.configuration.has_value());
  REQUIRE(parsed.problems.size() == 1);
  CHECK(parsed.problems[0].find("c: warning: there is no `postmaster`") == 0);
  const Configuration& configuration = *parsed.configuration;
  CHECK(configuration.hostname == "relay.example.net");
  CHECK(configuration.state_dir == "/var/lib/rockdove");
  CHECK(configuration.inbound.listeners.size() == 1);
  CHECK(configuration.inbound.listeners[0].name == "smtp");
  CHECK(configuration.inbound.listeners[0].relay_from.size() == 2);
  CHECK(configuration.inbound.local.domains.count("relay.example.net") == 1);
  CHECK(configuration.inbound.local.domains.count("localhost") == 1);
  CHECK(configuration.queue.hostname == "relay.example.net");
  CHECK(configuration.outbound.hostname == "relay.example.net");
}

TEST_CASE("every key arrives where it belongs") {
  const Configuration c = accepted(
      R"(
hostname = "Mail.Example.org"
state_dir = "/srv/rockdove/"
runtime_dir = "/tmp/r"
user = "mail"
threads = 3
[log]
to = "/var/log/rockdove.log"
level = "debug"
format = "json"
[limits]
memory = "64M"
connections_in = 10
connections_out = 20
hops = 30
[[listener]]
name = "lan"
address = [":2525", "192.0.2.1:25"]
relay_from = ["10.0.0.0/8"]
line_endings = "fix"
max_message_size = "1M"
max_recipients = 200
rate = "5/s, burst 9"
connections = 7
tls = "required"
tls_min = "1.0"
auth = "required"
auth_in_clear = ["10.1.0.0/16"]
proxy_from = ["10.2.0.1"]
[[listener]]
name = "wan"
address = "127.0.0.1:0"
[tls]
certificate = ["/rsa.crt", "/ec.pem"]
key = ["/rsa.key", "/ec.pem"]
outbound = "require"
[auth]
users = "/u"
[admin]
http = "127.0.0.1:8025"
[relay]
domains = ["Example.COM"]
recipients = "file:/r"
[local]
domains = ["here.example"]
aliases = "/a"
[[route]]
name = "out"
recipient = "*@Example.com"
sender = "<>"
client = ["192.0.2.0/24"]
listener = "lan"
to = ["smtp://a.example:2525", "smtp://[2001:db8::1]"]
order = "share"
user = "ann*"
tls = "may"
[[route]]
sender = "*@b.example"
to = "smtp://c.example:587"
user = "bob"
password_file = "/p"
ca_file = "/ca"
[[route]]
to = "mx:2525"
[queue]
retry = ["1s", "2s"]
lifetime = "1d"
delay_notice = "off"
min_free_disk = "2G"
site_connections = 3
route_connections = 4
messages_per_connection = 5
[bounce]
returned = "1K"
[history]
keep = "7d"
max_size = "2G"
[dns]
servers = ["127.0.0.1:5353", "::1"]
)",
      {{"/r", "# who\nAnna@Example.com\r\n@example.com\n"},
       {"/a", "root: x@y.example\n"},
       {"/u", "# nobody yet"},
       {"/rsa.crt", "r"},
       {"/rsa.key", "k"},
       {"/ec.pem", "e"},
       {"/p", "s3cret word\r\n"},
       {"/ca", "c"}});
  CHECK(c.hostname == "mail.example.org");
  CHECK(c.state_dir == "/srv/rockdove");
  CHECK(c.runtime_dir == "/tmp/r");
  CHECK(c.user == "mail");
  CHECK(c.threads == 3);
  CHECK(c.log.to == "/var/log/rockdove.log");
  CHECK(c.log.level == base::Level::Debug);
  CHECK(c.log.format == base::LogFormat::Json);
  CHECK(c.queue.memory == 64'000'000);
  CHECK(c.inbound.connections_in == 10);
  CHECK(c.queue.connections_out == 20);
  CHECK(c.inbound.hops_max == 30);
  REQUIRE(c.inbound.listeners.size() == 2);
  const inbound::ListenerSettings& lan = c.inbound.listeners[0];
  CHECK(lan.name == "lan");
  REQUIRE(lan.addresses.size() == 2);
  CHECK(base::format_socket_address(lan.addresses[1]) == "192.0.2.1:25");
  REQUIRE(lan.relay_from.size() == 1);
  CHECK(lan.line_endings == inbound::LineEndings::Fix);
  CHECK(lan.max_message_size == 1'000'000);
  CHECK(lan.max_recipients == 200);
  CHECK(base::format_rate(lan.rate) == "5/s, burst 9");
  CHECK(lan.connections == 7);
  CHECK(c.inbound.listeners[1].relay_from.size() == 2);
  CHECK(c.inbound.relay.domains.count("example.com") == 1);
  CHECK(c.inbound.relay.check == inbound::RecipientCheck::File);
  CHECK(c.inbound.relay.recipients ==
        std::unordered_set<std::string>{"anna@example.com", "@example.com"});
  CHECK(c.inbound.local.domains == std::unordered_set<std::string>{"here.example"});
  CHECK(c.inbound.local.aliases.at("root") == Lines{"x@y.example"});
  CHECK(lan.tls == inbound::ListenerTls::Required);
  CHECK(lan.tls_min == net::TlsVersion::V1_0);
  CHECK(lan.auth == inbound::ListenerAuth::Required);
  CHECK(lan.auth_in_clear.size() == 1);
  CHECK(lan.proxy_from.size() == 1);
  CHECK(c.inbound.listeners[1].tls == inbound::ListenerTls::Optional);
  REQUIRE(c.identities.size() == 2);
  CHECK(c.identities[0].certificate == "r");
  CHECK(c.identities[0].key == "k");
  CHECK(c.identities[0].source == "/rsa.crt with the key /rsa.key");
  CHECK(c.identities[1].key == "e");
  CHECK(c.identities[1].source == "/ec.pem");
  CHECK(c.users == "/u");
  CHECK(base::format_socket_address(c.admin_http.value()) == "127.0.0.1:8025");
  CHECK(c.outbound.mx_tls == outbound::TlsLevel::Require);
  REQUIRE(c.outbound.routes.size() == 3);
  CHECK(c.outbound.routes[0].user == "ann*");
  CHECK(c.outbound.routes[0].tls == outbound::TlsLevel::May);
  CHECK_FALSE(c.outbound.routes[0].credentials.has_value());
  CHECK(c.outbound.routes[1].user.empty());
  CHECK(c.outbound.routes[1].credentials.value().user == "bob");
  CHECK(c.outbound.routes[1].credentials.value().password == "s3cret word");
  CHECK(c.outbound.routes[1].tls == outbound::TlsLevel::Verify);
  CHECK(c.ca_files == std::map<std::string, std::string>{{c.outbound.routes[1].name, "/ca"}});
  CHECK(c.outbound.routes[2].tls == outbound::TlsLevel::Require);
  CHECK(c.queue.delay_notice == base::Duration::zero());
  CHECK(c.queue.history == queue::HistorySettings{true, std::chrono::hours(24 * 7), 2'000'000'000});
  const outbound::Route& out = c.outbound.routes[0];
  CHECK(out.recipient == "*@example.com");
  CHECK(out.sender == "<>");
  CHECK(out.listener == "lan");
  CHECK(out.client.size() == 1);
  CHECK(format_target(out.target) == "smtp://a.example:2525, smtp://[2001:db8::1]:25");
  CHECK(std::get<outbound::ToHosts>(out.target).order == outbound::ToHosts::Order::Share);
  CHECK(c.outbound.routes[2].name == "mx-2525");
  CHECK(c.queue.retry == std::vector<base::Duration>{base::Duration(1000), base::Duration(2000)});
  CHECK(c.queue.lifetime == std::chrono::hours(24));
  CHECK(c.queue.min_free_disk == 2'000'000'000);
  CHECK(c.queue.site_connections == 3);
  CHECK(c.queue.route_connections == 4);
  CHECK(c.queue.messages_per_connection == 5);
  CHECK(c.queue.bounce_returned == 1000);
  CHECK(c.queue.postmaster == "admin@example.com");
  CHECK(c.dns_servers.size() == 2);
  CHECK(c.dns_servers[1].port == 53);
}

TEST_CASE("unknown keys are errors with place and suggestion, all at once") {
  CHECK(problems_of("hostnam = \"x\"\nlogg = 1\n[[listener]]\naddress = \":25\"\nrelay_form = "
                    "[]\n[queue]\nhops = 3\n[nothing]\n") ==
        Lines{"c:2:1: error: unknown key `hostnam`, did you mean `hostname`?",
              "c:3:1: error: unknown key `logg`, did you mean `log`?",
              "c:6:1: error: unknown key `relay_form` in [[listener]], did you mean `relay_from`?",

              "c:8:1: error: unknown key `hops` in [queue]; it belongs to [limits]",
              "c:9:2: error: unknown key `nothing`"});
}

TEST_CASE("keys of later versions get an answer of their own") {
  CHECK(problems_of("[auth]\ndovecot = \"/d\"\n[admin]\ntoken_file = \"/k\"\n") ==
        Lines{"c:3:1: error: unknown key `dovecot`: asking Dovecot comes in a later version",
              "c:5:1: error: unknown key `token_file`: the HTTP API comes in a later version"});
}

TEST_CASE("wrong types say what was wanted") {
  CHECK(
      problems_of("threads = \"4\"\nstate_dir = 7\n[log]\nlevel = true\n[queue]\nlifetime = "
                  "5\nretry = [\"1m\", 2]\nmin_free_disk = 1.5\n[relay]\ndomains = 1") ==
      Lines{
          "c:2:11: error: `threads` wants a whole number, this is a text",
          "c:3:13: error: `state_dir` wants a text in quotes, this is a whole number",
          "c:5:9: error: `log.level` wants \"error\" or \"warning\" or \"info\" or \"debug\", this "
          "is true or false",
          "c:7:12: error: `queue.lifetime` wants a duration, as in \"5m\", this is a whole number",
          "c:8:16: error: `queue.retry` wants texts in its list, this is a whole number",
          "c:9:17: error: `queue.min_free_disk` wants a size, as in \"20M\", this is a fraction",
          "c:11:11: error: `relay.domains` wants a list of texts, this is a whole number"});
}

TEST_CASE("domains may be written with letters that are not ASCII") {
  const Configuration c = accepted(
      "hostname = \"rel\u00e4y.example\"\n"
      "[relay]\ndomains = [\"M\u00fcller.example\"]\nrecipients = \"file:/r\"\n"
      "[local]\ndomains = [\"b\u00fccher.example\"]\n"
      "[[route]]\nrecipient = \"*@*.m\u00fcller.example\"\nsender = \"*@B\u00dcCHER.example\"\n"
      "to = \"smtp://m\u00fcller.example:2525\"",
      {{"/r", "@m\u00fcller.example\nanna@m\u00fcller.example\n"}});
  CHECK(c.hostname == "xn--rely-noa.example");
  CHECK(c.inbound.relay.domains == std::unordered_set<std::string>{"xn--mller-kva.example"});
  CHECK(c.inbound.relay.recipients ==
        std::unordered_set<std::string>{"@xn--mller-kva.example", "anna@xn--mller-kva.example"});
  CHECK(c.inbound.local.domains == std::unordered_set<std::string>{"xn--bcher-kva.example"});
  REQUIRE(c.outbound.routes.size() == 1);
  CHECK(c.outbound.routes[0].recipient == "*@*.xn--mller-kva.example");
  CHECK(c.outbound.routes[0].sender == "*@xn--bcher-kva.example");
  CHECK(std::get<outbound::ToHosts>(c.outbound.routes[0].target).hosts[0].name ==
        "xn--mller-kva.example");
}

TEST_CASE("what IDNA refuses is an error that says why") {
  CHECK(problems_of("[relay]\ndomains = [\"m\u00fcller.example\", \"xn--mller-kva.example\"]") ==
        Lines{"c:3:30: warning: \"xn--mller-kva.example\" is named twice"});
  CHECK(problems_of("[relay]\ndomains = [\"-\u00fc.example\"]") ==
        Lines{"c:3:12: error: \"-\\xc3\\xbc.example\" is no domain name; write one as in "
              "\"example.com\", without @ or * (the domain is no internationalised domain name: "
              "string start/ends with forbidden hyphen)"});
  CHECK(problems_of("hostname = \"\u00fc_.example\"") ==
        Lines{"c:2:12: error: \"\\xc3\\xbc_.example\" is no host name (the domain has a character "
              "that no domain may have)"});
  CHECK(problems_of("[[route]]\nrecipient = \"*@b\u00fc*.example\"\nto = \"mx\"") ==
        Lines{"c:3:13: error: \"*@b\\xc3\\xbc*.example\" matches no address: a label of the domain "
              "has * beside letters that are not ASCII"});
  CHECK(problems_of("[[route]]\nto = \"smtp://\u2100.example\"").size() == 1);
}

TEST_CASE("impossible values are errors") {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"threads = 65", "c:2:11: error: `threads` is 0 to 64, not 65"},
      {"threads = -1", "c:2:11: error: `threads` is 0 to 64, not -1"},
      {"hostname = \"a b\"", "c:2:12: error: \"a b\" is no host name"},
      {"hostname = \"\"", "c:2:12: error: `hostname` is empty; leave the key out for its default"},
      {"state_dir = \"var\"",
       "c:2:13: error: `state_dir` wants a path from the root, as in \"/var/lib/rockdove\""},
      {"user = \"a b\"",
       "c:2:8: error: a name has up to 64 letters, digits, dots, hyphens and underscores"},
      {"log.level = \"wraning\"",
       "c:2:13: error: `log.level` wants \"error\" or \"warning\" or \"info\" or \"debug\", not "
       "\"wraning\", did you mean `warning`?"},
      {"log.format = \"postfx\"",
       "c:2:14: error: `log.format` wants \"text\" or \"json\" or \"postfix\", not \"postfx\", did "
       "you mean `postfix`?"},
      {"log.to = \"syslog\"",
       "c:2:10: error: syslog comes in a later version; \"stderr\" reaches the journal"},
      {"log.to = \"stdrr\"",
       "c:2:10: error: `log.to` wants \"stderr\" or a path from the root, did you mean `stderr`?"},
      {"limits.memory = \"1K\"", "c:2:17: error: `limits.memory` is \"16M\" to \"1T\""},
      {"limits.memory = \"many\"",
       "c:2:17: error: \"many\" is not a size: write a number and K, M, G or T, as in \"50K\", "
       "\"20M\" or \"1G\""},
      {"queue.lifetime = \"0s\"", "c:2:18: error: `queue.lifetime` is \"1m\" to \"365d\""},
      {"queue.retry = []", "c:2:15: error: `queue.retry` needs at least one duration"},
      {"relay.domains = [\"*.example.com\"]",
       "c:2:18: error: \"*.example.com\" is no domain name; write one as in \"example.com\", "
       "without @ or *"},
      {"relay.recipients = \"all\"",
       "c:2:20: error: `relay.recipients` wants \"ask\", \"any\" or \"file:/path\""},
      {"dns.servers = [\"ns.example\"]",
       "c:2:16: error: \"ns.example\" is no server; write its address, as in \"192.0.2.53\" or "
       "\"127.0.0.1:5353\""},
      {"runtime_dir = \"/" + std::string(94, 'x') + "\"",
       "c:2:15: error: `runtime_dir` is longer than 94 octets, so the path of a socket in it does "
       "not fit"},
      {"[[listener]]\naddress = \":25\"\nmax_recipients = 5",
       "c:4:18: error: `listener.max_recipients` is 100 to 100000, not 5"},
      {"[[listener]]\naddress = \":25\"\nrate = \"5\"",
       "c:4:8: error: \"5\" is not a rate: write a count and s, min, h or d, as in \"600/min\" or "
       "\"100/s, burst 20\", or \"off\""},
      {"postmaster = 1", "c:2:1: error: cannot redefine existing string 'postmaster' as integer"},
  };
  for (const auto& [text, problem] : cases) {
    INFO(text);
    const Lines problems = problems_of(text);
    REQUIRE(problems.size() == 1);
    if (text.starts_with("postmaster")) {
      CHECK(problems[0].starts_with("c:2:"));
    } else {
      CHECK(problems[0] == problem);
    }
  }
  CHECK(parse("postmaster = \"nobody\"")
            .problems[0]
            .starts_with("c:1:14: error: `postmaster` is no address: "));
}

TEST_CASE("a syntax error has its line and column") {
  const Lines problems = problems_of("[log]\nlevel = info\n");
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].starts_with("c:3:12: error: "));
  CHECK_FALSE(parse("[log]\nlevel = info\n").configuration.has_value());
}

TEST_CASE("the file has at most one mebibyte") {
  CHECK(parse(kPostmaster + "#" + std::string(1024 * 1024, 'x')).problems ==
        Lines{"c: error: the file is larger than 1 MiB"});
}

TEST_CASE("sections must have the right kind of header") {
  CHECK(problems_of("[listener]\naddress = \":25\"\n[[log]]\nlevel = \"info\"\n") ==
        Lines{"c:2:2: error: `listener` is a section: write [[listener]]",
              "c:4:3: error: `log` is a section: write [log]"});
  CHECK(accepted("listener = []").inbound.listeners.empty());
}

TEST_CASE("listeners need addresses that nobody else has, and names of their own") {
  CHECK(problems_of("[[listener]]\nname = \"a\"\n[[listener]]\nname = \"a\"\naddress = "
                    "[\"127.0.0.1:25\", \"127.0.0.1\"]\n[[listener]]\naddress = \":25\"\n") ==
        Lines{"c:2:1: error: the listener `a` has no `address`",
              "c:5:8: error: the listener of line 2 is called `a`, too",
              "c:6:28: error: \"127.0.0.1\": " +
                  base::parse_socket_address("127.0.0.1").error().text(),
              "c:8:11: error: [::]:25 is taken already, by 127.0.0.1:25 of listener `a`"});
  CHECK(problems_of("[admin]\nhttp = \"127.0.0.1:25\"\n[[listener]]\nname = \"a\"\naddress = "
                    "\":25\"\n") ==
        Lines{"c:3:8: error: 127.0.0.1:25 is taken already, by [::]:25 of listener `a`"});
  CHECK(problems_of("[admin]\nhttp = \"localhost\"\n") ==
        Lines{"c:3:8: error: \"localhost\": " +
              base::parse_socket_address("localhost").error().text()});
  accepted("[admin]\nhttp = \"127.0.0.1:0\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n");
  accepted(
      "[[listener]]\naddress = [\"127.0.0.1:25\", \"127.0.0.2:25\", \"127.0.0.1:0\", "
      "\"127.0.0.1:0\", \"0.0.0.0:26\", \"[::1]:26\"]");
}

TEST_CASE("an open relay is warned of") {
  const Lines problems =
      problems_of("[[listener]]\naddress = \":25\"\nrelay_from = [\"0.0.0.0/0\"]");
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].find("warning: `relay_from` of `smtp` has 0.0.0.0/0") != std::string::npos);
}

TEST_CASE("route targets are read strictly") {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"\"mx:0\"", "a port is 1 to 65535, as in \"mx:2525\""},
      {"\"smtp://a:99999\"", "a port is 1 to 65535"},
      {"\"smtp://\"", "\"\" is no host name"},
      {"\"smtp://a/\"", "\"a/\" is no host name"},
      {"\"smtp://2001:db8::1\"",
       "an IPv6 address stands in brackets, as in smtp://[2001:db8::1]:25"},
      {"\"smtp://[2001:db8::1\"",
       "in brackets stands an IPv6 address, as in smtp://[2001:db8::1]:25"},
      {"\"lmtp://[::1\"", "in brackets stands an IPv6 address, as in lmtp://[2001:db8::1]:25"},
      {"\"lmtp+unix:run/x\"",
       "behind the colon stands an absolute path, as in \"lmtp+unix:/run/dovecot/lmtp\""},
      {"\"lmtp+unix:/" + std::string(107, 'x') + "\"", "the path is longer than 107 octets"},
      {"\"maildir:/m/\"",
       "behind the colon stands an absolute path, as in \"maildir:/var/mail/archive\""},
      {"\"discard\"", "write \"discard:\", with a colon"},
      {"\"a.example\"",
       "\"a.example\" is no target; write \"mx\", \"mx:PORT\", \"smtp://host:port\", "
       "\"smtps://…\", \"lmtp://…\", \"lmtp+unix:/path\", \"maildir:/path\" or \"discard:\""},
  };
  for (const auto& [target, problem] : cases) {
    INFO(target);
    CHECK(problems_of("[[route]]\nto = " + target) == Lines{"c:3:6: error: " + problem});
  }
  CHECK(problems_of("[[route]]\nto = [\"mx\"]") ==
        Lines{"c:3:7: error: a list has only targets with a host, as smtp://host:port"});
  CHECK(problems_of("[[route]]\nto = [\"maildir:/m\"]") ==
        Lines{"c:3:7: error: a list has only targets with a host, as smtp://host:port"});
  CHECK(problems_of("[[route]]\nto = [\"smtp://a\", \"lmtp://b\"]") ==
        Lines{"c:3:19: error: a list has targets of one protocol, SMTP or LMTP"});
  CHECK(problems_of("[[route]]\nto = []") == Lines{"c:3:6: error: the list is empty"});
}

TEST_CASE("every target is written as it was read, and names its route") {
  const std::vector<std::array<std::string, 3>> cases = {
      {"mx", "mx", "mx"},
      {"mx:2525", "mx:2525", "mx-2525"},
      {"smtp://a.example", "smtp://a.example:25", "a.example:25"},
      {"smtps://A.example", "smtps://a.example:465", "a.example:465"},
      {"smtps://[2001:db8::1]:466", "smtps://[2001:db8::1]:466", "[2001:db8::1]:466"},
      {"lmtp://127.0.0.1", "lmtp://127.0.0.1:24", "127.0.0.1:24"},
      {"lmtp+unix:/run/dovecot/lmtp", "lmtp+unix:/run/dovecot/lmtp", "lmtp+unix:/run/dovecot/lmtp"},
      {"maildir:/var/mail/a", "maildir:/var/mail/a", "maildir:/var/mail/a"},
      {"discard:", "discard:", "discard"},
  };
  for (const auto& [text, written, name] : cases) {
    INFO(text);
    const auto target = parse_target(text);
    REQUIRE(target);
    CHECK(format_target(*target) == written);
    CHECK(name_of(*target) == name);
  }
  const auto tls = parse_target("smtps://a.example");
  CHECK(std::get<outbound::ToHosts>(*tls).hosts[0].implicit_tls);
  const auto lmtp = parse_target("lmtp+unix:/run/x");
  CHECK(std::get<outbound::ToHosts>(*lmtp).speaks == outbound::ToHosts::Speaks::Lmtp);
}

TEST_CASE("routes are checked as a whole") {
  CHECK(
      problems_of("[[route]]\nname = \"a\"\nrecipient = \"example.com\"\n[[route]]\nname = "
                  "\"a\"\nlistener = \"smpt\"\nto = \"mx\"\norder = \"first\"") ==
      Lines{
          "c:2:1: error: the route has no `to`",
          "c:4:13: error: \"example.com\" matches no address; for a domain write \"*@example.com\"",
          "c:6:8: error: the route of line 2 is called `a`, too",
          "c:7:12: error: there is no listener `smpt`, did you mean `smtp`?",
          "c:9:9: error: `order` wants a list in `to`"});
}

TEST_CASE("a route behind one that takes everything is warned of, and so is losing all mail") {
  CHECK(problems_of(
            "[[route]]\nto = \"discard:\"\n[[route]]\nrecipient = \"*@a.example\"\nto = \"mx\"") ==
        Lines{"c:2:1: warning: this route throws all mail away",
              "c:4:1: warning: this route is never used: the one of line 2 takes everything"});
}

TEST_CASE("routes without a name get one that is unique") {
  const Configuration c = accepted(
      "[[route]]\nrecipient = \"*@a\"\nto = \"smtp://h:25\"\n[[route]]\nrecipient = \"*@b\"\nto = "
      "\"smtp://h:25\"\n"
      "[[route]]\nrecipient = \"*@c\"\nto = \"discard:\"\n[[route]]\nname = "
      "\"mx\"\nrecipient=\"*@d\"\nto = \"mx\"\n[[route]]\nto = \"mx\"");
  Lines names;
  for (const outbound::Route& route : c.outbound.routes) names.push_back(route.name);
  CHECK(names == Lines{"h:25", "h:25-2", "discard", "mx", "mx-2"});
}

TEST_CASE("files that are named must be there and be readable") {
  CHECK(problems_of("[local]\naliases = \"/none\"\n[relay]\nrecipients = \"file:/unreadable\"") ==
        Lines{"c:3:11: error: `local.aliases`: there is no file `/none`",
              "c:5:14: error: `relay.recipients`: opening /unreadable: Permission denied"});
}

TEST_CASE("a file of recipients is read line by line") {
  const Lines problems = problems_of("[relay]\ndomains = [\"a.example\"]\nrecipients = \"file:/r\"",
                                     {{"/r", "x@a.example\nnobody\ny@b.example\n"}});
  REQUIRE(problems.size() == 2);
  CHECK(problems[0].starts_with("/r:2:1: error: `nobody` is neither an address nor @domain: "));
  CHECK(problems[1] == "/r:3:1: warning: `b.example` is not in `relay.domains`");
}

TEST_CASE("recipients = any is warned of") {
  const Lines problems = problems_of("[relay]\ndomains = [\"a.example\"]\nrecipients = \"any\"");
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].starts_with("c:4:14: warning: with `recipients = \"any\"`"));
}

TEST_CASE("a domain is local or relayed, not both") {
  CHECK(problems_of("hostname = \"a.example\"\n[relay]\ndomains = [\"a.example\"]") ==
        Lines{"c:4:11: error: `a.example` is in `relay.domains` and one of this machine's own "
              "(`local.domains`): it can be only one"});
}

TEST_CASE("the machine's name must do, or be overridden") {
  CHECK(parse(kPostmaster, {}, "bad_name!").problems ==
        Lines{"c: error: the machine's own name `bad_name!` is no host name; set `hostname`"});
  CHECK(parse(kPostmaster, {}, "box")
            .problems.at(0)
            .starts_with("c: warning: the machine calls itself `box`"));
  CHECK(parse(kPostmaster + "hostname = \"a.example\"", {}, "box").problems.empty());
}

TEST_CASE("the alias postmaster stands in for the key") {
  const Parsed parsed = parse("", {{"/etc/aliases", "postmaster: root\nroot: me@example.org\n"}});
  CHECK(parsed.problems.empty());
  CHECK(parsed.configuration->queue.postmaster == "me@example.org");
}

TEST_CASE("no more than a hundred problems are shown") {
  std::string text;
  for (int i = 0; i < 300; ++i) text += "zzzzzz" + std::to_string(i) + " = 1\n";
  const Lines problems = problems_of(text);
  CHECK(problems.size() == 101);
  CHECK(problems.back() == "c: error: and 200 more problems");
}

TEST_CASE("the table's defaults are those of the settings") {
  std::map<std::string, std::string> sections;
  for (const Key& key : configuration_keys()) {
    if (!key.default_toml.empty() && key.name != "order" && key.name != "aliases") {
      sections[std::string(key.section)] +=
          std::string(key.name) + " = " + std::string(key.default_toml) + "\n";
    }
  }
  std::string text = sections[""];
  for (const Section& section : configuration_sections()) {
    const std::string name(section.name);
    if (section.kind == SectionKind::Table) text += "[" + name + "]\n" + sections[name];
  }
  text += "[[listener]]\naddress = \":25\"\n" + sections["listener"];
  INFO(text);
  const Configuration said = accepted(text);
  const Configuration silent = accepted("");
  CHECK(said.state_dir == silent.state_dir);
  CHECK(said.runtime_dir == silent.runtime_dir);
  CHECK(said.user == silent.user);
  CHECK(said.threads == silent.threads);
  CHECK(said.log.to == silent.log.to);
  CHECK(said.log.level == silent.log.level);
  CHECK(said.log.format == silent.log.format);
  CHECK(said.dns_servers == silent.dns_servers);
  CHECK(said.inbound.hops_max == silent.inbound.hops_max);
  CHECK(said.inbound.connections_in == silent.inbound.connections_in);
  CHECK(said.inbound.relay.check == silent.inbound.relay.check);
  CHECK(said.inbound.relay.domains == silent.inbound.relay.domains);
  const auto& a = said.inbound.listeners.at(0);
  const auto& b = silent.inbound.listeners.at(0);
  CHECK(a.name == b.name);
  CHECK(a.addresses == b.addresses);
  CHECK(a.relay_from == b.relay_from);
  CHECK(a.line_endings == b.line_endings);
  CHECK(a.max_message_size == b.max_message_size);
  CHECK(a.max_recipients == b.max_recipients);
  CHECK(a.rate == b.rate);
  CHECK(a.connections == b.connections);
  CHECK(a.tls == b.tls);
  CHECK(a.tls_min == b.tls_min);
  CHECK(a.auth == b.auth);
  CHECK(a.auth_in_clear == b.auth_in_clear);
  CHECK(a.proxy_from == b.proxy_from);
  CHECK(said.users == silent.users);
  CHECK(said.outbound.mx_tls == silent.outbound.mx_tls);
  CHECK(said.queue.delay_notice == silent.queue.delay_notice);
  const auto all = [](const queue::QueueSettings& q) {
    return std::tie(q.retry, q.lifetime, q.min_free_disk, q.memory, q.connections_out,
                    q.site_connections, q.route_connections, q.messages_per_connection,
                    q.bounce_returned, q.history);
  };
  CHECK((all(said.queue) == all(silent.queue)));
}

TEST_CASE("contrib/doc/configuration.md is what the table says") {
  std::ifstream file(ROCKDOVE_SOURCE_ROOT "/contrib/doc/configuration.md");
  std::ostringstream text;
  text << file.rdbuf();
  // Write it anew with: build/rockdove check --reference > contrib/doc/configuration.md
  CHECK(text.str() == configuration_reference());
}

TEST_CASE("a command learns where things are without being able to read secrets") {
  const tests::TemporaryDirectory directory;
  const std::string path = directory.path() + "/c.toml";
  std::ofstream(path) << "runtime_dir = \"/tmp/r\"\n[tls]\ncertificate = \"/none.pem\"\n";
  CHECK_FALSE(load_configuration(path).configuration.has_value());
  const ParsedConfiguration keys = load_configuration_keys(path);
  REQUIRE(keys.configuration.has_value());
  CHECK(keys.configuration->runtime_dir == "/tmp/r");
  CHECK(keys.configuration->state_dir == "/var/lib/rockdove");
  std::ofstream(path) << "runtime_dir = 7\n";
  CHECK_FALSE(load_configuration_keys(path).configuration.has_value());
}

TEST_CASE("a file that is not there is an error that says how to begin") {
  const ParsedConfiguration parsed = load_configuration("/nonexistent/rockdove.toml");
  CHECK_FALSE(parsed.configuration.has_value());
  REQUIRE(parsed.problems.size() == 1);
  CHECK(format_problem(parsed.problems[0]).find("rockdove check --reference") != std::string::npos);
  CHECK(format_problem(load_configuration("/tmp").problems.at(0)) ==
        "/tmp: error: /tmp is a directory");
}
