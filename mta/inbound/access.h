// Who may send what where: the one place that decides whether a recipient is taken. Pure.
//
// Everything that is not allowed by a rule is refused (RFC 5321 §3.6.2: relaying is a choice):
// clients of `relay_from` may send anywhere; anybody may send to our local domains and to
// relay.domains, though not by way of them ("user%other@ours").
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mta/inbound/settings.h"
#include "mta/mail/address.h"
#include "mta/smtp/reply.h"

namespace rockdove::inbound {

// Taken: the mail goes to these addresses (an alias may have several; without <>).
struct Taken {
  std::vector<std::string> addresses;
};

// Taken if the next hop knows this recipient.
struct AskNextHop {
  std::string address;
};

struct NotTaken {
  smtp::Reply reply;
};

using RecipientDecision = std::variant<Taken, AskNextHop, NotTaken>;

[[nodiscard]] bool may_relay(const ListenerSettings& listener, const base::IpAddress& client);

// Whether anybody can log in by one of the listeners.
[[nodiscard]] bool takes_logins(const InboundSettings& settings);

[[nodiscard]] RecipientDecision decide_recipient(const InboundSettings& settings,
                                                 const mail::Address& recipient,
                                                 bool client_may_relay);

// Whether it is an address of this machine: without a domain, or at one of [local]'s.
[[nodiscard]] bool is_local(const InboundSettings& settings, const mail::Address& address);

// The addresses that mail for `address` goes to, when we send it ourselves (reports): itself, or,
// for a local one, what it is an alias for. Empty: a local address that nobody has.
[[nodiscard]] std::vector<std::string> expand_address(const InboundSettings& settings,
                                                      std::string_view address);

}  // namespace rockdove::inbound
