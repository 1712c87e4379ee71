#include "mta/daemon/configuration.h"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <memory>
#include <netdb.h>
#include <unistd.h>

#include <sys/socket.h>
#include <sys/stat.h>

#include "mta/base/text.h"
#include "mta/daemon/config_document.h"
#include "mta/daemon/config_finish.h"
#include "mta/daemon/config_table.h"
#include "mta/daemon/machine_name.h"
#include "mta/daemon/privileges.h"
#include "mta/daemon/profile_folder.h"
#include "mta/daemon/read_file.h"

namespace rockdove::daemon {
namespace {

const Section* find_section(std::string_view name) {
  for (const Section& section : configuration_sections()) {
    if (section.name == name) return &section;
  }
  return nullptr;
}

const Key* find_key(std::string_view section, std::string_view name) {
  for (const Key& key : configuration_keys()) {
    if (key.section == section && key.name == name) return &key;
  }
  return nullptr;
}

const LaterKey* find_later(std::string_view section, std::string_view name) {
  for (const LaterKey& later : later_keys()) {
    if (later.section == section && later.name == name) return &later;
  }
  return nullptr;
}

std::string header_of(const Section& section) {
  const std::string name(section.name);
  switch (section.kind) {
    case SectionKind::Top:
      return "the top";
    case SectionKind::Table:
      return "[" + name + "]";
    case SectionKind::List:
      return "[[" + name + "]]";
  }
  return "";
}

std::string full_name(std::string_view section, std::string_view key) {
  return section.empty() ? std::string(key) : std::string(section).append(".").append(key);
}

class Reader {
 public:
  Reader(Draft& draft, Problems& problems) : draft_(draft), problems_(problems) {}

  void read(const Node& root);

 private:
  void read_section(const Section& section, const Member& member);
  void read_keys(std::string_view section, const Node& table);
  void report_unknown(std::string_view section, const Member& member);
  void report_later(const LaterKey& later, const Member& member);

  Draft& draft_;
  Problems& problems_;
  bool listeners_named_ = false;
};

void Reader::read(const Node& root) {
  read_keys("", root);
  if (listeners_named_) return;
  find_section("listener")->begin(draft_, {});
  ListenerDraft& listener = draft_.listeners.back();
  listener.settings.name = "smtp";
  listener.settings.addresses = {base::parse_socket_address(":25").value()};
  listener.addresses_at = {Position{}};
}

void Reader::read_keys(std::string_view section, const Node& table) {
  for (const Member& member : table.members) {
    const bool is_dotted = member.key.find('.') != std::string::npos;  // "a.b" in quotes
    const Section* inner = is_dotted ? nullptr : find_section(full_name(section, member.key));
    const LaterKey* later =
        section.empty() ? find_later(member.key, "") : find_later(section, member.key);
    if (inner != nullptr && !member.key.empty()) {
      read_section(*inner, member);
    } else if (const Key* key = find_key(section, member.key)) {
      const std::string name = full_name(section, member.key);
      Value value(name, member.value, problems_);
      key->read(value, draft_);
    } else if (later != nullptr) {
      report_later(*later, member);
    } else {
      report_unknown(section, member);
    }
  }
}

void Reader::read_section(const Section& section, const Member& member) {
  const bool is_list = section.kind == SectionKind::List;
  if (member.value.type != (is_list ? Node::Type::Array : Node::Type::Table)) {
    problems_.error(member.at, "`" + member.key + "` is a section: write " + header_of(section));
    if (section.name == "listener") listeners_named_ = true;
    return;
  }
  if (!is_list) return read_keys(section.name, member.value);
  if (section.name == "listener") listeners_named_ = true;
  for (const Node& item : member.value.items) {
    if (item.type != Node::Type::Table) {
      problems_.error(item.at, "`" + member.key + "` is a section: write " + header_of(section));
      continue;
    }
    section.begin(draft_, item.at);
    read_keys(section.name, item);
  }
}

void Reader::report_later(const LaterKey& later, const Member& member) {
  if (!later.accepted.empty() && member.value.type == Node::Type::Text &&
      member.value.text == later.accepted)
    return;
  std::string text =
      "unknown key `" + member.key + "`: " + std::string(later.what) + " comes in a later version";
  if (!later.accepted.empty())
    text.append("; until then there is only \"").append(later.accepted).append("\"");
  problems_.error(member.at, std::move(text));
}

void Reader::report_unknown(std::string_view section, const Member& member) {
  std::vector<std::string_view> candidates;
  for (const Key& key : configuration_keys()) {
    if (key.section == section) candidates.push_back(key.name);
  }
  for (const Section& other : configuration_sections()) {
    const std::size_t dot = other.name.rfind('.');
    const std::string_view above = dot == std::string_view::npos ? "" : other.name.substr(0, dot);
    if (!other.name.empty() && above == section) {
      candidates.push_back(other.name.substr(above.empty() ? 0 : dot + 1));
    }
  }
  std::string text = "unknown key `" + base::printable(member.key, 80) + "`";
  if (!section.empty()) text += " in " + header_of(*find_section(section));
  const std::string meant = did_you_mean(member.key, candidates);
  if (!meant.empty()) return problems_.error(member.at, text + meant);
  for (const Key& key : configuration_keys()) {
    if (key.name == member.key)
      return problems_.error(member.at,
                             text + "; it belongs to " + header_of(*find_section(key.section)));
  }
  problems_.error(member.at, text);
}

bool others_may_read(const std::string& path) {
  struct stat status = {};
  return ::stat(path.c_str(), &status) == 0 && (status.st_mode & S_IROTH) != 0;
}

enum class Extent : std::uint8_t { Keys, Whole };

ParsedConfiguration parse(std::string_view text, Surroundings& surroundings, Extent extent) {
  Problems problems(surroundings.path);
  ParsedConfiguration parsed;
  if (text.size() > kConfigurationOctetsMax) {
    problems.error({}, "the file is larger than 1 MiB");
    parsed.problems = problems.take_sorted();
    return parsed;
  }
  const std::variant<Node, SyntaxError> document = parse_document(text);
  if (const auto* wrong = std::get_if<SyntaxError>(&document)) {
    problems.error(wrong->at, wrong->text);
    parsed.problems = problems.take_sorted();
    return parsed;
  }
  Draft draft;
  Reader(draft, problems).read(std::get<Node>(document));
  if (extent == Extent::Whole) finish_configuration(draft, surroundings, problems);
  if (!problems.has_errors()) parsed.configuration = std::move(draft.configuration);
  parsed.problems = problems.take_sorted();
  return parsed;
}

ParsedConfiguration load(const std::string& path, Extent extent) {
  Problems problems(path);
  const base::Result<std::optional<std::string>> text = read_file(path, kConfigurationOctetsMax);
  if (text && text->has_value()) {
    Surroundings surroundings{path, "", read_file};
    // The machine's name may cost a question to DNS.
    if (extent == Extent::Whole) surroundings.machine_name = machine_name();
    surroundings.others_may_read = others_may_read;
    if (::geteuid() == 0) surroundings.check_readable = check_readable_as;
    surroundings.read_profiles = load_profiles;
    surroundings.default_profiles = installed_profiles();
    return parse(**text, surroundings, extent);
  }
  if (!text) {
    problems.error({}, text.error().text());
  } else {
    problems.error({},
                   "there is no such file; `rockdove check --reference` prints all keys, and "
                   "contrib/quickstart shows a first configuration");
  }
  return ParsedConfiguration{std::nullopt, problems.take_sorted()};
}

}  // namespace

std::string machine_name() {
  constexpr std::size_t kNameOctetsMax = 256;
  std::array<char, kNameOctetsMax> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "";
  const std::string short_name = name.data();
  if (short_name.find('.') != std::string::npos) return short_name;
  addrinfo hints = {};
  hints.ai_flags = AI_CANONNAME;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(short_name.c_str(), nullptr, &hints, &found) != 0) return short_name;
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  const std::string full_name = found->ai_canonname == nullptr ? short_name : found->ai_canonname;
  return full_name == "localhost" ? short_name : full_name;
}

ParsedConfiguration parse_configuration(std::string_view text, Surroundings surroundings) {
  return parse(text, surroundings, Extent::Whole);
}

ParsedConfiguration load_configuration(const std::string& path) {
  return load(path, Extent::Whole);
}

ParsedConfiguration load_configuration_keys(const std::string& path) {
  return load(path, Extent::Keys);
}

std::string configuration_path(const std::string& asked_for) {
  if (!asked_for.empty()) return asked_for;
  const char* from_environment = std::getenv("ROCKDOVE_CONFIG");  // NOLINT(concurrency-mt-unsafe)
  if (from_environment != nullptr && *from_environment != '\0') return from_environment;
  return kDefaultConfigurationPath;
}

std::string configuration_reference() {
  std::string text =
      "# Configuration\n\n"
      "One TOML file, `/etc/rockdove/rockdove.toml` unless `--config FILE` or `ROCKDOVE_CONFIG` "
      "names another.\n"
      "Unknown keys, wrong types and impossible values are errors; `rockdove check` shows all of "
      "them.\n\n"
      "Sizes are octets: `\"20M\"` is 20,000,000, `\"20MiB\"` is 20,971,520. Durations: `\"90s\"`, "
      "`\"15m\"`,\n"
      "`\"1h30m\"`, `\"5d\"`. Rates: `\"600/min\"`, `\"100/s, burst 20\"`, `\"off\"`.\n\n"
      "This page is printed by `rockdove check --reference`.\n";
  for (const Section& section : configuration_sections()) {
    text.append("\n## ").append(section.kind == SectionKind::Top ? "Top"
                                                                 : "`" + header_of(section) + "`");
    text.append("\n")
        .append(section.help)
        .append("\n\n| key | type | default | |\n|---|---|---|---|\n");
    for (const Key& key : configuration_keys()) {
      if (key.section != section.name) continue;
      text.append("| `").append(key.name).append("` | ").append(key.type).append(" | ");
      if (!key.default_toml.empty()) text.append("`").append(key.default_toml).append("`");
      text.append(" | ").append(key.help).append(" |\n");
    }
  }
  return text;
}

}  // namespace rockdove::daemon
