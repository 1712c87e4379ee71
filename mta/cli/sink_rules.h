// What `rockdove sink` does instead of accepting: rules of the form STAGE[:PATTERN]=ACTION.
//
//   rcpt:*@bad.example=550 5.1.1 no such user
//   connect=421 4.3.2 busy, first 2          only the first 2 times that it matches
//   dot=drop, after 10                       only from the 11th time on
//   data=stall      mail:spam@*=delay 500ms
//
// Stages: connect (pattern: the client's address), helo (its name), mail (the sender, "" is null),
// rcpt (the recipient), data and dot (the sender). Patterns are those of fnmatch(3), in any case.
// Actions: a reply, "stall" (no word any more), "drop" (close), "delay TIME" (then as usual). The
// first rule that matches and has its turn wins.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "mta/base/result.h"
#include "mta/base/time.h"
#include "mta/smtp/reply.h"

namespace rockdove::cli {

enum class SinkStage : std::uint8_t { Connect, Helo, Mail, Rcpt, Data, Dot };

inline constexpr std::array<std::pair<std::string_view, SinkStage>, 6> kSinkStages = {
    {{"connect", SinkStage::Connect},
     {"helo", SinkStage::Helo},
     {"mail", SinkStage::Mail},
     {"rcpt", SinkStage::Rcpt},
     {"data", SinkStage::Data},
     {"dot", SinkStage::Dot}}};
[[nodiscard]] std::string_view stage_name(SinkStage stage);

struct Stall {};

struct Drop {};

struct Delay {
  base::Duration time;
};

using SinkAction = std::variant<smtp::Reply, Stall, Drop, Delay>;

struct SinkRule {
  SinkStage stage = SinkStage::Connect;
  std::string pattern = "*";
  SinkAction action = Drop{};
  std::uint64_t after = 0;           // so many matches are let through first
  std::uint64_t first = UINT64_MAX;  // after so many matches it is over
};

// Whatever a server could say, a line of it each: "550 5.1.1 no such user", "451"; or "421-4.7.0 a
// long", "421 4.7.0 story".
[[nodiscard]] base::Result<smtp::Reply> parse_sink_reply(std::span<const std::string_view> lines);
[[nodiscard]] base::Result<SinkRule> parse_sink_rule(std::string_view text);

// The rules with what they have counted. One loop's.
class SinkRules {
 public:
  explicit SinkRules(std::vector<SinkRule> rules)
      : rules_(std::move(rules)), matches_(rules_.size()) {}

  // What is to be done instead of going on; null: nothing. Valid as long as the rules are.
  [[nodiscard]] const SinkAction* find(SinkStage stage, std::string_view subject);

 private:
  std::vector<SinkRule> rules_;
  std::vector<std::uint64_t> matches_;
};

}  // namespace rockdove::cli
