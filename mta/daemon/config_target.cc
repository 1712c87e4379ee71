#include "mta/daemon/config_target.h"

#include <charconv>
#include <optional>

#include "mta/base/text.h"
#include "mta/daemon/config_table.h"
#include "mta/mail/idna.h"

namespace rockdove::daemon {
namespace {

using outbound::Target;
using outbound::ToDiscard;
using outbound::ToHosts;
using outbound::ToMaildir;
using outbound::ToMx;

constexpr std::uint16_t kSmtpPort = 25;
constexpr std::size_t kHostsMax = 32;
constexpr std::size_t kSocketPathMax = 107;   // sockaddr_un has no more
constexpr std::size_t kFolderPathMax = 3000;  // leaves room for what is appended below PATH_MAX
constexpr std::string_view kLmtpUnix = "lmtp+unix:";
constexpr std::string_view kMaildir = "maildir:";

// Targets that are one host.
struct Scheme {
  std::string_view text;
  std::uint16_t port;
  ToHosts::Speaks speaks;
  bool implicit_tls;
};

constexpr Scheme kSchemes[] = {
    {"smtp://", kSmtpPort, ToHosts::Speaks::Smtp, false},
    {"smtps://", 465, ToHosts::Speaks::Smtp, true},  // RFC 8314 §7.3
    {"lmtp://", 24, ToHosts::Speaks::Lmtp, false},
};

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (code != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

// "host", "host:port", "192.0.2.1:port", "[2001:db8::1]:port".
base::Result<ToHosts::Host> parse_host(std::string_view text, const Scheme& scheme) {
  const auto as_in = [&scheme](std::string_view host) {
    return ", as in " + std::string(scheme.text) + std::string(host);
  };
  ToHosts::Host host;
  std::string_view port;
  bool has_port = false;
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    const auto ip =
        base::parse_ip_address(text.substr(1, close == std::string_view::npos ? 0 : close - 1));
    if (!ip) return base::Error("in brackets stands an IPv6 address" + as_in("[2001:db8::1]:25"));
    host.name = base::format_ip_address(*ip);
    const std::string_view rest = text.substr(close + 1);
    if (!rest.empty() && rest.front() != ':') return base::Error("behind the bracket stands :PORT");
    has_port = !rest.empty();
    port = rest.substr(has_port ? 1 : 0);
  } else {
    const std::size_t colon = text.find(':');
    has_port = colon != std::string_view::npos;
    if (has_port) port = text.substr(colon + 1);
    const std::string_view name = text.substr(0, colon);
    if (port.find(':') != std::string_view::npos)
      return base::Error("an IPv6 address stands in brackets" + as_in("[2001:db8::1]:25"));
    base::Result<std::string> ascii = mail::to_ascii_domain(name);
    if (!ascii) return base::Error(refused_domain(name, ascii.error(), "no host name"));
    host.name = *std::move(ascii);
  }
  host.port = scheme.port;
  host.implicit_tls = scheme.implicit_tls;
  if (!has_port) return host;
  const std::optional<std::uint16_t> number = parse_port(port);
  if (!number) return base::Error("a port is 1 to 65535");
  host.port = *number;
  return host;
}

// "/run/dovecot/lmtp": absolute, and without what no path has.
base::Result<std::string> parse_path(std::string_view text, std::string_view example,
                                     std::size_t octets_max) {
  if (!text.starts_with('/') || text.ends_with('/') || text.find('\0') != std::string_view::npos)
    return base::Error("behind the colon stands an absolute path, as in \"" + std::string(example) +
                       "\"");
  if (text.size() > octets_max)
    return base::Error("the path is longer than " + std::to_string(octets_max) + " octets");
  return std::string(text);
}

std::string format_host(const ToHosts::Host& host) {
  if (!host.unix_path.empty()) return std::string(kLmtpUnix) + host.unix_path;
  const bool is_v6 = host.name.find(':') != std::string::npos;
  return (is_v6 ? "[" + host.name + "]" : host.name) + ":" + std::to_string(host.port);
}

std::string_view scheme_of(const ToHosts& hosts, const ToHosts::Host& host) {
  if (!host.unix_path.empty()) return "";
  if (hosts.speaks == ToHosts::Speaks::Lmtp) return "lmtp://";
  return host.implicit_tls ? "smtps://" : "smtp://";
}

}  // namespace

base::Result<Target> parse_target(std::string_view text) {
  constexpr std::string_view kMxPort = "mx:";
  if (text == "mx") return Target(ToMx{});
  if (text == "discard:") return Target(ToDiscard{});
  if (text.starts_with(kMxPort)) {
    const std::optional<std::uint16_t> port = parse_port(text.substr(kMxPort.size()));
    if (!port) return base::Error("a port is 1 to 65535, as in \"mx:2525\"");
    return Target(ToMx{*port});
  }
  for (const Scheme& scheme : kSchemes) {
    if (!text.starts_with(scheme.text)) continue;
    const base::Result<ToHosts::Host> host = parse_host(text.substr(scheme.text.size()), scheme);
    if (!host) return host.error();
    return Target(ToHosts{{*host}, ToHosts::Order::First, scheme.speaks});
  }
  if (text.starts_with(kLmtpUnix)) {
    base::Result<std::string> path =
        parse_path(text.substr(kLmtpUnix.size()), "lmtp+unix:/run/dovecot/lmtp", kSocketPathMax);
    if (!path) return path.error();
    ToHosts::Host host;
    host.unix_path = *std::move(path);
    return Target(ToHosts{{std::move(host)}, ToHosts::Order::First, ToHosts::Speaks::Lmtp});
  }
  if (text.starts_with(kMaildir)) {
    base::Result<std::string> path =
        parse_path(text.substr(kMaildir.size()), "maildir:/var/mail/archive", kFolderPathMax);
    if (!path) return path.error();
    return Target(ToMaildir{*std::move(path)});
  }
  if (text == "discard") return base::Error("write \"discard:\", with a colon");
  return base::Error("\"" + base::printable(text, 80) +
                     "\" is no target; write \"mx\", \"mx:PORT\", \"smtp://host:port\", "
                     "\"smtps://…\", \"lmtp://…\", \"lmtp+unix:/path\", \"maildir:/path\" or "
                     "\"discard:\"");
}

std::string format_target(const Target& target) {
  if (const auto* mx = std::get_if<ToMx>(&target)) {
    return mx->port == kSmtpPort ? "mx" : "mx:" + std::to_string(mx->port);
  }
  if (const auto* hosts = std::get_if<ToHosts>(&target)) {
    std::string text;
    for (const ToHosts::Host& host : hosts->hosts) {
      if (!text.empty()) text += ", ";
      text.append(scheme_of(*hosts, host)).append(format_host(host));
    }
    return text;
  }
  if (const auto* maildir = std::get_if<ToMaildir>(&target))
    return std::string(kMaildir) + maildir->path;
  return "discard:";
}

std::string name_of(const Target& target) {
  if (const auto* mx = std::get_if<ToMx>(&target)) {
    return mx->port == kSmtpPort ? "mx" : "mx-" + std::to_string(mx->port);
  }
  if (const auto* hosts = std::get_if<ToHosts>(&target)) return format_host(hosts->hosts.front());
  if (std::holds_alternative<ToMaildir>(target)) return format_target(target);
  return "discard";
}

void read_target(Value& value, Draft& draft) {
  RouteDraft& route = draft.routes.back();
  route.has_target = true;  // at least there is one to complain about
  const bool is_list = value.node().type == Node::Type::Array;
  ToHosts hosts;
  for (Value& item : value.texts()) {
    const base::Result<Target> target = parse_target(item.node().text);
    if (!target) {
      item.error(target.error().text());
    } else if (!is_list) {
      route.route.target = *target;
    } else if (const auto* one = std::get_if<ToHosts>(&*target); one == nullptr) {
      item.error("a list has only targets with a host, as smtp://host:port");
    } else if (!hosts.hosts.empty() && hosts.speaks != one->speaks) {
      item.error("a list has targets of one protocol, SMTP or LMTP");
    } else {
      hosts.speaks = one->speaks;
      hosts.hosts.push_back(one->hosts.front());
    }
  }
  if (!is_list) return;
  if (value.node().items.empty()) return value.error("the list is empty");
  if (hosts.hosts.size() > kHostsMax) return value.error("a route has at most 32 hosts");
  route.has_host_list = true;
  if (!hosts.hosts.empty()) route.route.target = std::move(hosts);
}

}  // namespace rockdove::daemon
