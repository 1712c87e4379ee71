// `rockdove user …`: the accounts of submission, in the file that [auth] users names.
#include <cstdio>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "mta/base/wipe.h"
#include "mta/cli/accounts_editor.h"
#include "mta/cli/commands.h"
#include "mta/cli/password_source.h"
#include "mta/crypto/password.h"
#include "mta/daemon/configuration.h"
#include "mta/inbound/accounts_file.h"

namespace rockdove::cli {
namespace {

using base::Error;
using base::Result;
using inbound::AccountTable;

struct UserOptions {
  std::string config;
  std::string users;
  std::string name;
  bool from_stdin = false;
  bool generate = false;
  bool json = false;

  [[nodiscard]] PasswordSource source() const {
    if (generate) return PasswordSource::Generated;
    return from_stdin ? PasswordSource::StandardInput : PasswordSource::Terminal;
  }
};

// Where the accounts are.
struct Place {
  std::string path;
  std::string daemon_user;
};

int fail(const Error& error) {
  std::fprintf(stderr, "rockdove: %s\n", error.text().c_str());
  return kFailed;
}

// With --users, a configuration that is bad or missing does not matter.
Result<Place> find_place(const UserOptions& options) {
  const daemon::ParsedConfiguration parsed =
      daemon::load_configuration_keys(daemon::configuration_path(options.config));
  if (!options.users.empty())
    return Place{options.users,
                 parsed.configuration ? parsed.configuration->user : daemon::Configuration().user};
  if (parsed.configuration) return Place{parsed.configuration->users, parsed.configuration->user};
  for (const daemon::Problem& problem : parsed.problems) {
    if (problem.severity == daemon::Severity::Error)
      return Error(daemon::format_problem(problem) + " (--users FILE does without it)");
  }
  return Error("the configuration cannot be read");
}

Error already_there(const std::string& name) {
  return Error("the account " + name + " exists; `rockdove user passwd` changes its password");
}

Error not_there(const std::string& name, const std::string& path) {
  return Error("there is no account " + name + " in " + path);
}

// Asks for the password and hashes it before anything is locked.
int set_password(const UserOptions& options, const Place& place, IfMissing if_missing) {
  const bool is_new = if_missing == IfMissing::Make;
  // What would be refused is told before somebody types a password.
  const Result<std::shared_ptr<const AccountTable>> before = inbound::read_accounts(place.path);
  if (before && is_new && (*before)->find(options.name) != nullptr)
    return fail(already_there(options.name));
  if (before && !is_new && (*before)->find(options.name) == nullptr)
    return fail(not_there(options.name, place.path));
  Result<std::string> password = get_password(options.source(), options.name);
  if (!password) return fail(password.error());
  const Result<std::string> hash = crypto::hash_password(*password);
  if (!hash) return fail(hash.error());
  const Result<void> done =
      edit_accounts(place.path, {if_missing, place.daemon_user},
                    [&](std::string_view text, const AccountTable& table) -> Result<std::string> {
                      const bool is_there = table.find(options.name) != nullptr;
                      if (is_there && is_new) return already_there(options.name);
                      if (!is_there && !is_new) return not_there(options.name, place.path);
                      return inbound::with_account(text, {options.name, *hash});
                    });
  if (!done) return fail(done.error());
  if (options.generate) std::printf("%s\n", password->c_str());
  base::wipe(*password);
  std::fprintf(stderr, is_new ? "added %s to %s\n" : "changed the password of %s in %s\n",
               options.name.c_str(), place.path.c_str());
  // The daemon is stricter than we are: it takes no file that everybody may read.
  if (const auto after = inbound::read_accounts(place.path); !after)
    std::fprintf(stderr, "rockdove: warning: the daemon will not take it: %s\n",
                 after.error().text().c_str());
  return kDone;
}

int remove(const UserOptions& options, const Place& place) {
  const Result<void> done =
      edit_accounts(place.path, {IfMissing::Fail, {}},
                    [&](std::string_view text, const AccountTable& table) -> Result<std::string> {
                      if (table.find(options.name) == nullptr)
                        return not_there(options.name, place.path);
                      return inbound::without_account(text, options.name);
                    });
  if (!done) return fail(done.error());
  std::fprintf(stderr, "removed %s from %s\n", options.name.c_str(), place.path.c_str());
  return kDone;
}

int list(const UserOptions& options, const Place& place) {
  const Result<std::shared_ptr<const AccountTable>> table = inbound::read_accounts(place.path);
  if (!table) return fail(table.error());
  for (const inbound::Account& account : (*table)->accounts()) {
    const std::string line =
        options.json ? nlohmann::json{{"name", account.name}}.dump() : account.name;
    std::printf("%s\n", line.c_str());
  }
  return kDone;
}

using Run = int (*)(const UserOptions& options, const Place& place);

void add_password_options(CLI::App& app, UserOptions& options) {
  CLI::Option* from_stdin =
      app.add_flag("--password-stdin", options.from_stdin, "Read the password from standard input");
  app.add_flag("--generate", options.generate, "Make a password and print it")
      ->excludes(from_stdin);
}

void add_name(CLI::App& app, UserOptions& options) {
  app.add_option("NAME", options.name, "The account: what a client gives as user name")
      ->required()
      ->check([](const std::string& name) {
        const Result<void> good = inbound::check_account_name(name);
        return good ? std::string() : good.error().text();
      });
}

}  // namespace

Action add_user(CLI::App& app) {
  app.require_subcommand(1);
  app.fallthrough();  // --config may stand behind `add` as well
  auto options = std::make_shared<UserOptions>();
  add_config_option(app, options->config);
  app.add_option("--users", options->users,
                 "The accounts file; default: what [auth] users says in the configuration")
      ->type_name("FILE");
  std::vector<std::pair<CLI::App*, Run>> commands;
  CLI::App* add = app.add_subcommand("add", "Make an account, and the file if there is none");
  commands.emplace_back(add, [](const UserOptions& given, const Place& place) {
    return set_password(given, place, IfMissing::Make);
  });
  CLI::App* passwd = app.add_subcommand("passwd", "Change an account's password");
  commands.emplace_back(passwd, [](const UserOptions& given, const Place& place) {
    return set_password(given, place, IfMissing::Fail);
  });
  CLI::App* removes = app.add_subcommand("remove", "Remove an account");
  commands.emplace_back(removes, remove);
  for (CLI::App* command : {add, passwd, removes}) add_name(*command, *options);
  for (CLI::App* command : {add, passwd}) add_password_options(*command, *options);
  CLI::App* lists = app.add_subcommand("list", "The names of all accounts");
  lists->add_flag("--json", options->json, "One JSON object a line");
  commands.emplace_back(lists, list);
  return [options, commands = std::move(commands)] {
    const Result<Place> place = find_place(*options);
    if (!place) return fail(place.error());
    for (const auto& [command, run] : commands) {
      if (command->parsed()) return run(*options, *place);
    }
    return kUsage;
  };
}

}  // namespace rockdove::cli
