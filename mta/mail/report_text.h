// The part of a delivery report that a person reads. Used by report.cc only.
#pragma once

#include <string>
#include <string_view>

#include "mta/mail/report.h"

namespace rockdove::mail {

enum class Charset : std::uint8_t { Ascii, Utf8 };

// What a stranger wrote, made fit for a header field or a line of text: printable characters with
// single blanks; everything else became "?" or a blank. At most `octets_max`, then "...".
[[nodiscard]] std::string tamed(std::string_view text, std::size_t octets_max,
                                Charset charset = Charset::Ascii);

// An address with all its blanks, but without any octet that could end a line.
[[nodiscard]] std::string shown_address(const Address& address, Charset charset);

// Appends `text` in lines of at most 78 octets, broken at blanks, each line but the first begun
// with `indent`; a word that is longer than `word_octets_max` is cut in pieces. No line end at the
// end. `column` is how much of the first line is written already.
struct Wrapping {
  std::size_t column = 0;
  std::string_view indent;
  std::size_t word_octets_max = 900;
};

void append_wrapped(std::string& out, std::string_view text, const Wrapping& wrapping);

// "Not delivered: your message to bob@example.net". UTF-8 where the address has it.
[[nodiscard]] std::string report_subject(const Report& report);

// All of the first part, in lines that end in CRLF; UTF-8 where an address, the subject or a
// server's words have it.
[[nodiscard]] std::string report_text(const Report& report);

}  // namespace rockdove::mail
