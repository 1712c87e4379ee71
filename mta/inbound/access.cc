#include "mta/inbound/access.h"

#include <algorithm>

#include "mta/base/text.h"

namespace rockdove::inbound {
namespace {

// nullopt: it is in no alias.
std::optional<std::vector<std::string>> local_addresses(const InboundSettings& settings,
                                                        const mail::Address& address) {
  const auto alias = settings.local.aliases.find(base::lower_case(address.local));
  if (alias != settings.local.aliases.end()) return alias->second;
  // RFC 5321 §4.5.1: every server takes mail for its postmaster, whatever else it takes.
  if (mail::is_postmaster(address) && !settings.postmaster.empty())
    return std::vector{settings.postmaster};
  return std::nullopt;
}

NotTaken no_such_user(const InboundSettings& settings, const mail::Address& address) {
  if (mail::is_postmaster(address)) {
    return {smtp::make_reply(
        550, "5.1.1", "this server has no postmaster yet: set `postmaster` in its configuration")};
  }
  return {smtp::make_reply(550, "5.1.1", "no such user here at " + settings.hostname)};
}

// "user%other.example" and its kin: a next hop that trusts us may read them as a way to another
// domain, so that a stranger would relay through both of us.
// The wide and small forms of these are them after a normalisation (NFKC) of the next hop's.
bool has_routing(const mail::Address& address) {
  constexpr std::string_view kWide[] = {"\uff05", "\uff01", "\uff20", "\ufe6a", "\ufe57", "\ufe6b"};
  if (address.local.find_first_of("%!@") != std::string::npos) return true;
  return is_unicode(address) &&
         std::any_of(std::begin(kWide), std::end(kWide), [&address](std::string_view wide) {
           return address.local.find(wide) != std::string::npos;
         });
}

RecipientDecision decide_relay_domain(const InboundSettings& settings,
                                      const mail::Address& recipient) {
  std::string address = mail::format_address(recipient);
  const bool is_listed = settings.relay.check == RecipientCheck::File &&
                         settings.relay.recipients.contains(base::lower_case(address));
  if (has_routing(recipient) && !is_listed) {
    return NotTaken{smtp::make_reply(
        550, "5.7.1", "relaying denied: no routes within the local part (%, ! or @), please")};
  }
  switch (settings.relay.check) {
    case RecipientCheck::Any:
      return Taken{{std::move(address)}};
    case RecipientCheck::Ask:
      // RFC 5321 §4.5.1: postmaster of a domain that we take mail for is not up for discussion.
      if (mail::is_postmaster(recipient)) return Taken{{std::move(address)}};
      return AskNextHop{std::move(address)};
    case RecipientCheck::File: {
      const bool is_known = is_listed || mail::is_postmaster(recipient) ||
                            settings.relay.recipients.contains("@" + recipient.domain);
      if (is_known) return Taken{{std::move(address)}};
      return NotTaken{smtp::make_reply(550, "5.1.1", "no such user in this domain")};
    }
  }
  MTA_ASSERT(false);
}

}  // namespace

bool is_local(const InboundSettings& settings, const mail::Address& address) {
  return address.domain.empty() || settings.local.domains.contains(address.domain);
}

bool may_relay(const ListenerSettings& listener, const base::IpAddress& client) {
  return std::any_of(
      listener.relay_from.begin(), listener.relay_from.end(),
      [&client](const base::IpNetwork& network) { return network.contains(client); });
}

bool takes_logins(const InboundSettings& settings) {
  return std::any_of(
      settings.listeners.begin(), settings.listeners.end(),
      [](const ListenerSettings& listener) { return listener.auth != ListenerAuth::Off; });
}

RecipientDecision decide_recipient(const InboundSettings& settings, const mail::Address& recipient,
                                   bool client_may_relay) {
  if (is_local(settings, recipient)) {
    std::optional<std::vector<std::string>> addresses = local_addresses(settings, recipient);
    if (!addresses) return no_such_user(settings, recipient);
    return Taken{std::move(*addresses)};
  }
  if (client_may_relay) return Taken{{mail::format_address(recipient)}};
  if (settings.relay.domains.contains(recipient.domain))
    return decide_relay_domain(settings, recipient);
  return NotTaken{smtp::make_reply(
      550, "5.7.1", "relaying denied: this server does not send mail to other domains for you")};
}

std::vector<std::string> expand_address(const InboundSettings& settings, std::string_view text) {
  const base::Result<mail::Address> address = mail::parse_mailbox_or_local_part(text);
  if (!address || !is_local(settings, *address)) return {std::string(text)};
  return local_addresses(settings, *address).value_or(std::vector<std::string>{});
}

}  // namespace rockdove::inbound
