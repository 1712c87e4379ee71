#include "mta/daemon/config_document.h"

#include <toml++/toml.h>

namespace rockdove::daemon {
namespace {

// The deepest is provider.x.on.set.rate's list, 7; one more, so that messages can be precise.
constexpr unsigned kDepthMax = 8;

Position position_of(const toml::source_region& region) {
  return Position{region.begin.line, region.begin.column};
}

Node::Type type_of(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return Node::Type::Table;
    case toml::node_type::array:
      return Node::Type::Array;
    case toml::node_type::string:
      return Node::Type::Text;
    case toml::node_type::integer:
      return Node::Type::Integer;
    case toml::node_type::floating_point:
      return Node::Type::Float;
    case toml::node_type::boolean:
      return Node::Type::Boolean;
    case toml::node_type::none:
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time:
      return Node::Type::Time;
  }
  return Node::Type::Time;
}

std::optional<base::WallTime> time_of(const toml::node& from) {
  toml::date_time when;
  if (const auto* date = from.as_date()) {
    when = toml::date_time(date->get(), toml::time{});
  } else if (const auto* moment = from.as_date_time()) {
    when = moment->get();
  } else {
    return std::nullopt;
  }
  const std::chrono::year_month_day day(std::chrono::year(when.date.year),
                                        std::chrono::month(when.date.month),
                                        std::chrono::day(when.date.day));
  base::WallTime time = std::chrono::sys_days(day);
  time += std::chrono::hours(when.time.hour) + std::chrono::minutes(when.time.minute) +
          std::chrono::seconds(when.time.second);
  if (when.offset) time -= std::chrono::minutes(when.offset->minutes);
  if (time < base::WallTime()) return std::nullopt;
  return time;
}

Node convert(const toml::node& from, unsigned depth) {
  Node node;
  node.type = depth > kDepthMax ? Node::Type::TooDeep : type_of(from);
  node.at = position_of(from.source());
  switch (node.type) {
    case Node::Type::Table:
      for (const auto& [key, value] : *from.as_table()) {
        node.members.push_back(
            Member{std::string(key.str()), position_of(key.source()), convert(value, depth + 1)});
      }
      break;
    case Node::Type::Array:
      for (const toml::node& item : *from.as_array())
        node.items.push_back(convert(item, depth + 1));
      break;
    case Node::Type::Text:
      node.text = from.as_string()->get();
      break;
    case Node::Type::Integer:
      node.integer = from.as_integer()->get();
      break;
    case Node::Type::Time:
      node.time = time_of(from);
      break;
    case Node::Type::Boolean:
      node.integer = from.as_boolean()->get() ? 1 : 0;
      break;
    case Node::Type::Float:
    case Node::Type::TooDeep:
      break;
  }
  return node;
}

}  // namespace

std::string_view type_name(Node::Type type) {
  switch (type) {
    case Node::Type::Table:
      return "a table";
    case Node::Type::Array:
      return "a list";
    case Node::Type::Text:
      return "a text";
    case Node::Type::Integer:
      return "a whole number";
    case Node::Type::Float:
      return "a fraction";
    case Node::Type::Boolean:
      return "true or false";
    case Node::Type::Time:
      return "a date or time";
    case Node::Type::TooDeep:
      return "a value in too many tables";
  }
  return "";
}

std::variant<Node, SyntaxError> parse_document(std::string_view text) {
  try {
    return convert(toml::parse(text), 0);
  } catch (const toml::parse_error& error) {
    std::string what(error.description());
    // "Error while parsing key-value pair: cannot redefine …": the first half helps nobody.
    constexpr std::string_view kPreamble = "Error while parsing ";
    const std::size_t colon = what.find(": ");
    if (what.starts_with(kPreamble) && colon != std::string::npos) what.erase(0, colon + 2);
    for (char& c : what) {
      if (static_cast<unsigned char>(c) < 32) c = ' ';
    }
    return SyntaxError{position_of(error.source()), std::move(what)};
  }
}

}  // namespace rockdove::daemon
