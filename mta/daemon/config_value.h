// Reading one key's value: each reader says what it wanted when it got something else, and leaves
// the target as it was.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "mta/base/ip_address.h"
#include "mta/base/quantity.h"
#include "mta/base/result.h"
#include "mta/base/time.h"
#include "mta/daemon/config_document.h"
#include "mta/daemon/config_problem.h"
#include "mta/traffic/rate.h"

namespace rockdove::daemon {

template <typename T>
struct Bounds {
  T least;
  T most;
};

class Value {
 public:
  // All outlive it. `key` as in "listener.rate".
  Value(std::string_view key, const Node& node, Problems& problems)
      : key_(key), node_(node), problems_(problems) {}

  [[nodiscard]] const Node& node() const { return node_; }

  [[nodiscard]] Position at() const { return node_.at; }

  void error(const std::string& text) { problems_.error(node_.at, text); }

  void warning(const std::string& text) { problems_.warning(node_.at, text); }

  // Each returns whether `target` was set.
  bool text(std::string& target);  // not empty, printable
  bool absolute_path(std::string& target);
  bool whole_number(std::uint32_t& target, Bounds<std::uint32_t> bounds);
  bool size(std::uint64_t& target, Bounds<std::uint64_t> bounds);
  bool duration(base::Duration& target, Bounds<base::Duration> bounds);
  bool rate(base::Rate& target);
  // One rate, or a list of them that hold at once; "off" is none.
  bool rates(std::vector<traffic::Rate>& target);
  // A date, or a date and a time.
  bool moment(base::WallTime& target);
  bool networks(std::vector<base::IpNetwork>& target);
  // What stands in logs, queue names and commands: letters, digits, dots, hyphens, underscores.
  bool name(std::string& target);
  // A list of such.
  void names(std::vector<std::string>& target);
  // Addresses, with "*" for any run of characters, in lower case and A-labels. `null`: whether
  // "<>", the null sender, is one.
  enum class Null : std::uint8_t { Refused, Accepted };
  bool address_pattern(std::string& target, Null null);
  // A name of a domain or host, in lower case; U-labels become A-labels (RFC 5890). `wanted` ends
  // the sentence that says what the text is not, as "no host name".
  bool domain(std::string& target, std::string_view wanted);
  // Names of domains, likewise.
  bool domains(std::unordered_set<std::string>& target);

  // One of a few words.
  template <typename T>
  bool choice(T& target, std::span<const std::pair<std::string_view, T>> choices) {
    std::vector<std::string_view> words;
    for (const auto& [word, value] : choices) {
      words.push_back(word);
      if (node_.type == Node::Type::Text && node_.text == word) {
        target = value;
        return true;
      }
    }
    return no_such_choice(words);
  }

  // The texts of a list, or a lone text; each as a Value of its own. Other types are reported.
  [[nodiscard]] std::vector<Value> texts();
  // Reports that the value is not `wanted`, as in "a text".
  bool wrong_type(std::string_view wanted);

 private:
  bool no_such_choice(const std::vector<std::string_view>& words);

  std::string_view key_;
  const Node& node_;
  Problems& problems_;
};

// "\"a b\" is no host name": of a text that mail::to_ascii_domain() refused with `error`; of what
// is not ASCII the reason, too.
[[nodiscard]] std::string refused_domain(std::string_view text, const base::Error& error,
                                         std::string_view wanted);

}  // namespace rockdove::daemon
