// From a mail domain to the hosts that take its mail, in the order in which to try them (RFC 5321
// §5.1, null MX of RFC 7505), and from a smarthost's name to its addresses.
//
// Sans-IO: asks through a Resolver, so a table can stand in for the DNS.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dns/hosts_file.h"
#include "dns/resolver.h"
#include "mta/base/ip_address.h"
#include "mta/base/random.h"
#include "mta/base/time.h"
#include "mta/base/unique_function.h"

namespace rockdove::dns {

inline constexpr std::size_t kHostsMax = 20;             // of a domain; the best ones are kept
inline constexpr std::size_t kAddressesPerHostMax = 10;  // both families together
inline constexpr std::size_t kSiteOctetsMax = 100;

// Which addresses the caller can use.
enum class Families : std::uint8_t { Both, V4Only, V6Only };

struct Host {
  std::string name;              // lower-cased, no final dot; for a literal "[192.0.2.1]"
  std::uint16_t preference = 0;  // 0 where no MX record stands behind it
  // At least one. The families take turns, IPv6 first: a machine whose IPv6 goes nowhere then loses
  // one connect time-out before it tries IPv4, however many AAAA records there are (RFC 8305 §4).
  std::vector<base::IpAddress> addresses;
};

struct MailHosts {
  enum class Status : std::uint8_t {
    Found,         // `hosts` has at least one
    NoSuchDomain,  // permanent: no such name, or neither MX nor address records (5.1.2)
    NoUsableHost,  // permanent: there are MX records, but no host of them has an address (5.4.4)
    NullMx,        // permanent: the domain says that it takes no mail (5.1.10, RFC 7505)
    Loop,          // permanent: the best host is ourselves (5.4.6)
    BadDomain,     // permanent: not a domain name or address literal (5.1.2)
    TemporaryFailure,  // the DNS could not tell: try again later (4.4.3)
  };

  Status status = Status::TemporaryFailure;
  std::vector<Host> hosts;  // in the order of trying; empty unless Found
  // A stable name of the set of MX hosts, for limits a site, as name_of_hosts() makes it. Hosts
  // without an address count too, so that it does not change with a failing server. Empty unless
  // Found.
  std::string site;
  base::Duration ttl{0};  // how long this may be kept; zero for a temporary failure
  // What was found in plain words, without a final full stop, for bounces and `queue why`. Empty
  // when Found.
  std::string detail;
};

// MailHosts::site of a set of MX hosts: their names, sorted and joined with commas; above
// kSiteOctetsMax cut and closed with a hash. The same on every machine and in every run.
[[nodiscard]] std::string name_of_hosts(std::vector<std::string> names);

// Everything but Found and TemporaryFailure.
[[nodiscard]] bool is_permanent(MailHosts::Status status);

struct MailHostOptions {
  Families families = Families::Both;
  std::uint16_t port = 25;  // where the mail would go; decides whether an own address is a loop
  // How to know ourselves among the MX hosts: a host of one of these names (lower-cased), or with
  // the address and port of one of our listeners. An unspecified listener address means loopback
  // here; give the interfaces' addresses as well.
  std::vector<std::string> own_names;
  std::vector<base::SocketAddress> own_listeners;
};

using MailHostsDone = base::UniqueFunction<void(MailHosts)>;

// `domain` is what stands right of the @ in an address, or an address literal, which is taken as it
// is without a question. `done` runs exactly once. For a literal or what is no domain it runs
// within this call, else never within it. `resolver` and `random` must live until then; when the
// resolver is destroyed first, `done` is dropped.
void look_up_mail_hosts(Resolver& resolver, base::Random& random, std::string_view domain,
                        MailHostOptions options, MailHostsDone done);

// The same for a host that a person named: an address, a literal in brackets, or a name, which is
// looked up in `hosts_file`, then as A and AAAA. MX records are not asked for. Found has one host,
// and the site is its name. `hosts_file` is used within this call only; an answer from it comes
// within this call too. NoSuchDomain, TemporaryFailure and BadDomain are the other ends.
void resolve_host(Resolver& resolver, const HostsFile& hosts_file, std::string_view name,
                  Families families, MailHostsDone done);

}  // namespace rockdove::dns
