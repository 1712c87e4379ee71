// `rockdove dkim new` makes a key and says how to publish and use it; `rockdove dkim check`
// compares keys with the DNS.
#include "mta/cli/dkim.h"

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <memory>
#include <optional>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <sys/stat.h>

#include "mta/base/text.h"
#include "mta/base/wipe.h"
#include "mta/cli/dkim_survey.h"
#include "mta/cli/json_text.h"
#include "mta/cli/live_dns.h"
#include "mta/daemon/configuration.h"
#include "mta/daemon/privileges.h"
#include "mta/daemon/read_file.h"
#include "mta/mail/idna.h"
#include "policy/dkim_key.h"

namespace rockdove::cli {
namespace {

using base::Error;
using base::Result;

struct NewOptions {
  std::string config;
  std::string domain;
  std::string selector;
  std::string type = "rsa";
  std::string out;
  std::uint32_t bits = crypto::kRsaBitsNew;
};

struct CheckOptions {
  std::string config;
  std::string domain;    // empty: all
  std::string selector;  // empty: all of the domain
  std::string key;       // a file; empty: those of the configuration
  std::vector<std::string> servers;
  bool json = false;
};

int complain(int status, const std::string& text) {
  std::fprintf(stderr, "rockdove: dkim: %s\n", text.c_str());
  return status;
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Beside the configuration, where the reference shows it; the folder is made where it is missing.
Result<std::string> default_file(const NewOptions& options, const std::string& domain) {
  const std::string folder = folder_of(daemon::configuration_path(options.config)) + "/dkim";
  constexpr mode_t kFolderMode = 0755;
  if (::mkdir(folder.c_str(), kFolderMode) != 0 && errno != EEXIST)
    return Error::system("making " + folder, errno);
  return folder + "/" + domain + "." + options.selector + ".pem";
}

// As the configuration wants it: from the root.
std::string absolute(const std::string& path) {
  std::error_code error;
  const std::filesystem::path whole = std::filesystem::absolute(path, error);
  return error ? path : whole.string();
}

// A new file for its owner alone; what is there already stays.
Result<void> write_key(const std::string& path, const std::string& text) {
  constexpr mode_t kOwnerOnly = 0600;
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kOwnerOnly);
  if (file < 0) {
    if (errno == EEXIST) return Error(path + " is there already, and stays as it is");
    return Error::system("making " + path, errno);
  }
  const bool is_written =
      ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
      ::fsync(file) == 0;
  const int code = errno;
  ::close(file);
  if (is_written) return {};
  ::unlink(path.c_str());
  return Error::system("writing " + path, code);
}

std::string daemon_user(const std::string& config) {
  const daemon::ParsedConfiguration parsed =
      daemon::load_configuration_keys(daemon::configuration_path(config));
  return parsed.configuration ? parsed.configuration->user : daemon::Configuration().user;
}

int make_new(const NewOptions& options) {
  const Result<std::string> domain = mail::to_ascii_domain(options.domain);
  if (!domain) return complain(kUsage, options.domain + ": " + domain.error().text());
  const Result<std::string> name = policy::dkim_key_name(options.selector, *domain);
  if (!name) return complain(kUsage, options.selector + ": " + name.error().text());
  const Result<std::string> path =
      options.out.empty() ? default_file(options, *domain) : Result<std::string>(options.out);
  if (!path) return complain(kFailed, path.error().text());
  const auto kind = options.type == "rsa" ? crypto::KeyKind::Rsa : crypto::KeyKind::Ed25519;
  const auto key = policy::SigningKey::make(kind, options.bits);
  std::string text = key->to_pem();
  const Result<void> written = write_key(*path, text);
  base::wipe(text);
  if (!written) return complain(kFailed, written.error().text());
  const std::string user = daemon_user(options.config);
  if (const Result<void> given = daemon::give_to_user(*path, user); !given) {
    std::fprintf(stderr, "rockdove: warning: %s; the daemon must be able to read %s\n",
                 given.error().text().c_str(), path->c_str());
  }
  const std::string shown = absolute(*path);
  std::printf("The key is in %s.\n\nTo publish in the DNS:\n%s\n\n", shown.c_str(),
              format_zone_line(*name, key->key_record()).c_str());
  std::printf(
      "For the configuration, once `rockdove dkim check --key %s %s %s` finds it there:\n"
      "[[dkim]]\ndomain = \"%s\"\nselector = \"%s\"\nkey = \"%s\"\n",
      shown.c_str(), domain->c_str(), options.selector.c_str(), domain->c_str(),
      options.selector.c_str(), shown.c_str());
  return kDone;
}

// The key of a file, as if the configuration had it.
Result<std::vector<policy::SigningRule>> rules_of_file(const CheckOptions& options) {
  if (options.selector.empty()) return Error("--key wants DOMAIN and SELECTOR beside it");
  const Result<std::string> domain = mail::to_ascii_domain(options.domain);
  if (!domain) return domain.error().in(options.domain);
  auto text = daemon::read_file(options.key, crypto::kPrivateKeyOctetsMax);
  if (!text) return text.error();
  if (!text->has_value()) return Error("there is no file " + options.key);
  policy::DkimIdentity identity;
  const auto key = policy::SigningKey::from_pem(**text);
  base::wipe(**text);
  if (!key) return key.error().in(options.key);
  identity.domain = *domain;
  identity.selector = options.selector;
  identity.key = *key;
  return std::vector<policy::SigningRule>{
      {std::make_shared<const policy::DkimIdentity>(std::move(identity)), {}, {}}};
}

Result<std::vector<policy::SigningRule>> rules_of_configuration(const CheckOptions& options) {
  const std::string path = daemon::configuration_path(options.config);
  const daemon::ParsedConfiguration parsed = daemon::load_configuration(path);
  if (!parsed.configuration) {
    for (const daemon::Problem& problem : parsed.problems)
      std::fprintf(stderr, "%s\n", daemon::format_problem(problem).c_str());
    return Error("the configuration cannot be used (`rockdove check`)");
  }
  const auto& signing = parsed.configuration->inbound.signing;
  if (!signing) return Error("there is no [[dkim]] in " + path);
  return signing->rules();
}

// Those that were asked for.
void keep_named(std::vector<DkimSurvey>& surveys, const CheckOptions& options) {
  const auto domain = mail::to_ascii_domain(options.domain);
  std::erase_if(surveys, [&](const DkimSurvey& survey) {
    return (!options.domain.empty() && (!domain || survey.domain != *domain)) ||
           (!options.selector.empty() &&
            !base::equals_ignoring_case(survey.selector, options.selector));
  });
}

int check(const CheckOptions& options) {
  const auto rules = options.key.empty() ? rules_of_configuration(options) : rules_of_file(options);
  if (!rules) return complain(kFailed, rules.error().text());
  const auto servers = choose_servers(options.servers, options.config);
  if (!servers) return complain(kFailed, servers.error().text());
  std::optional<std::vector<DkimSurvey>> surveys;
  const base::WallTime now = base::read_clocks().wall;
  const Result<void> ran = run_with_dns(*servers, [&](policy::RecordedDns& dns) {
    surveys = survey_dkim(*rules, now, dns);
    return surveys.has_value();
  });
  if (!ran) return complain(kFailed, ran.error().text());
  keep_named(*surveys, options);
  if (surveys->empty()) {
    return complain(kFailed, "the configuration has no [[dkim]] for " + options.domain +
                                 (options.selector.empty() ? "" : " with this selector") +
                                 "; --key FILE names another key");
  }
  if (options.json) {
    print_line(surveys_as_json(*surveys));
  } else {
    std::fputs(format_surveys(*surveys).c_str(), stdout);
  }
  return is_in_order(*surveys) ? kDone : kFailed;
}

Action add_new(CLI::App& app) {
  auto options = std::make_shared<NewOptions>();
  app.add_option("domain", options->domain, "Who signs")->required();
  app.add_option("selector", options->selector,
                 "A name for this key, as a part of a name in the DNS: \"s2026\"")
      ->required();
  app.add_option("--type", options->type, "rsa or ed25519; default: rsa")
      ->check(CLI::IsMember({"rsa", "ed25519"}));
  app.add_option("--bits", options->bits, "Of an RSA key, 1024 to 8192; default: 2048")
      ->check(CLI::Range(crypto::kRsaBitsMin, crypto::kRsaBitsMax));
  app.add_option("--out", options->out,
                 "Where the key goes; default: dkim/DOMAIN.SELECTOR.pem beside the configuration")
      ->type_name("FILE");
  add_config_option(app, options->config);
  app.footer("Nobody but the file's owner can read it; as root, it is given to the daemon's user.");
  return [options] { return make_new(*options); };
}

Action add_compare(CLI::App& app) {
  auto options = std::make_shared<CheckOptions>();
  app.add_option("domain", options->domain, "Default: all of the configuration");
  app.add_option("selector", options->selector, "Default: all of the domain");
  app.add_option("--key", options->key, "A key that is not in the configuration")
      ->type_name("FILE");
  app.add_option("--server", options->servers,
                 "Ask this DNS server; default: those of the configuration, else of "
                 "/etc/resolv.conf")
      ->type_name("ADDRESS[:PORT]")
      ->allow_extra_args(false);
  app.add_flag("--json", options->json, "One JSON object");
  add_config_option(app, options->config);
  app.footer("Exit status: 0 the DNS publishes the keys that sign, 1 not so, 2 usage.");
  return [options] { return check(*options); };
}

}  // namespace

Action add_dkim(CLI::App& app) {
  app.require_subcommand(1);
  CLI::App* const make =
      app.add_subcommand("new", "Make a key, and print its record and its section [[dkim]]");
  CLI::App* const compare =
      app.add_subcommand("check", "Whether the DNS publishes the keys that sign");
  const Action on_make = add_new(*make);
  const Action on_compare = add_compare(*compare);
  return [make, on_make, on_compare] { return make->parsed() ? on_make() : on_compare(); };
}

}  // namespace rockdove::cli
