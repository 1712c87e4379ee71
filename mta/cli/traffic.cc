// `rockdove traffic lint|test|show|replay`: whether traffic profiles make sense, which rule a reply
// fires, what applies to a domain, and what changed profiles would have made of the replies in the
// history. None of them needs a running relay; what one has learned, `show` adds.
#include <cstdio>
#include <optional>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "mta/admin/trace_text.h"
#include "mta/base/text.h"
#include "mta/cli/chosen_profiles.h"
#include "mta/cli/commands.h"
#include "mta/cli/json_text.h"
#include "mta/cli/live_dns.h"
#include "mta/cli/queue_tables.h"
#include "mta/cli/safe_text.h"
#include "mta/cli/traffic_replay.h"
#include "mta/cli/traffic_report.h"
#include "mta/daemon/profile_folder.h"
#include "mta/daemon/traffic_file.h"

namespace rockdove::cli {
namespace {

using daemon::Problem;
using daemon::ReadProfiles;
using nlohmann::ordered_json;
using traffic::MxHost;

struct Options {
  std::string config;
  std::vector<std::string> profiles;  // empty: those that came with the program
  std::vector<std::string> hosts;
  std::vector<std::string> servers;
  std::string domain;
  std::string reply;
  std::string stage = "final-dot";
  std::string source;
  std::vector<std::string> against;  // of replay; empty: the profiles in use
  std::string state_dir;
  std::string since;
  std::string until;
  bool json = false;
};

int misused(const std::string& text) {
  std::fprintf(stderr, "rockdove: traffic: %s\n", text.c_str());
  return kUsage;
}

void print_problem(const Options& options, const Problem& problem) {
  if (!options.json) {
    std::printf("%s\n", safe_text(daemon::format_problem(problem)).c_str());
    return;
  }
  print_line({{"file", safe_text(problem.file)},
              {"line", problem.at.line},
              {"column", problem.at.column},
              {"fault", problem.severity == daemon::Severity::Error ? "error" : "warning"},
              {"text", safe_text(problem.text)}});
}

int lint(const Options& options) {
  const ReadProfiles read = choose_profiles(options.profiles, options.config);
  for (const Problem& problem : read.problems) print_problem(options, problem);
  if (!read.profiles) return kFailed;
  const std::vector<traffic::Finding> findings = traffic::lint(*read.profiles);
  for (const traffic::Finding& finding : findings) {
    if (options.json) {
      print_line(finding_as_json(finding));
    } else {
      std::printf("%s\n", format_finding(finding).c_str());
    }
  }
  if (!options.json && findings.empty()) {
    std::size_t rules = read.profiles->defaults().rules.size();
    for (const auto& provider : read.profiles->providers()) rules += provider.rules.size();
    for (const auto& domain : read.profiles->domains()) rules += domain.rules.size();
    std::printf("nothing is wrong with %zu files, %zu providers and %zu rules\n", read.files.size(),
                read.profiles->providers().size(), rules);
  }
  return findings.empty() && read.problems.empty() ? kDone : kFailed;
}

// The hosts of --mx, of one preference; nullopt, and said why: one of them is no name.
std::optional<std::vector<MxHost>> named_hosts(const Options& options) {
  std::vector<MxHost> hosts;
  for (const std::string& name : options.hosts) {
    const base::Result<std::string> host = parse_dns_name(name);
    if (!host) {
      misused(host.error().text());
      return std::nullopt;
    }
    hosts.push_back({*host, 10});
  }
  return hosts;
}

int test(const Options& options) {
  const base::Result<smtp::Reply> reply = traffic::parse_refusal(options.reply);
  if (!reply) return misused("\"" + safe_text(options.reply) + "\": " + reply.error().text());
  const std::optional<smtp::Stage> stage = traffic::parse_stage(options.stage);
  if (!stage) {
    std::string names;
    for (const std::string_view name : traffic::stage_names())
      names.append(names.empty() ? "" : ", ").append(name);
    return misused("there is no stage \"" + safe_text(options.stage) + "\"; one of " + names);
  }
  const std::optional<std::vector<MxHost>> hosts = named_hosts(options);
  if (!hosts) return kUsage;
  const std::shared_ptr<const traffic::Profiles> profiles =
      readable_profiles(options.profiles, options.config);
  if (!profiles) return kFailed;
  std::vector<FiredRule> fired;
  if (hosts->empty() && options.domain.empty()) {
    fired = fired_anywhere(*profiles, *reply, *stage);
  } else {
    const std::string domain = base::lower_case(options.domain);
    const traffic::Provider* const provider = profiles->provider_of(domain, *hosts);
    fired.push_back({provider, profiles->match(*reply, *stage, domain, provider)});
  }
  bool any = false;
  for (const FiredRule& each : fired) {
    any = any || each.rule != nullptr;
    if (options.json) {
      print_line(fired_as_json(*reply, each));
    } else {
      std::printf("%s%s", &each == fired.data() ? "" : "\n", format_fired(*reply, each).c_str());
    }
  }
  return any ? kDone : kFailed;
}

// What the DNS says: the MX hosts, or the domain itself (RFC 5321 §5.1).
base::Result<std::vector<MxHost>> asked_hosts(const Options& options, const std::string& domain) {
  const auto servers = choose_servers(options.servers, options.config);
  if (!servers) return servers.error();
  std::optional<base::Error> failed;
  std::vector<MxHost> hosts;
  const base::Result<void> ran = run_with_dns(*servers, [&](policy::RecordedDns& dns) {
    const dns::Answer* const answer = dns.find(domain, dns::RecordType::MX);
    if (answer == nullptr) return false;
    if (answer->status == dns::Status::Ok) {
      for (const dns::MailExchange& mx : answer->exchanges)
        hosts.push_back({mx.exchange, mx.preference});
    } else if (answer->status == dns::Status::NoData) {
      hosts.push_back({domain, 0});
    } else {
      failed = base::Error("asking for MX of " + domain + ": " +
                           std::string(dns::name_of(answer->status)) +
                           "; name its hosts with --mx to see what would apply");
    }
    return true;
  });
  if (!ran) return ran.error();
  if (failed) return *failed;
  return hosts;
}

// How mail to a domain stands in the running relay.
struct Learned {
  std::string route;    // as `rockdove route --json` has it; "": it was not asked
  std::string unknown;  // why it is not known; "": it was not asked, or nobody has set up a relay
};

Learned ask_relay(const Options& options, const std::string& domain) {
  const base::Result<QueuePaths> paths = find_queue_paths(options.config);
  if (!paths) return {};  // nobody has set up a relay here
  const base::Result<std::unique_ptr<QueueSource>> relay = ask_daemon(*paths);
  if (!relay) return {"", relay.error().text()};
  if (*relay == nullptr) return {"", "no relay runs"};
  Learned learned;
  const base::Result<void> asked = (*relay)->explain_route(
      "postmaster@" + domain, [&](std::string_view line) { learned.route = line; });
  if (!asked) return {"", asked.error().text()};
  return learned;
}

int show(const Options& options) {
  const std::string_view named = options.domain;
  const base::Result<std::string> domain = parse_dns_name(named.substr(named.rfind('@') + 1));
  if (!domain) return misused(domain.error().text());
  std::optional<base::IpAddress> source;
  if (!options.source.empty()) {
    source = base::parse_ip_address(options.source);
    if (!source) return misused("\"" + safe_text(options.source) + "\" is no IP address");
  }
  std::optional<std::vector<MxHost>> hosts = named_hosts(options);
  if (!hosts) return kUsage;
  const std::shared_ptr<const traffic::Profiles> profiles =
      readable_profiles(options.profiles, options.config);
  if (!profiles) return kFailed;
  if (hosts->empty()) {
    base::Result<std::vector<MxHost>> asked = asked_hosts(options, *domain);
    if (!asked) {
      std::fprintf(stderr, "rockdove: %s\n", safe_text(asked.error().text()).c_str());
      return kFailed;
    }
    hosts = *std::move(asked);
  }
  const Applying applying = find_applying(*profiles, *domain, *std::move(hosts), source);
  const bool asks_relay = options.profiles.empty() && options.hosts.empty();
  const Learned learned = asks_relay ? ask_relay(options, *domain) : Learned{};
  if (options.json) {
    ordered_json json = applying_as_json(applying);
    if (!learned.route.empty()) json["now"] = parsed_line(learned.route);
    print_line(json);
  } else {
    std::fputs(format_applying(applying).c_str(), stdout);
    if (!learned.route.empty())
      std::printf("\nin the running relay\n%s", standing_rows(learned.route).c_str());
  }
  if (!learned.unknown.empty())
    std::fprintf(stderr, "rockdove: how it stands there now is not known: %s\n",
                 safe_text(learned.unknown).c_str());
  return kDone;
}

int replay(const Options& options) {
  admin::Parameters when;
  if (!options.since.empty()) when.emplace_back("since", options.since);
  if (!options.until.empty()) when.emplace_back("until", options.until);
  if (const auto parsed = admin::RepliesRun::parse(when, base::read_clocks().wall); !parsed)
    return misused(parsed.error().text());
  const std::shared_ptr<const traffic::Profiles> changed =
      readable_profiles(options.profiles, options.config);
  Options against = options;
  against.profiles = options.against;
  const std::shared_ptr<const traffic::Profiles> in_use =
      changed ? readable_profiles(against.profiles, against.config) : nullptr;
  if (!in_use) return kFailed;
  const auto fail = [](const base::Error& error) {
    std::fprintf(stderr, "rockdove: %s\n", safe_text(error.text()).c_str());
    return kFailed;
  };
  const base::Result<std::unique_ptr<QueueSource>> source = open_queue_at(options.state_dir, options.config);
  if (!source) return fail(source.error());
  TrafficReplay replay(*in_use, *changed);
  std::uint64_t left_out = 0;
  const base::Result<void> read = source.value()->replies(when, [&](std::string_view text) {
    const ordered_json line = parsed_line(text);
    if (line.contains("total")) {
      left_out = number_of(line, "replies_left_out");
    } else {
      replay.add(parse_past_reply(line));
    }
  });
  if (!read) return fail(read.error());
  if (options.json) {
    for (const ordered_json& line : replay_as_json(replay)) print_line(line);
  } else {
    std::fputs(format_replay(replay).c_str(), stdout);
  }
  if (left_out > 0) {
    std::fprintf(stderr, "rockdove: of messages with very many attempts %s steps were left out\n",
                 std::to_string(left_out).c_str());
  }
  return kDone;
}

void add_json(CLI::App& command, Options& options) {
  command.add_flag("--json", options.json, "One JSON object a line");
}

void add_profiles(CLI::App& command, Options& options) {
  command
      .add_option(
          "--profiles", options.profiles,
          std::string("A file of profiles or a folder of them; several: the later one wins; "
                      "default: those of the configuration, or of ") +
              daemon::profile_folder())
      ->type_name("FILE")
      ->allow_extra_args(false);
  add_config_option(command, options.config);
}

void add_hosts(CLI::App& command, Options& options) {
  command.add_option("--mx", options.hosts, "The domain's MX host; several: of one preference")
      ->type_name("HOST")
      ->allow_extra_args(false);
}

CLI::App* add_replay(CLI::App& app, Options& options) {
  CLI::App* const command = app.add_subcommand(
      "replay", "What changed profiles would have made of the replies in the history");
  command
      ->add_option("--profiles", options.profiles,
                   "The changed profiles: a file or a folder; several: the later one wins")
      ->type_name("FILE")
      ->allow_extra_args(false)
      ->required();
  command
      ->add_option("--against", options.against,
                   "What they are compared with; default: the profiles in use")
      ->type_name("FILE")
      ->allow_extra_args(false);
  command->add_option("--since", options.since,
                      "Mail accepted since: 3d or 4h (ago), 2026-11-22 or \"2026-11-22 14:05\"; "
                      "default: all that the history has");
  command->add_option("--until", options.until, "Accepted before, likewise");
  command
      ->add_option("--state", options.state_dir,
                   "The state directory of a relay that is stopped, instead of --config")
      ->type_name("DIR");
  add_json(*command, options);
  add_config_option(*command, options.config);
  command->footer(
      "The history does not have the stage at which a reply came, so `stage` narrows no rule here, "
      "and a rule with `after` counts as though the first reply sufficed.\n"
      "Exit status: 0 compared, 1 the history or a file cannot be read, 2 usage.");
  return command;
}

}  // namespace

Action add_traffic(CLI::App& app) {
  app.require_subcommand(1);
  auto options = std::make_shared<Options>();
  CLI::App* const linting =
      app.add_subcommand("lint", "What is wrong with traffic profiles, with file and line");
  linting
      ->add_option(
          "files", options->profiles,
          std::string("Files of profiles or folders of them; default: those of the configuration, "
                      "or of ") +
              daemon::profile_folder())
      ->type_name("FILE");
  add_config_option(*linting, options->config);
  add_json(*linting, *options);
  linting->footer(
      "Files are put together in their order: name those that come with the program first to check "
      "yours on top of them.\nExit status: 0 nothing is wrong, 1 something is, 2 usage.");
  CLI::App* const testing =
      app.add_subcommand("test", "Which rule a reply fires, and what happens then");
  testing->add_option("reply", options->reply, "The reply as a log shows it: \"421 4.7.0 …\"")
      ->required();
  add_hosts(*testing, *options);
  testing->add_option("--domain", options->domain, "The recipient's domain")->type_name("NAME");
  testing->add_option("--stage", options->stage, "Where it came, as in ehlo, mail, rcpt, final-dot")
      ->capture_default_str();
  add_profiles(*testing, *options);
  add_json(*testing, *options);
  testing->footer(
      "Without --mx and --domain: at each provider that has a rule for it, and everywhere else.\n"
      "Exit status: 0 a rule fires, 1 none does, 2 usage.");
  CLI::App* const showing =
      app.add_subcommand("show",
                         "What applies to a domain, and from which file and line; and how it "
                         "stands in the running relay");
  showing->add_option("domain", options->domain, "A domain, or an address at it")->required();
  add_hosts(*showing, *options);
  showing->add_option("--source", options->source, "The local address that mail leaves from")
      ->type_name("ADDRESS");
  showing
      ->add_option("--server", options->servers,
                   "Ask this DNS server for MX, without --mx; default: those of the configuration, "
                   "else of /etc/resolv.conf")
      ->type_name("ADDRESS[:PORT]")
      ->allow_extra_args(false);
  add_profiles(*showing, *options);
  add_json(*showing, *options);
  showing->footer(
      "The running relay is asked unless --profiles or --mx names another world than its own.\n"
      "Exit status: 0 shown, 1 the DNS or a file failed, 2 usage.");
  CLI::App* const replaying = add_replay(app, *options);
  return [options, linting, testing, replaying] {
    if (replaying->parsed()) return replay(*options);
    if (linting->parsed()) return lint(*options);
    if (testing->parsed()) return test(*options);
    return show(*options);
  };
}

}  // namespace rockdove::cli
