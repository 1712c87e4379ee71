// Whom a message claims to be from, as DMARC needs it (RFC 9989 §5.3.1): the domains in the
// addresses of its From field (RFC 5322 §3.6.2). Names in front of addresses are not looked at: an
// address in a name is no address, whatever a reader's program shows.
//
// A message should have one From field with one domain. Those that do not are an old way to get
// past DMARC (RFC 9989 §11.5), so all domains that a reader might be shown are found here, and what
// is odd about the field is said; what to do about it is for others to decide. Only domains matter,
// so local parts that are too long or have dots where none may be ("a..b@", as some mobile phones
// have) are not odd.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rockdove::policy {

inline constexpr std::size_t kAuthorDomainsMax = 4;      // different ones that are kept
inline constexpr std::size_t kAuthorAddressesMax = 200;  // of all From fields together
inline constexpr std::size_t kAuthorFieldsMax = 20;      // From fields

struct Authors {
  enum class Form : std::uint8_t {
    Single,         // one From field, all of its addresses are of one domain
    Missing,        // no From field
    NoAddress,      // one that names nobody, as an empty group, or "Mail System" without an address
    NoDomain,       // all addresses are without a domain, or with an IP address for it
    SeveralFields,  // more than one From field (RFC 5322 §3.6 allows one)
    SeveralDomains,
    Unreadable,  // the field is not a list of addresses, or hides one where none belongs; the
                 // domains are what looks like such
    TooMany,     // over one of the limits above
  };

  Form form = Form::Missing;
  std::vector<std::string> domains;  // in A-labels, lower case, each once; empty for some forms
  std::string why;                   // unless Single: what is odd, a sentence without a full stop
};

// `header` is a header block (mta/mail/headers.h).
[[nodiscard]] Authors find_authors(std::string_view header);

}  // namespace rockdove::policy
