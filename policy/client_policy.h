// What an operator decides about clients that are strangers: lists that allow or block, DNS lists
// with weights, and whether names and addresses must fit together ([policy] in product.md). An
// immutable value once in use; a reload, or a list's file that has changed, brings another one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "mta/base/ip_address.h"
#include "policy/address_lists.h"
#include "policy/check_mode.h"

namespace rockdove::policy {

inline constexpr std::size_t kDnsListsMax = 20;

// A list that is asked over the DNS (RFC 5782): it lists addresses, or domains.
struct DnsList {
  enum class Of : std::uint8_t {
    Client,  // the client's address, reversed
    Sender,  // the domain of MAIL FROM
    Helo,    // the name of HELO
  };

  std::string zone;                      // "zen.example"
  int weight = 0;                        // below zero: who is listed is vouched for (a DNSWL)
  std::vector<base::IpNetwork> answers;  // that count; empty: all of 127.0.0.0/8
  // For the sender: %a the address, %d the domain that was looked up, %z the zone, %% a percent
  // sign. Empty: the list's own words (its TXT record).
  std::string text;
  Of of = Of::Client;
};

// The part that [[policy.for]] may say otherwise for some listeners and networks.
struct ClientModes {
  CheckMode helo = CheckMode::Check;
  CheckMode iprev = CheckMode::Check;
  CheckMode dnsbl = CheckMode::Enforce;  // of DNSBL and DNSWL alike
};

struct ClientPolicy {
  AddressLists allow;
  AddressLists block;
  AddressLists dmarc_exempt;       // used where DMARC is judged
  std::vector<DnsList> dns_lists;  // at most kDnsListsMax, in the order of the file
  int refuse_at = 5;               // weights that add up to this refuse
  std::string contact;  // ends each refusal; printable ASCII; empty: nothing
  // Who a stranger is not: names in lower case, and addresses.
  std::vector<std::string> own_names;
  std::vector<base::IpAddress> own_addresses;
  // Of the configuration that it belongs to: lists that were read for another one are dropped.
  std::uint64_t generation = 0;
};

using ClientPolicyPointer = std::shared_ptr<const ClientPolicy>;

}  // namespace rockdove::policy
