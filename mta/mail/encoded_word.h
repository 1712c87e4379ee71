// Encoded words in header fields (RFC 2047): "=?iso-8859-1?Q?J=F6rg?=" is "Jörg". For showing what
// a stranger wrote to people; never for deciding anything.
#pragma once

#include <string>
#include <string_view>

namespace rockdove::mail {

// The text as UTF-8. Whatever is no encoded word stays, but for octets that are no UTF-8: a run of
// these, or of what its charset does not have, becomes one U+FFFD. Blanks between two encoded words
// vanish (RFC 2047 §6.2). Words in a charset that the C library does not know are read as UTF-8.
// The result is at most four times as long as `text`.
[[nodiscard]] std::string decode_encoded_words(std::string_view text);

// Like it, but the octets of encoded words stay as they are, in whatever charset: for finding the
// ASCII that a stranger has hidden in them. Nobody has to know the charset for that.
[[nodiscard]] std::string encoded_octets(std::string_view text);

}  // namespace rockdove::mail
