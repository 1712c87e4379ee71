// What a ServerSession says in more than one place. Used by its own files alone.
#pragma once

#include <cstdint>
#include <string>

#include "mta/smtp/server_session.h"

namespace rockdove::smtp {

void append_number(std::string& text, std::uint64_t number);

// Why content that ended like this (not Dot) is not taken.
[[nodiscard]] Reply refusal_of(BodyEnd how, const ServerLimits& limits);

// 530, to what a client may not say before STARTTLS (RFC 3207 §4).
[[nodiscard]] Reply start_tls_first();

}  // namespace rockdove::smtp
