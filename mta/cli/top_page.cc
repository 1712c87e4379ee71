#include <algorithm>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "mta/cli/json_text.h"
#include "mta/cli/queue_tables.h"
#include "mta/cli/safe_text.h"
#include "mta/cli/top.h"

namespace rockdove::cli {

using Json = nlohmann::ordered_json;

namespace {

constexpr std::size_t kSlowestShown = 5;
constexpr std::size_t kNameColumnsMin = 12;
constexpr std::size_t kNumbersColumns = 44;  // of a destination's line
constexpr std::size_t kWholeColumns = 30;    // narrower ones lose the end

Json object_in(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_object() ? *found : Json::object();
}

// A daemon that was started anew counts from zero: then nothing is known of the time between.
std::optional<double> rate_of(const Json& before, const Json& after, const char* name,
                              base::Duration apart) {
  const std::uint64_t first = number_of(before, name);
  const std::uint64_t second = number_of(after, name);
  if (second < first || apart <= base::Duration::zero()) return std::nullopt;
  return static_cast<double>(second - first) * 1000 / static_cast<double>(apart.count());
}

// Lines as long and as many as fit.
class Lines {
 public:
  explicit Lines(TopSize size) : size_(size) {}

  void add(std::string text) {
    if (left() == 0) return;
    ++lines_;
    std::replace(text.begin(), text.end(), '\t', ' ');
    text_ += cut(std::move(text), size_.columns) + "\n";
  }

  [[nodiscard]] std::size_t left() const { return size_.rows - std::min(lines_, size_.rows); }

  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  const TopSize size_;
  std::size_t lines_ = 0;
  std::string text_;
};

class Page {
 public:
  Page(std::string_view before, std::string_view after, base::Duration apart, TopSize size)
      : columns_(size.columns),
        before_(object_in(parsed_line(before), "counters")),
        now_(parsed_line(after)),
        counters_(object_in(now_, "counters")),
        apart_(apart),
        lines_(size),
        name_columns_(size.columns > kNumbersColumns + kNameColumnsMin
                          ? size.columns - kNumbersColumns
                          : kNameColumnsMin) {}

  std::string make() {
    add_state();
    add_totals();
    add_queue();
    add_pauses();
    add_deferrals();
    add_destinations();
    add_slowest();
    return lines_.take();
  }

 private:
  [[nodiscard]] std::string rate(const char* name) const {
    const std::optional<double> rate = rate_of(before_, counters_, name, apart_);
    if (!rate) return "-";
    return *rate >= 100 ? fmt::format("{:.0f}", *rate) : fmt::format("{:.1f}", *rate);
  }

  // What is wrong is said whole, however narrow the terminal.
  void add_state() {
    std::vector<std::string> troubles;
    for (const Json& one : list_of(object_in(now_, "standing"), "trouble")) {
      if (one.is_string()) troubles.push_back(safe_text(one.get<std::string>()));
    }
    if (const std::uint64_t silent = number_of(now_, "silent_loops"); silent > 0) {
      troubles.push_back(
          fmt::format("{} of its loops did not answer: the last minute is not all here", silent));
    }
    lines_.add(fmt::format("rockdove  {}  {}", local_time(unix_seconds_of(text_of(now_, "time"))),
                           troubles.empty() ? "ready" : "NOT WELL"));
    for (const std::string& trouble : troubles) add_whole("Trouble", trouble);
  }

  // As many lines as it needs.
  void add_whole(const char* label, std::string_view text) {
    while (!text.empty()) {
      const std::string_view part = first_part(text, std::max(columns_, kWholeColumns) - 13);
      lines_.add(fmt::format("{:<13}{}", std::exchange(label, ""), part));
      text.remove_prefix(part.size());
      while (text.starts_with(' ')) text.remove_prefix(1);
    }
  }

  // As much as fits, in whole words where it can be.
  static std::string_view first_part(std::string_view text, std::size_t columns) {
    if (text.size() <= columns) return text;
    const std::size_t blank = text.rfind(' ', columns);
    return text.substr(0, blank == std::string_view::npos || blank == 0 ? columns : blank);
  }

  void add_totals() {
    const Json standing = object_in(now_, "standing");
    lines_.add(fmt::format("Per second   in {}  refused {}  delivered {}  deferred {}  bounced {}",
                           rate("accepted"), rate("refused"), rate("delivered"), rate("deferred"),
                           rate("bounced")));
    lines_.add(fmt::format(
        "Connections  in {} of {}  out {} of {}  opened {}  failed {} a second",
        number_of(standing, "connections_in"), number_of(standing, "connections_in_max"),
        number_of(standing, "connections_out"), number_of(standing, "connections_out_max"),
        rate("connections_out"), rate("connections_out_failed")));
    const std::optional<double> octets = rate_of(before_, counters_, "octets_accepted", apart_);
    lines_.add(fmt::format("Memory       {} of {} for mail  disk {} free  coming in {} a second",
                           plain_size(number_of(standing, "memory_used")),
                           plain_size(number_of(standing, "memory_max")),
                           plain_size(number_of(standing, "disk_free")),
                           octets ? plain_size(static_cast<std::uint64_t>(*octets)) : "-"));
  }

  void add_queue() {
    const Json queue = object_in(now_, "queue");
    const std::uint64_t counted = unix_seconds_of(text_of(queue, "counted"));
    if (counted == 0) return lines_.add("Queue        not counted");
    const base::WallTime now =
        base::from_unix_milliseconds(unix_seconds_of(text_of(now_, "time")) * 1000);
    const std::uint64_t oldest = unix_seconds_of(text_of(queue, "oldest"));
    lines_.add(fmt::format("Queue        {} waiting, {} held, {} deleted{}  (counted {} ago)",
                           number_of(queue, "waiting"), number_of(queue, "held"),
                           number_of(queue, "deleted"),
                           oldest == 0 ? "" : ", oldest " + age(oldest, now), age(counted, now)));
  }

  // What people have paused, for those who wonder why nothing goes.
  void add_pauses() {
    const Json pauses = list_of(now_, "pauses");
    if (pauses.empty()) return;
    std::string text;
    for (const Json& pause : pauses) {
      text += text.empty() ? "" : ", ";
      text += text_of(pause, "kind");
      if (const std::string name = text_of(pause, "name"); !name.empty()) text += " " + name;
    }
    const std::uint64_t all = number_of(now_, "pauses_in_all");
    if (all > pauses.size()) text += fmt::format(" and {} more", all - pauses.size());
    lines_.add("Paused       " + text);
  }

  void add_deferrals() {
    std::vector<std::pair<std::uint64_t, std::string>> reasons;
    const Json deferrals = object_in(now_, "deferrals");
    for (const auto& [name, count] : deferrals.items()) {
      reasons.emplace_back(number_of(deferrals, name.c_str()), safe_text(name));
    }
    std::sort(reasons.begin(), reasons.end(), std::greater<>());
    std::string text = "in the last minute:";
    for (const auto& [count, name] : reasons) text += fmt::format("  {} {}", name, count);
    add_whole("Deferred", reasons.empty() ? text + " nothing" : text);
  }

  void add_destinations() {
    const Json destinations = list_of(now_, "destinations");
    if (destinations.empty()) return;
    lines_.add("");
    lines_.add(fmt::format("{:<{}}{:>11}{:>11}{:>11}{:>11}", "THE LAST MINUTE, BUSIEST FIRST",
                           name_columns_, "DELIVERED", "DEFERRED", "BOUNCED", "SLOWEST"));
    // Below them the slowest, where there is room for some busy ones besides.
    const std::size_t below = std::min(list_of(now_, "slowest").size(), kSlowestShown);
    const std::size_t kept = below > 0 && lines_.left() > 2 * kSlowestShown ? below + 2 : 0;
    for (const Json& one : destinations) {
      if (lines_.left() <= kept) break;
      lines_.add(fmt::format("{:<{}}{:>11}{:>11}{:>11}{:>11}",
                             cut(text_of(one, "name"), name_columns_ - 1), name_columns_,
                             number_of(one, "delivered"), number_of(one, "deferred"),
                             number_of(one, "bounced"), seconds(number_of(one, "slowest_ms"))));
    }
  }

  // Attempts of the last minute, and those that are at work.
  void add_slowest() {
    const Json slowest = list_of(now_, "slowest");
    if (slowest.empty() || lines_.left() < 3) return;
    lines_.add("");
    lines_.add(fmt::format("{:<{}}{:>33}{:>11}", "THE SLOWEST", name_columns_, "NOW AT", "TIME"));
    std::size_t shown = 0;
    for (const Json& one : slowest) {
      if (shown++ == kSlowestShown) break;
      const std::string stage = text_of(one, "stage");
      lines_.add(fmt::format("{:<{}}{:>33}{:>11}", cut(text_of(one, "name"), name_columns_ - 1),
                             name_columns_, stage.empty() ? "done" : cut(stage, 32),
                             seconds(number_of(one, "ms"))));
    }
  }

  static std::string seconds(std::uint64_t milliseconds) {
    if (milliseconds < 100'000) {
      return fmt::format("{:.1f}s", static_cast<double>(milliseconds) / 1000);
    }
    return base::format_duration(std::chrono::seconds(milliseconds / 1000));
  }

  const std::size_t columns_;
  const Json before_;
  const Json now_;
  const Json counters_;
  const base::Duration apart_;
  Lines lines_;
  const std::size_t name_columns_;
};

}  // namespace

std::string top_page(std::string_view before, std::string_view after, base::Duration apart,
                     TopSize size) {
  return Page(before, after, apart, size).make();
}

std::string top_trouble(std::string_view error, TopSize size) {
  Lines lines(size);
  lines.add("rockdove");
  lines.add("");
  const std::string text = safe_text(error);
  std::string_view rest = text;
  while (!rest.empty() && size.columns > 0) {
    lines.add(std::string(rest.substr(0, size.columns)));
    rest.remove_prefix(std::min(rest.size(), size.columns));
  }
  lines.add("");
  lines.add("It is asked again all the time; q ends.");
  return lines.take();
}

std::string top_line(std::string_view before, std::string_view after, base::Duration apart) {
  const Json first = object_in(parsed_line(before), "counters");
  Json json = parsed_line(after);
  const Json second = object_in(json, "counters");
  json["rates"] = Json::object();
  for (const auto& [name, value] : second.items()) {
    const std::optional<double> rate = rate_of(first, second, name.c_str(), apart);
    json["rates"][name] = rate ? Json(*rate) : Json();
  }
  return json.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

}  // namespace rockdove::cli
