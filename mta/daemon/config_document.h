// A TOML document (version 1.0) as a plain tree with positions. The only place that knows toml++.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "mta/base/time.h"
#include "mta/daemon/config_problem.h"

namespace rockdove::daemon {

inline constexpr std::size_t kConfigurationOctetsMax = 1024 * 1024;

struct Member;

struct Node {
  enum class Type : std::uint8_t { Table, Array, Text, Integer, Float, Boolean, Time, TooDeep };

  Type type = Type::Table;
  Position at;
  std::string text;          // of Text
  std::int64_t integer = 0;  // of Integer; of Boolean 1 for true
  // Of Time: a date begins at midnight, and what has no offset is UTC. None: a time of no day, or
  // before 1970.
  std::optional<base::WallTime> time;
  std::vector<Node> items;      // of Array
  std::vector<Member> members;  // of Table
};

struct Member {
  std::string key;
  Position at;  // of the key
  Node value;
};

// "a text", "a whole number", …, for messages.
[[nodiscard]] std::string_view type_name(Node::Type type);

struct SyntaxError {
  Position at;
  std::string text;
};

// TOML ends at its first syntax error. Tables deeper than any of ours come back as TooDeep.
[[nodiscard]] std::variant<Node, SyntaxError> parse_document(std::string_view text);

}  // namespace rockdove::daemon
