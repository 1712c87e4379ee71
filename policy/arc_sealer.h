// Seals a message that goes on its way: makes the ARC set that tells the next handler what was
// found here (RFC 8617 §5.1). Feed it the body as it will be sent, then ask for the fields. Fields
// and body are signed in relaxed form. The bodies of large messages stream through; nothing of them
// is kept.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "mta/base/result.h"
#include "mta/base/time.h"
#include "policy/arc_validator.h"
#include "policy/body_digest.h"
#include "policy/signing_key.h"

namespace rockdove::policy {

inline constexpr std::size_t kArcResultsOctetsMax = 32 * 1024;

// Whose seal it is.
struct ArcIdentity {
  std::string domain;                     // in A-labels
  std::string selector;                   // SELECTOR._domainkey.DOMAIN publishes the key
  std::shared_ptr<const SigningKey> key;  // never null
};

class ArcSealer {
 public:
  explicit ArcSealer(ArcIdentity identity);

  void take_body(std::string_view octets);
  void body_ended();

  // After body_ended(): the three fields, each with its CRLF, to be put in front of `header`. That
  // is the header as it will be sent, but for them. `incoming` is the validator's verdict of the
  // message as it came; the fields of its chain must be there still. `results` is the value of an
  // Authentication-Results field (RFC 8601), folded if it is long: "mx.example; spf=pass …".
  // Returns nothing to add when an earlier seal has declared the chain broken. Errors: the chain
  // has 50 sets, the verdict is not of this header's chain, or `results` cannot be a field's value.
  [[nodiscard]] base::Result<std::string> seal(std::string_view header, const ArcVerdict& incoming,
                                               std::string_view results, base::WallTime now) const;

 private:
  [[nodiscard]] std::string message_signature(std::string_view header, std::size_t instance,
                                              base::WallTime now) const;

  ArcIdentity identity_;
  BodyDigests body_;
};

}  // namespace rockdove::policy
