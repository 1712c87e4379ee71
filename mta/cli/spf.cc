// `rockdove spf check`: what an SPF record means, what is wrong with it, and whom it lets pass.
#include <array>
#include <cstdio>
#include <memory>
#include <optional>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "mta/base/text.h"
#include "mta/cli/commands.h"
#include "mta/cli/json_text.h"
#include "mta/cli/live_dns.h"
#include "mta/cli/safe_text.h"
#include "mta/cli/spf_report.h"

namespace rockdove::cli {
namespace {

using policy::RecordedDns;

// Nobody has this address (RFC 5737), so that it stands for whoever a record does not name.
constexpr std::string_view kStranger = "192.0.2.1";

struct Options {
  std::string config;
  std::string subject;  // a domain or a record
  std::string client;
  std::string sender;
  std::string helo;
  std::vector<std::string> servers;
  bool json = false;
};

int complain(int status, const std::string& text) {
  std::fprintf(stderr, "rockdove: spf check: %s\n", text.c_str());
  return status;
}

// The steps of one check; go_on() until it is true.
class SpfCheck {
 public:
  SpfCheck(SpfFindings& findings, std::optional<std::string> record)
      : findings_(findings), record_(std::move(record)) {}

  bool go_on(RecordedDns& dns) {
    if (record_ && !findings_.domain.empty()) publish(dns);
    if (!survey_) {
      survey_ = policy::survey_spf(
          findings_.domain, record_ ? std::optional<std::string_view>(*record_) : std::nullopt,
          dns);
    }
    if (findings_.request && !verdict_) verdict_ = policy::check_spf(*findings_.request, dns);
    if (!survey_ || (findings_.request && !verdict_)) return false;
    findings_.survey = *survey_;
    if (!findings_.request) return true;
    findings_.verdict = *verdict_;
    return ask_second(dns);
  }

 private:
  // As if the record that was given stood in the DNS.
  void publish(RecordedDns& dns) const {
    dns::Answer answer;
    answer.status = dns::Status::Ok;
    answer.texts.push_back(*record_);
    dns.add({findings_.domain, dns::RecordType::TXT},
            std::make_shared<const dns::Answer>(std::move(answer)));
  }

  bool ask_second(RecordedDns& dns) {
    findings_.second = policy::ask_libspf2(*findings_.request, dns);
    if (findings_.second.missing.empty() || ++second_rounds_ >= policy::kSecondRoundsMax)
      return true;
    second_questions_ += findings_.second.missing.size();
    if (second_questions_ > policy::kSecondQuestionsMax) return true;
    bool is_waiting = false;
    for (const policy::Question& question : findings_.second.missing)
      is_waiting = dns.find(question.name, question.type) == nullptr || is_waiting;
    return !is_waiting;
  }

  SpfFindings& findings_;
  std::optional<std::string> record_;
  std::optional<policy::SpfSurvey> survey_;
  std::optional<policy::SpfOutcome> verdict_;
  unsigned second_rounds_ = 0;
  std::size_t second_questions_ = 0;
};

std::string machine_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

// "<jane@example.com>", as it is often copied, without its brackets.
std::string_view without_brackets(std::string_view address) {
  if (address.size() >= 2 && address.starts_with('<') && address.ends_with('>'))
    return address.substr(1, address.size() - 2);
  return address;
}

base::Result<policy::SpfRequest> make_request(const Options& options, const std::string& domain) {
  policy::SpfRequest request;
  const std::string client(options.client.empty() ? kStranger : options.client);
  const std::optional<base::IpAddress> address = base::parse_ip_address(client);
  if (!address) {
    return base::Error("\"" + safe_text(client) +
                       "\" is no address: one is 192.0.2.1 or 2001:db8::1");
  }
  request.client = *address;
  request.helo = options.helo.empty() ? domain : options.helo;
  const std::string_view sender = without_brackets(options.sender);
  request.sender = sender.empty() ? "postmaster@" + domain : std::string(sender);
  request.receiver = machine_name();
  request.now = base::read_clocks().wall;
  request.explaining = policy::SpfExplaining::Yes;
  return request;
}

int check(Options options) {
  SpfFindings findings;
  std::optional<std::string> record;
  std::string domain = options.subject;
  const bool is_record = base::starts_with_ignoring_case(options.subject, "v=spf1");
  if (const std::size_t at = domain.rfind('@'); at != std::string::npos && !is_record) {
    if (options.sender.empty()) options.sender = domain;
    domain = without_brackets(domain);
    domain.erase(0, domain.rfind('@') + 1);
  }
  if (is_record) {
    record = options.subject;
    const std::string_view sender = without_brackets(options.sender);
    domain = sender.substr(sender.rfind('@') + 1);
  }
  if (!record || !domain.empty()) {
    const base::Result<std::string> name = parse_dns_name(domain);
    if (!name) return complain(kUsage, name.error().text());
    findings.domain = *name;
    const auto request = make_request(options, findings.domain);
    if (!request) return complain(kUsage, request.error().text());
    findings.request = *request;
  } else if (!options.client.empty() || !options.helo.empty()) {
    return complain(kUsage, "say with --from for which domain this client would send");
  }
  const auto servers = choose_servers(options.servers, options.config);
  if (!servers) return complain(kFailed, servers.error().text());
  SpfCheck spf_check(findings, std::move(record));
  const base::Result<void> ran =
      run_with_dns(*servers, [&](RecordedDns& dns) { return spf_check.go_on(dns); });
  if (!ran) return complain(kFailed, ran.error().text());
  if (options.json) {
    print_line(findings_as_json(findings));
  } else {
    std::fputs(format_findings(findings).c_str(), stdout);
  }
  return is_in_order(findings) ? kDone : kFailed;
}

}  // namespace

Action add_spf(CLI::App& app) {
  app.require_subcommand(1);
  auto options = std::make_shared<Options>();
  CLI::App* const command = app.add_subcommand(
      "check", "What a record means term by term, what is wrong with it, and whom it lets pass");
  command
      ->add_option("subject", options->subject,
                   "A domain, or a record that is to be published: \"v=spf1 …\"")
      ->type_name("DOMAIN|RECORD")
      ->required();
  command->add_option("--ip", options->client, "Judge mail from this client; default: a stranger")
      ->type_name("ADDRESS");
  command
      ->add_option("--from", options->sender,
                   "Judge mail of this sender; default: postmaster of the domain")
      ->type_name("ADDRESS");
  command->add_option("--helo", options->helo, "Said by this client; default: the domain")
      ->type_name("NAME");
  command
      ->add_option("--server", options->servers,
                   "Ask this DNS server; default: those of the configuration, else of "
                   "/etc/resolv.conf")
      ->type_name("ADDRESS[:PORT]")
      ->allow_extra_args(false);  // the domain may stand behind it
  command->add_flag("--json", options->json, "One JSON object");
  add_config_option(*command, options->config);
  command->footer(
      "Besides our own verdict it prints that of libspf2, where that differs.\n"
      "Exit status: 0 there is a record and nothing is wrong with it, 1 not so, 2 usage.");
  return [options] { return check(*options); };
}

}  // namespace rockdove::cli
