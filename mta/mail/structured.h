// What stands between the words of structured header fields: blanks, folds and comments, and quoted
// strings as a whole (RFC 5322 §3.2). Lenient: what is not closed ends with the field.
#pragma once

#include <string_view>

namespace rockdove::mail {

// Past the comment with which `text` begins, with those inside it (RFC 5322 §3.2.2); whether it was
// closed.
bool skip_comment(std::string_view& text);
// Past blanks, folds and comments; whether there were any.
bool skip_blanks_and_comments(std::string_view& text);
// Takes from `text` what its first octet opens and `close` ends, both included; a backslash quotes
// what follows it.
std::string_view take_enclosed(std::string_view& text, char close);

}  // namespace rockdove::mail
