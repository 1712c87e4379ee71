#include "mta/daemon/config_value.h"

#include <algorithm>

#include "mta/base/text.h"
#include "mta/base/utf8.h"
#include "mta/mail/idna.h"

namespace rockdove::daemon {
namespace {

constexpr std::size_t kTextOctetsMax = 4096;
constexpr std::size_t kListItemsMax = 10'000;
constexpr std::size_t kNameOctetsMax = 64;

std::string quoted(std::string_view text) {
  return "\"" + base::printable(text, 80) + "\"";
}

}  // namespace

std::string refused_domain(std::string_view text, const base::Error& error,
                           std::string_view wanted) {
  std::string said = quoted(text).append(" is ").append(wanted);
  // Of ASCII there is nothing to say but that.
  if (!base::is_ascii(text)) said.append(" (").append(error.text()).append(")");
  return said;
}

bool Value::wrong_type(std::string_view wanted) {
  problems_.error(node_.at, std::string("`")
                                .append(key_)
                                .append("` wants ")
                                .append(wanted)
                                .append(", this is ")
                                .append(type_name(node_.type)));
  return false;
}

bool Value::no_such_choice(const std::vector<std::string_view>& words) {
  std::string wanted;
  for (const std::string_view word : words) {
    if (!wanted.empty()) wanted += " or ";
    wanted.append(quoted(word));
  }
  if (node_.type != Node::Type::Text) return wrong_type(wanted);
  error(std::string("`")
            .append(key_)
            .append("` wants ")
            .append(wanted)
            .append(", not ")
            .append(quoted(node_.text))
            .append(did_you_mean(node_.text, words)));
  return false;
}

bool Value::text(std::string& target) {
  if (node_.type != Node::Type::Text) return wrong_type("a text in quotes");
  if (node_.text.empty()) {
    error("`" + std::string(key_) + "` is empty; leave the key out for its default");
    return false;
  }
  if (node_.text.size() > kTextOctetsMax) {
    error("`" + std::string(key_) + "` is longer than 4096 octets");
    return false;
  }
  const bool has_control = std::any_of(node_.text.begin(), node_.text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 32 || c == 127;
  });
  if (has_control) {
    error("`" + std::string(key_) + "` holds control characters");
    return false;
  }
  target = node_.text;
  return true;
}

bool Value::absolute_path(std::string& target) {
  std::string path;
  if (!text(path)) return false;
  if (path.front() != '/') {
    error("`" + std::string(key_) + "` wants a path from the root, as in \"/var/lib/rockdove\"");
    return false;
  }
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  target = path;
  return true;
}

bool Value::whole_number(std::uint32_t& target, Bounds<std::uint32_t> bounds) {
  if (node_.type != Node::Type::Integer) return wrong_type("a whole number");
  if (node_.integer < bounds.least || node_.integer > bounds.most) {
    error("`" + std::string(key_) + "` is " + std::to_string(bounds.least) + " to " +
          std::to_string(bounds.most) + ", not " + std::to_string(node_.integer));
    return false;
  }
  target = static_cast<std::uint32_t>(node_.integer);
  return true;
}

bool Value::size(std::uint64_t& target, Bounds<std::uint64_t> bounds) {
  std::uint64_t octets = 0;
  if (node_.type == Node::Type::Integer && node_.integer >= 0) {
    octets = static_cast<std::uint64_t>(node_.integer);
  } else if (node_.type != Node::Type::Text) {
    return wrong_type("a size, as in \"20M\"");
  } else {
    const base::Result<std::uint64_t> parsed = base::parse_size(node_.text);
    if (!parsed) {
      error(quoted(node_.text) + " is " + parsed.error().text());
      return false;
    }
    octets = *parsed;
  }
  if (octets < bounds.least || octets > bounds.most) {
    error("`" + std::string(key_) + "` is \"" + base::format_size(bounds.least) + "\" to \"" +
          base::format_size(bounds.most) + "\"");
    return false;
  }
  target = octets;
  return true;
}

bool Value::duration(base::Duration& target, Bounds<base::Duration> bounds) {
  if (node_.type != Node::Type::Text) return wrong_type("a duration, as in \"5m\"");
  const base::Result<base::Duration> parsed = base::parse_duration(node_.text);
  if (!parsed) {
    error(quoted(node_.text) + " is " + parsed.error().text());
    return false;
  }
  if (*parsed < bounds.least || *parsed > bounds.most) {
    error("`" + std::string(key_) + "` is \"" + base::format_duration(bounds.least) + "\" to \"" +
          base::format_duration(bounds.most) + "\"");
    return false;
  }
  target = *parsed;
  return true;
}

bool Value::rates(std::vector<traffic::Rate>& target) {
  if (node_.type != Node::Type::Text && node_.type != Node::Type::Array) {
    return wrong_type("a rate, as in \"10/s\", or a list of rates");
  }
  const std::vector<Value> items = texts();
  if (items.empty() && !node_.items.empty()) return false;  // what is no text was told
  std::vector<std::string_view> rates;
  for (const Value& item : items) rates.push_back(item.node_.text);
  base::Result<std::vector<traffic::Rate>> parsed = traffic::parse_rates(rates);
  if (!parsed) {
    error(parsed.error().text());
    return false;
  }
  target = *std::move(parsed);
  return true;
}

bool Value::rate(base::Rate& target) {
  if (node_.type != Node::Type::Text) return wrong_type("a rate, as in \"600/min\"");
  const base::Result<base::Rate> parsed = base::parse_rate(node_.text);
  if (!parsed) {
    error(quoted(node_.text) + " is " + parsed.error().text());
    return false;
  }
  target = *parsed;
  return true;
}

bool Value::name(std::string& target) {
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  std::string name;
  if (!text(name)) return false;
  if (name.size() > kNameOctetsMax || name.find_first_not_of(kAllowed) != std::string::npos) {
    error("a name has up to 64 letters, digits, dots, hyphens and underscores");
    return false;
  }
  target = name;
  return true;
}

void Value::names(std::vector<std::string>& target) {
  target.clear();
  for (Value& item : texts()) item.name(target.emplace_back());
}

bool Value::address_pattern(std::string& target, Null null) {
  std::string pattern;
  if (!text(pattern)) return false;
  if (null == Null::Accepted && pattern == "<>") {
    target = pattern;
    return true;
  }
  const base::Result<std::string> ascii = mail::to_ascii_pattern(pattern);
  if (!ascii) {
    error(quoted(pattern) + " matches no address: " + ascii.error().text());
    return false;
  }
  target = base::lower_case(*ascii);  // also of a wrong one, so that it does not match all
  if (pattern.find_first_of("@*") == std::string::npos) {
    error(quoted(pattern) + " matches no address; for a domain write \"*@" +
          base::printable(pattern, 80) + "\"");
    return false;
  }
  return true;
}

std::vector<Value> Value::texts() {
  if (node_.type == Node::Type::Text) return {*this};
  std::vector<Value> values;
  if (node_.type != Node::Type::Array) {
    wrong_type("a list of texts");
    return values;
  }
  if (node_.items.size() > kListItemsMax) {
    error("`" + std::string(key_) + "` has more than 10,000 entries");
    return values;
  }
  for (const Node& item : node_.items) {
    Value value(key_, item, problems_);
    if (item.type == Node::Type::Text) {
      values.push_back(value);
    } else {
      value.wrong_type("texts in its list");
    }
  }
  return values;
}

bool Value::moment(base::WallTime& target) {
  constexpr std::string_view kWanted = "a date, as in 2026-12-01 (without quotes)";
  if (node_.type != Node::Type::Time) return wrong_type(kWanted);
  if (!node_.time) {
    error(std::string("`")
              .append(key_)
              .append("` wants ")
              .append(kWanted)
              .append(", not before 1970"));
    return false;
  }
  target = *node_.time;
  return true;
}

bool Value::networks(std::vector<base::IpNetwork>& target) {
  std::vector<base::IpNetwork> networks;
  for (Value& item : texts()) {
    const base::Result<base::IpNetwork> network = base::parse_ip_network(item.node().text);
    if (network) {
      networks.push_back(*network);
    } else {
      item.error(quoted(item.node().text) + ": " + network.error().text());
    }
  }
  target = std::move(networks);
  return true;
}

bool Value::domain(std::string& target, std::string_view wanted) {
  if (node_.type != Node::Type::Text) return wrong_type("a text in quotes");
  base::Result<std::string> ascii = mail::to_ascii_domain(node_.text);
  if (!ascii) {
    error(refused_domain(node_.text, ascii.error(), wanted));
    return false;
  }
  target = *std::move(ascii);
  return true;
}

bool Value::domains(std::unordered_set<std::string>& target) {
  std::unordered_set<std::string> domains;
  for (Value& item : texts()) {
    std::string domain;
    if (!item.domain(domain, "no domain name; write one as in \"example.com\", without @ or *"))
      continue;
    if (!domains.insert(domain).second) item.warning(quoted(domain) + " is named twice");
  }
  target = std::move(domains);
  return true;
}

}  // namespace rockdove::daemon
