#include "mta/cli/queue_commands.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "mta/admin/control_server.h"
#include "mta/cli/queue_tables.h"

namespace rockdove::cli {

using Json = nlohmann::ordered_json;
using base::Result;

Ended fail(const Output& output, const base::Error& error) {
  output.out.flush();
  output.error << "rockdove: " << error.text() << '\n';
  return Ended::Failed;
}

namespace {

std::uint64_t number_in(const Json& json, const char* name) {
  return json.contains(name) && json[name].is_number_unsigned() ? json[name].get<std::uint64_t>()
                                                                : 0;
}

// What came of the deliveries that were acted on.
struct Totals {
  std::uint64_t done = 0;
  std::uint64_t unchanged = 0;
  std::uint64_t being_sent = 0;
  std::uint64_t not_found = 0;
  std::uint64_t failed = 0;

  [[nodiscard]] bool is_all_done() const { return being_sent + not_found + failed == 0; }
};

// One line of an act's answer: the totals at its end, or one delivery, which people only see when
// it did not go as asked.
void take_act_line(std::string_view line, Totals& totals, const Output& output) {
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return;
  const std::string outcome = json.value("outcome", "");
  if (outcome.empty()) {
    totals.done += number_in(json, "done");
    totals.unchanged += number_in(json, "unchanged");
    totals.being_sent += number_in(json, "being_sent");
    totals.not_found += number_in(json, "not_found");
    totals.failed += number_in(json, "failed");
    return;
  }
  if (output.show == Show::Json) {
    output.out << line << '\n';
    return;
  }
  const std::string id = json.value("id", "");
  if (outcome == "unchanged") output.out << id << " is left as it is\n";
  if (outcome == "being-sent") output.out << id << " is being sent right now\n";
  if (outcome == "not-found") output.out << id << " is not in the queue\n";
  if (outcome == "failed") output.out << id << " failed: " << json.value("error", "") << '\n';
}

std::string deliveries_text(std::uint64_t count) {
  return fmt::format("{} {}", count, count == 1 ? "delivery" : "deliveries");
}

// What was done, in words that follow a number of deliveries.
std::string_view done_words(admin::Act act, std::uint64_t count) {
  switch (act) {
    case admin::Act::Hold:
      return "put on hold";
    case admin::Act::Release:
      return "released";
    case admin::Act::Retry:
      return "to be tried again";
    case admin::Act::Delete:
      return "deleted; `rockdove queue undelete` undoes that for a while";
    case admin::Act::Undelete:
      return "brought back";
    case admin::Act::Bounce:
      return count == 1 ? "returned to its sender" : "returned to their senders";
    case admin::Act::Expire:
      return "to be tried once more and then returned";
    case admin::Act::Reroute:
      return "sent another way";
  }
  return "";
}

Ended print_totals(const ActCall& call, const Totals& totals, const Output& output) {
  if (output.show == Show::Json) {
    output.out << Json{{"done", totals.done},
                       {"unchanged", totals.unchanged},
                       {"being_sent", totals.being_sent},
                       {"not_found", totals.not_found},
                       {"failed", totals.failed}}
                      .dump()
               << '\n';
  } else {
    std::string text =
        fmt::format("{} {}", deliveries_text(totals.done), done_words(call.act, totals.done));
    if (totals.unchanged > 0) text += fmt::format(", {} left as they are", totals.unchanged);
    if (totals.being_sent > 0) text += fmt::format(", {} being sent", totals.being_sent);
    if (totals.not_found > 0) text += fmt::format(", {} not in the queue", totals.not_found);
    if (totals.failed > 0) text += fmt::format(", {} failed", totals.failed);
    output.out << text << '\n';
  }
  return totals.is_all_done() ? Ended::Done : Ended::Failed;
}

Ended act_on_ids(QueueSource& source, const ActCall& call, const std::vector<std::string>& ids,
                 const Output& output) {
  Totals totals;
  for (std::size_t i = 0; i < ids.size(); i += admin::kIdsMax) {
    const auto begin = ids.begin() + static_cast<std::ptrdiff_t>(i);
    const auto end =
        ids.begin() + static_cast<std::ptrdiff_t>(std::min(ids.size(), i + admin::kIdsMax));
    const Result<void> acted =
        source.act(call, std::vector<std::string>(begin, end),
                   [&](std::string_view line) { take_act_line(line, totals, output); });
    if (!acted) return fail(output, acted.error());
  }
  return print_totals(call, totals, output);
}

Ended act_on_filter(QueueSource& source, const ActCall& call, const admin::Parameters& filter,
                    Confirmation confirmation, const Output& output) {
  std::uint64_t deliveries = 0;
  const Result<void> counted = source.count(call, filter, [&](std::string_view line) {
    const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    deliveries = number_in(json, "deliveries");
    if (output.show == Show::Json) {
      output.out << line << '\n';
    } else {
      output.out << deliveries_text(deliveries) << (deliveries == 1 ? " matches\n" : " match\n");
    }
  });
  if (!counted) return fail(output, counted.error());
  switch (confirmation) {
    case Confirmation::DryRun:
      return Ended::Done;
    case Confirmation::Missing:
      output.out.flush();
      output.error
          << "rockdove: nothing was done; say --yes to go on, or --dry-run to only count\n";
      return Ended::Usage;
    case Confirmation::Yes:
      break;
  }
  if (deliveries == 0) return Ended::Done;
  Totals totals;
  const Result<void> acted =
      source.act(call, filter, [&](std::string_view line) { take_act_line(line, totals, output); });
  if (!acted) return fail(output, acted.error());
  return print_totals(call, totals, output);
}

struct SortKey {
  std::string_view name;
  // What stands first when sorted upwards.
  std::pair<std::int64_t, std::string> (*place)(const Json& message);
};

std::int64_t signed_in(const Json& json, const char* name) {
  return static_cast<std::int64_t>(number_in(json, name));
}

// The first recipient's, or the largest number of any.
std::string destination_in(const Json& message) {
  const auto recipients = message.find("recipients");
  if (recipients == message.end() || !recipients->is_array() || recipients->empty()) return {};
  const Json& first = recipients->front();
  return first.is_object() ? first.value("destination", "") : "";
}

std::int64_t attempts_in(const Json& message) {
  std::int64_t most = 0;
  const auto recipients = message.find("recipients");
  if (recipients == message.end() || !recipients->is_array()) return 0;
  for (const Json& recipient : *recipients) {
    if (recipient.is_object()) most = std::max(most, signed_in(recipient, "attempts"));
  }
  return most;
}

using Place = std::pair<std::int64_t, std::string>;

constexpr SortKey kSortKeys[] = {
    {"age", [](const Json& json) { return Place(signed_in(json, "arrival_time"), ""); }},
    {"size", [](const Json& json) { return Place(-signed_in(json, "message_size"), ""); }},
    {"attempts", [](const Json& json) { return Place(-attempts_in(json), ""); }},
    {"sender", [](const Json& json) { return Place(0, json.value("sender", "")); }},
    {"destination", [](const Json& json) { return Place(0, destination_in(json)); }},
};

// Keeps the first lines in the order that is asked for.
class Sorted {
 public:
  Sorted(const std::string& sort, std::uint64_t limit)
      : kept_max_(limit == 0 ? kSortedMax : std::min(limit, kSortedMax)) {
    for (const SortKey& key : kSortKeys) {
      if (key.name == sort) key_ = &key;
    }
  }

  void add(std::string_view line) {
    const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object() || key_ == nullptr) return;
    kept_.emplace(key_->place(json), line);
    if (kept_.size() <= kept_max_) return;
    kept_.erase(std::prev(kept_.end()));
    ++left_out_;
  }

  [[nodiscard]] std::vector<std::string> take() {
    std::vector<std::string> lines;
    for (auto& [place, line] : kept_) lines.push_back(std::move(line));
    return lines;
  }

  [[nodiscard]] std::uint64_t left_out() const { return left_out_; }

 private:
  const std::uint64_t kept_max_;
  const SortKey* key_ = nullptr;
  std::multimap<Place, std::string> kept_;
  std::uint64_t left_out_ = 0;
};

Ended count_only(QueueSource& source, const admin::Parameters& filter, const Output& output) {
  const Result<void> counted = source.count(filter, [&](std::string_view line) {
    if (output.show == Show::Json) {
      output.out << line << '\n';
      return;
    }
    const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    output.out << deliveries_text(number_in(json, "deliveries")) << '\n';
  });
  return counted ? Ended::Done : fail(output, counted.error());
}

}  // namespace

admin::Parameters FilterOptions::parameters() const {
  admin::Parameters parameters;
  for (const auto& [name, value] : given) {
    if (!value.empty()) parameters.emplace_back(name, value);
  }
  return parameters;
}

std::vector<std::string> sort_names() {
  std::vector<std::string> names;
  for (const SortKey& key : kSortKeys) names.emplace_back(key.name);
  return names;
}

Ended run_queue_list(QueueSource& source, const FilterOptions& filter, const ListOptions& options,
                     const Output& output) {
  admin::Parameters query = filter.parameters();
  if (options.is_count_only) return count_only(source, query, output);
  const bool is_filtered = !query.empty();
  std::uint64_t messages = 0;
  const auto print = [&](std::string_view line) {
    if (output.show == Show::Json) {
      output.out << line << '\n';
    } else {
      if (messages == 0) output.out << list_header();
      output.out << list_entry(line, output.now);
    }
    ++messages;
  };
  if (options.sort.empty() && options.limit > 0) {
    query.emplace_back("limit", std::to_string(options.limit));
  }
  Sorted sorted(options.sort, options.limit);
  const Result<void> listed = source.list(query, [&](std::string_view line) {
    if (options.sort.empty()) return print(line);
    sorted.add(line);
  });
  if (!listed) return fail(output, listed.error());
  for (const std::string& line : sorted.take()) print(line);
  if (output.show == Show::Json) return Ended::Done;
  if (messages == 0) {
    output.out << (is_filtered ? "Nothing in the queue matches\n" : "The queue is empty\n");
    return Ended::Done;
  }
  output.out << messages << (messages == 1 ? " message\n" : " messages\n");
  if (sorted.left_out() > 0) output.out << sorted.left_out() << " more were left out\n";
  return Ended::Done;
}

Ended run_queue_summary(QueueSource& source, const SummaryOptions& options, const Output& output) {
  admin::Parameters query;
  if (!options.by.empty()) query.emplace_back("by", options.by);
  if (!options.limit.empty()) query.emplace_back("limit", options.limit);
  const std::string name = options.by.empty() ? "destination" : options.by;
  const Ages ages = options.has_ages ? Ages::Shown : Ages::Hidden;
  std::uint64_t deliveries = 0;
  bool any = false;
  std::string notes;  // below the table
  const Result<void> summarised = source.summarise(query, [&](std::string_view line) {
    if (output.show == Show::Json) {
      output.out << line << '\n';
      return;
    }
    const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (const std::uint64_t left_out = number_in(json, "lines_left_out"); left_out > 0) {
      deliveries = number_in(json, "deliveries_in_all");
      output.out << left_out << " smaller lines were left out\n";
      return;
    }
    if (!std::exchange(any, true)) output.out << summary_header(name, ages);
    output.out << summary_entry(line, name, ages, output.now);
    if (name == "provider") notes += forecast_note(line);
    deliveries += number_in(json, "deliveries");
  });
  if (!summarised) return fail(output, summarised.error());
  if (output.show == Show::Json) return Ended::Done;
  output.out << notes;
  if (any) {
    output.out << deliveries_text(deliveries) << '\n';
  } else {
    output.out << "The queue is empty\n";
  }
  return Ended::Done;
}

Ended run_queue_act(QueueSource& source, const ActCall& call, const std::vector<std::string>& ids,
                    const FilterOptions& filter, Confirmation confirmation, const Output& output) {
  const admin::Parameters parameters = filter.parameters();
  if (ids.empty() == parameters.empty()) {
    output.error << "rockdove: give either ids or a filter\n";
    return Ended::Usage;
  }
  if (parameters.empty()) return act_on_ids(source, call, ids, output);
  return act_on_filter(source, call, parameters, confirmation, output);
}

Ended run_pause_list(QueueSource& source, const Output& output) {
  bool any = false;
  const Result<void> listed = source.list_pauses([&](std::string_view line) {
    any = true;
    output.out << (output.show == Show::Json ? std::string(line) + '\n' : pause_entry(line));
  });
  if (!listed) return fail(output, listed.error());
  if (!any && output.show == Show::Table) output.out << "Nothing is paused\n";
  return Ended::Done;
}

Ended run_pause(QueueSource& source, const PauseCall& call, const Output& output) {
  const Result<void> paused = source.pause(call, [&](std::string_view line) {
    output.out << (output.show == Show::Json ? std::string(line) + '\n'
                                             : "paused: " + pause_entry(line));
  });
  if (!paused) return fail(output, paused.error());
  return Ended::Done;
}

Ended run_resume(QueueSource& source, const PauseCall& call, const Output& output) {
  const Result<void> resumed = source.resume(call, [&](std::string_view line) {
    output.out << (output.show == Show::Json ? std::string(line) + '\n'
                                             : "goes on, it was paused: " + pause_ended(line));
  });
  if (!resumed) return fail(output, resumed.error());
  return Ended::Done;
}

Ended run_route(QueueSource& source, const std::string& address, const Output& output) {
  const Result<void> explained = source.explain_route(address, [&](std::string_view line) {
    if (output.show == Show::Json) {
      output.out << line << '\n';
    } else {
      output.out << route_page(line);
    }
  });
  if (!explained) return fail(output, explained.error());
  return Ended::Done;
}

}  // namespace rockdove::cli
