// The certificates of the listeners and the authorities of the routes: from the configuration's
// files, or, without any, self-signed ones that are made once in STATE_DIR/tls and renewed before
// they end. Also what an operator must hear about their age.
#pragma once

#include <string>
#include <vector>

#include "mta/base/log.h"
#include "mta/base/result.h"
#include "mta/base/time.h"
#include "mta/daemon/configuration.h"
#include "mta/net/tls.h"

namespace rockdove::daemon {

// Before the end of a certificate: so long self-signed ones are made anew, and others warned of.
inline constexpr base::Duration kCertificateNotice = std::chrono::hours(24 * 30);
inline constexpr base::Duration kSelfSignedValidFor = std::chrono::hours(24 * 365);

// P-256 and RSA for `hostname`, from STATE_DIR/tls. One that is not there, cannot be read, ends
// soon or was made for another name is made anew: a file with key and certificate, mode 0600, in
// one step. From the thread that starts and reloads; an RSA key takes about 0.1 s.
[[nodiscard]] base::Result<std::vector<net::PemIdentity>> own_certificates(
    const std::string& state_dir, const std::string& hostname, base::WallTime now);

[[nodiscard]] bool wants_certificates(const Configuration& configuration);

// What listeners and routes use, made of `identities` and the files of authorities. Errors name the
// file.
[[nodiscard]] base::Result<void> make_tls_contexts(Configuration& configuration,
                                                   const std::vector<net::PemIdentity>& identities);

struct CertificateNotice {
  base::Level level = base::Level::Warning;  // Error: it has ended
  std::string text;                          // names the file, and the day
};

// Nothing about those that are good for longer than kCertificateNotice.
[[nodiscard]] std::vector<CertificateNotice> certificate_notices(
    const std::vector<net::PemIdentity>& identities, base::WallTime now);

// "relay.example.net, P-256, until 2027-11-22 (365 days)", for people.
[[nodiscard]] std::string describe_certificate(const net::CertificateFacts& facts,
                                               base::WallTime now);

}  // namespace rockdove::daemon
