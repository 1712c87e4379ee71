// Writes a message for `rockdove send`: header fields (RFC 5322), a text and attachments as MIME
// (RFC 2045 to 2047). The result is 7-bit with CRLF line ends and lines of at most 998 octets, so
// that any server can take it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mta/base/result.h"
#include "mta/base/time.h"

namespace rockdove::cli {

struct Attachment {
  std::string name;  // without a folder; UTF-8
  std::string content;
};

struct NewMessage {
  std::string from;
  std::vector<std::string> to;
  std::string subject;               // UTF-8
  std::vector<std::string> headers;  // "Name: value", UTF-8; these replace From, To, Subject, Date
  std::string text;                  // UTF-8, any line ends
  std::vector<Attachment> attachments;
  std::string hostname;  // for the Message-ID
};

// An error names the header that is none. `boundary` is a word that stands in no part: random.
[[nodiscard]] base::Result<std::string> write_message(const NewMessage& message, base::WallTime now,
                                                      std::string_view boundary);

// RFC 4648 §4 in lines of 76 characters with CRLF (RFC 2045 §6.8).
void append_base64_lines(std::string& out, std::string_view octets);

// As it may stand in a header: plain, or as encoded words (RFC 2047), folded.
[[nodiscard]] std::string encode_header_text(std::string_view text);

}  // namespace rockdove::cli
