// Public keys that domains publish for their signatures: TXT records at SELECTOR._domainkey.DOMAIN
// (RFC 6376 §3.6, RFC 8463), asked for through RecordedDns.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "mta/base/result.h"
#include "mta/crypto/signing_key.h"
#include "policy/recorded_dns.h"

namespace rockdove::policy {

inline constexpr std::size_t kKeyRecordOctetsMax = 16 * 1024;

struct DkimKey {
  crypto::PublicKey key;
  bool is_testing = false;       // t=y: failures count as no signature
  bool is_exact_domain = false;  // t=s: i= must be in d= itself, not in a subdomain of it
};

// Errors are sentences about the record: it is not a key, it was revoked (p= is empty), it is not
// for mail, it does not allow SHA-256, or its key cannot be used.
[[nodiscard]] base::Result<DkimKey> parse_dkim_key(std::string_view record);

// "SELECTOR._domainkey.DOMAIN", in A-labels; an error for what cannot be in the DNS.
[[nodiscard]] base::Result<std::string> dkim_key_name(std::string_view selector,
                                                      std::string_view domain);

struct NoDkimKey {
  std::string reason;         // "there is no key at …", to be put into a longer sentence
  bool is_temporary = false;  // the DNS may answer another time
};

// nullopt: the question has been noted as missing in `dns`. Where there are several records, the
// first good key counts (RFC 6376 §3.6.2.2 leaves that open); with `kind`, of that kind.
[[nodiscard]] std::optional<std::variant<DkimKey, NoDkimKey>> find_dkim_key(
    RecordedDns& dns, std::string_view selector, std::string_view domain,
    std::optional<crypto::KeyKind> kind = std::nullopt);

}  // namespace rockdove::policy
