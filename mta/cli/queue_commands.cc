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
  if (outcome == "being-sent") output.out << id << " is being sent right now\n";
  if (outcome == "not-found") output.out << id << " is not in the queue\n";
  if (outcome == "failed") output.out << id << " failed: " << json.value("error", "") << '\n';
}

Ended print_totals(admin::Act act, const Totals& totals, const Output& output) {
  if (output.show == Show::Json) {
    output.out << Json{{"done", totals.done},
                       {"being_sent", totals.being_sent},
                       {"not_found", totals.not_found},
                       {"failed", totals.failed}}
                      .dump()
               << '\n';
  } else {
    const std::string_view what = act == admin::Act::Retry ? "to be tried again" : "deleted";
    std::string text = fmt::format("{} deliveries {}", totals.done, what);
    if (totals.being_sent > 0) text += fmt::format(", {} being sent", totals.being_sent);
    if (totals.not_found > 0) text += fmt::format(", {} not in the queue", totals.not_found);
    if (totals.failed > 0) text += fmt::format(", {} failed", totals.failed);
    output.out << text << '\n';
  }
  return totals.is_all_done() ? Ended::Done : Ended::Failed;
}

Ended act_on_ids(QueueSource& source, admin::Act act, const std::vector<std::string>& ids,
                 const Output& output) {
  Totals totals;
  for (std::size_t i = 0; i < ids.size(); i += admin::kIdsMax) {
    const auto begin = ids.begin() + static_cast<std::ptrdiff_t>(i);
    const auto end =
        ids.begin() + static_cast<std::ptrdiff_t>(std::min(ids.size(), i + admin::kIdsMax));
    const Result<void> acted =
        source.act(act, std::vector<std::string>(begin, end),
                   [&](std::string_view line) { take_act_line(line, totals, output); });
    if (!acted) return fail(output, acted.error());
  }
  return print_totals(act, totals, output);
}

Ended act_on_filter(QueueSource& source, admin::Act act, const admin::Parameters& filter,
                    Confirmation confirmation, const Output& output) {
  std::uint64_t deliveries = 0;
  const Result<void> counted = source.count(act, filter, [&](std::string_view line) {
    const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    deliveries = number_in(json, "deliveries");
    if (output.show == Show::Json) {
      output.out << line << '\n';
    } else {
      output.out << fmt::format("{} deliveries of {} messages match\n", deliveries,
                                number_in(json, "messages"));
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
      source.act(act, filter, [&](std::string_view line) { take_act_line(line, totals, output); });
  if (!acted) return fail(output, acted.error());
  return print_totals(act, totals, output);
}

}  // namespace

admin::Parameters FilterOptions::parameters() const {
  admin::Parameters parameters;
  for (const auto& [name, value] :
       {std::pair("sender", &sender), std::pair("recipient", &recipient),
        std::pair("destination", &destination), std::pair("state", &state),
        std::pair("older_than", &older_than), std::pair("reason", &reason)}) {
    if (!value->empty()) parameters.emplace_back(name, *value);
  }
  return parameters;
}

Ended run_queue_list(QueueSource& source, const FilterOptions& filter, const Output& output) {
  std::uint64_t messages = 0;
  const admin::Parameters parameters = filter.parameters();
  const Result<void> listed = source.list(parameters, [&](std::string_view line) {
    if (output.show == Show::Json) {
      output.out << line << '\n';
    } else {
      if (messages == 0) output.out << list_header();
      output.out << list_entry(line, output.now);
    }
    ++messages;
  });
  if (!listed) return fail(output, listed.error());
  if (output.show == Show::Table) {
    if (messages > 0) {
      output.out << messages << (messages == 1 ? " message\n" : " messages\n");
    } else {
      output.out << (parameters.empty() ? "The queue is empty\n"
                                        : "Nothing in the queue matches\n");
    }
  }
  return Ended::Done;
}

Ended run_queue_summary(QueueSource& source, const Output& output) {
  std::uint64_t deliveries = 0;
  bool any = false;
  const Result<void> summarised = source.summarise([&](std::string_view line) {
    if (output.show == Show::Json) {
      output.out << line << '\n';
      return;
    }
    if (!std::exchange(any, true)) output.out << summary_header();
    output.out << summary_entry(line, output.now);
    const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    deliveries += number_in(json, "deliveries");
  });
  if (!summarised) return fail(output, summarised.error());
  if (output.show == Show::Json) return Ended::Done;
  if (any) {
    output.out << deliveries << " deliveries\n";
  } else {
    output.out << "The queue is empty\n";
  }
  return Ended::Done;
}

Ended run_queue_act(QueueSource& source, admin::Act act, const std::vector<std::string>& ids,
                    const FilterOptions& filter, Confirmation confirmation, const Output& output) {
  const admin::Parameters parameters = filter.parameters();
  if (ids.empty() == parameters.empty()) {
    output.error << "rockdove: give either ids or a filter\n";
    return Ended::Usage;
  }
  if (parameters.empty()) return act_on_ids(source, act, ids, output);
  return act_on_filter(source, act, parameters, confirmation, output);
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
