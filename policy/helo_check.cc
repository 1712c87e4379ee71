#include "policy/helo_check.h"

#include <algorithm>

#include "dns/answers.h"
#include "mta/mail/address.h"
#include "policy/shown_text.h"

namespace rockdove::policy {
namespace {

using base::IpAddress;

bool is_own_address(const ClientPolicy& policy, const IpAddress& address) {
  return std::find(policy.own_addresses.begin(), policy.own_addresses.end(), address) !=
         policy.own_addresses.end();
}

HeloFinding wrong(const ClientFacts& facts, std::string_view why) {
  return {true, "your server calls itself \"" + shown_text(facts.helo) + "\"" + std::string(why)};
}

HeloFinding judge_literal(const ClientPolicy& policy, const ClientFacts& facts) {
  const std::optional<IpAddress> address = mail::parse_address_literal(facts.helo);
  if (!address) {
    return wrong(facts,
                 ", which is no address: one is written as [192.0.2.1] or [IPv6:2001:db8::1]");
  }
  if (*address == facts.client) return {false, shown_text(facts.helo) + " is its address"};
  if (is_own_address(policy, *address)) return wrong(facts, ", which is our address");
  return wrong(facts, ", but its address is " + base::format_ip_address(facts.client));
}

// RFC 5321 §2.3.5: a name that can be resolved. That it leads to the client is not asked for
// (§4.1.4); only a name that does not exist at all is nobody's.
std::optional<HeloFinding> judge_existence(const ClientFacts& facts, const std::string& name,
                                           RecordedDns& dns) {
  const dns::Answer* four = dns.find(name, dns::RecordType::A);
  if (four == nullptr) return std::nullopt;
  if (four->status == dns::Status::Ok || four->status == dns::Status::NoData)
    return HeloFinding{false, name + " exists"};
  // Some servers say of a name that it does not exist when it has no record of this type.
  const dns::Answer* six = dns.find(name, dns::RecordType::AAAA);
  const dns::Answer* mx = dns.find(name, dns::RecordType::MX);
  if (six == nullptr || mx == nullptr) return std::nullopt;
  for (const dns::Answer* answer : {six, mx}) {
    if (answer->status == dns::Status::Ok || answer->status == dns::Status::NoData)
      return HeloFinding{false, name + " exists"};
  }
  for (const dns::Answer* answer : {four, six, mx}) {
    if (dns::is_temporary(answer->status)) {
      return HeloFinding{
          false, name + " could not be looked up: " + std::string(dns::name_of(answer->status))};
    }
  }
  return wrong(facts,
               ", and there is no such name in the DNS; let it say a name that has an A or AAAA "
               "record");
}

}  // namespace

std::optional<HeloFinding> check_helo(const ClientPolicy& policy, const ClientFacts& facts,
                                      RecordedDns& dns) {
  const bool is_ourselves = facts.client.is_loopback() || is_own_address(policy, facts.client);
  if (facts.helo.starts_with('[')) {
    if (is_ourselves && mail::parse_address_literal(facts.helo))
      return HeloFinding{false, shown_text(facts.helo) + " is an address of this machine"};
    return judge_literal(policy, facts);
  }
  if (base::parse_ip_address(facts.helo)) {
    return wrong(facts, ": an address stands in brackets, as [192.0.2.1] or [IPv6:2001:db8::1]");
  }
  const std::optional<std::string> name = dns::normalised_name(facts.helo);
  if (!name) {
    return wrong(facts, ", which is no host name; let it say its full name, as mail.example.net");
  }
  if (std::find(policy.own_names.begin(), policy.own_names.end(), *name) !=
      policy.own_names.end()) {
    if (is_ourselves) return HeloFinding{false, *name + " is this machine"};
    return wrong(facts, ", which is our name");
  }
  if (name->find('.') == std::string::npos) {
    return wrong(facts,
                 ", which is no full host name; let it say its domain, too, as mail.example.net");
  }
  return judge_existence(facts, *name, dns);
}

}  // namespace rockdove::policy
