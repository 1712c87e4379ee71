// The public suffix list (publicsuffix.org): the names below which strangers register theirs, as
// "com", "co.uk" and "github.io". One label more is what somebody owns: "example.co.uk". DMARC's
// older way finds by it which names belong to one organisation (RFC 7489 §3.2).
//
// Read once, immutable then, so that threads share it. The work is libpsl's; nothing but
// public_suffix.cc includes it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "mta/base/result.h"

struct psl_ctx_st;

namespace rockdove::dns {

// Where Debian's package publicsuffix has it.
inline constexpr const char* kPublicSuffixFile = "/usr/share/publicsuffix/public_suffix_list.dat";

class PublicSuffixes {
 public:
  // The list as publicsuffix.org writes it, or compiled to a DAFSA. The error says what is wrong
  // with the file.
  [[nodiscard]] static base::Result<std::shared_ptr<const PublicSuffixes>> load(
      const std::string& path);

  PublicSuffixes(const PublicSuffixes&) = delete;
  PublicSuffixes& operator=(const PublicSuffixes&) = delete;
  ~PublicSuffixes();

  // The name's public suffix and one label more, in lower case: "example.co.uk" of
  // "a.Example.co.uk". A last label that is not listed counts as a suffix. nullopt for a suffix
  // itself, and for what is no name (an empty label, over 1,024 octets). Names may be in A-labels,
  // or in lower-case UTF-8.
  [[nodiscard]] std::optional<std::string> registrable_domain(std::string_view name) const;

 private:
  explicit PublicSuffixes(psl_ctx_st* list) : list_(list) {}

  psl_ctx_st* list_;
};

}  // namespace rockdove::dns
