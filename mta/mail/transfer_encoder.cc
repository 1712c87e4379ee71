#include "mta/mail/transfer_encoder.h"

#include <algorithm>

#include "mta/base/base64.h"

namespace rockdove::mail {
namespace {

constexpr std::string_view kHexDigits = "0123456789ABCDEF";
constexpr std::size_t kQuotedColumnsMax = 75;  // and the "=" of a soft line break
constexpr std::size_t kBase64LineOctets = 57;  // 76 characters

}  // namespace

void TransferEncoder::write(std::string_view octets, std::string& out) {
  switch (form_) {
    case Form::QuotedPrintable:
      return quote(octets, out);
    case Form::Base64:
      return write_base64(octets, out);
  }
}

void TransferEncoder::finish(std::string& out) {
  if (blank_ != 0) quote_octet(blank_, out);
  blank_ = 0;
  if (!rest_.empty()) write_base64_line(rest_, out);
  rest_.clear();
}

void TransferEncoder::quote(std::string_view octets, std::string& out) {
  for (std::size_t i = 0; i < octets.size(); ++i) {
    const char octet = octets[i];
    if (octet == '\r' && i + 1 < octets.size() && octets[i + 1] == '\n') {
      ++i;
      if (blank_ != 0) quote_octet(blank_, out);  // RFC 2045 §6.7 (3)
      blank_ = 0;
      out += "\r\n";
      column_ = 0;
      is_continued_ = false;
      continue;
    }
    release_blank(out);
    if (octet == ' ' || octet == '\t') {
      blank_ = octet;
      continue;
    }
    make_room(1, out);
    // After a soft line break the text must not look like a boundary's line.
    const bool is_hidden = octet == '-' && column_ == 0 && is_continued_;
    if (octet > ' ' && octet <= '~' && octet != '=' && !is_hidden) {
      out += octet;
      ++column_;
    } else {
      quote_octet(octet, out);
    }
  }
}

void TransferEncoder::release_blank(std::string& out) {
  if (blank_ == 0) return;
  make_room(1, out);
  out += blank_;
  ++column_;
  blank_ = 0;
}

void TransferEncoder::quote_octet(char octet, std::string& out) {
  make_room(3, out);
  const auto value = static_cast<unsigned char>(octet);
  out += '=';
  out += kHexDigits[value >> 4];
  out += kHexDigits[value & 15];
  column_ += 3;
}

void TransferEncoder::make_room(std::size_t characters, std::string& out) {
  if (column_ + characters <= kQuotedColumnsMax) return;
  out += "=\r\n";
  column_ = 0;
  is_continued_ = true;
}

void TransferEncoder::write_base64(std::string_view octets, std::string& out) {
  if (!rest_.empty()) {
    const std::size_t missing = std::min(kBase64LineOctets - rest_.size(), octets.size());
    rest_.append(octets.substr(0, missing));
    octets.remove_prefix(missing);
    if (rest_.size() < kBase64LineOctets) return;
    write_base64_line(rest_, out);
    rest_.clear();
  }
  for (; octets.size() >= kBase64LineOctets; octets.remove_prefix(kBase64LineOctets))
    write_base64_line(octets.substr(0, kBase64LineOctets), out);
  rest_.append(octets);
}

void TransferEncoder::write_base64_line(std::string_view octets, std::string& out) {
  if (column_ > 0) out += "\r\n";
  base::append_base64(out, octets);
  column_ = kBase64LineOctets;
}

}  // namespace rockdove::mail
