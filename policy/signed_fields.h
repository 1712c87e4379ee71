// The fields of a header that a signature is made over, as its h= names them: of fields with one
// name the last comes first (RFC 6376 §5.4.2). Finds them without walking through the header for
// each.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "mta/base/result.h"
#include "mta/crypto/digest.h"
#include "mta/mail/canonical.h"

namespace rockdove::policy {

// Views into the header block, which must outlive it.
class HeaderIndex {
 public:
  explicit HeaderIndex(std::string_view header);

  // How many fields of that name, in lower case, there are.
  [[nodiscard]] std::size_t count(const std::string& name) const;

  // Adds the named fields (lower case) in canonical form. One that is named more often than it is
  // there adds nothing. `own` is HeaderField::whole of the signature that is looked at, which does
  // not cover itself though its h= may name others like it (RFC 6376 §3.5).
  void add_fields(crypto::Sha256& hash, std::span<const std::string> names,
                  mail::Canonicalization how, std::string_view own = {}) const;

 private:
  std::unordered_map<std::string, std::vector<std::string_view>> fields_;
};

// What is wrong with a list of signed fields (lower case), as a sentence, or nothing: From must be
// signed (RFC 6376 §6.1.1) and be there once; and of a field that a message has once at most, and
// that is signed, no more may be there than are signed, since readers may show the one that was
// added (RFC 6376 §8.15).
[[nodiscard]] std::optional<base::Error> fault_in_names(std::span<const std::string> names,
                                                        const HeaderIndex& index);

// Adds one field in canonical form, with its CRLF if it has it.
void add_field(crypto::Sha256& hash, std::string_view whole, mail::Canonicalization how);

// The signature field `whole` as it was when it was signed: without the value of b=, which `region`
// is (Tag::region, a view into `whole`), and without the last CRLF (RFC 6376 §3.7).
[[nodiscard]] std::string unsigned_field(std::string_view whole, std::string_view region);

}  // namespace rockdove::policy
