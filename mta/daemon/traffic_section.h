// Reads one section of a file of traffic profiles: its knobs, its lists of names and its rules. A
// part of daemon/traffic_file.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mta/daemon/config_document.h"
#include "mta/daemon/config_problem.h"
#include "mta/daemon/config_value.h"
#include "mta/traffic/profile.h"

namespace rockdove::daemon {

enum class SectionOf : std::uint8_t { Default, Provider, Domain, Source };

class SectionReader {
 public:
  // `name` as in the header, "provider.yahoo"; `path` and `problems` outlive it.
  SectionReader(std::string name, SectionOf kind, const std::string& path, Problems& problems)
      : name_(std::move(name)), kind_(kind), path_(path), problems_(problems) {}

  void read(const Member& member, traffic::Section& section);
  void read(const Member& member, traffic::ProviderSection& section);

  // A name in which "*" stands for any run of characters, in lower case; U-labels become A-labels.
  bool name_pattern(std::string_view text, Position at, std::string& target);

 private:
  // Each returns whether the key is one of its own.
  bool read_knob(const Member& member, traffic::Knobs& knobs);
  bool read_list(const Member& member, traffic::ProviderSection& section);
  bool read_common(const Member& member, traffic::Section& section);
  void read_unset(Value& value, std::vector<traffic::PlacedText>& unset);
  void read_rules(const Member& member, std::vector<traffic::Rule>& rules);
  void read_rule(const Node& table, std::vector<traffic::Rule>& rules);
  bool read_rule_key(Value& value, std::string_view key, traffic::Rule& rule);
  bool read_action_key(Value& value, std::string_view key, traffic::Rule& rule);
  void read_set(Value& value);
  void finish_actions(const Node& table, traffic::Actions& actions);
  void report_unknown(const Member& member, std::string_view where,
                      std::vector<std::string_view> candidates);
  [[nodiscard]] std::vector<std::string_view> own_keys() const;

  bool read_value(Value& value, std::uint32_t& target, std::string_view key);
  bool read_value(Value& value, std::vector<traffic::Rate>& target, std::string_view key);
  bool read_value(Value& value, traffic::OctetRate& target, std::string_view key);
  bool read_value(Value& value, traffic::TlsWish& target, std::string_view key);
  bool read_value(Value& value, traffic::IpFamily& target, std::string_view key);
  bool read_value(Value& value, base::Duration& target, std::string_view key);
  bool read_value(Value& value, std::vector<base::Duration>& target, std::string_view key);

  [[nodiscard]] traffic::Origin origin(Position at) const { return {path_, at.line, at.column}; }

  std::string name_;
  SectionOf kind_;
  const std::string& path_;
  Problems& problems_;

  // Of the rule that is being read: what belongs to an action that may stand below it.
  struct Details {
    std::optional<traffic::Pause::Of> pause_of;
    std::optional<traffic::Rate> backoff_floor;
    std::optional<base::Duration> set_for;
    std::optional<traffic::Knobs> set;
  };

  Details details_;
};

}  // namespace rockdove::daemon
