// The daemon's lines (JSON objects) as text for people: what is missing is empty, so that an older
// or newer daemon is no error, and what strangers wrote is safe for a terminal (safe_text.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "mta/base/time.h"

namespace rockdove::cli {

// One line on standard output; what is no UTF-8 becomes "\uFFFD".
void print_line(const nlohmann::ordered_json& json);

// An empty object when the line is none.
[[nodiscard]] nlohmann::ordered_json parsed_line(std::string_view line);
[[nodiscard]] std::string text_of(const nlohmann::ordered_json& json, const char* name);
[[nodiscard]] std::uint64_t number_of(const nlohmann::ordered_json& json, const char* name);
[[nodiscard]] nlohmann::ordered_json list_of(const nlohmann::ordered_json& json, const char* name);

// The seconds of "2026-11-21T20:46:05.123Z" since 1970; 0 when it is none.
[[nodiscard]] std::uint64_t unix_seconds_of(const std::string& timestamp);
// "1m40s": how long ago.
[[nodiscard]] std::string age(std::uint64_t unix_seconds, base::WallTime now);
// "2026-11-22 21:15:04", where this machine is.
[[nodiscard]] std::string local_time(std::uint64_t unix_seconds);
// The same of a timestamp that stands under this name; what is none, as it is.
[[nodiscard]] std::string local_time_of(const nlohmann::ordered_json& json, const char* name);
// At most so many octets, the last three of what is longer "...".
[[nodiscard]] std::string cut(std::string text, std::size_t columns);

}  // namespace rockdove::cli
