// What the DNS said, as values (RFC 1035, RFC 3596; RFC 2308 for the answers that say "no").
//
// An Answer is immutable once made and passed as shared_ptr<const Answer>, so it may cross threads.
// Names in it are lower-cased and have no final dot; the root is the empty name. Everything in it
// came from strangers: it is checked and bounded before it gets here, but it is not to be trusted.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mta/base/ip_address.h"
#include "mta/base/time.h"

namespace rockdove::dns {

inline constexpr std::size_t kRecordsMax = 100;           // kept of one answer; the rest is dropped
inline constexpr std::size_t kTextOctetsMax = 64 * 1024;  // of all texts of one answer together
inline constexpr std::size_t kNameOctetsMax = 253;        // without the final dot (RFC 1035 §3.1)

enum class RecordType : std::uint8_t { A, AAAA, MX, TXT, PTR };

// "A", "AAAA", "MX", "TXT", "PTR".
[[nodiscard]] std::string_view name_of(RecordType type);

enum class Status : std::uint8_t {
  Ok,             // there is at least one record
  NoData,         // the name exists, but has no record of this type
  NxDomain,       // the name does not exist, nor anything below it
  ServerFailure,  // SERVFAIL, REFUSED, or a reply that cannot be read: try again later
  TimedOut,       // no server answered in time: try again later
  BadName         // the name cannot stand in the DNS; nobody was asked
};

// "ok", "no such record", "no such domain", "server failure", "timed out", "not a domain name".
[[nodiscard]] std::string_view name_of(Status status);

// Whether asking again later may help: ServerFailure and TimedOut.
[[nodiscard]] bool is_temporary(Status status);

struct MailExchange {
  std::uint16_t preference = 0;  // lower ones are tried first
  std::string exchange;          // empty: the root, which with no other means "no mail" (RFC 7505)

  bool operator==(const MailExchange&) const = default;
};

struct Answer {
  Status status = Status::ServerFailure;
  // Of these only the one that belongs to the question's type is filled, and only with Status::Ok;
  // at most kRecordsMax each, in the order of the reply. CNAMEs have been followed.
  std::vector<base::IpAddress> addresses;  // A, AAAA
  std::vector<MailExchange> exchanges;     // MX
  std::vector<std::string> texts;          // TXT: the strings of one record joined, any octets
  std::vector<std::string> names;          // PTR
  // How long this holds from now on: the least TTL of the chain, or for NoData and NxDomain what
  // the SOA says (RFC 2308 §5). Zero for the failures.
  base::Duration ttl{0};
  // For failures: which question failed and why, in words for a person. Otherwise empty.
  std::string detail;

  // What it takes in memory, roughly, in octets.
  [[nodiscard]] std::size_t memory() const;
};

using AnswerPointer = std::shared_ptr<const Answer>;

// The name in the form that Resolver takes: lower-cased, without a final dot. nullopt when it
// cannot be a name in the DNS as mail uses it: empty, over 253 octets, an empty label or one over
// 63, or anything but letters, digits, hyphen and underscore (which DKIM and DMARC names have).
[[nodiscard]] std::optional<std::string> normalised_name(std::string_view name);

// The same for whatever may be asked for, which need not be a host (RFC 2181 §11; SPF's macros make
// such names): labels of printable ASCII and spaces, but no backslash. Resolver takes all of these;
// who looks for hosts uses the stricter one above.
[[nodiscard]] std::optional<std::string> question_name(std::string_view name);

// "4.3.2.1.in-addr.arpa", or nibbles below ip6.arpa (RFC 1035 §3.5, RFC 3596 §2.5).
[[nodiscard]] std::string reverse_name(const base::IpAddress& address);

}  // namespace rockdove::dns
