// The content of one MIME part on its way into quoted-printable or base64 (RFC 2045 §6.7, §6.8), as
// a stream. For any cut of the same octets the text is the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace rockdove::mail {

class TransferEncoder {
 public:
  enum class Form : std::uint8_t { QuotedPrintable, Base64 };

  TransferEncoder() = default;

  explicit TransferEncoder(Form form) : form_(form) {}

  [[nodiscard]] Form form() const { return form_; }

  // Octets as they are, but CRLF may not be cut. Lines of the text have at most 76 characters.
  void write(std::string_view octets, std::string& out);
  // Writes what was kept back. The text ends without a CRLF, unless quoted-printable content ended
  // with one.
  void finish(std::string& out);

 private:
  void quote(std::string_view octets, std::string& out);
  void quote_octet(char octet, std::string& out);
  void make_room(std::size_t characters, std::string& out);
  void release_blank(std::string& out);
  void write_base64(std::string_view octets, std::string& out);
  void write_base64_line(std::string_view octets, std::string& out);

  Form form_ = Form::QuotedPrintable;
  std::size_t column_ = 0;
  bool is_continued_ = false;  // quoted-printable: this line began after a soft line break
  char blank_ = 0;             // a space or tab, kept back because it may be the line's last
  std::string rest_;           // base64: less than a line
};

}  // namespace rockdove::mail
