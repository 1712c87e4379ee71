#include "mta/cli/why.h"

#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "mta/cli/json_text.h"
#include "mta/cli/queue_tables.h"

namespace rockdove::cli {

using Json = nlohmann::ordered_json;
using base::Result;

namespace {

constexpr std::size_t kLabelColumns = 12;

// "2026-11-22 21:15:04 (4m ago)", "… (in 5m)"; "" where there is no such moment.
std::string moment(const Json& json, const char* name, base::WallTime now) {
  const std::uint64_t seconds = unix_seconds_of(text_of(json, name));
  if (seconds == 0) return {};
  const std::uint64_t now_seconds = base::to_unix_milliseconds(now) / 1000;
  const bool is_past = seconds <= now_seconds;
  const std::string apart = base::format_duration(
      std::chrono::seconds(is_past ? now_seconds - seconds : seconds - now_seconds));
  return local_time(seconds) + (is_past ? " (" + apart + " ago)" : " (in " + apart + ")");
}

// When it goes: known, about, at the latest, or in words only.
std::string when_it_goes(const Json& json, base::WallTime now) {
  const std::uint64_t next = unix_seconds_of(text_of(json, "next"));
  if (next != 0) {
    return next * 1000 <= base::to_unix_milliseconds(now) ? "now" : moment(json, "next", now);
  }
  const std::string estimate = text_of(json, "estimate");
  if (json.contains("about")) return "about " + moment(json, "about", now) + ", " + estimate;
  if (json.contains("latest"))
    return "by " + moment(json, "latest", now) + " at the latest, " + estimate;
  return estimate;
}

// A line that may be missing.
std::string row(std::string_view label, const std::string& text) {
  if (text.empty()) return {};
  return labelled("  " + std::string(label), text, 2 + kLabelColumns);
}

// A command that is long stands on a line of its own and is not broken, so that it can be copied.
std::string advice_rows(std::string_view label, const std::string& text,
                        const std::string& command) {
  if (command.empty()) return row(label, text);
  const std::string whole = text + ": " + command;
  if (2 + kLabelColumns + whole.size() <= kColumnsMax) return row(label, whole);
  return row(label, text + ":") + std::string(2 + kLabelColumns + 2, ' ') + command + "\n";
}

}  // namespace

Ended run_queue_why(QueueSource& source, const std::vector<std::string>& ids,
                    const Output& output) {
  Ended ended = Ended::Done;
  bool is_first = true;
  for (const std::string& id : ids) {
    const Result<void> explained = source.why(id, [&](std::string_view line) {
      if (output.show == Show::Json) {
        output.out << line << '\n';
        return;
      }
      if (!std::exchange(is_first, false)) output.out << '\n';
      output.out << why_page(line, output.now);
    });
    if (!explained) ended = fail(output, explained.error().in(id));
  }
  return ended;
}

std::string why_page(std::string_view line, base::WallTime now) {
  const Json json = parsed_line(line);
  const std::string sender = text_of(json, "sender");
  std::string out = wrapped(text_of(json, "id") + " from " + (sender.empty() ? "<>" : sender) +
                                " to " + text_of(json, "recipient"),
                            0);
  out += wrapped(text_of(json, "text"), 2);
  const std::uint64_t attempts = number_of(json, "attempts");
  const std::string accepted = moment(json, "accepted", now);
  if (!accepted.empty()) {
    out += row("Accepted", accepted + ", " + std::to_string(attempts) +
                               (attempts == 1 ? " attempt so far" : " attempts so far"));
  }
  out += row("So since", moment(json, "since", now));
  out += row("Goes", when_it_goes(json, now));
  const std::string ends = moment(json, "ends", now);
  if (!ends.empty()) out += row("Until", ends + "; " + text_of(json, "ends_how"));
  const char* label = "Because of";
  for (const Json& setting : list_of(json, "settings")) {
    out +=
        row(std::exchange(label, ""), text_of(setting, "name") + " = " + text_of(setting, "value"));
  }
  label = "You can";
  for (const Json& advice : list_of(json, "advice")) {
    out +=
        advice_rows(std::exchange(label, ""), text_of(advice, "text"), text_of(advice, "command"));
  }
  return out;
}

}  // namespace rockdove::cli
