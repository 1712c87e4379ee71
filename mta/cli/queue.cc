// `rockdove queue …`, `pause`, `resume`, `route`, `trace` and `stats`: where they find the daemon
// and the queue.
#include "mta/cli/commands.h"
#include "mta/cli/queue_options.h"
#include "mta/cli/trace_options.h"
#include "mta/daemon/configuration.h"
#include "queue/rocks_rows.h"

namespace rockdove::cli {

base::Result<QueuePaths> find_queue_paths(const std::string& path) {
  const daemon::ParsedConfiguration parsed =
      daemon::load_configuration_keys(daemon::configuration_path(path));
  if (!parsed.configuration) {
    return base::Error(parsed.problems.empty() ? "the configuration cannot be read"
                                               : daemon::format_problem(parsed.problems.front()));
  }
  const daemon::Configuration& configuration = *parsed.configuration;
  return QueuePaths{
      configuration.runtime_dir, configuration.state_dir,
      admin::WhySettings{configuration.queue, configuration.queue.connections_out, {}}};
}

base::Result<std::unique_ptr<QueueSource>> open_queue_at(const std::string& state_dir,
                                                         const std::string& config) {
  if (!state_dir.empty()) return open_queue_source({state_dir, state_dir}, open_queue_rows);
  const base::Result<QueuePaths> paths = find_queue_paths(config);
  if (!paths) return paths.error();
  return open_queue_source(*paths, open_queue_rows);
}

base::Result<std::unique_ptr<queue::Rows>> open_queue_rows(const std::string& state_dir) {
  return queue::open_rocks_rows_read_only({state_dir + "/queue", {}});
}

namespace {

QueueEnvironment environment(CLI::App& app) {
  auto path = std::make_shared<std::string>();
  add_config_option(app, *path);
  app.fallthrough();  // --config may stand behind `list` as well
  return {[path] { return find_queue_paths(*path); }, open_queue_rows,
          [](const std::string& state_dir) {
            return queue::open_rocks_rows({state_dir + "/queue", {}});
          }};
}

}  // namespace

Action add_queue(CLI::App& app) {
  return add_queue_options(app, environment(app));
}

Action add_pause(CLI::App& app) {
  return add_pause_options(app, environment(app));
}

Action add_resume(CLI::App& app) {
  return add_resume_options(app, environment(app));
}

Action add_route(CLI::App& app) {
  return add_route_options(app, environment(app));
}

Action add_trace(CLI::App& app) {
  return add_trace_options(app, environment(app));
}

Action add_stats(CLI::App& app) {
  return add_stats_options(app, environment(app));
}

}  // namespace rockdove::cli
