#include <array>

#include <CLI/CLI.hpp>

#include "mta/cli/commands.h"
#include "mta/cli/dkim.h"
#include "mta/cli/postfix_names.h"
#include "mta/cli/sendmail.h"

namespace rockdove::cli {
namespace {

constexpr std::array kCommands = {
    Command{"serve", "Run the relay in the foreground", add_serve},
    Command{"check", "Validate the configuration and print what it means", add_check},
    Command{"send", "Submit one message to any server, as a test", add_send},
    Command{"sendmail", "Take a message as sendmail(1) does, from any user of this machine",
            add_sendmail},
    Command{"sink", "Accept all mail into a directory, for tests and staging", add_sink},
    Command{"queue", "Look at the queue and act on it", add_queue},
    Command{"pause", "Send nothing to a destination or site, of a user, or at all; or list pauses",
            add_pause},
    Command{"resume", "End a pause", add_resume},
    Command{"route", "Explain where mail to an address would go", add_route},
    Command{"trace", "Tell all that happened to messages, waiting or gone", add_trace},
    Command{"stats", "Count what came of mail, by time or by name", add_stats},
    Command{"traffic", "Check traffic profiles, and what they say of a reply or a domain",
            add_traffic},
    Command{"plan", "When a mailing would be done, by provider, and what limits it", add_plan},
    Command{"top", "What the relay is doing, live", add_top},
    Command{"spf", "Check SPF records and what they let pass", add_spf},
    Command{"dkim", "Make keys for signatures, and compare them with the DNS", add_dkim},
    Command{"dmarc", "Look at a domain's DMARC record", add_dmarc},
    Command{"user", "Accounts that clients log in with", add_user},
    Command{"mailq", "The queue, as Postfix's command of this name shows it", add_mailq},
    Command{"postqueue", "The queue, with the options of Postfix's postqueue", add_postqueue},
    Command{"postsuper", "Acts on the queue, with the options of Postfix's postsuper",
            add_postsuper},
    Command{"postcat", "A queued message, with the options of Postfix's postcat", add_postcat},
    Command{"version", "Print the version", add_version},
};

// CLI11 only says that a subcommand is missing, also of one that does not exist.
std::string explain_mistake(const CLI::App* app, const CLI::Error& error) {
  std::string name = app->get_name();
  const CLI::App* deepest = app;
  while (!deepest->get_subcommands().empty()) {
    deepest = deepest->get_subcommands().front();
    name += " " + deepest->get_name();
  }
  // Groups of options are subcommands without a name.
  const std::vector<const CLI::App*> choices =
      deepest->get_subcommands([](const CLI::App* choice) { return !choice->get_name().empty(); });
  std::string text = error.what();
  if (!choices.empty()) {
    const std::vector<std::string> rest = app->remaining(/*recurse=*/true);
    text = rest.empty() ? "say what to do" : "there is no command `" + rest.front() + "` here";
    for (const CLI::App* choice : choices)
      text += (choice == choices.front() ? ": one of " : ", ") + choice->get_name();
  }
  return name + ": " + text + "\n`" + name + " --help` says more.\n";
}

}  // namespace

void add_config_option(CLI::App& app, std::string& path) {
  app.add_option("--config", path,
                 "The configuration; default: $ROCKDOVE_CONFIG, else /etc/rockdove/rockdove.toml")
      ->type_name("FILE");
}

int run(int count, char** arguments) {
  CLI::App app("Rockdove, a mail transfer agent", "rockdove");
  app.require_subcommand(1);
  app.set_version_flag("--version", "rockdove " ROCKDOVE_VERSION);
  app.failure_message(explain_mistake);
  std::array<Action, kCommands.size()> actions;
  std::array<CLI::App*, kCommands.size()> apps{};
  for (std::size_t i = 0; i < kCommands.size(); ++i) {
    apps[i] = app.add_subcommand(kCommands[i].name, kCommands[i].help);
    actions[i] = kCommands[i].add(*apps[i]);
  }
  try {
    app.parse(count, arguments);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kUsage;  // --help and --version end here, too
  }
  for (std::size_t i = 0; i < kCommands.size(); ++i) {
    if (apps[i]->parsed()) return actions[i]();
  }
  return kUsage;
}

}  // namespace rockdove::cli

int main(int count, char** arguments) {
  // A link with the name of one of Postfix's commands behaves as that command.
  const std::string_view path = count > 0 ? arguments[0] : "";
  const std::string_view name = path.substr(path.rfind('/') + 1);
  const std::vector<std::string> rest(arguments + (count > 0 ? 1 : 0), arguments + count);
  if (const std::optional<int> status = rockdove::cli::run_postfix_command(name, rest))
    return *status;
  if (const std::optional<int> status = rockdove::cli::run_sendmail_command(name, rest))
    return *status;
  return rockdove::cli::run(count, arguments);
}
