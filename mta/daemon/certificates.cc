#include "mta/daemon/certificates.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <unistd.h>

#include <sys/stat.h>

#include "mta/base/text.h"
#include "mta/daemon/read_file.h"

namespace rockdove::daemon {
namespace {

using base::Error;
using base::Result;

constexpr std::size_t kOwnFileOctetsMax = 64 * 1024;

// "2027-11-22"
std::string format_day(base::WallTime time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{day};
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02u-%02u", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
  return text.data();
}

long long days_between(base::WallTime from, base::WallTime to) {
  return std::chrono::floor<std::chrono::days>(to - from).count();
}

bool is_still_good(const net::CertificateFacts& facts, const std::string& hostname,
                   base::WallTime now) {
  return facts.not_after - now >= kCertificateNotice && facts.not_before <= now &&
         std::find(facts.names.begin(), facts.names.end(), hostname) != facts.names.end();
}

// Whole or not at all, and not readable by anyone else at any moment.
Result<void> write_secret(const std::string& path, const std::string& text) {
  const std::string fresh = path + ".new";
  ::unlink(fresh.c_str());
  const int file =
      ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0) return Error::system("making " + fresh, errno);
  std::string_view rest = text;
  int code = 0;
  while (!rest.empty() && code == 0) {
    const ssize_t written = ::write(file, rest.data(), rest.size());
    if (written < 0 && errno != EINTR) code = errno;
    if (written > 0) rest.remove_prefix(static_cast<std::size_t>(written));
  }
  if (code == 0 && ::fsync(file) != 0) code = errno;
  ::close(file);
  if (code == 0 && ::rename(fresh.c_str(), path.c_str()) != 0) code = errno;
  if (code == 0) return {};
  ::unlink(fresh.c_str());
  return Error::system("writing " + path, code);
}

Result<net::PemIdentity> own_certificate(const std::string& path, const std::string& hostname,
                                         net::KeyKind kind, base::WallTime now) {
  const Result<std::optional<std::string>> kept = read_file(path, kOwnFileOctetsMax);
  if (!kept) return kept.error();
  if (kept->has_value()) {
    const Result<net::CertificateFacts> facts = net::certificate_facts(**kept);
    // A key that does not belong to its certificate was not written by us: made anew as well.
    net::PemIdentity identity{**kept, **kept, path};
    if (facts && is_still_good(*facts, hostname, now) && net::make_tls_server_context({identity}))
      return identity;
  }
  Result<net::PemIdentity> made = net::make_self_signed(hostname, kind, now, kSelfSignedValidFor);
  if (!made) return made.error().in("making a self-signed certificate");
  if (Result<void> written = write_secret(path, made->certificate + made->key); !written)
    return written.error();
  made->source = path;
  return made;
}

}  // namespace

Result<std::vector<net::PemIdentity>> own_certificates(const std::string& state_dir,
                                                       const std::string& hostname,
                                                       base::WallTime now) {
  const std::string folder = state_dir + "/tls";
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    return Error::system("making the directory " + folder, errno);
  std::vector<net::PemIdentity> identities;
  for (const auto& [name, kind] :
       {std::pair{"/p256.pem", net::KeyKind::P256}, std::pair{"/rsa.pem", net::KeyKind::Rsa2048}}) {
    Result<net::PemIdentity> identity = own_certificate(folder + name, hostname, kind, now);
    if (!identity) return identity.error();
    identities.push_back(std::move(*identity));
  }
  return identities;
}

bool wants_certificates(const Configuration& configuration) {
  const auto& listeners = configuration.inbound.listeners;
  return std::any_of(listeners.begin(), listeners.end(),
                     [](const inbound::ListenerSettings& listener) {
                       return listener.tls != inbound::ListenerTls::Off;
                     });
}

Result<void> make_tls_contexts(Configuration& configuration,
                               const std::vector<net::PemIdentity>& identities) {
  if (!identities.empty()) {
    Result<std::shared_ptr<const net::TlsServerContext>> server =
        net::make_tls_server_context(identities);
    if (!server) return server.error();
    configuration.inbound.tls = std::move(*server);
  }
  Result<std::shared_ptr<const net::TlsClientContext>> client = net::make_tls_client_context({});
  if (!client) return client.error();
  configuration.outbound.tls = std::move(*client);
  for (outbound::Route& route : configuration.outbound.routes) {
    const auto ca_file = configuration.ca_files.find(route.name);
    if (ca_file == configuration.ca_files.end()) continue;
    Result<std::shared_ptr<const net::TlsClientContext>> context =
        net::make_tls_client_context({ca_file->second});
    if (!context) return context.error();
    route.tls_context = std::move(*context);
  }
  return {};
}

std::vector<CertificateNotice> certificate_notices(const std::vector<net::PemIdentity>& identities,
                                                   base::WallTime now) {
  std::vector<CertificateNotice> notices;
  for (const net::PemIdentity& identity : identities) {
    const Result<net::CertificateFacts> facts = net::certificate_facts(identity.certificate);
    if (!facts) continue;  // a context could not have been made of it
    const std::string end = format_day(facts->not_after);
    if (facts->not_after <= now) {
      notices.push_back({base::Level::Error, "the certificate " + identity.source +
                                                 " has expired on " + end +
                                                 "; it is served all the same"});
    } else if (facts->not_after - now < kCertificateNotice) {
      notices.push_back({base::Level::Warning,
                         "the certificate " + identity.source + " expires on " + end + ", in " +
                             std::to_string(days_between(now, facts->not_after)) + " days"});
    } else if (facts->not_before > now) {
      notices.push_back({base::Level::Warning, "the certificate " + identity.source +
                                                   " is not valid before " +
                                                   format_day(facts->not_before)});
    }
  }
  return notices;
}

std::string describe_certificate(const net::CertificateFacts& facts, base::WallTime now) {
  std::string text;
  for (const std::string& name : facts.names) {
    if (!text.empty()) text += " ";
    text += base::printable(name, 80);
  }
  if (text.empty()) text = "no name";
  text += ", " + facts.key + ", ";
  const std::string end = format_day(facts.not_after);
  if (facts.not_after <= now) {
    text += "EXPIRED on " + end;
  } else {
    text += "until " + end + " (" + std::to_string(days_between(now, facts.not_after)) + " days)";
  }
  return facts.is_self_signed ? text + ", self-signed" : text;
}

}  // namespace rockdove::daemon
