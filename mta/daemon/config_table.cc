#include "mta/daemon/config_table.h"

#include <array>

#include "mta/base/ids.h"
#include "mta/base/text.h"
#include "mta/daemon/config_dkim.h"
#include "mta/daemon/config_judging.h"
#include "mta/daemon/config_policy.h"
#include "mta/daemon/config_security.h"
#include "mta/daemon/config_senders.h"
#include "mta/daemon/config_sources.h"
#include "mta/daemon/config_target.h"
#include "mta/daemon/config_traffic.h"
#include "mta/daemon/config_warm_up.h"
#include "mta/mail/address.h"
#include "mta/mail/idna.h"

namespace rockdove::daemon {
namespace {

using base::Duration;
using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)

constexpr std::uint64_t kMega = 1'000'000;
constexpr std::uint64_t kGiga = 1'000'000'000;
constexpr std::uint64_t kTera = 1'000'000'000'000;
constexpr std::uint32_t kMany = 1'000'000;

constexpr std::array<std::pair<std::string_view, base::Level>, 4> kLevels = {
    {{"error", base::Level::Error},
     {"warning", base::Level::Warning},
     {"info", base::Level::Info},
     {"debug", base::Level::Debug}}};
constexpr std::array<std::pair<std::string_view, base::LogFormat>, 3> kFormats = {
    {{"text", base::LogFormat::Text},
     {"json", base::LogFormat::Json},
     {"postfix", base::LogFormat::Postfix}}};
constexpr std::array<std::pair<std::string_view, inbound::LineEndings>, 2> kLineEndings = {
    {{"reject", inbound::LineEndings::Reject}, {"fix", inbound::LineEndings::Fix}}};
constexpr std::array<std::pair<std::string_view, outbound::ToHosts::Order>, 2> kOrders = {
    {{"first", outbound::ToHosts::Order::First}, {"share", outbound::ToHosts::Order::Share}}};

inbound::ListenerSettings& listener(Draft& draft) {
  return draft.listeners.back().settings;
}

inbound::ListenerSettings& submission(Draft& draft) {
  return draft.configuration.inbound.submission.listener;
}

// What [[listener]] and [sendmail] alike may limit.
using SettingsOf = inbound::ListenerSettings& (*)(Draft&);

template <SettingsOf settings>
void read_message_size_of(Value& value, Draft& draft) {
  value.size(settings(draft).max_message_size, {64'000, 2 * kGiga});
}

template <SettingsOf settings>
void read_recipients_of(Value& value, Draft& draft) {
  value.whole_number(settings(draft).max_recipients, {100, 100'000});
}

template <SettingsOf settings>
void read_rate_of(Value& value, Draft& draft) {
  value.rate(settings(draft).rate);
}

template <SettingsOf settings>
void read_connections_of(Value& value, Draft& draft) {
  value.whole_number(settings(draft).connections, {1, kMany});
}

outbound::Route& route(Draft& draft) {
  return draft.routes.back().route;
}

void read_hostname(Value& value, Draft& draft) {
  std::string name;
  if (!value.text(name)) return;
  value.domain(draft.configuration.hostname, "no host name");
}

void read_user(Value& value, Draft& draft) {
  if (value.node().text == "root") {
    return value.error(
        "`user` must not be root; make a user of its own, as with `useradd --system rockdove`");
  }
  value.name(draft.configuration.user);
}

void read_runtime_dir(Value& value, Draft& draft) {
  // A socket's path has at most 107 octets (sockaddr_un), and ours are DIR/control.sock and
  // submit.sock.
  constexpr std::size_t kPathOctetsMax = 107 - std::string_view("/control.sock").size();
  std::string path;
  if (!value.absolute_path(path)) return;
  if (path.size() > kPathOctetsMax) {
    return value.error(
        "`runtime_dir` is longer than 94 octets, so the path of a socket in it does not fit");
  }
  draft.configuration.runtime_dir = path;
}

void read_postmaster(Value& value, Draft& draft) {
  std::string text;
  draft.postmaster_at = value.at();
  if (!value.text(text)) return;
  const base::Result<mail::Address> address = mail::parse_mailbox(text);
  if (!address) return value.error("`postmaster` is no address: " + address.error().text());
  draft.configuration.postmaster = mail::format_address(*address);
}

void read_log_to(Value& value, Draft& draft) {
  if (value.node().text == "syslog")
    return value.error("syslog comes in a later version; \"stderr\" reaches the journal");
  if (value.node().text == "stderr") {
    draft.configuration.log.to = "stderr";
    return;
  }
  std::string path;
  if (!value.text(path)) return;
  if (path.front() != '/')
    return value.error("`log.to` wants \"stderr\" or a path from the root" +
                       did_you_mean(path, {"stderr"}));
  draft.configuration.log.to = path;
}

void read_addresses(Value& value, Draft& draft) {
  for (Value& item : value.texts()) {
    const base::Result<base::SocketAddress> address = base::parse_socket_address(item.node().text);
    if (!address) {
      item.error("\"" + base::printable(item.node().text, 80) + "\": " + address.error().text());
      continue;
    }
    listener(draft).addresses.push_back(*address);
    draft.listeners.back().addresses_at.push_back(item.at());
  }
}

void read_relay_recipients(Value& value, Draft& draft) {
  constexpr std::string_view kFile = "file:";
  inbound::RelaySettings& relay = draft.configuration.inbound.relay;
  const std::string& text = value.node().text;
  if (text.starts_with(kFile) && text.size() > kFile.size() + 1 && text[kFile.size()] == '/') {
    relay.check = inbound::RecipientCheck::File;
    draft.recipients = NamedFile{text.substr(kFile.size()), value.at()};
  } else if (text == "ask") {
    relay.check = inbound::RecipientCheck::Ask;
  } else if (text == "any") {
    relay.check = inbound::RecipientCheck::Any;
    draft.any_at = value.at();
  } else {
    value.error("`relay.recipients` wants \"ask\", \"any\" or \"file:/path\"" +
                did_you_mean(text, {"ask", "any"}));
  }
}

void read_aliases(Value& value, Draft& draft) {
  std::string path;
  if (value.absolute_path(path)) draft.aliases = NamedFile{path, value.at()};
}

void read_route_listener(Value& value, Draft& draft) {
  if (value.name(route(draft).listener)) draft.routes.back().listener_at = value.at();
}

void read_order(Value& value, Draft& draft) {
  outbound::ToHosts::Order order = outbound::ToHosts::Order::First;
  if (!value.choice<outbound::ToHosts::Order>(order, kOrders)) return;
  draft.routes.back().order = order;
  draft.routes.back().order_at = value.at();
}

void read_retry(Value& value, Draft& draft) {
  std::vector<Duration> retry;
  for (Value& item : value.texts()) {
    Duration wait{};
    if (item.duration(wait, {1s, 24h * 30})) retry.push_back(wait);
  }
  if (retry.empty()) return value.error("`queue.retry` needs at least one duration");
  draft.configuration.queue.retry = std::move(retry);
}

void read_servers(Value& value, Draft& draft) {
  constexpr std::uint16_t kDnsPort = 53;
  draft.configuration.dns_servers.clear();
  for (Value& item : value.texts()) {
    const std::string& text = item.node().text;
    if (const auto ip = base::parse_ip_address(text)) {
      draft.configuration.dns_servers.push_back({*ip, kDnsPort});
    } else if (const auto address = base::parse_socket_address(text);
               address && !address->ip.is_unspecified()) {
      draft.configuration.dns_servers.push_back(*address);
    } else {
      item.error("\"" + base::printable(text, 80) +
                 "\" is no server; write its address, as in \"192.0.2.53\" or \"127.0.0.1:5353\"");
    }
  }
}

// What holds without `relay_from` and `tls`.
void begin_listener(Draft& draft, Position at) {
  ListenerDraft& begun = draft.listeners.emplace_back();
  begun.at = at;
  begun.settings.tls = inbound::ListenerTls::Optional;
  begun.settings.relay_from = {base::parse_ip_network("127.0.0.0/8").value(),
                               base::parse_ip_network("::1").value()};
}

void begin_route(Draft& draft, Position at) {
  draft.routes.emplace_back().at = at;
}

template <typename T>
std::vector<T> joined(std::initializer_list<std::span<const T>> parts) {
  std::vector<T> all;
  for (const std::span<const T> part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

constexpr std::array kSections = {
    Section{"", SectionKind::Top, "Keys before any section."},
    Section{"log", SectionKind::Table, "One line for each thing that happens to a message."},
    Section{"limits", SectionKind::Table, "What the daemon may use."},
    Section{"tls", SectionKind::Table,
            "Encryption. Without a certificate, self-signed ones (P-256 and RSA) are made in "
            "`state_dir` at the first start."},
    Section{"listener", SectionKind::List,
            "Where mail comes in. Without any, one listener `smtp` on `:25`; `listener = []` is "
            "none at all.",
            begin_listener},
    Section{"relay", SectionKind::Table, "Mail that is accepted from anyone and passed on."},
    Section{"local", SectionKind::Table, "Mail for this machine itself: `root`, cron's reports."},
    Section{"sendmail", SectionKind::Table,
            "Mail of the users of this machine, by the command `sendmail`: see sendmail.md."},
    Section{"auth", SectionKind::Table, "Accounts of clients that log in."},
    Section{"route", SectionKind::List,
            "Where mail goes. The first route whose conditions all hold wins; without one, mail "
            "goes by MX.",
            begin_route},
    Section{"queue", SectionKind::Table, "How long and how often delivery is tried."},
    Section{"bounce", SectionKind::Table, "Reports about mail that could not be delivered."},
    Section{"history", SectionKind::Table,
            "What is kept of mail that has gone, for `rockdove trace` and `rockdove stats`."},
    Section{"admin", SectionKind::Table, "What tells how the daemon is, over HTTP."},
    Section{"dns", SectionKind::Table, "Who answers questions about names."},
};

constexpr std::
    array
        kKeys =
            {
                Key{"", "hostname", "host name", "",
                    "Our name in EHLO, Received and Message-ID. Default: the machine's full name.",
                    read_hostname},
                Key{"", "state_dir", "path", "\"/var/lib/rockdove\"",
                    "Holds the queue. A local disk.",
                    [](Value& value, Draft& draft) {
                      value.absolute_path(draft.configuration.state_dir);
                    }},
                Key{"", "runtime_dir", "path", "\"/run/rockdove\"",
                    "Holds the sockets for commands; at most 94 octets long.", read_runtime_dir},
                Key{"", "postmaster", "address", "",
                    "Gets mail for <postmaster> and reports that cannot be returned. Default: the "
                    "alias `postmaster`; without that, mail for <postmaster> is refused.",
                    read_postmaster},
                Key{"", "user", "user name", "\"rockdove\"",
                    "Started as root, the daemon becomes this user.",
                    read_user},
                Key{"", "threads", "whole number", "0",
                    "Event loops, at most 64. 0: one a processor.",
                    [](Value& value, Draft& draft) {
                      value.whole_number(draft.configuration.threads, {0, base::kLoopsMax});
                    }},

                Key{"log", "to", "\"stderr\" or path", "\"stderr\"", "Where the log is written to.",
                    read_log_to},
                Key{"log", "level", "error, warning, info or debug", "\"info\"",
                    "This and the more serious ones are written.",
                    [](Value& value, Draft& draft) {
                      value.choice<base::Level>(draft.configuration.log.level, kLevels);
                    }},
                Key{"log", "format", "text, json or postfix", "\"text\"",
                    "`text`: for people; `json`: an object a line with the same names; `postfix`: "
                    "lines as Postfix's daemons write them, which pflogsumm and fail2ban read.",
                    [](Value& value, Draft& draft) {
                      value.choice<base::LogFormat>(draft.configuration.log.format, kFormats);
                    }},

                Key{"limits", "memory", "size", "\"256M\"",
                    "Message data held in memory; above it, new mail is answered 452.",
                    [](Value& value, Draft& draft) {
                      value.size(draft.configuration.queue.memory, {16 * kMega, kTera});
                    }},
                Key{"limits", "connections_in", "whole number", "2000",
                    "Connections of clients at once, all listeners.",
                    [](Value& value, Draft& draft) {
                      value.whole_number(draft.configuration.inbound.connections_in, {1, kMany});
                    }},
                Key{"limits", "connections_out", "whole number", "0",
                    "Connections to other servers at once. 0: half of the file descriptors that "
                    "the process may have.",
                    [](Value& value, Draft& draft) {
                      value.whole_number(draft.configuration.queue.connections_out, {0, kMany});
                    }},
                Key{"limits", "hops", "whole number", "50",
                    "A message with more Received fields is in a loop and bounces.",
                    [](Value& value, Draft& draft) {
                      value.whole_number(draft.configuration.inbound.hops_max, {5, 1000});
                    }},

                Key{"tls", "certificate", "path, or list of paths", "",
                    "PEM, with the certificates that it was signed by behind it. Several: for "
                    "other names, which clients ask for (SNI), or RSA and P-256 side by side.",
                    read_certificate},
                Key{"tls", "key", "path, or list of paths", "",
                    "PEM without a passphrase, of the certificate at the same place. Default: in "
                    "the file of the certificate.",
                    read_certificate_key},
                Key{"tls", "outbound", "off, may, require or verify", "\"may\"",
                    "Towards other servers, where no route says otherwise. `may`: where it is "
                    "offered and works; `require`: never in clear; `verify`: besides, name and "
                    "chain of the certificate must be good.",
                    read_mx_tls},

                Key{"listener", "name", "name", "",
                    "Stands in logs and may be named by routes. Default: `listener` and its "
                    "number; `smtp` of the only one.",
                    [](Value& value, Draft& draft) {
                      if (value.name(listener(draft).name))
                        draft.listeners.back().name_at = value.at();
                    }},
                Key{"listener", "address", "list of addresses with port", "",
                    "Needed. `\":25\"` is both families, `\"0.0.0.0:25\"` IPv4, `\"[::1]:2525\"` "
                    "one address. Port 0: the system chooses.",
                    read_addresses},
                Key{"listener", "relay_from", "list of networks", "[\"127.0.0.0/8\", \"::1\"]",
                    "Clients from here may send anywhere.",
                    [](Value& value, Draft& draft) { value.networks(listener(draft).relay_from); }},
                Key{"listener", "tls", "off, optional, required or implicit", "\"optional\"",
                    "`optional`: STARTTLS is offered; `required`: no mail before it; `implicit`: "
                    "TLS from the first octet, as on port 465.",
                    read_listener_tls},
                Key{"listener", "tls_min", "1.0, 1.1, 1.2 or 1.3, in quotes", "\"1.2\"",
                    "The oldest version that is spoken; old devices need 1.0.",
                    read_listener_tls_min},
                Key{"listener", "auth", "off, optional or required", "\"off\"",
                    "`optional`: who logs in may send anywhere; `required`: nobody sends without, "
                    "clients of `relay_from` neither.",
                    read_listener_auth},
                Key{"listener", "auth_in_clear", "list of networks", "[]",
                    "Clients from here may log in without TLS.",
                    [](Value& value, Draft& draft) {
                      value.networks(listener(draft).auth_in_clear);
                    }},
                Key{"listener", "proxy_from", "list of networks", "[]",
                    "Proxies that begin with a PROXY header (version 1 or 2), as haproxy's "
                    "`send-proxy`, and whose word about the client is believed. A connection from "
                    "here without the header is refused; one of the proxy's own (LOCAL, UNKNOWN) "
                    "counts as a client at the proxy's address.",
                    [](Value& value, Draft& draft) { value.networks(listener(draft).proxy_from); }},
                Key{"listener", "line_endings", "reject or fix", "\"reject\"",
                    "A bare CR or LF in a message: refuse it, or make it CR LF.",
                    [](Value& value, Draft& draft) {
                      value.choice<inbound::LineEndings>(listener(draft).line_endings,
                                                         kLineEndings);
                    }},
                Key{"listener", "max_message_size", "size", "\"50M\"",
                    "Larger messages are refused.",
                    read_message_size_of<listener>},
                Key{"listener", "max_recipients", "whole number", "1000",
                    "Of one message; the rest is answered 452 4.5.3 and may follow in another one.",
                    read_recipients_of<listener>},
                Key{"listener", "rate", "rate", "\"600/min\"",
                    "Messages of one client address (IPv6: of its /64). `\"off\"`: no limit.",
                    read_rate_of<listener>},
                Key{"listener", "connections", "whole number", "50",
                    "At once, of one client address.",
                    read_connections_of<listener>},

                Key{"relay", "domains", "list of domains", "[]",
                    "Mail for these is accepted from anyone and goes on by route or MX. An international "
                    "domain may be written either way: `bücher.example` or "
                    "`xn--bcher-kva.example`; so may those in routes.",
                    [](Value& value, Draft& draft) {
                      value.domains(draft.configuration.inbound.relay.domains);
                      draft.relay_at = value.at();
                    }},
                Key{"relay", "recipients", "\"ask\", \"any\" or \"file:/path\"", "\"ask\"",
                    "Who exists there. `ask`: the next hop is asked before RCPT is answered. "
                    "`file:`: the addresses in a file, one a line, `@example.com` for all of a "
                    "domain. `any`: everyone, so what turns out not to exist is bounced to forged "
                    "senders.",
                    read_relay_recipients},

                Key{"local", "domains", "list of domains", "",
                    "Domains of this machine. Default: `hostname` and `localhost`.",
                    [](Value& value, Draft& draft) {
                      value.domains(draft.configuration.inbound.local.domains);
                      draft.local_domains_at = value.at();
                    }},
                Key{"local", "aliases", "path", "\"/etc/aliases\"",
                    "Who gets the mail of local names, in the format of aliases(5). Programs, "
                    "files and `:include:` are not supported. Need not exist unless it is named "
                    "here.",
                    read_aliases},

                Key{"sendmail", "users", "list of user names or numbers", "[]",
                    "Who may send mail. Empty: everybody.",
                    [](Value& value, Draft& draft) {
                      value.names(draft.configuration.inbound.submission.users);
                    }},
                Key{"sendmail", "max_message_size", "size", "\"50M\"",
                    "Larger messages are refused.",
                    read_message_size_of<submission>},
                Key{"sendmail", "max_recipients", "whole number", "1000",
                    "Of one message; for more, `sendmail` sends it again to the others.",
                    read_recipients_of<submission>},
                Key{"sendmail", "rate", "rate", "\"600/min\"",
                    "Messages of one user; what is more waits in `state_dir`/incoming. `\"off\"`: "
                    "no limit.",
                    read_rate_of<submission>},
                Key{"sendmail", "connections", "whole number", "50",
                    "At once, of one user.",
                    read_connections_of<submission>},

                Key{"auth", "users", "path", "\"/etc/rockdove/users\"",
                    "The accounts, as `rockdove user` writes them. Need not exist.", read_users},

                Key{"route", "name", "name", "",
                    "Stands in logs and queue names; unique. Default: made of the target.",
                    [](Value& value, Draft& draft) {
                      if (value.name(route(draft).name))
                        draft.routes.back().name_at = value.at();
                    }},
                Key{"route", "recipient", "address pattern", "",
                    "Condition: the recipient; `*` is any run of characters: `*@example.com`.",
                    [](Value& value, Draft& draft) {
                      value.address_pattern(route(draft).recipient, Value::Null::Refused);
                    }},
                Key{"route", "sender", "address pattern", "",
                    "Condition: the envelope sender; `<>` is the null sender.",
                    [](Value& value, Draft& draft) {
                      value.address_pattern(route(draft).sender, Value::Null::Accepted);
                    }},
                Key{"route", "client", "list of networks", "",
                    "Condition: who handed the message in.",
                    [](Value& value, Draft& draft) { value.networks(route(draft).client); }},
                Key{"route", "listener", "name", "", "Condition: the listener that it came in by.",
                    read_route_listener},
                Key{"route", "user", "name, or pattern", "",
                    "Condition: the account that the client logged in to. Beside `password_file` "
                    "it is no condition, but the name to log in with at the hosts of `to`.",
                    read_route_user},
                Key{"route", "password_file", "path", "",
                    "A file with the password to log in with, in one line; nobody but its owner "
                    "and group may read it.",
                    read_route_password_file},
                Key{"route", "login", "name", "",
                    "The name to log in with, where `user` is wanted as a condition beside "
                    "`password_file`.",
                    read_route_login},
                Key{"route", "tls", "off, may, require or verify", "",
                    "As `tls.outbound`. Default: with `password_file`, `verify`; else "
                    "`tls.outbound`.",
                    read_route_tls},
                Key{"route", "ca_file", "path", "",
                    "PEM: the authorities that `verify` trusts here. Default: the system's.",
                    read_route_ca_file},
                Key{"route", "to", "target, or list of targets with hosts", "",
                    "Needed. `mx`: the recipient's mail exchangers; `mx:2525`: these, at another "
                    "port; `smtp://host:port`: a smarthost, port 25 unless named; `smtps://`: the "
                    "same with TLS from the first octet, port 465; `lmtp://host:port`, "
                    "`lmtp+unix:/path`: a mailbox server by LMTP; `maildir:/path`: a folder (what a "
                    "crash left in its `tmp`, its reader clears away); `discard:`: nowhere, and "
                    "without a report.",
                    read_target},
                Key{"route", "order", "first or share", "\"first\"",
                    "With a list: the next host only when one fails, or spread evenly.",
                    read_order},

                Key{"queue", "retry", "list of durations",
                    "[\"5m\", \"15m\", \"30m\", \"1h\", \"2h\", \"4h\"]",
                    "Waits between attempts; the last one repeats. Up to an eighth is added at "
                    "random.",
                    read_retry},
                Key{"queue", "lifetime", "duration", "\"5d\"",
                    "After this, the next failure is final and the sender gets a report.",
                    [](Value& value, Draft& draft) {
                      value.duration(draft.configuration.queue.lifetime, {1min, 24h * 365});
                    }},
                Key{"queue", "delay_notice", "duration, or \"off\"", "\"4h\"",
                    "The sender hears of mail that has waited so long, once.", read_delay_notice},
                Key{"queue", "undo_time", "duration", "\"24h\"",
                    "What a person deletes from the queue can be brought back for so long.",
                    [](Value& value, Draft& draft) {
                      value.duration(draft.configuration.queue.undo_time, {1s, 24h * 365});
                    }},
                Key{"queue", "min_free_disk", "size", "\"1G\"",
                    "With less left on the disk of `state_dir`, new mail is answered 452.",
                    [](Value& value, Draft& draft) {
                      value.size(draft.configuration.queue.min_free_disk, {0, 1000 * kTera});
                    }},
                Key{"queue", "site_connections", "whole number", "10",
                    "Connections at once to the mail exchangers of one site.",
                    [](Value& value, Draft& draft) {
                      value.whole_number(draft.configuration.queue.site_connections, {1, 10'000});
                    }},
                Key{"queue", "route_connections", "whole number", "20",
                    "Connections at once to the hosts of one route.",
                    [](Value& value, Draft& draft) {
                      value.whole_number(draft.configuration.queue.route_connections, {1, 10'000});
                    }},
                Key{"queue", "messages_per_connection", "whole number", "100",
                    "Then the connection is closed and a new one made.",
                    [](Value& value, Draft& draft) {
                      value.whole_number(draft.configuration.queue.messages_per_connection,
                                         {1, kMany});
                    }},

                Key{"bounce", "returned", "size", "\"50K\"",
                    "At most so much of a message comes back in a report about it.",
                    [](Value& value, Draft& draft) {
                      value.size(draft.configuration.queue.bounce_returned, {0, 50 * kMega});
                    }},

                Key{"history", "keep", "duration, or \"off\"", "\"90d\"",
                    "How long, since a message was accepted; at least a day and `queue.lifetime`. "
                    "`\"off\"`: nothing is written from now on.",
                    read_history_keep},
                Key{"history", "max_size", "size", "\"10G\"",
                    "On disk, the index included, about, and at most a quarter of that disk; the "
                    "oldest goes first.",
                    [](Value& value, Draft& draft) {
                      value.size(draft.configuration.queue.history.size_max,
                                 {100 * kMega, 1000 * kTera});
                    }},

                Key{"admin", "http", "address with port", "",
                    "Answers `GET /metrics` and `GET /healthz` here, to anyone who can reach it. "
                    "Default: nowhere but on the control socket.",
                    read_admin_http},

                Key{"dns", "servers", "list of addresses", "[]",
                    "Name servers, with a port where it is not 53. Empty: those of "
                    "/etc/resolv.conf.",
                    read_servers},
};

constexpr std::array<LaterKey, 3> kLaterKeys = {{
    {"auth", "dovecot", "asking Dovecot", ""},
    {"admin", "token_file", "the HTTP API", ""},
    {"route", "oauth2", "OAuth 2", ""},
}};

}  // namespace

// The parts of the table: another one is another entry here.
std::span<const Section> configuration_sections() {
  static const std::vector<Section> kAll =
      joined<Section>({kSections, sources_sections(), warm_up_sections(), sender_sections(),
                       dkim_sections(), policy_sections(), judging_sections(), traffic_sections()});
  return kAll;
}

std::span<const Key> configuration_keys() {
  static const std::vector<Key> kAll =
      joined<Key>({kKeys, sender_keys(), sources_keys(), warm_up_keys(), dkim_keys(), policy_keys(),
                   judging_keys(), traffic_keys()});
  return kAll;
}

std::span<const LaterKey> later_keys() {
  return kLaterKeys;
}

}  // namespace rockdove::daemon
