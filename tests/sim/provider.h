// A provider in the simulated world: profiles that the relay has of it, a server that takes what it
// pleases, and mail for it.
#pragma once

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

#include "mta/daemon/traffic_file.h"
#include "mta/traffic/reply_pattern.h"
#include "tests/sim/stories.h"

namespace rockdove::sim {

inline std::shared_ptr<const traffic::Profiles> profiles(std::string_view text) {
  daemon::Problems problems("traffic.toml");
  const std::vector<traffic::ProfileFile> files{
      daemon::parse_profile_file(text, "traffic.toml", problems)};
  for (const daemon::Problem& problem : problems.take_sorted())
    UNSCOPED_INFO(daemon::format_problem(problem));
  REQUIRE_FALSE(problems.has_errors());
  return std::make_shared<const traffic::Profiles>(files);
}

inline SimSettings settings_with(std::string_view text, unsigned loops) {
  SimSettings settings = default_settings();
  settings.loops = loops;
  settings.relay.outbound.traffic = profiles(text);
  return settings;
}

// The most that any half-open window of so long holds.
inline std::size_t fullest_window(const std::vector<base::Instant>& times, base::Duration per) {
  std::size_t most = 0;
  for (std::size_t first = 0, end = 0; first < times.size(); ++first) {
    while (end < times.size() && times[end] < times[first] + per) ++end;
    most = std::max(most, end - first);
  }
  return most;
}

// A server that takes messages as its provider pleases, and knows when they came.
class Provider {
 public:
  Provider(Sim& sim, RemoteServer& server) : sim_(sim) {
    server.recipients_go_by([this](const std::string&) { return asked(); });
  }

  // From now on at most `count` in any `per`; more get `reply`.
  void limit(std::size_t count, base::Duration per, std::string_view reply) {
    count_ = count;
    per_ = per;
    reply_ = reply;
  }

  [[nodiscard]] const std::vector<base::Instant>& taken() const { return taken_; }

  [[nodiscard]] std::size_t refused() const { return refused_; }

  // The most that any half-open window of so long held.
  [[nodiscard]] std::size_t most_in(base::Duration window) const {
    return fullest_window(taken_, window);
  }

 private:
  std::optional<smtp::Reply> asked() {
    const base::Instant now = sim_.now().instant;
    const auto recent = std::count_if(taken_.rbegin(), taken_.rend(),
                                      [&](base::Instant at) { return now - at < per_; });
    if (count_ > 0 && static_cast<std::size_t>(recent) >= count_) {
      ++refused_;
      return traffic::parse_refusal(reply_).value();
    }
    taken_.push_back(now);
    return std::nullopt;
  }

  Sim& sim_;
  std::size_t count_ = 0;  // 0: no limit
  base::Duration per_{0};
  std::string reply_;
  std::vector<base::Instant> taken_;
  std::size_t refused_ = 0;
};

inline void submit_many(Sim& sim, std::size_t count, const std::string& domain,
                        std::size_t first = 0) {
  std::deque<Submission*> mails;
  for (std::size_t i = first; i < first + count; ++i) {
    mails.push_back(
        &sim.truth.submission("a@home.example", {"b" + std::to_string(i) + "@" + domain}, kBody));
  }
  sim.submit(std::move(mails));
}

}  // namespace rockdove::sim
