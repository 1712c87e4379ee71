#include "mta/outbound/target.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "mta/base/text.h"
#include "mta/base/utf8.h"
#include "mta/mail/idna.h"

namespace rockdove::outbound {
namespace {

constexpr std::uint16_t kSmtpPort = 25;
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

base::Error no_host_name(std::string_view name, const base::Error& why) {
  std::string text = '"' + base::printable(name, 80) + "\" is no host name";
  // Of ASCII there is nothing to say but that.
  if (!base::is_ascii(name)) text.append(" (").append(why.text()).append(")");
  return base::Error(std::move(text));
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
    if (!ascii) return no_host_name(name, ascii.error());
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

std::string_view scheme_of(const ToHosts& hosts, const ToHosts::Host& host) {
  if (!host.unix_path.empty()) return "";
  if (hosts.speaks == ToHosts::Speaks::Lmtp) return "lmtp://";
  return host.implicit_tls ? "smtps://" : "smtp://";
}

}  // namespace

std::string format_host(const ToHosts::Host& host) {
  if (!host.unix_path.empty()) return std::string(kLmtpUnix) + host.unix_path;
  const bool is_v6 = host.name.find(':') != std::string::npos;
  return (is_v6 ? "[" + host.name + "]" : host.name) + ":" + std::to_string(host.port);
}

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

base::Result<Target> parse_targets(std::string_view text) {
  if (text.find(',') == std::string_view::npos) return parse_target(base::trimmed(text));
  ToHosts hosts;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const base::Result<Target> target = parse_target(base::trimmed(text.substr(0, comma)));
    text.remove_prefix(std::min(comma + 1, text.size()));
    if (!target) return target.error();
    const auto* one = std::get_if<ToHosts>(&*target);
    if (one == nullptr) {
      return base::Error("a list has only targets with a host, as smtp://host:port");
    }
    if (!hosts.hosts.empty() && hosts.speaks != one->speaks) {
      return base::Error("a list has targets of one protocol, SMTP or LMTP");
    }
    hosts.speaks = one->speaks;
    hosts.hosts.push_back(one->hosts.front());
  }
  if (hosts.hosts.size() > kRouteHostsMax) return base::Error("a list has at most 32 hosts");
  return Target(std::move(hosts));
}

}  // namespace rockdove::outbound
