#include "mta/cli/live_dns.h"

#include <memory>
#include <optional>
#include <utility>

#include "dns/cares_resolver.h"
#include "mta/cli/safe_text.h"
#include "mta/daemon/configuration.h"
#include "mta/mail/idna.h"
#include "mta/net/uv_loop.h"

namespace rockdove::cli {

using base::Error;
using base::Result;

namespace {

class Conversation {
 public:
  Conversation(net::UvLoop& loop, dns::Resolver& resolver,
               base::UniqueFunction<bool(policy::RecordedDns&)> is_done)
      : loop_(loop), resolver_(resolver), is_done_(std::move(is_done)) {}

  // Runs the check; returns whether there is something to wait for.
  bool go_on() {
    if (is_done_(dns_)) return false;
    std::vector<policy::Question> missing = dns_.take_missing();
    if (missing.empty() || ++rounds_ > kRoundsMax || dns_.size() + missing.size() > kQuestionsMax) {
      has_failed_ = true;
      return false;
    }
    open_ = missing.size();
    for (policy::Question& question : missing) ask(std::move(question));
    return true;
  }

  [[nodiscard]] bool has_failed() const { return has_failed_; }

 private:
  void ask(policy::Question question) {
    std::string name = question.name;
    const dns::RecordType type = question.type;
    resolver_.query(std::move(name), type,
                    [this, asked = std::move(question)](dns::AnswerPointer answer) mutable {
                      dns_.add(std::move(asked), std::move(answer));
                      if (--open_ == 0 && !go_on()) loop_.stop();
                    });
  }

  net::UvLoop& loop_;
  dns::Resolver& resolver_;
  base::UniqueFunction<bool(policy::RecordedDns&)> is_done_;
  policy::RecordedDns dns_;
  std::size_t open_ = 0;
  unsigned rounds_ = 0;
  bool has_failed_ = false;
};

}  // namespace

Result<void> run_with_dns(const std::vector<base::SocketAddress>& servers,
                          base::UniqueFunction<bool(policy::RecordedDns&)> is_done) {
  net::UvLoop loop(0);
  dns::CaresSettings settings;
  settings.servers = servers;
  Result<std::unique_ptr<dns::Resolver>> resolver = dns::make_cares_resolver(loop, settings);
  if (!resolver) return resolver.error().in("asking the DNS");
  Conversation conversation(loop, **resolver, std::move(is_done));
  if (conversation.go_on()) loop.run();
  if (conversation.has_failed()) return Error("the check asks for too much");
  return {};
}

Result<std::string> parse_dns_name(std::string_view text) {
  constexpr std::size_t kShownOctets = 100;
  std::string_view name = text;
  if (name.ends_with('.')) name.remove_suffix(1);
  if (std::optional<std::string> known = dns::normalised_name(name)) return *std::move(known);
  Result<std::string> ascii = mail::to_ascii_domain(name);
  if (ascii) return ascii;
  return Error("\"" + safe_text(text.substr(0, kShownOctets)) +
               "\" is no domain: " + ascii.error().text());
}

Result<std::vector<base::SocketAddress>> choose_servers(const std::vector<std::string>& asked_for,
                                                        const std::string& config) {
  constexpr std::uint16_t kDnsPort = 53;
  std::vector<base::SocketAddress> servers;
  for (const std::string& text : asked_for) {
    if (const auto ip = base::parse_ip_address(text)) {
      servers.push_back({*ip, kDnsPort});
      continue;
    }
    const Result<base::SocketAddress> address = base::parse_socket_address(text);
    if (!address) return address.error().in("--server");
    servers.push_back(*address);
  }
  if (!servers.empty()) return servers;
  const daemon::ParsedConfiguration parsed =
      daemon::load_configuration_keys(daemon::configuration_path(config));
  if (parsed.configuration) servers = parsed.configuration->dns_servers;
  return servers;
}

}  // namespace rockdove::cli
