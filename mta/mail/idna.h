// Internationalised domain names (IDNA2008, RFC 5890, with the mapping of UTS 46): "bücher.example"
// and "BÜCHER.example" are "xn--bcher-kva.example". Domains are kept and compared in that form, in
// lower case, so that one domain has one spelling, and a name that only looks like ours is another.
//
// The work is libidn2's; nothing but idna.cc includes it.
#pragma once

#include <string>
#include <string_view>

#include "mta/base/result.h"

namespace rockdove::mail {

// What of a name is looked at before it is refused as too long; U-labels take more octets than
// their A-labels.
inline constexpr std::size_t kUnicodeDomainOctetsMax = 1024;

// The domain's A-labels, in lower case, dots between them. ASCII is only checked and put into lower
// case. Errors are fit for a reply: printable ASCII, without the name. The result passes
// is_valid_domain().
[[nodiscard]] base::Result<std::string> to_ascii_domain(std::string_view domain);

// A pattern of addresses, in which "*" stands for any run of characters, as "*@*.bücher.example":
// the labels of its domain become those that addresses are kept with. The domain is what stands
// behind the last "@", without one all of it. A pattern with an ASCII domain comes back as it is.
// Errors as above, and for a label that is not ASCII and has a "*" in it.
[[nodiscard]] base::Result<std::string> to_ascii_pattern(std::string_view pattern);

}  // namespace rockdove::mail
