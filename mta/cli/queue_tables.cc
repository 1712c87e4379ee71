#include "mta/cli/queue_tables.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "mta/base/text.h"
#include "mta/cli/json_text.h"
#include "mta/cli/safe_text.h"
#include "queue/store.h"

namespace rockdove::cli {

using Json = nlohmann::ordered_json;

namespace {

constexpr std::string_view kByProvider = "provider";

constexpr std::size_t kPauseOctetsShown = 1000;

// "2026-11-22 14:05:04", with " *" where that is of a part of it; "not known"; "-" of
// what does not wait.
std::string gone_about(const Json& json, base::WallTime now) {
  const std::uint64_t done = unix_seconds_of(text_of(json, "done_about"));
  const bool is_part = number_of(json, "not_known") > 0;
  if (done == 0) return is_part ? "not known" : "-";
  const bool is_now = done * 1000 <= base::to_unix_milliseconds(now);
  return (is_now ? "now" : local_time(done)) + (is_part ? " *" : "");
}

}  // namespace

std::string plain_size(std::uint64_t octets) {
  if (octets < 1000) return std::to_string(octets);
  constexpr std::string_view kUnits = "KMGTPE";
  double value = static_cast<double>(octets) / 1000;
  std::size_t unit = 0;
  while (value >= 999.95 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  return fmt::format("{:.1f}{}", value, kUnits[unit]);
}

std::string wrapped(std::string_view text, std::size_t indent) {
  std::string out;
  const std::size_t width = kColumnsMax - indent;
  do {
    std::size_t end = text.size();
    if (end > width) {
      end = text.rfind(' ', width);
      if (end == std::string_view::npos || end == 0) end = width;
    }
    out.append(indent, ' ').append(text.substr(0, end)).append("\n");
    text.remove_prefix(std::min(text.size(), text.substr(end).starts_with(' ') ? end + 1 : end));
  } while (!text.empty());
  return out;
}

std::string labelled(std::string_view label, std::string_view text, std::size_t columns) {
  std::string out = wrapped(text, columns);
  out.replace(0, std::min(label.size(), columns), label.substr(0, columns));
  return out;
}

std::string recipient_lines(const Json& recipient) {
  const std::string id = text_of(recipient, "id");
  const std::size_t hyphen = id.find('-');
  const std::string number = hyphen == std::string::npos ? "" : id.substr(hyphen);
  return cut(fmt::format("  {:<4} {}", number, text_of(recipient, "address")), kColumnsMax) + "\n" +
         wrapped(text_of(recipient, "why"), 7);
}

std::string list_header() {
  return fmt::format("{:<12}  {:>8}  {:>7}  {}\n", "ID", "AGE", "SIZE", "SENDER AND RECIPIENTS");
}

std::string list_entry(std::string_view line, base::WallTime now) {
  const Json json = parsed_line(line);
  std::string out =
      cut(fmt::format("{:<12}  {:>8}  {:>7}  {}", text_of(json, "queue_id"),
                      age(number_of(json, "arrival_time"), now),
                      plain_size(number_of(json, "message_size")), text_of(json, "sender")),
          kColumnsMax) +
      "\n";
  for (const Json& recipient : list_of(json, "recipients")) out += recipient_lines(recipient);
  return out;
}

std::string forecast_note(std::string_view line) {
  const Json json = parsed_line(line);
  const std::uint64_t not_known = number_of(json, "not_known");
  const std::string name = text_of(json, "provider");
  std::string note;
  if (const std::string budget = text_of(json, "used_up"); !budget.empty()) {
    note = name + ": its budget (" + budget + ") is used up until " +
           local_time(unix_seconds_of(text_of(json, "used_up_until"))) + "\n";
  }
  if (not_known == 0) return note;
  return note + (name.empty() ? "-" : name) + ": of " + std::to_string(not_known) +
         (not_known == 1 ? " delivery" : " deliveries") +
         " it is not known when they go: " + text_of(json, "why_not_known") + "\n";
}

std::string summary_header(std::string_view by, Ages ages) {
  std::string out = fmt::format("{:<8}  {:>10}  {:>7}  {:>8}  {:>8}", "STATE", "DELIVERIES",
                                "OCTETS", "OLDEST", "NEXT IN");
  if (ages == Ages::Shown) {
    for (const std::uint32_t minutes : queue::kAgeBucketMinutes) {
      out += fmt::format(" {:>6}", fmt::format("<{}m", minutes));
    }
    out += fmt::format(" {:>6}", "older");
  }
  if (by == kByProvider) out += fmt::format("  {:<21}", "GONE ABOUT");
  std::string name(by);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return static_cast<char>(c - 'a' + 'A'); });
  return out + "  " + name + "\n";
}

std::string summary_entry(std::string_view line, std::string_view by, Ages ages,
                          base::WallTime now) {
  const Json json = parsed_line(line);
  const std::string state = text_of(json, "state");
  const std::uint64_t due = unix_seconds_of(text_of(json, "earliest_due"));
  const std::uint64_t now_seconds = base::to_unix_milliseconds(now) / 1000;
  std::string next = "-";
  if (state == "waiting") {
    next =
        due <= now_seconds ? "now" : base::format_duration(std::chrono::seconds(due - now_seconds));
  }
  std::string out =
      fmt::format("{:<8}  {:>10}  {:>7}  {:>8}  {:>8}", state, number_of(json, "deliveries"),
                  plain_size(number_of(json, "octets")),
                  age(unix_seconds_of(text_of(json, "oldest")), now), next);
  if (ages == Ages::Shown) {
    for (const Json& bucket : list_of(json, "by_age")) {
      out += fmt::format(" {:>6}", bucket.is_number_unsigned() ? bucket.get<std::uint64_t>() : 0);
    }
  }
  const std::string name = text_of(json, std::string(by).c_str());
  if (by == kByProvider) out += fmt::format("  {:<21}", gone_about(json, now));
  return out + "  " + cut(name.empty() ? "-" : name, kColumnsMax) + "\n";
}

std::string route_page(std::string_view line) {
  const Json json = parsed_line(line);
  std::string out;
  for (const auto& [name, key] :
       {std::pair("Address", "address"), std::pair("Destination", "destination"),
        std::pair("Rule", "rule")}) {
    out += cut(fmt::format("{:<12} {}", name, text_of(json, key)), kColumnsMax) + "\n";
  }
  for (const Json& setting : list_of(json, "settings")) {
    std::string name = text_of(setting, "name");
    if (!name.empty() && name[0] >= 'a' && name[0] <= 'z')
      name[0] = static_cast<char>(name[0] - 32);
    out += cut(fmt::format("{:<12} {}", name, text_of(setting, "value")), kColumnsMax) + "\n";
  }
  for (const Json& answer : list_of(json, "dns")) {
    out += fmt::format("DNS          {}\n", text_of(answer, "question"));
    out += wrapped(text_of(answer, "answer"), 15);
  }
  for (const Json& host : list_of(json, "hosts")) {
    std::string addresses;
    for (const Json& address : list_of(host, "addresses")) {
      if (address.is_string()) addresses += " " + safe_text(address.get<std::string>());
    }
    out +=
        fmt::format("Host         {} {}\n", number_of(host, "preference"), text_of(host, "name"));
    if (!addresses.empty()) out += wrapped(addresses.substr(1), 15);
    for (const Json& note : list_of(host, "notes")) {
      if (note.is_string()) out += wrapped(safe_text(note.get<std::string>()), 15);
    }
  }
  return out + standing_rows(line);
}

std::string standing_rows(std::string_view line) {
  const Json json = parsed_line(line);
  std::string out = cut("Site         " + text_of(json, "site"), kColumnsMax) + "\n";
  out += cut("Account      " + text_of(json, "account"), kColumnsMax) + "\n";
  for (const Json& limit : list_of(json, "limits")) {
    out += cut(fmt::format("Limit        {} {}", text_of(limit, "name"), text_of(limit, "value")),
               kColumnsMax) +
           "\n";
  }
  for (const Json& taught : list_of(json, "taught")) {
    if (taught.is_string()) out += labelled("Taught", safe_text(taught.get<std::string>()), 13);
  }
  for (const Json& pause : list_of(json, "pauses")) {
    std::string entry = pause_entry(pause.dump(-1, ' ', false, Json::error_handler_t::replace));
    if (entry.empty()) continue;
    entry.pop_back();  // its line's end
    out += labelled("Paused", entry, 13);
  }
  return out + wrapped(text_of(json, "conclusion"), 0);
}

namespace {

// "destination example.com, since 2026-11-22 06:50:01 by uid 0 (root)".
std::string pause_begun(const Json& json) {
  std::string text = text_of(json, "kind");
  if (json.contains("name")) text += " " + text_of(json, "name");
  return text + ", since " + local_time_of(json, "since") + " by " + text_of(json, "by");
}

}  // namespace

std::string pause_ended(std::string_view line) {
  const Json json = parsed_line(line);
  return json.empty() ? "" : cut(pause_begun(json), kPauseOctetsShown) + "\n";
}

std::string pause_entry(std::string_view line) {
  const Json json = parsed_line(line);
  if (json.empty()) return {};
  std::string text = pause_begun(json);
  if (json.contains("until")) text += ", for another " + text_of(json, "left");
  if (json.contains("reason")) text += ": " + text_of(json, "reason");
  if (text_of(json, "is_ending") == "true") text += " (over; its mail is being released)";
  return cut(text, kPauseOctetsShown) + "\n";
}

}  // namespace rockdove::cli
