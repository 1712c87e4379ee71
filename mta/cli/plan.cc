// `rockdove plan LIST`: when a mailing would be done, by provider, and what limits it. Finds the
// hosts of the list's domains, makes sites of them as the relay does, and rehearses the mailing
// (queue/rehearsal.h).
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "dns/cares_resolver.h"
#include "mta/cli/chosen_profiles.h"
#include "mta/cli/commands.h"
#include "mta/cli/json_text.h"
#include "mta/cli/live_dns.h"
#include "mta/cli/mailing_list.h"
#include "mta/cli/option_checks.h"
#include "mta/cli/plan_report.h"
#include "mta/cli/planned_sites.h"
#include "mta/cli/queue_source.h"
#include "mta/cli/safe_text.h"
#include "mta/daemon/configuration.h"
#include "mta/daemon/profile_folder.h"
#include "mta/net/uv_loop.h"
#include "mta/outbound/source_chooser.h"
#include "mta/traffic/profiles.h"

namespace rockdove::cli {
namespace {

using base::Error;
using base::Result;

constexpr std::size_t kAskedAtOnce = 200;
constexpr std::size_t kShownDefault = 30;
constexpr std::uint32_t kConnectionsOut = 1000;  // where the configuration leaves it to the system

struct Options {
  std::string list;
  std::string hosts;
  std::vector<std::string> profiles;
  std::vector<std::string> servers;
  std::vector<std::string> paces;
  std::string config;
  std::string state_dir;
  bool learned = false;
  std::string connecting = "300ms";
  std::string reply_time = "300ms";
  std::string message_size = "50k";
  double accepted_per_second = 0;
  std::size_t shown = kShownDefault;
  bool json = false;
};

struct Found {
  std::vector<traffic::MxHost> hosts;  // empty: it takes no mail
  bool is_known = false;               // false: the DNS did not answer, or need not be asked
};

// Asks for the MX hosts of each domain, a bounded number at once.
class MxQuestions {
 public:
  MxQuestions(net::UvLoop& loop, dns::Resolver& resolver, std::map<std::string, Found>& found)
      : loop_(loop), resolver_(resolver), found_(found), next_(found.begin()) {}

  // Whether there is something to wait for.
  bool ask() {
    while (open_ < kAskedAtOnce && next_ != found_.end()) {
      const auto domain = next_++;
      if (domain->second.is_known) continue;
      ++open_;
      resolver_.query(domain->first, dns::RecordType::MX,
                      [this, domain](const dns::AnswerPointer& answer) {
                        take(*domain, *answer);
                        --open_;
                        if (!ask()) loop_.stop();
                      });
    }
    return open_ > 0;
  }

 private:
  static void take(std::pair<const std::string, Found>& domain, const dns::Answer& answer) {
    Found& found = domain.second;
    found.is_known = !dns::is_temporary(answer.status);
    if (answer.status == dns::Status::NoData) found.hosts.push_back({domain.first, 0});
    for (const dns::MailExchange& mx : answer.exchanges) {
      if (!mx.exchange.empty()) found.hosts.push_back({mx.exchange, mx.preference});  // RFC 7505
    }
  }

  net::UvLoop& loop_;
  dns::Resolver& resolver_;
  std::map<std::string, Found>& found_;
  std::map<std::string, Found>::iterator next_;
  std::size_t open_ = 0;
};

Result<void> ask_dns(const Options& options, std::map<std::string, Found>& found) {
  const auto servers = choose_servers(options.servers, options.config);
  if (!servers) return servers.error();
  net::UvLoop loop(0);
  dns::CaresSettings settings;
  settings.servers = *servers;
  Result<std::unique_ptr<dns::Resolver>> resolver = dns::make_cares_resolver(loop, settings);
  if (!resolver) return resolver.error().in("asking the DNS");
  MxQuestions questions(loop, **resolver, found);
  if (questions.ask()) loop.run();
  return {};
}

template <typename Read>
auto read_file(const std::string& path, Read read) -> decltype(read(std::cin)) {
  if (path == "-") return read(std::cin);
  std::ifstream file(path);
  if (!file) return Error(path + " cannot be opened");
  auto result = read(file);
  if (!result) return result.error().in(path);
  return result;
}

// Of all domains that no route has hosts for.
Result<std::map<std::string, Found>> find_hosts(const Options& options, const MailingList& list,
                                                const PlannedSites& sites) {
  std::map<std::string, Found> found;
  HostsOfDomains known;
  if (!options.hosts.empty()) {
    const Result<HostsOfDomains> read = read_file(options.hosts, read_hosts);
    if (!read) return read.error();
    known = *read;
  }
  bool is_all = true;
  for (const auto& [domain, recipients] : list.recipients) {
    if (sites.has_route(domain)) continue;
    Found& of_domain = found[domain];
    auto named = known.find(domain);
    if (named == known.end()) named = known.find("*");
    of_domain.is_known = named != known.end();
    is_all = is_all && of_domain.is_known;
    if (!of_domain.is_known) continue;
    for (const std::string& host : named->second) of_domain.hosts.push_back({host, 10});
  }
  if (is_all) return found;
  if (const Result<void> asked = ask_dns(options, found); !asked) return asked.error();
  return found;
}

// "google=4/s": what was learned of an account, or what somebody wants to know about.
struct Pace {
  std::string text;  // as it was written
  std::string account;
  double per_second = 0;
};

Result<std::vector<Pace>> parse_paces(const std::vector<std::string>& texts) {
  std::vector<Pace> paces;
  for (const std::string& text : texts) {
    const std::size_t equals = text.rfind('=');
    const Error wrong("--pace " + safe_text(text) +
                      ": write a provider, \"=\" and a rate, as in google=4/s");
    if (equals == std::string::npos || equals == 0) return wrong;
    const Result<traffic::Rate> rate = traffic::parse_rate(text.substr(equals + 1));
    if (!rate) return rate.error().in("--pace " + safe_text(text));
    paces.push_back({text, text.substr(0, equals), rate->per_second()});
  }
  return paces;
}

// By the names of accounts.
Result<std::map<std::string, double>> paces_of_accounts(const std::vector<Pace>& paces,
                                                        const PlannedSites& sites) {
  std::map<std::string, double> by_account;
  for (const Pace& pace : paces) {
    const Result<std::string> account = sites.find_account(pace.account);
    if (!account) return account.error().in("--pace " + safe_text(pace.text));
    by_account[*account] = pace.per_second;
  }
  return by_account;
}

// What the relay has learned of each account, where --pace does not say otherwise.
Result<void> add_learned(const Options& options, std::map<std::string, double>& paces) {
  const auto source = open_queue_at(options.state_dir, options.config);
  if (!source) return source.error();
  return (*source)->learned([&paces](std::string_view line) {
    const nlohmann::ordered_json json = parsed_line(line);
    const char* const figure = json.contains("mean") ? "mean" : "pace";
    if (json.contains(figure) && json[figure].is_number())
      paces.emplace(text_of(json, "account"), json[figure].get<double>());
  });
}

Result<queue::RehearsalSettings> read_settings(const Options& options,
                                               const daemon::Configuration& configuration) {
  queue::RehearsalSettings settings;
  settings.queue = configuration.queue;
  if (settings.queue.connections_out == 0) settings.queue.connections_out = kConnectionsOut;
  const Result<base::Duration> connecting = base::parse_duration(options.connecting);
  if (!connecting) return connecting.error().in("--connecting");
  const Result<base::Duration> sending = base::parse_duration(options.reply_time);
  if (!sending) return sending.error().in("--reply-time");
  const Result<std::uint64_t> message_octets = base::parse_size(options.message_size);
  if (!message_octets) return message_octets.error().in("--message-size");
  settings.message_octets = *message_octets;
  settings.connecting = *connecting;
  settings.sending = *sending;
  settings.accepted_per_second = options.accepted_per_second;
  return settings;
}

int fail(const Error& error, int status = kFailed) {
  std::fprintf(stderr, "rockdove: %s\n", safe_text(error.text()).c_str());
  return status;
}

// What is said of a provider holds for each source, where that has no pace of its own.
void use_pace_of_all_sources(std::map<std::string, double>& paces,
                             const queue::RehearsedSite& site) {
  const auto& seen = static_cast<const outbound::Site&>(*site.site);
  const auto found = paces.find(std::string(outbound::account_of_all_sources(seen)));
  if (found != paces.end()) paces.emplace(seen.account->name, found->second);
}

// With its routes where all of it can be read, else its plain keys, else the defaults.
daemon::Configuration read_configuration(const Options& options) {
  const std::string path = daemon::configuration_path(options.config);
  daemon::ParsedConfiguration whole = daemon::load_configuration(path);
  if (whole.configuration) return *std::move(whole.configuration);
  daemon::ParsedConfiguration keys = daemon::load_configuration_keys(path);
  if (!keys.configuration) return {};
  std::fprintf(stderr,
               "rockdove: not all of %s can be read (rockdove check says why): routes are not "
               "regarded\n",
               safe_text(path).c_str());
  return *std::move(keys.configuration);
}

Unplanned add_sites(const MailingList& list, const std::map<std::string, Found>& found,
                    PlannedSites& sites) {
  Unplanned unplanned;
  for (const auto& [domain, recipients] : list.recipients) {
    if (sites.has_route(domain)) {
      if (!sites.add_by_route(domain, recipients)) unplanned.kept += recipients;
      continue;
    }
    const Found& of_domain = found.at(domain);
    if (!of_domain.is_known) {
      unplanned.unknown += recipients;
    } else if (of_domain.hosts.empty()) {
      unplanned.no_hosts += recipients;
    } else {
      sites.add(domain, of_domain.hosts, recipients);
    }
  }
  return unplanned;
}

int plan(const Options& options) {
  const daemon::Configuration configuration = read_configuration(options);
  Result<queue::RehearsalSettings> settings = read_settings(options, configuration);
  if (!settings) return fail(settings.error(), kUsage);
  const Result<std::vector<Pace>> paces = parse_paces(options.paces);
  if (!paces) return fail(paces.error(), kUsage);
  const std::shared_ptr<const traffic::Profiles> profiles =
      readable_profiles(options.profiles, options.config);
  if (profiles == nullptr) return kFailed;
  const Result<MailingList> list = read_file(options.list, read_mailing_list);
  if (!list) return fail(list.error());
  PlannedSites sites(configuration.outbound, profiles, settings->queue);
  const Result<std::map<std::string, Found>> found = find_hosts(options, *list, sites);
  if (!found) return fail(found.error());
  const Unplanned unplanned = add_sites(*list, *found, sites);
  Result<std::map<std::string, double>> by_account = paces_of_accounts(*paces, sites);
  if (!by_account) return fail(by_account.error(), kUsage);
  settings->pace = *std::move(by_account);
  if (options.learned || !options.state_dir.empty()) {
    const Result<void> learned = add_learned(options, settings->pace);
    if (!learned) return fail(learned.error().in("what was learned"));
  }
  const std::vector<queue::RehearsedSite> all = sites.all();
  for (const queue::RehearsedSite& site : all) use_pace_of_all_sources(settings->pace, site);
  const std::vector<queue::RehearsedAccount> accounts = queue::rehearse(all, *settings);
  if (options.json) {
    for (const nlohmann::ordered_json& line : plan_as_json(accounts, unplanned)) print_line(line);
  } else {
    std::fputs(format_plan(accounts, unplanned, base::read_clocks().wall, options.shown).c_str(),
               stdout);
  }
  return kDone;
}

}  // namespace

Action add_plan(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option(
         "LIST", options->list,
         "A file, a line each: an address, a domain, or a domain, a comma and a count; \"-\": "
         "standard input")
      ->required();
  app.add_option("--profiles", options->profiles,
                 std::string("A file of traffic profiles or a folder of them; several: the later "
                             "one wins; default: those of the configuration, or of ") +
                     daemon::profile_folder())
      ->type_name("FILE")
      ->allow_extra_args(false);
  app.add_option("--mx-map", options->hosts,
                 "The MX hosts of domains, a line each: a domain, or * for all others, and hosts; "
                 "the DNS is asked for the rest")
      ->type_name("FILE");
  app.add_option("--server", options->servers,
                 "Ask this DNS server; default: those of the configuration, else of "
                 "/etc/resolv.conf")
      ->type_name("ADDRESS[:PORT]")
      ->allow_extra_args(false);
  app.add_option("--pace", options->paces,
                 "A pace below the profile's rate, as it was learned, of a provider, a route with "
                 "an account of its own or any account that the plan shows: google=4/s; several")
      ->type_name("NAME=RATE")
      ->allow_extra_args(false);
  app.add_flag("--learned", options->learned,
               "Hold each account to what the relay has learned of it, running or stopped: what it "
               "took on average while mail waited there, else its pace of now");
  app.add_option("--state", options->state_dir,
                 "The same, from the state directory of a stopped relay")
      ->type_name("DIR");
  app.add_option("--connecting", options->connecting,
                 "What a connection takes until it is ready for mail")
      ->capture_default_str();
  app.add_option("--reply-time", options->reply_time,
                 "What a message takes on a connection, from MAIL to the last reply")
      ->capture_default_str();
  app.add_option("--message-size", options->message_size,
                 "What each message has, for limits of bytes in a time")
      ->type_name("SIZE")
      ->capture_default_str();
  app.add_option("--accept-rate", options->accepted_per_second,
                 "Messages a second at which the mailing is handed in; 0: all of it waits already")
      ->check(refuse_other_than_pace)
      ->capture_default_str();
  app.add_option("--limit", options->shown, "At most so many accounts, the slowest first")
      ->check(refuse_below_one)
      ->capture_default_str();
  app.add_flag("--json", options->json, "One JSON object a line");
  add_config_option(app, options->config);
  app.footer(
      "One message a recipient, and nobody refuses or defers. Which provider takes the mail of a "
      "domain is seen by its MX hosts, those of the DNS or of --mx-map, and by the profiles' "
      "patterns of domains; offline a line \"* mx.example.org\" in the map answers for all others. "
      "Routes of the configuration are asked about mail from nobody in particular.\n"
      "Exit status: 0 planned, 1 the list, the DNS or a file failed, 2 usage.");
  return [options] { return plan(*options); };
}

}  // namespace rockdove::cli
