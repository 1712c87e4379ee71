// The words that `rockdove queue why` and `rockdove route` have in common: counts, pauses, what an
// attempt came to, and commands that a person copies into a shell. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "queue/pauses.h"
#include "queue/types.h"

namespace rockdove::admin {

// For a command that a person copies: a stranger's address may have anything in it.
[[nodiscard]] std::string shell_quoted(std::string_view text);

// "1 connection", "2 connections".
[[nodiscard]] std::string count_of(std::uint64_t count, std::string_view what);

// "route smarthost" for "route:smarthost", a domain as it is; of a site the hosts behind "mx:", of
// "provider:google" the name;
// of what a person has rerouted to a target, the target.
[[nodiscard]] std::string plain_name(std::string_view name);

// "uid 0 (root) has paused destination *.example.net (the hosts move)".
[[nodiscard]] std::string describe_pause(const queue::Pause& pause);
// The command that ends it.
[[nodiscard]] std::string resume_command(const queue::Pause& pause);

// What the last attempt was told: `mx.example.net[192.0.2.1]:25 answered "451 4.3.2 later"`, or our
// own words where no peer said anything: "… could not be reached: connection refused".
[[nodiscard]] std::string last_words(const queue::LastAttempt& last);
// The same in whole sentences, with what kind of failure that is (queue/reason.h).
[[nodiscard]] std::string attempt_text(const queue::Delivery& delivery);

}  // namespace rockdove::admin
