// The lines of admin/trace_text.h as people read them: nothing in them is obeyed by a terminal.
#pragma once

#include <string>
#include <string_view>

namespace rockdove::cli {

// One message: what was accepted, from whom, and each step of each recipient, its reports below;
// several lines, each with its end.
[[nodiscard]] std::string traced_page(std::string_view line);

[[nodiscard]] std::string stats_header();
[[nodiscard]] std::string stats_entry(std::string_view line);

}  // namespace rockdove::cli
