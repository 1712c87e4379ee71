// The lines of admin/queue_text.h as tables for people: at most kColumnsMax wide, ages and sizes in
// plain units, and no octet of a stranger's that a terminal would obey.
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "mta/base/time.h"

namespace rockdove::cli {

inline constexpr std::size_t kColumnsMax = 96;

[[nodiscard]] std::string list_header();
// One message with its recipients and why they wait; several lines, each with its end.
[[nodiscard]] std::string list_entry(std::string_view line, base::WallTime now);
// `by` is the key that the lines are about, as "destination". Ages as qshape has them: how many
// came up to so many minutes ago, and before.
enum class Ages : std::uint8_t { Hidden, Shown };
[[nodiscard]] std::string summary_header(std::string_view by, Ages ages);
[[nodiscard]] std::string summary_entry(std::string_view line, std::string_view by, Ages ages,
                                        base::WallTime now);
// By provider: of what it is not known when it goes, and why; "" of a line where all is known.
[[nodiscard]] std::string forecast_note(std::string_view line);
// A recipient of a message and why it waits; lines, each with its end.
[[nodiscard]] std::string recipient_lines(const nlohmann::ordered_json& recipient);
[[nodiscard]] std::string route_page(std::string_view line);
// Of it: how things stand at the moment, from the site on.
[[nodiscard]] std::string standing_rows(std::string_view line);

// "900", "12.3K", "4.5M", in powers of 1000.
[[nodiscard]] std::string plain_size(std::uint64_t octets);
// Broken at spaces, each line indented; ends in a line's end.
[[nodiscard]] std::string wrapped(std::string_view text, std::size_t indent);
// The same with a label before the first line, in `columns` that are empty before the others.
[[nodiscard]] std::string labelled(std::string_view label, std::string_view text,
                                   std::size_t columns);

// A pause on a line, from its JSON.
[[nodiscard]] std::string pause_entry(std::string_view line);
// The same of one that has just ended: what it was, since when and by whom.
[[nodiscard]] std::string pause_ended(std::string_view line);

}  // namespace rockdove::cli
