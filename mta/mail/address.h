// Mail addresses as SMTP carries them: RFC 5321 §4.1.2 (Mailbox, Path) and §4.1.3 (address
// literals), with the limits of §4.5.3.1, and with UTF-8 as RFC 6531 §3.3 allows it: whether a peer
// may send or take that is for the session to judge. Strict: no comments, no folding white space,
// no obsolete forms; those belong to header fields (RFC 5322), which are another grammar.
//
// An address is kept in one normal form, so that two ways to write the same mailbox are equal and
// what is stored can be sent as it is.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "mta/base/ip_address.h"
#include "mta/base/result.h"

namespace rockdove::mail {

inline constexpr std::size_t kLocalPartOctetsMax = 64;  // RFC 5321 §4.5.3.1.1, quotes included
inline constexpr std::size_t kDomainOctetsMax = 255;    // RFC 5321 §4.5.3.1.2
inline constexpr std::size_t kDomainLabelOctetsMax = 63;
inline constexpr std::size_t kPathOctetsMax = 256;  // RFC 5321 §4.5.3.1.3, with "<" and ">"

struct Address {
  // In the form that goes on the wire: a dot-string where one will do, else a quoted string with as
  // few backslashes as it needs. Its case is kept: only the domain's owner knows what it means.
  // ASCII, or UTF-8 as it came: no two spellings of one text are made equal.
  std::string local;
  // Lower case, in A-labels (idna.h), so always ASCII; an address literal as "[192.0.2.1]" or
  // "[IPv6:2001:db8::1]". Empty: an address without a domain (<postmaster>, or root from local
  // submission).
  std::string domain;

  // The null sender, <>. (The empty local part of a real address is written "" with its quotes.)
  [[nodiscard]] bool is_null() const { return local.empty(); }

  // Domains are compared without regard to case, because they are kept in lower case; local parts
  // octet by octet (RFC 5321 §2.4).
  auto operator<=>(const Address&) const = default;
};

// "user@example.net"; without a domain "user"; of the null sender "". Without angle brackets.
[[nodiscard]] std::string format_address(const Address& address);
void append_address(std::string& text, const Address& address);

// Whether its local part is not ASCII, so that it travels only with SMTPUTF8 (RFC 6531).
[[nodiscard]] bool is_unicode(const Address& address);

// Whether `address` is "postmaster", in any case (RFC 5321 §4.5.1), at whatever domain.
[[nodiscard]] bool is_postmaster(const Address& address);

// local@domain and nothing else. Errors are fit for a reply: printable ASCII, without the address.
[[nodiscard]] base::Result<Address> parse_mailbox(std::string_view text);

// local@domain, or a bare local part, as in aliases and on the command line of sendmail.
[[nodiscard]] base::Result<Address> parse_mailbox_or_local_part(std::string_view text);

enum class PathKind : std::uint8_t {
  Reverse,  // of MAIL FROM: may be <>, must otherwise have a domain
  Forward,  // of RCPT TO: may be <postmaster>, may not be <>
};

struct Path {
  Address address;        // a source route has been dropped (RFC 5321 §4.1.1.3, appendix C)
  std::string_view rest;  // what follows ">", a view into the text that was parsed
};

// "<user@example.net>", "<>", "<Postmaster>", "<@a.example,@b.example:user@example.net>" at the
// start of `text`; a ">" within a quoted local part ends nothing.
[[nodiscard]] base::Result<Path> parse_path(std::string_view text, PathKind kind);

// Labels of 1 to 63 letters, digits and inner hyphens, with single dots between them; 1 to 255
// octets, no dot at the end. A name that is all digits is one too (RFC 5321 §2.3.5 leaves it to
// DNS).
[[nodiscard]] bool is_valid_domain(std::string_view domain);

// Reads "[192.0.2.1]" and "[IPv6:2001:db8::1]"; nullopt for all else, so also for names.
[[nodiscard]] std::optional<base::IpAddress> parse_address_literal(std::string_view domain);
// "[192.0.2.1]", "[IPv6:2001:db8::1]". An IPv4-mapped address is written as the IPv4 one it means.
[[nodiscard]] std::string format_address_literal(const base::IpAddress& address);

}  // namespace rockdove::mail

template <>
struct std::hash<rockdove::mail::Address> {
  std::size_t operator()(const rockdove::mail::Address& address) const noexcept {
    const std::hash<std::string_view> hash_text;
    return hash_text(address.local) * 31 + hash_text(address.domain);
  }
};
