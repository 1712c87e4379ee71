#include "mta/cli/rescue_options.h"

#include <iostream>
#include <memory>
#include <unistd.h>
#include <utility>

#include <CLI/CLI.hpp>

#include "mta/cli/queue_export.h"
#include "mta/cli/queue_salvage.h"

namespace rockdove::cli {

using base::Result;

namespace {

// What was given; lives as long as the commands' functions.
struct RescueOptions {
  std::string folder;
  std::string source;
  std::vector<std::string> ids;
  FilterOptions filter;
  bool edited = false;
  bool deleted = false;
  bool json = false;

  [[nodiscard]] Output output() const {
    return {std::cout, std::cerr, base::read_clocks().wall, json ? Show::Json : Show::Table,
            ::isatty(STDOUT_FILENO) == 1 ? Onto::Terminal : Onto::File};
  }
};

int export_messages(const QueueEnvironment& environment, const RescueOptions& options) {
  const Output output = options.output();
  const Result<QueuePaths> paths = environment.find_paths();
  if (!paths) return static_cast<int>(fail(output, paths.error()));
  const Result<std::unique_ptr<QueueSource>> source =
      open_queue_source(*paths, environment.open_rows);
  if (!source) return static_cast<int>(fail(output, source.error()));
  return static_cast<int>(
      run_queue_export(**source, options.folder, options.ids, options.filter, output));
}

int import_messages(const QueueEnvironment& environment, const RescueOptions& options) {
  const Output output = options.output();
  const Result<QueuePaths> paths = environment.find_paths();
  if (!paths) return static_cast<int>(fail(output, paths.error()));
  const Result<std::unique_ptr<RestoreTarget>> target =
      open_restore_target(*paths, environment.open_rows_to_write);
  if (!target) return static_cast<int>(fail(output, target.error()));
  const Contents contents = options.edited ? Contents::Edited : Contents::AsExported;
  const auto deleted = options.deleted ? queue::OfDeleted::Take : queue::OfDeleted::Leave;
  return static_cast<int>(run_queue_import(**target, options.folder, contents, deleted, output));
}

}  // namespace

std::vector<RescueCommand> add_rescue_options(CLI::App& queue,
                                              const QueueEnvironment& environment) {
  const auto options = std::make_shared<RescueOptions>();
  CLI::App* exporting = queue.add_subcommand(
      "export", "Write messages into a folder, each as ID.eml and its envelope as ID.json");
  exporting->add_option("DIR", options->folder, "The folder; made if it is not there")->required();
  exporting->add_option("ID", options->ids, "Messages; without them, those that the filter means");
  add_filters(*exporting, options->filter);
  CLI::App* importing = queue.add_subcommand(
      "import", "Take such a folder into the queue; what the queue knows already is left out");
  importing->add_option("DIR", options->folder, "What export or salvage has written")->required();
  importing->add_flag("--edited", options->edited,
                      "Take contents that differ from what was exported; LF becomes CRLF");
  importing->add_flag("--deleted", options->deleted, "Take also what has been deleted here");
  CLI::App* salvaging = queue.add_subcommand(
      "salvage", "Bring out what can be read of a queue that does not open; changes nothing there");
  salvaging->add_option("QUEUE", options->source, "A state directory, or its folder `queue`")
      ->required();
  salvaging->add_option("DIR", options->folder, "Where the messages go, as from export")
      ->required();
  for (CLI::App* command : {exporting, importing, salvaging}) {
    command->add_flag("--json", options->json, "One JSON object a line");
  }
  return {{exporting, [environment, options] { return export_messages(environment, *options); }},
          {importing, [environment, options] { return import_messages(environment, *options); }},
          {salvaging, [options] {
             return static_cast<int>(
                 run_queue_salvage(options->source, options->folder, options->output()));
           }}};
}

}  // namespace rockdove::cli
