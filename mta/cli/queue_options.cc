#include "mta/cli/queue_options.h"

#include <algorithm>
#include <iostream>
#include <memory>
#include <optional>
#include <unistd.h>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "mta/cli/option_checks.h"
#include "mta/cli/queue_commands.h"
#include "mta/cli/queue_show.h"
#include "mta/cli/rescue_options.h"
#include "mta/cli/why.h"

namespace rockdove::cli {

using base::Result;

namespace {

// One of all but the last two, or none.
struct PauseOptions {
  std::string destination;
  std::string site;
  std::string provider;
  std::string source;
  std::string user;
  std::string tenant;
  std::string campaign;
  bool everything = false;
  std::string time;
  std::string reason;

  [[nodiscard]] std::optional<PauseCall> call() const {
    using queue::PauseKind;
    if (everything) return PauseCall{PauseKind::Everything, "", time, reason};
    if (!destination.empty()) return PauseCall{PauseKind::Destination, destination, time, reason};
    if (!site.empty()) return PauseCall{PauseKind::Site, site, time, reason};
    if (!provider.empty()) return PauseCall{PauseKind::Provider, provider, time, reason};
    if (!source.empty()) return PauseCall{PauseKind::Source, source, time, reason};
    if (!user.empty()) return PauseCall{PauseKind::User, user, time, reason};
    if (!tenant.empty()) return PauseCall{PauseKind::Tenant, tenant, time, reason};
    if (!campaign.empty()) return PauseCall{PauseKind::Campaign, campaign, time, reason};
    return std::nullopt;
  }
};

// What was given; lives as long as the command's function.
struct QueueOptions {
  FilterOptions filter;
  std::vector<std::string> ids;
  std::string word;  // of an act
  PauseOptions pause;
  std::string address;
  ListOptions listing;
  SummaryOptions summing;
  bool json = false;
  bool dry_run = false;
  bool yes = false;
  bool headers = false;
  bool body = false;
  bool raw = false;

  [[nodiscard]] ShowWhat what() const {
    if (headers) return ShowWhat::Headers;
    if (body) return ShowWhat::Body;
    return raw ? ShowWhat::Raw : ShowWhat::Page;
  }

  [[nodiscard]] Confirmation confirmation() const {
    if (dry_run) return Confirmation::DryRun;
    return yes ? Confirmation::Yes : Confirmation::Missing;
  }
};

void add_list_options(CLI::App& app, QueueOptions& options) {
  add_filters(app, options.filter);
  CLI::Option* limit = app.add_option("--limit", options.listing.limit, "At most so many messages");
  limit->check(refuse_below_one);
  CLI::Option* sort = app.add_option("--sort", options.listing.sort,
                                     "By age, size, attempts, sender or destination");
  sort->check(CLI::IsMember(sort_names()));
  app.add_flag("--count", options.listing.is_count_only, "Only how many deliveries match")
      ->excludes(limit)
      ->excludes(sort);
}

void add_summary_options(CLI::App& app, QueueOptions& options) {
  app.add_option(
         "--by", options.summing.by,
         "destination (the default), sender, user, reason, tenant, campaign, or provider: what "
         "shares a budget, and when its mail will have gone")
      ->check(CLI::IsMember(
          {"destination", "sender", "user", "reason", "tenant", "campaign", "provider"}));
  app.add_option("--limit", options.summing.limit,
                 "The largest so many lines; by default all destinations, 100 of the others")
      ->check(refuse_below_one);
  app.add_flag("--ages", options.summing.has_ages, "By minutes since acceptance, as qshape does");
}

using Run = std::function<Ended(QueueSource&, const QueueOptions&, const Output&)>;

int run_on_queue(const QueueEnvironment& environment, const QueueOptions& options, const Run& run) {
  const Output output{std::cout, std::cerr, base::read_clocks().wall,
                      options.json ? Show::Json : Show::Table,
                      ::isatty(STDOUT_FILENO) == 1 ? Onto::Terminal : Onto::File};
  const Result<QueuePaths> paths = environment.find_paths();
  if (!paths) {
    std::cerr << "rockdove: " << paths.error().text() << '\n';
    return static_cast<int>(Ended::Failed);
  }
  Result<std::unique_ptr<QueueSource>> source = open_queue_source(*paths, environment.open_rows);
  if (!source) {
    std::cerr << "rockdove: " << source.error().text() << '\n';
    return static_cast<int>(Ended::Failed);
  }
  return static_cast<int>(run(*source.value(), options, output));
}

struct ActCommand {
  admin::Act act;
  const char* help;
  const char* word = "";  // the option for the act's word; "": it has none
  const char* word_help = "";
};

constexpr ActCommand kActCommands[] = {
    {admin::Act::Hold, "Put on hold until somebody releases it, by id or by filter", "--because",
     "Why, for those who look at it later"},
    {admin::Act::Release, "End the hold, by id or by filter"},
    {admin::Act::Retry, "Try again now, by id or by filter"},
    {admin::Act::Delete, "Take out of the queue, by id or by filter; can be undone for a day"},
    {admin::Act::Undelete, "Bring back what was deleted, by id or by filter"},
    {admin::Act::Bounce, "Return to the sender now, by id or by filter", "--text",
     "What the sender is told; one line"},
    {admin::Act::Expire, "End its lifetime: one more attempt, and then return it"},
    {admin::Act::Reroute, "Send another way than the routes say, by id or by filter", "--to",
     "As in [[route]] to, \"route:NAME\", or \"routes\" to go by the routes again"},
};

CLI::App* add_act(CLI::App& app, QueueOptions& options, const ActCommand& command) {
  CLI::App* sub = app.add_subcommand(std::string(queue::act_name(command.act)), command.help);
  sub->add_option("ID", options.ids, "Messages or deliveries");
  add_filters(*sub, options.filter);
  if (*command.word != '\0') {
    CLI::Option* word = sub->add_option(command.word, options.word, command.word_help);
    if (command.act == admin::Act::Reroute) word->required();
  }
  CLI::Option* dry_run = sub->add_flag("--dry-run", options.dry_run, "Only count what matches");
  sub->add_flag("--yes", options.yes, "Act on all that matches")->excludes(dry_run);
  return sub;
}

void add_pause_names(CLI::App& app, PauseOptions& options) {
  CLI::Option_group* group = app.add_option_group("what", "One of these");
  group
      ->add_option("--destination", options.destination,
                   "A domain, or route:NAME; \"*\" is any run of characters")
      ->check(refuse_empty);
  group
      ->add_option("--site", options.site,
                   "Those hosts, as `rockdove route` names the site; also with \"*\"")
      ->check(refuse_empty);
  group
      ->add_option("--provider", options.provider,
                   "What goes to this provider of the traffic profiles, as \"yahoo\"")
      ->check(refuse_empty);
  group
      ->add_option("--source", options.source,
                   "What leaves from this address of ours; other sources take its mail, if there "
                   "are any")
      ->check(refuse_empty);
  group->add_option("--user", options.user, "The mail of who logs in so; it goes on hold meanwhile")
      ->check(refuse_empty);
  group->add_option("--tenant", options.tenant, "The mail of this tenant")->check(refuse_empty);
  group
      ->add_option("--campaign", options.campaign,
                   "The mail of this campaign; it goes on hold meanwhile")
      ->check(refuse_empty);
  group->add_flag("--all", options.everything, "All that goes out");
  group->require_option(0, 1);
}

void add_show_options(CLI::App& app, QueueOptions& options) {
  app.add_option("ID", options.ids, "Messages or deliveries")->required();
  CLI::Option* headers = app.add_flag("--headers", options.headers, "Only the header, all of it");
  CLI::Option* body = app.add_flag("--body", options.body, "Only the body, all of it");
  CLI::Option* raw =
      app.add_flag("--raw", options.raw, "Header and body, the octets as they will be sent");
  headers->excludes(body)->excludes(raw);
  body->excludes(raw);
}

}  // namespace

void add_filters(CLI::App& app, FilterOptions& filter) {
  for (const admin::FilterName& name : admin::filter_names()) {
    std::string option(name.name);
    std::replace(option.begin(), option.end(), '_', '-');
    app.add_option("--" + option, filter.given[std::string(name.name)], std::string(name.help))
        ->check(refuse_empty);
  }
}

std::function<int()> add_queue_options(CLI::App& app, QueueEnvironment environment) {
  app.require_subcommand(1);
  const auto options = std::make_shared<QueueOptions>();
  std::vector<std::pair<CLI::App*, Run>> commands;
  CLI::App* list = app.add_subcommand("list", "Each message, its recipients and why they wait");
  add_list_options(*list, *options);
  commands.emplace_back(list, [](QueueSource& source, const QueueOptions& given, const Output& to) {
    return run_queue_list(source, given.filter, given.listing, to);
  });
  CLI::App* show = app.add_subcommand("show", "All that is known about messages");
  add_show_options(*show, *options);
  commands.emplace_back(show, [](QueueSource& source, const QueueOptions& given, const Output& to) {
    return run_queue_show(source, given.ids, given.what(), to);
  });
  CLI::App* why = app.add_subcommand("why", "Why it waits, until when, and what can be done");
  why->add_option("ID", options->ids, "Messages or deliveries")->required();
  commands.emplace_back(why, [](QueueSource& source, const QueueOptions& given, const Output& to) {
    return run_queue_why(source, given.ids, to);
  });
  CLI::App* summary = app.add_subcommand("summary", "Counts by state and destination, with ages");
  add_summary_options(*summary, *options);
  commands.emplace_back(summary,
                        [](QueueSource& source, const QueueOptions& given, const Output& to) {
                          return run_queue_summary(source, given.summing, to);
                        });
  for (const ActCommand& command : kActCommands) {
    commands.emplace_back(
        add_act(app, *options, command),
        [act = command.act](QueueSource& source, const QueueOptions& given, const Output& to) {
          return run_queue_act(source, {act, given.word}, given.ids, given.filter,
                               given.confirmation(), to);
        });
  }
  for (const auto& [command, run] : commands) {
    command->add_flag("--json", options->json, "One JSON object a line");
  }
  std::vector<RescueCommand> rescue = add_rescue_options(app, environment);
  return [environment = std::move(environment), options, commands = std::move(commands),
          rescue = std::move(rescue)] {
    for (const RescueCommand& command : rescue) {
      if (command.app->parsed()) return command.run();
    }
    for (const auto& [command, run] : commands) {
      if (command->parsed()) return run_on_queue(environment, *options, run);
    }
    return static_cast<int>(Ended::Usage);
  };
}

std::function<int()> add_route_options(CLI::App& app, QueueEnvironment environment) {
  const auto options = std::make_shared<QueueOptions>();
  app.add_option("ADDRESS", options->address, "Where would mail to it go?")->required();
  app.add_flag("--json", options->json, "One JSON object");
  return [environment = std::move(environment), options] {
    return run_on_queue(environment, *options,
                        [](QueueSource& source, const QueueOptions& given, const Output& to) {
                          return run_route(source, given.address, to);
                        });
  };
}

std::function<int()> add_pause_options(CLI::App& app, QueueEnvironment environment) {
  const auto options = std::make_shared<QueueOptions>();
  add_pause_names(app, options->pause);
  app.add_option("--for", options->pause.time, "How long, as 2h; without it until `resume`");
  app.add_option("--because", options->pause.reason, "Why, for those who look at it later");
  app.add_flag("--json", options->json, "One JSON object a line");
  return [environment = std::move(environment), options] {
    const std::optional<PauseCall> call = options->pause.call();
    if (!call && !(options->pause.time + options->pause.reason).empty()) {
      std::cerr
          << "rockdove: say what to pause: --destination, --site, --provider, --source, --user, "
             "--tenant, --campaign or --all\n";
      return static_cast<int>(Ended::Usage);
    }
    return run_on_queue(environment, *options,
                        [&call](QueueSource& source, const QueueOptions&, const Output& to) {
                          return call ? run_pause(source, *call, to) : run_pause_list(source, to);
                        });
  };
}

std::function<int()> add_resume_options(CLI::App& app, QueueEnvironment environment) {
  const auto options = std::make_shared<QueueOptions>();
  add_pause_names(app, options->pause);
  app.add_flag("--json", options->json, "One JSON object");
  return [environment = std::move(environment), options] {
    const std::optional<PauseCall> call = options->pause.call();
    if (!call) {
      std::cerr << "rockdove: say what goes on: --destination, --site, --provider, --source, "
                   "--user, --tenant, --campaign or --all\n";
      return static_cast<int>(Ended::Usage);
    }
    return run_on_queue(environment, *options,
                        [&call](QueueSource& source, const QueueOptions&, const Output& to) {
                          return run_resume(source, *call, to);
                        });
  };
}

}  // namespace rockdove::cli
