// The text of an SPF record (RFC 7208 §4.5, §4.6 and §12), read term by term and strictly: what the
// grammar does not allow is a mistake, and the reader says which and where.
//
// It keeps nothing but its place, so that a record of 64 kB costs no memory; a record is read once
// to the end, since a mistake anywhere spoils it (RFC 7208 §4.6), and then again to be judged.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "mta/base/ip_address.h"

namespace rockdove::policy {

enum class SpfQualifier : std::uint8_t { Pass, Fail, SoftFail, Neutral };  // + - ~ ?

enum class SpfTermKind : std::uint8_t {
  All,
  Include,
  A,
  Mx,
  Ptr,
  Ip4,
  Ip6,
  Exists,
  Redirect,
  Explanation,     // exp=
  UnknownModifier  // ignored, but its value must be a macro-string (RFC 7208 §6)
};

// Whether the term counts among the ten that cause look-ups (RFC 7208 §4.6.4).
[[nodiscard]] bool causes_lookup(SpfTermKind kind);

// Views into the record.
struct SpfTerm {
  SpfTermKind kind = SpfTermKind::All;
  SpfQualifier qualifier = SpfQualifier::Pass;
  std::string_view text;     // as it is written, with the qualifier
  std::size_t position = 0;  // of its first octet in the record, from 0
  std::string_view domain;   // the domain-spec, unexpanded; empty: the record's own domain
  std::array<std::uint8_t, 16> network{};  // Ip4 (the first four) and Ip6, in network order
  unsigned bits4 = 32;                     // of A, Mx and Ip4
  unsigned bits6 = 128;                    // of A, Mx and Ip6
};

struct SpfProblem {
  std::string_view term;     // as it is written
  std::size_t position = 0;  // of the octet that is wrong, from 0
  std::string what;          // for a person, without a full stop
};

struct SpfRecordEnd {};

// Whether a TXT record is one of SPF: "v=spf1" in any case, then a space or the end.
[[nodiscard]] bool is_spf_record(std::string_view text);

class SpfRecordReader {
 public:
  // `record` is one of SPF, and outlives this and the terms.
  explicit SpfRecordReader(std::string_view record);

  // After a problem or the end, only the end comes.
  [[nodiscard]] std::variant<SpfTerm, SpfProblem, SpfRecordEnd> next();

 private:
  std::string_view record_;
  std::size_t at_;
  bool has_redirect_ = false;
  bool has_explanation_ = false;
};

// The record's modifiers, when all of it is right. Empty: there is none.
struct SpfRecordModifiers {
  std::string_view redirect;     // a domain-spec
  std::string_view explanation;  // a domain-spec
};

[[nodiscard]] std::variant<SpfRecordModifiers, SpfProblem> check_spf_record(
    std::string_view record);

// Whether `address` lies in the network of the first `bits` of `network`. An IPv4 address lies in
// no network of IPv6, also when it was written as ::ffff:192.0.2.1 (RFC 7208 §5).
[[nodiscard]] bool is_in_network(const base::IpAddress& address, base::IpAddress::Family family,
                                 const std::array<std::uint8_t, 16>& network, unsigned bits);

}  // namespace rockdove::policy
