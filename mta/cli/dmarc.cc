// `rockdove dmarc check`: which DMARC record applies to a domain, what it means, what is wrong.
#include <cstdio>
#include <optional>

#include <CLI/CLI.hpp>

#include "mta/base/text.h"
#include "mta/cli/commands.h"
#include "mta/cli/dmarc_survey.h"
#include "mta/cli/json_text.h"
#include "mta/cli/live_dns.h"

namespace rockdove::cli {
namespace {

struct Options {
  std::string config;
  std::string domain;
  std::vector<std::string> servers;
  std::string suffixes;  // a file; empty: the tree walk
  bool by_list = false;
  bool json = false;
};

int fail(const base::Error& error) {
  std::fprintf(stderr, "rockdove: %s\n", error.text().c_str());
  return kFailed;
}

int check(const Options& options) {
  // Where the record stands is often what people have at hand, and so is an address.
  constexpr std::string_view kRecordAt = "_dmarc.";
  std::string_view named = options.domain;
  named.remove_prefix(named.rfind('@') + 1);
  if (base::starts_with_ignoring_case(named, kRecordAt)) named.remove_prefix(kRecordAt.size());
  const base::Result<std::string> domain = parse_dns_name(named);
  if (!domain) {
    std::fprintf(stderr, "rockdove: dmarc check: %s\n", domain.error().text().c_str());
    return kUsage;
  }
  const auto servers = choose_servers(options.servers, options.config);
  if (!servers) return fail(servers.error());
  policy::OrganisationRule rule;
  std::shared_ptr<const dns::PublicSuffixes> suffixes;
  if (options.by_list) {
    auto loaded = dns::PublicSuffixes::load(options.suffixes.empty() ? dns::kPublicSuffixFile
                                                                     : options.suffixes);
    if (!loaded) return fail(loaded.error());
    suffixes = *std::move(loaded);
    rule.suffixes = suffixes.get();
  }
  std::optional<DmarcSurvey> survey;
  const base::Result<void> ran = run_with_dns(*servers, [&](policy::RecordedDns& dns) {
    survey = survey_dmarc(*domain, rule, dns);
    return survey.has_value();
  });
  if (!ran) return fail(ran.error());
  if (options.json) {
    print_line(survey_as_json(*survey));
  } else {
    std::fputs(format_survey(*survey).c_str(), stdout);
  }
  return is_in_order(*survey) ? kDone : kFailed;
}

}  // namespace

Action add_dmarc(CLI::App& app) {
  app.require_subcommand(1);
  auto options = std::make_shared<Options>();
  CLI::App* const command = app.add_subcommand(
      "check", "Which record applies to a domain and why, what it means, what is wrong with it");
  command->add_option("domain", options->domain, "The domain that mail is from")->required();
  command
      ->add_option("--server", options->servers,
                   "Ask this DNS server; default: those of the configuration, else of "
                   "/etc/resolv.conf")
      ->type_name("ADDRESS[:PORT]")
      ->allow_extra_args(false);  // the domain may stand behind it
  command->add_flag("--psl", options->by_list,
                    "As receivers judge that follow RFC 7489: by the public suffix list");
  command->add_option("--psl-file", options->suffixes, "That list, with --psl; default: Debian's")
      ->type_name("FILE");
  command->add_flag("--json", options->json, "One JSON object");
  add_config_option(*command, options->config);
  command->footer("Exit status: 0 a record applies and is in order, 1 not so, 2 usage.");
  return [options] { return check(*options); };
}

}  // namespace rockdove::cli
