#include "mta/cli/sink_rules.h"

#include <charconv>
#include <fnmatch.h>
#include <utility>

#include "mta/base/text.h"

namespace rockdove::cli {
namespace {

bool parse_number(std::string_view text, std::uint64_t& number) {
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  return code == std::errc() && end == text.data() + text.size();
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool starts_with_code(std::string_view text) {
  return text.size() >= 3 && text[0] >= '2' && text[0] <= '5' && is_digit(text[1]) &&
         is_digit(text[2]) && (text.size() == 3 || text[3] == ' ');
}

base::Result<SinkAction> parse_action(std::string_view text) {
  constexpr std::string_view kDelay = "delay ";
  if (text == "stall") return SinkAction(Stall{});
  if (text == "drop") return SinkAction(Drop{});
  if (text.starts_with(kDelay)) {
    const auto time = base::parse_duration(base::trimmed(text.substr(kDelay.size())));
    if (!time) return time.error();
    return SinkAction(Delay{*time});
  }
  if (starts_with_code(text)) {
    const base::Result<smtp::Reply> reply = parse_sink_reply({&text, 1});
    if (!reply) return reply.error();
    return SinkAction(*reply);
  }
  return base::Error("\"" + base::printable(text, 80) +
                     "\" is no action: write a reply, as \"550 5.1.1 no such user\", or \"stall\", "
                     "\"drop\" or \"delay 5s\"");
}

// Takes ", after N" or ", first N" from the end; false: it is not there.
bool take_count(std::string_view& text, std::string_view word, std::uint64_t& number) {
  const std::size_t comma = text.rfind(',');
  if (comma == std::string_view::npos) return false;
  const std::string_view tail = base::trimmed(text.substr(comma + 1));
  if (!tail.starts_with(word) || tail.size() == word.size()) return false;
  if (!parse_number(base::trimmed(tail.substr(word.size())), number)) return false;
  text = base::trimmed(text.substr(0, comma));
  return true;
}

}  // namespace

std::string_view stage_name(SinkStage stage) {
  return kSinkStages.at(static_cast<std::size_t>(stage)).first;
}

base::Result<smtp::Reply> parse_sink_reply(std::span<const std::string_view> lines) {
  smtp::ReplyParser parser;
  bool is_one_line_each = !lines.empty();
  for (const std::string_view line : lines) {
    if (line.find_first_of("\r\n") != std::string_view::npos) is_one_line_each = false;
    parser.receive(std::string(line) + "\r\n");
  }
  const auto parsed = parser.next();
  const auto* reply = parsed ? std::get_if<smtp::Reply>(&*parsed) : nullptr;
  if (is_one_line_each && reply != nullptr && parser.is_between_replies()) return *reply;
  return base::Error("\"" + base::printable(lines.empty() ? "" : lines.front(), 80) +
                     "\" is no reply: write it as the server says it, \"550 5.1.1 no such user\"");
}

base::Result<SinkRule> parse_sink_rule(std::string_view text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos) {
    return base::Error(
        "a rule is STAGE[:PATTERN]=ACTION, as in \"rcpt:*@bad.example=550 5.1.1 no\"");
  }
  SinkRule rule;
  const std::string_view left = base::trimmed(text.substr(0, equals));
  const std::size_t colon = left.find(':');
  const SinkStage* stage = nullptr;
  for (const auto& [name, value] : kSinkStages) {
    if (name == left.substr(0, colon)) stage = &value;
  }
  if (stage == nullptr) return base::Error("a stage is connect, helo, mail, rcpt, data or dot");
  rule.stage = *stage;
  if (colon != std::string_view::npos) rule.pattern = std::string(left.substr(colon + 1));
  std::string_view right = base::trimmed(text.substr(equals + 1));
  while (take_count(right, "after ", rule.after) || take_count(right, "first ", rule.first)) {
  }
  const base::Result<SinkAction> action = parse_action(right);
  if (!action) return action.error();
  rule.action = *action;
  if (const auto* reply = std::get_if<smtp::Reply>(&rule.action)) {
    const bool may_accept = rule.stage != SinkStage::Connect && rule.stage != SinkStage::Data;
    if (reply->is_intermediate() || (reply->is_success() && !may_accept)) {
      return base::Error("there a reply is 4yz or 5yz; leave the rule out to accept");
    }
  }
  return rule;
}

const SinkAction* SinkRules::find(SinkStage stage, std::string_view subject) {
  std::string text;
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    const SinkRule& rule = rules_[i];
    if (rule.stage != stage) continue;
    if (rule.pattern != "*") {
      if (text.empty()) text = std::string(subject);
      if (::fnmatch(rule.pattern.c_str(), text.c_str(), FNM_CASEFOLD | FNM_NOESCAPE) != 0) continue;
    }
    const std::uint64_t before = matches_[i]++;
    if (before < rule.after || before - rule.after >= rule.first) continue;
    return &rule.action;
  }
  return nullptr;
}

}  // namespace rockdove::cli
