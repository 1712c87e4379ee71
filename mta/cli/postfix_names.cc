#include "mta/cli/postfix_names.h"

#include <iostream>
#include <unistd.h>

#include "mta/cli/commands.h"
#include "mta/cli/postfix_cat.h"
#include "mta/cli/postfix_queue.h"
#include "mta/cli/postfix_super.h"
#include "mta/daemon/configuration.h"
#include "queue/rocks_rows.h"

namespace rockdove::cli {
namespace {

using Run = int (*)(const std::vector<std::string>&, const PostfixWorld&);

struct PostfixName {
  std::string_view name;
  Run run;
};

constexpr PostfixName kNames[] = {{"mailq", run_mailq},
                                  {"postqueue", run_postqueue},
                                  {"postsuper", run_postsuper},
                                  {"postcat", run_postcat}};

// What stands behind -c is mostly Postfix's own folder, which says nothing of ours.
std::string configuration_in(const std::string& folder) {
  if (folder.empty()) return {};
  std::string path = folder + "/rockdove.toml";
  return ::access(path.c_str(), F_OK) == 0 ? path : std::string();
}

base::Result<std::unique_ptr<QueueSource>> open_queue(const std::string& folder) {
  const base::Result<QueuePaths> paths = find_queue_paths(configuration_in(folder));
  if (!paths) return paths.error();
  return open_queue_source(*paths, open_queue_rows);
}

template <const char* kName>
Action add_under_name(CLI::App& app) {
  // All that follows is the command's own.
  app.prefix_command();
  app.set_help_flag();
  return [&app] { return run_postfix_command(kName, app.remaining()).value_or(kUsage); };
}

constexpr char kMailq[] = "mailq";
constexpr char kPostqueue[] = "postqueue";
constexpr char kPostsuper[] = "postsuper";
constexpr char kPostcat[] = "postcat";

}  // namespace

std::optional<int> run_postfix_command(std::string_view name,
                                       const std::vector<std::string>& arguments) {
  for (const PostfixName& known : kNames) {
    if (known.name != name) continue;
    const int status = known.run(arguments, {std::cin, std::cout, std::cerr, open_queue});
    std::cout.flush();
    return status;
  }
  return std::nullopt;
}

Action add_mailq(CLI::App& app) {
  return add_under_name<kMailq>(app);
}

Action add_postqueue(CLI::App& app) {
  return add_under_name<kPostqueue>(app);
}

Action add_postsuper(CLI::App& app) {
  return add_under_name<kPostsuper>(app);
}

Action add_postcat(CLI::App& app) {
  return add_under_name<kPostcat>(app);
}

}  // namespace rockdove::cli
