#include <cstdio>

#include <nlohmann/json.hpp>

#include "mta/cli/check_sending.h"
#include "mta/cli/check_words.h"
#include "mta/cli/commands.h"
#include "mta/daemon/certificates.h"
#include "mta/daemon/configuration.h"

namespace rockdove::cli {
namespace {

using daemon::Configuration;
using daemon::Problem;
using daemon::Severity;

struct Options {
  std::string config;
  bool json = false;
  bool reference = false;
};

std::vector<std::string> sorted(const std::unordered_set<std::string>& names) {
  std::vector<std::string> words(names.begin(), names.end());
  std::sort(words.begin(), words.end());
  return words;
}

std::string_view name_of(inbound::LineEndings line_endings) {
  switch (line_endings) {
    case inbound::LineEndings::Reject:
      return "reject";
    case inbound::LineEndings::Fix:
      return "fix";
  }
  return "";
}

std::string_view name_of(inbound::RecipientCheck check) {
  switch (check) {
    case inbound::RecipientCheck::Ask:
      return "ask";
    case inbound::RecipientCheck::File:
      return "file";
    case inbound::RecipientCheck::Any:
      return "any";
  }
  return "";
}

std::string_view name_of(inbound::ListenerTls tls) {
  switch (tls) {
    case inbound::ListenerTls::Off:
      return "off";
    case inbound::ListenerTls::Optional:
      return "optional";
    case inbound::ListenerTls::Required:
      return "required";
    case inbound::ListenerTls::Implicit:
      return "implicit";
  }
  return "";
}

std::string_view name_of(inbound::ListenerAuth auth) {
  switch (auth) {
    case inbound::ListenerAuth::Off:
      return "off";
    case inbound::ListenerAuth::Optional:
      return "optional";
    case inbound::ListenerAuth::Required:
      return "required";
  }
  return "";
}

std::string_view name_of(net::TlsVersion version) {
  switch (version) {
    case net::TlsVersion::V1_0:
      return "1.0";
    case net::TlsVersion::V1_1:
      return "1.1";
    case net::TlsVersion::V1_2:
      return "1.2";
    case net::TlsVersion::V1_3:
      return "1.3";
  }
  return "";
}

// One text for each certificate; what serve makes itself is not there yet.
std::vector<std::string> certificates(const Configuration& configuration) {
  const base::WallTime now = base::read_clocks().wall;
  std::vector<std::string> texts;
  for (const net::PemIdentity& identity : configuration.identities) {
    if (const auto facts = net::certificate_facts(identity.certificate))
      texts.push_back(daemon::describe_certificate(*facts, now));
  }
  if (texts.empty() && daemon::wants_certificates(configuration))
    texts.push_back("self-signed for " + configuration.hostname + ", made at the first start");
  return texts;
}

// "optional, 1.2 and later"
std::string describe_tls(const inbound::ListenerSettings& listener) {
  std::string text(name_of(listener.tls));
  if (listener.tls == inbound::ListenerTls::Off) return text;
  return text.append(", ").append(name_of(listener.tls_min)).append(" and later");
}

// "optional, in clear from 10.0.0.0/8"
std::string describe_auth(const inbound::ListenerSettings& listener) {
  std::string text(name_of(listener.auth));
  if (listener.auth != inbound::ListenerAuth::Off && !listener.auth_in_clear.empty())
    text.append(", in clear from ").append(joined(formatted(listener.auth_in_clear), ""));
  return text;
}

std::string describe_tenant(const inbound::ListenerSettings& listener) {
  if (!listener.tenant.empty()) return listener.tenant;
  return listener.auth == inbound::ListenerAuth::Off ? "none" : "the account that has logged in";
}

void line(std::string_view name, const std::string& value) {
  std::printf("  %-18s %s\n", std::string(name).c_str(), value.c_str());
}

// "2 entries, 1,000 of /etc/rockdove/block".
std::string describe(const policy::AddressLists& lists) {
  std::vector<std::string> words;
  if (lists.own != nullptr) words.push_back(std::to_string(lists.own->size()) + " here");
  for (const policy::AddressLists::File& file : lists.files)
    words.push_back(std::to_string(file.list->size()) + " in " + file.path);
  return joined(words, "none");
}

std::string_view name_of(policy::DnsList::Of of) {
  switch (of) {
    case policy::DnsList::Of::Client:
      return "client";
    case policy::DnsList::Of::Sender:
      return "sender";
    case policy::DnsList::Of::Helo:
      return "helo";
  }
  return "";
}

// "spf check, dkim check, …", of what is set.
std::string describe(const policy::ChecksFor& rule) {
  const std::pair<std::string_view, std::optional<policy::CheckMode>> modes[] = {
      {"spf", rule.spf},   {"dkim", rule.dkim},   {"arc", rule.arc},    {"dmarc", rule.dmarc},
      {"helo", rule.helo}, {"iprev", rule.iprev}, {"dnsbl", rule.dnsbl}};
  std::vector<std::string> words;
  for (const auto& [name, mode] : modes) {
    if (mode) words.push_back(std::string(name).append(" ").append(policy::name_of(*mode)));
  }
  return joined(words, "nothing else");
}

// What a rule of [[policy.for]] holds for, as "listener lan, 10.0.0.0/8".
std::string conditions(const policy::ChecksFor& rule) {
  std::vector<std::string> words = formatted(rule.clients);
  if (!rule.listener.empty()) words.insert(words.begin(), "listener " + rule.listener);
  return joined(words, "everybody");
}

policy::ChecksFor all_of(const policy::Checks& checks) {
  policy::ChecksFor all;
  all.spf = checks.spf;
  all.dkim = checks.dkim;
  all.arc = checks.arc;
  all.dmarc = checks.dmarc;
  all.helo = checks.client.helo;
  all.iprev = checks.client.iprev;
  all.dnsbl = checks.client.dnsbl;
  return all;
}

// What must hold for mail that a section [[dkim]] signs, as "From example.com, user jane*".
std::string conditions(const policy::SigningConditions& conditions) {
  std::vector<std::string> words;
  for (const std::string& from : conditions.from) words.push_back("From " + from);
  if (!conditions.sender.empty()) words.push_back("sender " + conditions.sender);
  if (!conditions.user.empty()) words.push_back("user " + conditions.user);
  if (!conditions.tenant.empty()) words.push_back("tenant " + conditions.tenant);
  if (!conditions.listener.empty()) words.push_back("listener " + conditions.listener);
  for (const std::string& network : formatted(conditions.client))
    words.push_back("client " + network);
  return joined(words, "all mail");
}

void print(const policy::SigningTable* signing, const policy::ArcIdentity* arc) {
  std::printf("signatures\n");
  if (signing == nullptr) line("dkim", "none");
  for (std::size_t i = 0; signing != nullptr && i < signing->rules().size(); ++i) {
    const policy::SigningRule& rule = signing->rules()[i];
    const bool is_always = rule.active_from == base::WallTime();
    line("dkim " + rule.identity->domain,
         "selector " + rule.identity->selector + ", " +
             std::string(rule.identity->key->algorithm()) + ", of " + conditions(rule.conditions) +
             (is_always ? "" : ", from " + base::format_timestamp(rule.active_from) + " on"));
  }
  line("arc", arc == nullptr ? "none"
                             : arc->domain + ", selector " + arc->selector + ", " +
                                   std::string(arc->key->algorithm()));
}

void print(const policy::JudgingSettings& judging, const policy::ClientPolicy& policy) {
  std::printf("strangers\n");
  line("checks", describe(all_of(judging.checks)));
  for (const policy::ChecksFor& rule : judging.overrides)
    line("of " + conditions(rule), describe(rule));
  line("allow", describe(policy.allow));
  line("block", describe(policy.block));
  line("dmarc_exempt", describe(policy.dmarc_exempt));
  for (const policy::DnsList& list : policy.dns_lists) {
    line(list.weight < 0 ? "dnswl" : "dnsbl", list.zone + ", of " + std::string(name_of(list.of)) +
                                                  ", weight " + std::to_string(list.weight));
  }
  if (!policy.dns_lists.empty()) line("refuse_at", std::to_string(policy.refuse_at));
  line("contact", policy.contact.empty() ? "none" : policy.contact);
  line("dmarc_organisation", judging.suffixes == nullptr ? "tree-walk" : "psl");
  line("trusted_sealers", joined(judging.trusted_sealers, "none"));
  line("quarantine", base::format_duration(judging.quarantine));
}

void print(const Configuration& configuration) {
  std::printf("%s\n", configuration.path.c_str());
  line("hostname", configuration.hostname);
  line("postmaster", configuration.postmaster.empty() ? "none" : configuration.postmaster);
  line("state_dir", configuration.state_dir);
  line("runtime_dir", configuration.runtime_dir);
  line("user", configuration.user);
  line("accounts", configuration.users);
  if (configuration.admin_http)
    line("admin.http", base::format_socket_address(*configuration.admin_http));
  line("log",
       configuration.log.to + ", level " + std::string(base::level_name(configuration.log.level)));
  for (const inbound::ListenerSettings& listener : configuration.inbound.listeners) {
    std::printf("listener %s\n", listener.name.c_str());
    line("address", joined(formatted(listener.addresses), "none"));
    line("may relay", joined(formatted(listener.relay_from), "nobody"));
    line("tls", describe_tls(listener));
    if (listener.tls != inbound::ListenerTls::Off) {
      for (const std::string& certificate : certificates(configuration))
        line("certificate", certificate);
    }
    line("auth", describe_auth(listener));
    line("tenant", describe_tenant(listener));
    if (!listener.tenant_from.empty())
      line("tenant_from", joined(formatted(listener.tenant_from), ""));
    if (!listener.proxy_from.empty())
      line("proxies", joined(formatted(listener.proxy_from), "none"));
    line("line_endings", std::string(name_of(listener.line_endings)));
    line("max_message_size", base::format_size(listener.max_message_size));
    line("max_recipients", std::to_string(listener.max_recipients));
    line("rate", base::format_rate(listener.rate) + " messages a client address");
    line("connections", std::to_string(listener.connections) + " a client address");
  }
  const inbound::RelaySettings& relay = configuration.inbound.relay;
  std::printf("from anyone\n");
  line("relay.domains", joined(sorted(relay.domains), "none"));
  if (!relay.domains.empty()) line("relay.recipients", std::string(name_of(relay.check)));
  line("local.domains", joined(sorted(configuration.inbound.local.domains), "none"));
  line("aliases", std::to_string(configuration.inbound.local.aliases.size()));
  print(*configuration.inbound.judging, *configuration.inbound.clients);
  print(configuration.inbound.signing.get(), configuration.inbound.arc.get());
  for (const CheckedPart& part : describe_sending(configuration)) {
    std::printf("%s\n", part.heading.c_str());
    for (const auto& [name, text] : part.lines) line(name, text);
  }
}

nlohmann::json to_json(const policy::AddressLists& lists) {
  nlohmann::json files = nlohmann::json::array();
  for (const policy::AddressLists::File& file : lists.files)
    files.push_back({{"file", file.path}, {"entries", file.list->size()}});
  return {{"entries", lists.own == nullptr ? 0 : lists.own->size()}, {"files", files}};
}

nlohmann::json to_json(const policy::ChecksFor& rule) {
  nlohmann::json modes = nlohmann::json::object();
  const auto add = [&modes](const char* name, const std::optional<policy::CheckMode>& mode) {
    if (mode) modes[name] = policy::name_of(*mode);
  };
  add("spf", rule.spf);
  add("dkim", rule.dkim);
  add("arc", rule.arc);
  add("dmarc", rule.dmarc);
  add("helo", rule.helo);
  add("iprev", rule.iprev);
  add("dnsbl", rule.dnsbl);
  return modes;
}

nlohmann::json to_json(const policy::JudgingSettings& judging, const policy::ClientPolicy& policy) {
  nlohmann::json overrides = nlohmann::json::array();
  for (const policy::ChecksFor& rule : judging.overrides) {
    overrides.push_back({{"listener", rule.listener},
                         {"client", formatted(rule.clients)},
                         {"checks", to_json(rule)}});
  }
  nlohmann::json dns_lists = nlohmann::json::array();
  for (const policy::DnsList& list : policy.dns_lists)
    dns_lists.push_back({{"zone", list.zone}, {"of", name_of(list.of)}, {"weight", list.weight}});
  return {{"checks", to_json(all_of(judging.checks))},
          {"for", overrides},
          {"allow", to_json(policy.allow)},
          {"block", to_json(policy.block)},
          {"dmarc_exempt", to_json(policy.dmarc_exempt)},
          {"dns_lists", dns_lists},
          {"refuse_at", policy.refuse_at},
          {"contact", policy.contact},
          {"dmarc_organisation", judging.suffixes == nullptr ? "tree-walk" : "psl"},
          {"trusted_sealers", judging.trusted_sealers},
          {"quarantine", base::format_duration(judging.quarantine)}};
}

nlohmann::json to_json(const policy::SigningTable* signing) {
  nlohmann::json rules = nlohmann::json::array();
  for (std::size_t i = 0; signing != nullptr && i < signing->rules().size(); ++i) {
    const policy::SigningRule& rule = signing->rules()[i];
    const bool is_always = rule.active_from == base::WallTime();
    rules.push_back({{"domain", rule.identity->domain},
                     {"selector", rule.identity->selector},
                     {"algorithm", rule.identity->key->algorithm()},
                     {"active_from", is_always ? "" : base::format_timestamp(rule.active_from)},
                     {"from", rule.conditions.from},
                     {"sender", rule.conditions.sender},
                     {"user", rule.conditions.user},
                     {"tenant", rule.conditions.tenant},
                     {"listener", rule.conditions.listener},
                     {"client", formatted(rule.conditions.client)}});
  }
  return rules;
}

nlohmann::json to_json(const policy::ArcIdentity* arc) {
  if (arc == nullptr) return nullptr;
  return {
      {"domain", arc->domain}, {"selector", arc->selector}, {"algorithm", arc->key->algorithm()}};
}

nlohmann::json to_json(const Configuration& configuration) {
  nlohmann::json listeners = nlohmann::json::array();
  for (const inbound::ListenerSettings& listener : configuration.inbound.listeners) {
    listeners.push_back({{"name", listener.name},
                         {"address", formatted(listener.addresses)},
                         {"relay_from", formatted(listener.relay_from)},
                         {"tls", name_of(listener.tls)},
                         {"tls_min", name_of(listener.tls_min)},
                         {"auth", name_of(listener.auth)},
                         {"auth_in_clear", formatted(listener.auth_in_clear)},
                         {"tenant", listener.tenant},
                         {"tenant_from", formatted(listener.tenant_from)},
                         {"proxy_from", formatted(listener.proxy_from)},
                         {"line_endings", name_of(listener.line_endings)},
                         {"max_message_size", listener.max_message_size},
                         {"max_recipients", listener.max_recipients},
                         {"rate", base::format_rate(listener.rate)},
                         {"connections", listener.connections}});
  }
  const inbound::InboundSettings& inbound = configuration.inbound;
  nlohmann::json all = {
      {"hostname", configuration.hostname},
      {"postmaster", configuration.postmaster},
      {"state_dir", configuration.state_dir},
      {"runtime_dir", configuration.runtime_dir},
      {"user", configuration.user},
      {"threads", configuration.threads},
      {"certificates", certificates(configuration)},
      {"listeners", listeners},
      {"relay",
       {{"domains", sorted(inbound.relay.domains)}, {"recipients", name_of(inbound.relay.check)}}},
      {"local", {{"domains", sorted(inbound.local.domains)}, {"aliases", inbound.local.aliases}}},
      {"policy", to_json(*inbound.judging, *inbound.clients)},
      {"dkim", to_json(inbound.signing.get())},
      {"arc", to_json(inbound.arc.get())}};
  all.update(sending_as_json(configuration));
  return all;
}

void print_json(const daemon::ParsedConfiguration& parsed) {
  nlohmann::json problems = nlohmann::json::array();
  for (const Problem& problem : parsed.problems) {
    problems.push_back({{"severity", problem.severity == Severity::Error ? "error" : "warning"},
                        {"file", problem.file},
                        {"line", problem.at.line},
                        {"column", problem.at.column},
                        {"text", problem.text}});
  }
  nlohmann::json all = {{"valid", parsed.configuration.has_value()}, {"problems", problems}};
  if (parsed.configuration) all["configuration"] = to_json(*parsed.configuration);
  const auto replace = nlohmann::json::error_handler_t::replace;
  std::puts(all.dump(-1, ' ', /*ensure_ascii=*/false, replace).c_str());
}

// What only shows when certificates, keys and authorities are used together, and what is about to
// expire.
void check_tls(daemon::ParsedConfiguration& parsed) {
  Configuration& configuration = *parsed.configuration;
  const std::string& file = configuration.path;
  for (const daemon::CertificateNotice& notice :
       daemon::certificate_notices(configuration.identities, base::read_clocks().wall)) {
    parsed.problems.push_back({Severity::Warning, file, {}, notice.text});
  }
  const base::Result<void> made =
      daemon::make_tls_contexts(configuration, configuration.identities);
  if (made) return;
  parsed.problems.push_back({Severity::Error, file, {}, made.error().text()});
  parsed.configuration.reset();
}

int check(const Options& options) {
  if (options.reference) {
    std::fputs(daemon::configuration_reference().c_str(), stdout);
    return kDone;
  }
  daemon::ParsedConfiguration parsed =
      daemon::load_configuration(daemon::configuration_path(options.config));
  if (parsed.configuration) check_tls(parsed);
  if (options.json) {
    print_json(parsed);
  } else {
    for (const Problem& problem : parsed.problems) {
      std::fprintf(stderr, "%s\n", daemon::format_problem(problem).c_str());
    }
    if (parsed.configuration) print(*parsed.configuration);
  }
  return parsed.configuration ? kDone : kFailed;
}

}  // namespace

Action add_check(CLI::App& app) {
  auto options = std::make_shared<Options>();
  add_config_option(app, options->config);
  app.add_flag("--json", options->json, "Print an object");
  app.add_flag("--reference", options->reference, "Print all keys with their defaults instead");
  return [options] { return check(*options); };
}

}  // namespace rockdove::cli
