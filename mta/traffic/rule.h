// What a reply teaches: a rule of a traffic profile, [[provider.NAME.on]]. A plain value; who asks
// which rules is traffic/profiles.h.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mta/base/time.h"
#include "mta/smtp/reply.h"
#include "mta/traffic/knobs.h"
#include "mta/traffic/reply_pattern.h"

namespace rockdove::traffic {

// Nothing is sent there for `time`.
struct Pause {
  enum class Of : std::uint8_t {
    Site,      // the set of MX hosts that the mail was going to
    Provider,  // all its sites; where there is no provider, the site
    Source,    // what would leave from the same source address, to the same account
    Tenant,    // the mail of the same tenant, to the same account
  };

  base::Duration time{};
  Of of = Of::Provider;
};

[[nodiscard]] std::string_view name_of(Pause::Of of);  // "site", "provider", "source", "tenant"

// The account's rate is multiplied by `factor`, and rises again by itself with what is accepted.
struct BackoffAction {
  double factor = 0.5;        // above 0, below 1
  std::optional<Rate> floor;  // not below this; none: a message in ten minutes
};

// Another setting for a time.
struct Setting {
  Knobs knobs;
  base::Duration time{};
};

// What is done; at least one of them. Without `bounce`, `defer`, `retry_in` and `next_source` the
// mail itself fares as its code says: 4yz waits, 5yz goes back.
struct Actions {
  std::optional<Pause> pause;
  std::optional<BackoffAction> backoff;
  bool bounce = false;                     // a 4yz goes back, too
  bool defer = false;                      // a 5yz waits, too; and it says nothing about our rate
  std::optional<base::Duration> retry_in;  // it waits, just so long
  bool next_source = false;  // a 5yz waits, too, and the next attempt leaves from another address
  std::optional<Setting> set;

  [[nodiscard]] bool is_empty() const {
    return !pause && !backoff && !bounce && !defer && !retry_in && !next_source && !set;
  }
};

// What is done, a phrase each: "pause the provider for 2h", "rate x0.5, not below 10/min".
[[nodiscard]] std::vector<std::string> describe(const Actions& actions);

// "3 in 10m": so many replies in that time, then the rule acts.
struct Threshold {
  std::uint32_t count = 1;
  base::Duration within{};
};

inline constexpr std::uint32_t kThresholdCountMax = 10'000;

[[nodiscard]] base::Result<Threshold> parse_threshold(std::string_view text);
[[nodiscard]] std::string format_threshold(const Threshold& threshold);

// "x0.5"
[[nodiscard]] base::Result<double> parse_factor(std::string_view text);

// A stage of the conversation as profiles name it: "connect", "banner", "ehlo", "starttls", "auth",
// "mail", "rcpt", "data", "body", "final-dot", "idle". nullopt: there is none of this name.
[[nodiscard]] std::optional<smtp::Stage> parse_stage(std::string_view name);
[[nodiscard]] std::string_view format_stage(smtp::Stage stage);
[[nodiscard]] std::vector<std::string_view> stage_names();

// A text with its place in the file.
struct PlacedText {
  std::string text;
  Origin origin;
};

struct Rule {
  std::shared_ptr<const ReplyPattern> reply;  // never null
  Origin reply_at;
  std::vector<smtp::Stage> stages;  // empty: any
  std::vector<PlacedText> samples;  // replies that it is for, as a server says them
  Threshold after;
  Actions actions;
  Origin origin;

  // `line` as line_of() makes it.
  [[nodiscard]] bool matches(std::string_view line, smtp::Stage stage) const;
};

}  // namespace rockdove::traffic
