#include "mta/daemon/config_security.h"

#include <algorithm>
#include <array>

#include "mta/base/text.h"
#include "mta/inbound/access.h"
#include "mta/inbound/accounts_file.h"

namespace rockdove::daemon {
namespace {

using outbound::TlsLevel;
using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)

constexpr std::uint16_t kSmtpPort = 25;
constexpr std::uint16_t kSubmissionsPort = 465;  // RFC 8314 §3.3

constexpr std::array<std::pair<std::string_view, inbound::ListenerTls>, 4> kListenerTls = {
    {{"off", inbound::ListenerTls::Off},
     {"optional", inbound::ListenerTls::Optional},
     {"required", inbound::ListenerTls::Required},
     {"implicit", inbound::ListenerTls::Implicit}}};
constexpr std::array<std::pair<std::string_view, net::TlsVersion>, 4> kTlsVersions = {
    {{"1.0", net::TlsVersion::V1_0},
     {"1.1", net::TlsVersion::V1_1},
     {"1.2", net::TlsVersion::V1_2},
     {"1.3", net::TlsVersion::V1_3}}};
constexpr std::array<std::pair<std::string_view, inbound::ListenerAuth>, 3> kListenerAuth = {
    {{"off", inbound::ListenerAuth::Off},
     {"optional", inbound::ListenerAuth::Optional},
     {"required", inbound::ListenerAuth::Required}}};
constexpr std::array<std::pair<std::string_view, TlsLevel>, 4> kTlsLevels = {
    {{"off", TlsLevel::Off},
     {"may", TlsLevel::May},
     {"require", TlsLevel::Require},
     {"verify", TlsLevel::Verify}}};

std::string in_ticks(std::string_view text) {
  return "`" + base::printable(text, 80) + "`";
}

RouteDraft& route(Draft& draft) {
  return draft.routes.back();
}

// One path, or a list of them.
void read_paths(Value& value, std::vector<NamedFile>& target) {
  target.clear();
  for (Value& item : value.texts()) {
    std::string path;
    if (item.absolute_path(path)) target.push_back({path, item.at()});
  }
  if (value.node().type == Node::Type::Array && value.node().items.empty())
    value.error("the list is empty");
}

bool has_implicit_tls(const outbound::Target& target) {
  const auto* hosts = std::get_if<outbound::ToHosts>(&target);
  return hosts != nullptr &&
         std::any_of(hosts->hosts.begin(), hosts->hosts.end(),
                     [](const outbound::ToHosts::Host& host) { return host.implicit_tls; });
}

void finish_login(RouteDraft& draft, NamedFiles& files, Problems& problems) {
  // `user` is the login's name beside `password_file`, else a condition.
  const bool has_login = !draft.login.empty();
  if (draft.password_file.path.empty()) {
    if (has_login) problems.error(draft.login_at, "`login` wants a `password_file` beside it");
    draft.route.user = draft.user;
    return;
  }
  if (!has_login && draft.user.empty()) {
    return problems.error(draft.password_file.at,
                          "`password_file` wants the name to log in with beside it: `user`");
  }
  if (has_login) draft.route.user = draft.user;
  constexpr std::string_view kWhat = "`route.password_file`";
  if (!files.is_private(draft.password_file, kWhat)) return;
  const std::optional<std::string> text =
      files.read(draft.password_file, kPasswordOctetsMax, kWhat);
  if (!text) return;
  std::string_view password = *text;
  if (password.ends_with('\n')) password.remove_suffix(1);
  if (password.ends_with('\r')) password.remove_suffix(1);
  if (password.empty() ||
      password.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos) {
    return problems.error(draft.password_file.at,
                          "`route.password_file`: " + in_ticks(draft.password_file.path) +
                              " must hold the password, in one line");
  }
  draft.route.credentials =
      outbound::Credentials{has_login ? draft.login : draft.user, std::string(password)};
}

}  // namespace

void read_certificate(Value& value, Draft& draft) {
  draft.certificates_at = value.at();
  read_paths(value, draft.certificates);
}

void read_certificate_key(Value& value, Draft& draft) {
  draft.keys_at = value.at();
  read_paths(value, draft.keys);
}

void read_mx_tls(Value& value, Draft& draft) {
  value.choice<TlsLevel>(draft.configuration.outbound.mx_tls, kTlsLevels);
}

void read_users(Value& value, Draft& draft) {
  draft.users_at = value.at();
  value.absolute_path(draft.configuration.users);
}

void read_delay_notice(Value& value, Draft& draft) {
  if (value.node().type == Node::Type::Text && value.node().text == "off") {
    draft.configuration.queue.delay_notice = base::Duration::zero();
    return;
  }
  value.duration(draft.configuration.queue.delay_notice, {1min, 24h * 365});
}

void read_history_keep(Value& value, Draft& draft) {
  queue::HistorySettings& history = draft.configuration.queue.history;
  draft.history_keep_at = value.at();
  history.is_kept = value.node().type != Node::Type::Text || value.node().text != "off";
  if (history.is_kept) value.duration(history.keep, {24h, 24h * 3650});
}

void read_admin_http(Value& value, Draft& draft) {
  std::string text;
  if (!value.text(text)) return;
  const base::Result<base::SocketAddress> address = base::parse_socket_address(text);
  if (!address)
    return value.error("\"" + base::printable(text, 80) + "\": " + address.error().text());
  draft.configuration.admin_http = *address;
  draft.admin_http_at = value.at();
}

void read_listener_tls(Value& value, Draft& draft) {
  value.choice<inbound::ListenerTls>(draft.listeners.back().settings.tls, kListenerTls);
  draft.listeners.back().tls_at = value.at();
}

void read_listener_tls_min(Value& value, Draft& draft) {
  value.choice<net::TlsVersion>(draft.listeners.back().settings.tls_min, kTlsVersions);
}

void read_listener_auth(Value& value, Draft& draft) {
  value.choice<inbound::ListenerAuth>(draft.listeners.back().settings.auth, kListenerAuth);
  draft.listeners.back().auth_at = value.at();
}

void read_route_tls(Value& value, Draft& draft) {
  TlsLevel level = TlsLevel::May;
  route(draft).tls_at = value.at();
  if (value.choice<TlsLevel>(level, kTlsLevels)) route(draft).tls = level;
}

void read_route_user(Value& value, Draft& draft) {
  value.text(route(draft).user);
}

void read_route_login(Value& value, Draft& draft) {
  value.text(route(draft).login);
  route(draft).login_at = value.at();
}

void read_route_password_file(Value& value, Draft& draft) {
  std::string path;
  if (value.absolute_path(path)) route(draft).password_file = {path, value.at()};
}

void read_route_ca_file(Value& value, Draft& draft) {
  std::string path;
  if (value.absolute_path(path)) route(draft).ca_file = {path, value.at()};
}

void check_listener_security(const ListenerDraft& draft, Problems& problems) {
  const inbound::ListenerSettings& listener = draft.settings;
  const bool has_tls = listener.tls != inbound::ListenerTls::Off;
  const std::string name = in_ticks(listener.name);
  if (listener.auth != inbound::ListenerAuth::Off && !has_tls && listener.auth_in_clear.empty()) {
    const std::string advice =
        "set `tls`, or name networks in `auth_in_clear` that may send passwords in clear";
    if (listener.auth == inbound::ListenerAuth::Required) {
      problems.error(draft.auth_at,
                     "nobody could send anything by " + name +
                         ": it requires authentication, which is not offered without TLS; " +
                         advice);
    } else {
      problems.warning(draft.auth_at,
                       "authentication is never offered by " + name + " without TLS; " + advice);
    }
  }
  for (const base::IpNetwork& network : listener.auth_in_clear) {
    if (network.prefix_bits == 0)
      problems.warning(draft.auth_at.line > 0 ? draft.auth_at : draft.at,
                       "`auth_in_clear` of " + name + " has " + base::format_ip_network(network) +
                           ": passwords from anywhere may cross the net in clear");
  }
  for (const base::IpNetwork& network : listener.proxy_from) {
    if (network.prefix_bits == 0)
      problems.warning(draft.at, "`proxy_from` of " + name + " has " +
                                     base::format_ip_network(network) +
                                     ": anyone may claim any address, and so relay");
  }
  for (const base::SocketAddress& address : listener.addresses) {
    const Position at = draft.tls_at.line > 0 ? draft.tls_at : draft.at;
    if (address.port == kSmtpPort && listener.tls == inbound::ListenerTls::Implicit) {
      problems.warning(at,
                       "other mail servers come to port 25 without TLS, and go on with "
                       "STARTTLS: with `tls = \"implicit\"` they cannot speak with " +
                           name);
    }
    if (address.port == kSubmissionsPort && listener.tls != inbound::ListenerTls::Implicit) {
      problems.warning(at,
                       "clients expect TLS from the first octet on port 465: set `tls = "
                       "\"implicit\"` for " +
                           name);
    }
  }
}

void finish_route_security(RouteDraft& draft, Draft& all, NamedFiles& files, Problems& problems) {
  finish_login(draft, files, problems);
  const bool implicit = has_implicit_tls(draft.route.target);
  const bool has_password = !draft.password_file.path.empty();
  if (draft.tls) {
    draft.route.tls = *draft.tls;
  } else if (has_password) {
    draft.route.tls = TlsLevel::Verify;  // a password is for nobody else
  } else {
    draft.route.tls = all.configuration.outbound.mx_tls;  // also of a route by MX
    draft.route.inherits_tls = true;
  }
  const bool is_off = draft.tls && *draft.tls == TlsLevel::Off;
  if (implicit && is_off) {
    problems.error(draft.tls_at,
                   "smtps:// is always TLS: `tls` wants \"require\" or \"verify\" there");
  } else if (implicit && draft.route.tls < TlsLevel::Require) {
    draft.route.tls = TlsLevel::Require;
  }
  if (has_password && is_off) {
    problems.warning(draft.tls_at, "the password crosses the net in clear: set `tls = \"verify\"`");
  }
  if (draft.ca_file.path.empty()) return;
  if (draft.route.tls != TlsLevel::Verify)
    problems.warning(draft.ca_file.at, "`ca_file` is used only with `tls = \"verify\"`");
  if (files.read(draft.ca_file, kPemOctetsMax, "`route.ca_file`"))
    all.configuration.ca_files[draft.route.name] = draft.ca_file.path;
}

void finish_certificates(Draft& draft, NamedFiles& files, Problems& problems) {
  if (draft.certificates.empty()) {
    if (!draft.keys.empty())
      problems.error(draft.keys_at, "`tls.key` wants `tls.certificate` beside it");
    return;
  }
  if (!draft.keys.empty() && draft.keys.size() != draft.certificates.size()) {
    return problems.error(draft.keys_at, "`tls.key` names " + std::to_string(draft.keys.size()) +
                                             " files and `tls.certificate` " +
                                             std::to_string(draft.certificates.size()) +
                                             "; they belong together one by one");
  }
  if (draft.certificates.size() > kIdentitiesMax)
    return problems.error(draft.certificates_at, "there are at most 100 certificates");
  for (std::size_t i = 0; i < draft.certificates.size(); ++i) {
    const NamedFile& certificate = draft.certificates[i];
    // A file may hold both.
    const NamedFile& key = draft.keys.empty() ? certificate : draft.keys[i];
    if (!files.is_private(key, "`tls.key`")) continue;
    std::optional<std::string> chain = files.read(certificate, kPemOctetsMax, "`tls.certificate`");
    std::optional<std::string> secret = files.read(key, kPemOctetsMax, "`tls.key`");
    if (!chain || !secret) continue;
    const std::string source = key.path == certificate.path
                                   ? certificate.path
                                   : certificate.path + " with the key " + key.path;
    draft.configuration.identities.push_back({std::move(*chain), std::move(*secret), source});
  }
}

void check_users(const Draft& draft, NamedFiles& files, Problems& problems) {
  if (!inbound::takes_logins(draft.configuration.inbound)) return;
  const std::string& path = draft.configuration.users;
  if (!files.is_private({path, draft.users_at}, "`auth.users`")) return;
  const std::optional<std::string> text =
      files.read({path, draft.users_at}, inbound::kAccountsFileOctetsMax, "`auth.users`",
                 NamedFiles::Absence::Warning);
  if (!text) return;
  if (const auto accounts = inbound::parse_accounts(*text, path); !accounts)
    problems.error(draft.users_at, "`auth.users`: " + accounts.error().text());
}

void check_listener_name(const std::string& name, Position at, const Draft& all,
                         Problems& problems) {
  if (name.empty() || name == all.configuration.inbound.submission.listener.name) return;
  std::vector<std::string_view> names;
  for (const ListenerDraft& listener : all.listeners) {
    if (listener.settings.name == name) return;
    names.push_back(listener.settings.name);
  }
  problems.error(at, "there is no listener " + in_ticks(name) + did_you_mean(name, names));
}

std::optional<std::string> NamedFiles::read(const NamedFile& file, std::size_t octets_max,
                                            std::string_view what, Absence absence) {
  const bool is_named = file.at.line > 0;
  const auto report = [&](const std::string& text) {
    const std::string said = std::string(what) + ": " + text;
    is_named ? problems_.error(file.at, said) : problems_.warning({}, said);
  };
  base::Result<std::optional<std::string>> text = surroundings_.read_file(file.path, octets_max);
  if (!text) {
    report(text.error().text());
    return std::nullopt;
  }
  if (!text->has_value()) {
    const std::string said = "there is no file " + in_ticks(file.path);
    if (absence == Absence::Warning) {
      problems_.warning(file.at, std::string(what) + ": " + said);
    } else if (is_named) {
      report(said);
    }
    return std::nullopt;
  }
  if (surroundings_.check_readable) {
    if (const auto readable = surroundings_.check_readable(user_, file.path); !readable) {
      report(readable.error().text());
      return std::nullopt;
    }
  }
  return *std::move(text);
}

bool NamedFiles::is_private(const NamedFile& file, std::string_view what) {
  if (!surroundings_.others_may_read || !surroundings_.others_may_read(file.path)) return true;
  problems_.error(file.at, std::string(what) + ": every user of this machine may read " +
                               in_ticks(file.path) + "; do: chmod o-rwx " + file.path);
  return false;
}

}  // namespace rockdove::daemon
