// `rockdove traffic replay`: the replies that the history has, one after the other, asked of two
// sets of traffic profiles, and what differs between them, grouped by the rules that fire. It keeps
// the groups and a few samples of each, whatever the number of replies.
//
// The history does not say at which stage of the conversation a reply came, so `stage` narrows no
// rule here; nor does it count what `after` waits for.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <vector>

#include <nlohmann/json.hpp>

#include "mta/traffic/profiles.h"

namespace rockdove::cli {

// A reply as the history has it.
struct PastReply {
  std::string id;      // of the delivery
  std::string at;      // "2026-11-22T14:05:00.000Z"
  std::string domain;  // of the recipient, in lower case; "": not known, only attempts are left
  std::string host;    // "mx.example.net[192.0.2.1]:25"
  std::string reply;   // as smtp::one_line()
};

// How replies are treated by one set of profiles.
struct Treatment {
  const traffic::Provider* provider = nullptr;  // null: none
  const traffic::Rule* rule = nullptr;          // null: none fires

  auto operator<=>(const Treatment&) const = default;
};

class TrafficReplay {
 public:
  // What came of a reply with the changed profiles, beside the profiles in use.
  enum class Difference : std::uint8_t {
    Caught,         // a rule fires, where none did
    Lost,           // none does any more
    OtherAction,    // another rule, or the same, that does something else
    OtherRule,      // another rule that does the same
    OtherProvider,  // another provider, whose rule does the same, or none does
  };
  static constexpr std::size_t kDifferences = 5;
  static constexpr std::size_t kSamplesMax = 3;  // of a group, the first

  struct Group {
    Difference difference;
    Treatment in_use;
    Treatment changed;
    bool is_permanent = false;  // the replies are 5yz
    std::uint64_t replies = 0;
    std::vector<PastReply> samples;
  };

  // How many replies would now have this consequence and had not, or had it and have no longer.
  struct Turned {
    std::uint64_t begins = 0;
    std::uint64_t ends = 0;
  };

  struct Totals {
    std::uint64_t replies = 0;
    std::uint64_t other_texts = 0;  // that are no refusals with a code, and no rule is asked
    std::array<std::uint64_t, kDifferences> by_difference{};
    Turned returned;  // to the sender, at once
    Turned paused;
    Turned slowed;  // backoff
  };

  // Both outlive it.
  TrafficReplay(const traffic::Profiles& in_use, const traffic::Profiles& changed);

  void add(const PastReply& reply);

  // Those of one difference together, the largest first.
  [[nodiscard]] std::vector<Group> groups() const;

  [[nodiscard]] const Totals& totals() const { return totals_; }

 private:
  // What both make of a reply; it does not depend on anything else.
  struct Outcome {
    Treatment in_use;
    Treatment changed;
  };

  using GroupName = std::tuple<Treatment, Treatment, bool>;

  [[nodiscard]] const Outcome& outcome_of(const PastReply& reply);
  void count_consequences(const Outcome& outcome, bool is_permanent);

  const traffic::Profiles& in_use_;
  const traffic::Profiles& changed_;
  // By domain, host and text: much of what servers say they say again and again.
  std::unordered_map<std::string, Outcome> known_;
  std::map<GroupName, Group> groups_;
  Totals totals_;
};

// "caught", "lost", "action", "rule", "provider": as in --json.
[[nodiscard]] std::string_view name_of(TrafficReplay::Difference difference);

[[nodiscard]] PastReply parse_past_reply(const nlohmann::ordered_json& line);

// For a terminal: the groups, then what would change in all.
[[nodiscard]] std::string format_replay(const TrafficReplay& replay);
// An object a group, then one with "total": true.
[[nodiscard]] std::vector<nlohmann::ordered_json> replay_as_json(const TrafficReplay& replay);

}  // namespace rockdove::cli
