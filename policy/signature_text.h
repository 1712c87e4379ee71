// How a signature field is written, DKIM's (RFC 6376 §3.5) and ARC's (RFC 8617 §4.1) alike: which
// fields h= names, folded lists, and the value of b=, which is made over all that stands before it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "mta/base/time.h"
#include "mta/crypto/digest.h"
#include "mta/mail/canonical.h"
#include "policy/signed_fields.h"
#include "policy/signing_key.h"

namespace rockdove::policy {

inline constexpr std::string_view kSignatureFold = "\r\n\t";

// Fields of one name that are signed; of more, the last ones (RFC 6376 §5.4.2).
inline constexpr std::size_t kSignedFieldsOfANameMax = 200;

// What h= says of this header, in lower case as all names are here: "from", which every signature
// has to cover (RFC 6376 §5.4), and `headers`, each as often as it is there; those of `oversign`
// once more, also when they are not there, so that none can be added (§8.15).
[[nodiscard]] std::vector<std::string> names_to_sign(const HeaderIndex& index,
                                                     const std::vector<std::string>& headers,
                                                     const std::vector<std::string>& oversign);

// "from:to:…", in lines of some 76 octets.
void append_signed_names(std::string& out, const std::vector<std::string>& names);

// Seconds since 1970, as t= has them.
[[nodiscard]] std::string signature_time(base::WallTime time);

// `field` ends in "b=": returns it with the signature behind that, folded, and CRLF. `before` is
// all that is signed in front of the field itself.
[[nodiscard]] std::string sign_field(std::string field, const crypto::Sha256& before,
                                     mail::Canonicalization how, const SigningKey& key);

}  // namespace rockdove::policy
