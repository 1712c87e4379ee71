// Address lists of header fields (RFC 5322 §3.4), as To, Cc and Bcc have them: names, comments,
// quotes, groups, folds and routes are read over, and what is left are the mailboxes. Not strict
// about what people and scripts write in names; strict about the addresses themselves (address.h),
// because mail is sent to them. An address may have no domain: it is one of this machine.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "mta/base/result.h"
#include "mta/mail/address.h"

namespace rockdove::mail {

// `value` is a field's value, folds included, or what stands on a command line. An empty list, and
// an empty group ("undisclosed-recipients:;"), has no addresses. The error shows what is no
// address: one that is wrong makes all wrong, so that nobody is left out silently.
[[nodiscard]] base::Result<std::vector<Address>> parse_address_list(std::string_view value,
                                                                    std::size_t addresses_max);

}  // namespace rockdove::mail
