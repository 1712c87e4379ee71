// What the names of accounts (queue::AccountSpec) say. An account is what shares a sending budget:
// "provider:NAME", or its only site, "mx:HOSTS" or "route:NAME"; with " from ADDRESS" behind it
// where it is that of one of our source addresses.
#pragma once

#include <string>
#include <string_view>

namespace rockdove::queue {

// "yahoo" of "provider:yahoo from 192.0.2.10"; "": no provider.
[[nodiscard]] std::string_view provider_of_account(std::string_view account);
// "192.0.2.10" likewise; "": of no source.
[[nodiscard]] std::string_view source_of_account(std::string_view account);
// "provider:yahoo" likewise.
[[nodiscard]] std::string_view without_source(std::string_view account);

[[nodiscard]] std::string account_of_provider(std::string_view provider);
// `source` is the text of an address.
[[nodiscard]] std::string account_from(std::string_view account, std::string_view source);

}  // namespace rockdove::queue
