#include "mta/cli/sink_provider_file.h"

#include <algorithm>
#include <array>
#include <utility>
#include <variant>

#include "mta/base/text.h"
#include "mta/daemon/config_document.h"
#include "mta/daemon/config_value.h"

namespace rockdove::cli {
namespace {

using base::Duration;
using daemon::Bounds;
using daemon::Member;
using daemon::Node;
using daemon::Problems;
using daemon::Value;
using smtp::make_reply;
using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)

constexpr Bounds<Duration> kTimes{1ms, 365 * 24h};
constexpr Bounds<std::uint32_t> kCounts{1, kSinkCountMax};
constexpr std::array<std::pair<std::string_view, SinkWindow>, 2> kWindows = {
    {{"sliding", SinkWindow::Sliding}, {"tokens", SinkWindow::Tokens}}};
// Where a limit may count.
constexpr std::array<std::pair<std::string_view, SinkStage>, 4> kLimitStages = {
    {{"connect", SinkStage::Connect},
     {"mail", SinkStage::Mail},
     {"rcpt", SinkStage::Rcpt},
     {"dot", SinkStage::Dot}}};
// HELO is answered by the session itself.
constexpr std::array<std::pair<std::string_view, SinkStage>, 5> kTarpitStages = {
    {{"connect", SinkStage::Connect},
     {"mail", SinkStage::Mail},
     {"rcpt", SinkStage::Rcpt},
     {"data", SinkStage::Data},
     {"dot", SinkStage::Dot}}};

// What is in a list, or alone; an empty list is said to be wrong, as other types are.
std::vector<Value> some_texts(Value& value) {
  if (value.node().type == Node::Type::Array && value.node().items.empty())
    value.error("this list is empty; leave the key out for its default");
  return value.texts();
}

bool read_reply(Value& value, smtp::Reply& target) {
  std::vector<Value> texts = some_texts(value);
  std::vector<std::string_view> lines;
  for (const Value& text : texts) lines.push_back(text.node().text);
  if (lines.empty()) return false;  // what is no text has been said to be wrong
  const base::Result<smtp::Reply> reply = parse_sink_reply(lines);
  if (!reply) {
    value.error(reply.error().text());
    return false;
  }
  if (!reply->is_transient() && !reply->is_permanent()) {
    value.error("this reply refuses nothing: it is 4yz or 5yz");
    return false;
  }
  target = *reply;
  return true;
}

bool read_rates(Value& value, std::vector<SinkRate>& target) {
  if (value.node().type == Node::Type::Text && value.node().text == "off") {
    target.clear();
    return true;
  }
  std::vector<SinkRate> rates;
  for (Value& text : some_texts(value)) {
    const base::Result<SinkRate> rate = parse_sink_rate(text.node().text);
    if (!rate) {
      text.error(rate.error().text());
      return false;
    }
    rates.push_back(*rate);
  }
  target = std::move(rates);
  return !target.empty();
}

void read_listen(Value& value, SinkProviderSettings& provider) {
  for (Value& text : value.texts()) {
    const base::Result<base::SocketAddress> address = base::parse_socket_address(text.node().text);
    if (address) {
      provider.listen.push_back(*address);
    } else {
      text.error(address.error().text());
    }
  }
}

void read_over_connections(Value& value, SinkProviderSettings& provider) {
  if (value.node().type == Node::Type::Text && value.node().text == "close") {
    provider.over_connections.reset();
    return;
  }
  smtp::Reply reply;
  if (read_reply(value, reply)) provider.over_connections = reply;
}

struct Key {
  std::string_view name;
  void (*read)(Value& value, SinkProviderSettings& provider);
};

constexpr std::array<Key, 19> kKeys = {{
    {"listen", read_listen},
    {"hostname", [](Value& value, SinkProviderSettings& p) { value.text(p.hostname); }},
    {"limit",
     [](Value& value, SinkProviderSettings& p) { read_rates(value, p.limits.front().rates); }},
    {"window",
     [](Value& value, SinkProviderSettings& p) { value.choice<SinkWindow>(p.window, kWindows); }},
    {"over_limit", [](Value& value, SinkProviderSettings& p) { read_reply(value, p.over_limit); }},
    {"over_limit_at",
     [](Value& value, SinkProviderSettings& p) {
       value.choice<SinkStage>(p.over_limit_at, kLimitStages);
     }},
    {"connections",
     [](Value& value, SinkProviderSettings& p) { value.whole_number(p.connections_max, kCounts); }},
    {"over_connections", read_over_connections},
    {"messages_per_connection",
     [](Value& value, SinkProviderSettings& p) {
       value.whole_number(p.messages_per_connection, kCounts);
     }},
    {"over_messages",
     [](Value& value, SinkProviderSettings& p) { read_reply(value, p.over_messages); }},
    {"block_after",
     [](Value& value, SinkProviderSettings& p) { value.whole_number(p.block_after, kCounts); }},
    {"block_within",
     [](Value& value, SinkProviderSettings& p) { value.duration(p.block_within, kTimes); }},
    {"block_for",
     [](Value& value, SinkProviderSettings& p) { value.duration(p.block_for, kTimes); }},
    {"blocked", [](Value& value, SinkProviderSettings& p) { read_reply(value, p.blocked); }},
    {"greylist", [](Value& value, SinkProviderSettings& p) { value.duration(p.greylist, kTimes); }},
    {"greylisted", [](Value& value, SinkProviderSettings& p) { read_reply(value, p.greylisted); }},
    {"tarpit", [](Value& value, SinkProviderSettings& p) { value.duration(p.tarpit, kTimes); }},
    {"tarpit_at",
     [](Value& value, SinkProviderSettings& p) {
       value.choice<SinkStage>(p.tarpit_at, kTarpitStages);
     }},
    {"change", nullptr},  // a list of sections: read_changes()
}};

// What it says where the file says nothing.
SinkProviderSettings defaults_of(const std::string& name) {
  SinkProviderSettings provider;
  provider.name = name;
  provider.hostname = name + ".sink.localhost";
  provider.limits.emplace_back();
  provider.over_limit =
      make_reply(451, "4.7.1", "Too many messages from {client}, please try again later");
  provider.over_connections = make_reply(421, "4.7.0", "Too many connections from {client}");
  provider.over_messages = make_reply(421, "4.7.0", "Too many messages on this connection");
  provider.block_within = 1h;
  provider.block_for = 1h;
  provider.blocked = make_reply(550, "5.7.1", "{client} is on our block list");
  provider.greylisted = make_reply(451, "4.7.1", "Greylisting in action, please come back later");
  return provider;
}

void read_change(const Node& section, SinkProviderSettings& provider, Problems& problems) {
  SinkRateChange change;
  bool has_time = false;
  bool has_limit = false;
  for (const Member& member : section.members) {
    if (member.key == "at") {
      has_time = Value("change.at", member.value, problems).duration(change.at, kTimes);
    } else if (member.key == "limit") {
      Value value("change.limit", member.value, problems);
      has_limit = read_rates(value, change.rates);
    } else {
      problems.error(member.at, "unknown key `" + base::printable(member.key, 80) +
                                    "` in a change" +
                                    daemon::did_you_mean(member.key, {"at", "limit"}));
    }
  }
  if (section.type != Node::Type::Table || section.members.size() != 2) {
    return problems.error(section.at, "a change wants `at` and `limit` in a section of its own");
  }
  if (!has_time || !has_limit) return;  // said why
  if (change.at <= provider.limits.back().at) {
    return problems.error(section.at, "changes stand in the order of their times");
  }
  provider.limits.push_back(std::move(change));
}

void read_provider(const Member& section, std::vector<SinkProviderSettings>& providers,
                   Problems& problems) {
  if (section.value.type != Node::Type::Table)
    return problems.error(section.at, "a provider is a section: write [provider.NAME]");
  SinkProviderSettings provider = defaults_of(section.key);
  Node name;
  name.type = Node::Type::Text;
  name.at = section.at;
  name.text = section.key;
  Value("provider", name, problems).name(provider.name);
  std::vector<std::string_view> names;
  for (const Key& key : kKeys) names.push_back(key.name);
  for (const Member& member : section.value.members) {
    const auto key = std::find(names.begin(), names.end(), member.key);
    Value value(member.key, member.value, problems);
    if (key == names.end()) {
      problems.error(member.at, "unknown key `" + base::printable(member.key, 80) + "`" +
                                    daemon::did_you_mean(member.key, names));
    } else if (member.key != "change") {
      kKeys.at(static_cast<std::size_t>(key - names.begin())).read(value, provider);
    } else if (member.value.type != Node::Type::Array) {
      problems.error(member.at, "changes are sections: write [[provider.NAME.change]]");
    } else {
      for (const Node& change : member.value.items) read_change(change, provider, problems);
    }
  }
  if (provider.listen.empty())
    problems.error(section.at, "it listens nowhere: add listen = [\"127.0.0.1:2525\"]");
  providers.push_back(std::move(provider));
}

}  // namespace

std::vector<SinkProviderSettings> parse_sink_providers(std::string_view text, Problems& problems) {
  std::vector<SinkProviderSettings> providers;
  const auto document = daemon::parse_document(text);
  if (const auto* wrong = std::get_if<daemon::SyntaxError>(&document)) {
    problems.error(wrong->at, wrong->text);
    return providers;
  }
  for (const Member& kind : std::get<Node>(document).members) {
    if (kind.key != "provider" || kind.value.type != Node::Type::Table) {
      problems.error(kind.at, "only sections [provider.NAME] stand here");
    } else if (kind.value.members.size() > kSinkProvidersMax) {
      problems.error(kind.at, "there are more than 1000 providers");
    } else {
      for (const Member& member : kind.value.members) read_provider(member, providers, problems);
    }
  }
  if (providers.empty()) problems.error({}, "there is no section [provider.NAME]");
  return providers;
}

}  // namespace rockdove::cli
