#include "dns/answers.h"

#include <algorithm>

#include "mta/base/text.h"

namespace rockdove::dns {
namespace {

constexpr std::size_t kLabelOctetsMax = 63;  // RFC 1035 §2.3.4

bool is_host_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

bool is_question_character(char c) {
  return c >= ' ' && c <= '~' && c != '\\';
}

template <typename IsLabelCharacter>
std::optional<std::string> normalised(std::string_view name, IsLabelCharacter is_label_character) {
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty() || name.size() > kNameOctetsMax) return std::nullopt;
  std::string normal = base::lower_case(name);
  std::size_t label_octets = 0;
  for (const char c : normal) {
    if (c == '.') {
      if (label_octets == 0) return std::nullopt;
      label_octets = 0;
      continue;
    }
    if (!is_label_character(c) || ++label_octets > kLabelOctetsMax) return std::nullopt;
  }
  if (label_octets == 0) return std::nullopt;
  return normal;
}

}  // namespace

std::string_view name_of(RecordType type) {
  switch (type) {
    case RecordType::A:
      return "A";
    case RecordType::AAAA:
      return "AAAA";
    case RecordType::MX:
      return "MX";
    case RecordType::TXT:
      return "TXT";
    case RecordType::PTR:
      return "PTR";
  }
  return "";
}

std::string_view name_of(Status status) {
  switch (status) {
    case Status::Ok:
      return "ok";
    case Status::NoData:
      return "no such record";
    case Status::NxDomain:
      return "no such domain";
    case Status::ServerFailure:
      return "server failure";
    case Status::TimedOut:
      return "timed out";
    case Status::BadName:
      return "not a domain name";
  }
  return "";
}

bool is_temporary(Status status) {
  return status == Status::ServerFailure || status == Status::TimedOut;
}

std::size_t Answer::memory() const {
  std::size_t octets = sizeof(Answer) + detail.capacity();
  octets += addresses.capacity() * sizeof(base::IpAddress);
  octets += exchanges.capacity() * sizeof(MailExchange);
  for (const MailExchange& exchange : exchanges) octets += exchange.exchange.capacity();
  for (const std::string& text : texts) octets += sizeof(text) + text.capacity();
  for (const std::string& name : names) octets += sizeof(name) + name.capacity();
  return octets;
}

std::optional<std::string> normalised_name(std::string_view name) {
  return normalised(name, is_host_character);
}

std::optional<std::string> question_name(std::string_view name) {
  return normalised(name, is_question_character);
}

std::string reverse_name(const base::IpAddress& address) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string name;
  if (address.is_v4()) {
    for (std::size_t i = 4; i-- > 0;) name += std::to_string(address.octets()[i]) + '.';
    return name + "in-addr.arpa";
  }
  for (std::size_t i = 16; i-- > 0;) {
    const unsigned octet = address.octets()[i];
    name += kDigits[octet & 0xf];
    name += '.';
    name += kDigits[octet >> 4];
    name += '.';
  }
  return name + "ip6.arpa";
}

}  // namespace rockdove::dns
