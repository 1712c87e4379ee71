#include "mta/mail/idna.h"

#include <algorithm>
#include <cstdint>
#include <idn2.h>
#include <memory>

#include "mta/base/text.h"
#include "mta/base/utf8.h"
#include "mta/mail/address.h"

namespace rockdove::mail {
namespace {

struct Free {
  void operator()(std::uint8_t* memory) const { idn2_free(memory); }
};

}  // namespace

base::Result<std::string> to_ascii_domain(std::string_view domain) {
  if (base::is_ascii(domain)) {
    if (!is_valid_domain(domain)) return base::Error("the domain is not well formed");
    return base::lower_case(domain);
  }
  if (domain.size() > kUnicodeDomainOctetsMax) return base::Error("the domain is too long");
  if (!base::is_utf8(domain)) return base::Error("the domain is not UTF-8");
  // Of libidn2's own rules for these (STD3) nothing is heard: it drops such characters, and those
  // that would be mapped to them, so that another name comes out.
  const auto is_foreign = [](char c) {
    const char lowered = base::to_lower(c);
    return static_cast<unsigned char>(c) < 128 && !(lowered >= 'a' && lowered <= 'z') &&
           !(c >= '0' && c <= '9') && c != '-' && c != '.';
  };
  if (std::any_of(domain.begin(), domain.end(), is_foreign))
    return base::Error("the domain has a character that no domain may have");
  const std::string text(domain);
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): octets are octets
  const auto* octets = reinterpret_cast<const std::uint8_t*>(text.c_str());
  std::uint8_t* result = nullptr;
  const int status = idn2_lookup_u8(octets, &result, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
  const std::unique_ptr<std::uint8_t, Free> owner(result);
  if (status != IDN2_OK) {
    return base::Error(std::string("the domain is no internationalised domain name: ") +
                       idn2_strerror(status));
  }
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): likewise
  std::string ascii = base::lower_case(reinterpret_cast<const char*>(result));
  if (!is_valid_domain(ascii)) return base::Error("the domain is not well formed");
  return ascii;
}

base::Result<std::string> to_ascii_pattern(std::string_view pattern) {
  const std::size_t begin = pattern.rfind('@') + 1;  // npos + 1 is 0: there is only a domain
  std::string_view rest = pattern.substr(begin);
  if (base::is_ascii(rest)) return std::string(pattern);
  if (rest.size() > kUnicodeDomainOctetsMax) return base::Error("the domain is too long");
  std::string text(pattern.substr(0, begin));
  while (true) {
    const std::size_t dot = rest.find('.');
    const std::string_view label = rest.substr(0, dot);
    if (base::is_ascii(label)) {
      text += base::lower_case(label);
    } else if (label.find('*') != std::string_view::npos) {
      return base::Error("a label of the domain has * beside letters that are not ASCII");
    } else {
      base::Result<std::string> ascii = to_ascii_domain(label);
      if (!ascii) return ascii;
      text += *ascii;
    }
    if (dot == std::string_view::npos) return text;
    text += '.';
    rest.remove_prefix(dot + 1);
  }
}

}  // namespace rockdove::mail
