#include "mta/cli/trace_options.h"

#include <iostream>
#include <memory>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "mta/admin/trace_text.h"
#include "mta/cli/json_text.h"
#include "mta/cli/trace_tables.h"

namespace rockdove::cli {

using base::Result;

namespace {

// What was given; lives as long as the command's function.
struct Options {
  // By the name of the parameter.
  std::vector<std::pair<std::string, std::unique_ptr<std::string>>> values;
  bool json = false;

  void add(CLI::App& app, const char* option, const char* name, const char* help) {
    values.emplace_back(name, std::make_unique<std::string>());
    app.add_option(option, *values.back().second, help);
  }

  [[nodiscard]] admin::Parameters parameters() const {
    admin::Parameters given;
    for (const auto& [name, value] : values) {
      if (!value->empty()) given.emplace_back(name, *value);
    }
    return given;
  }
};

using Run = Ended (*)(QueueSource&, const admin::Parameters&, const Output&);

int run_on_history(const QueueEnvironment& environment, const Options& options, Run run) {
  const Output output{std::cout, std::cerr, base::read_clocks().wall,
                      options.json ? Show::Json : Show::Table};
  const auto fail = [](const base::Error& error) {
    std::cerr << "rockdove: " << error.text() << '\n';
    return static_cast<int>(Ended::Failed);
  };
  const Result<QueuePaths> paths = environment.find_paths();
  if (!paths) return fail(paths.error());
  Result<std::unique_ptr<QueueSource>> source = open_queue_source(*paths, environment.open_rows);
  if (!source) return fail(source.error());
  return static_cast<int>(run(*source.value(), options.parameters(), output));
}

Ended fail_with(const Output& output, const base::Error& error) {
  output.out.flush();
  output.error << "rockdove: " << error.text() << '\n';
  return Ended::Failed;
}

}  // namespace

Ended run_trace(QueueSource& source, const admin::Parameters& parameters, const Output& output) {
  // Before anybody is asked, so that a mistake is one of usage.
  if (const auto parsed = admin::TraceRun::parse(parameters, output.now); !parsed) {
    output.error << "rockdove: " << parsed.error().text() << '\n';
    return Ended::Usage;
  }
  std::uint64_t messages = 0;
  bool is_cut = false;
  const Result<void> traced = source.trace(parameters, [&](std::string_view line) {
    const auto json = parsed_line(line);
    if (json.contains("more")) {
      is_cut = true;
    } else {
      ++messages;
    }
    if (output.show == Show::Json) {
      output.out << line << '\n';
    } else if (!json.contains("more")) {
      output.out << (messages > 1 ? "\n" : "") << traced_page(line);
    }
  });
  if (!traced) return fail_with(output, traced.error());
  if (output.show == Show::Json) return Ended::Done;
  if (messages == 0) {
    output.out << "Nothing is known of such a message\n";
  } else if (is_cut) {
    output.out << "\nThere are older ones, too: --limit shows more\n";
  }
  return Ended::Done;
}

Ended run_stats(QueueSource& source, const admin::Parameters& parameters, const Output& output) {
  if (const auto parsed = admin::StatsRun::parse(parameters, output.now); !parsed) {
    output.error << "rockdove: " << parsed.error().text() << '\n';
    return Ended::Usage;
  }
  bool is_first = true;
  const Result<void> counted = source.stats(parameters, [&](std::string_view line) {
    if (output.show == Show::Json) {
      output.out << line << '\n';
      return;
    }
    if (std::exchange(is_first, false)) output.out << stats_header();
    output.out << stats_entry(line);
  });
  if (!counted) return fail_with(output, counted.error());
  return Ended::Done;
}

std::function<int()> add_trace_options(CLI::App& app, QueueEnvironment environment) {
  const auto options = std::make_shared<Options>();
  options->add(app, "ID", "id", "A message or delivery");
  options->add(app, "--message-id", "message_id", "The Message-ID field, with or without <>");
  options->add(app, "--sender", "sender", "The envelope sender; \"<>\" for reports");
  options->add(app, "--recipient", "recipient", "A recipient");
  options->add(app, "--domain", "domain", "The domain of a recipient");
  options->add(app, "--client", "client",
               "The address of the client that handed it in; local: a user of this machine");
  options->add(app, "--tenant", "tenant",
               "Whose mail it is; looks through all of the time asked about");
  options->add(app, "--campaign", "campaign", "The mailing that it belongs to; likewise");
  options->add(app, "--since", "since",
               "Accepted since: 3d or 4h (ago), 2026-11-22 or \"2026-11-22 14:05\"");
  options->add(app, "--until", "until", "Accepted before, likewise");
  options->add(app, "--limit", "limit", "At most so many messages, the newest first (100)");
  app.add_flag("--json", options->json, "One JSON object a line");
  return [environment = std::move(environment), options] {
    return run_on_history(environment, *options, run_trace);
  };
}

std::function<int()> add_stats_options(CLI::App& app, QueueEnvironment environment) {
  const auto options = std::make_shared<Options>();
  options->add(app, "--by", "by",
               "hour (default), day, destination, sender, client, tenant or campaign");
  options->add(app, "--since", "since",
               "Accepted since: 3d or 4h (ago), 2026-11-22 or \"2026-11-22 14:05\"; by day the "
               "last 30 days, else the last 24 hours");
  options->add(app, "--until", "until", "Accepted before, likewise");
  options->add(app, "--limit", "limit", "At most so many names, the largest first (100)");
  app.add_flag("--json", options->json, "One JSON object a line");
  return [environment = std::move(environment), options] {
    return run_on_history(environment, *options, run_stats);
  };
}

}  // namespace rockdove::cli
