// A DNS for checks that never wait: TXT records by name. A name that has records, or one below it
// that has, exists; others do not.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "policy/recorded_dns.h"

namespace rockdove::policy {

class FakeDns {
 public:
  using Records = std::map<std::string, std::vector<std::string>>;

  FakeDns(Records records,
          std::set<std::string> failing = {})  // NOLINT(google-explicit-constructor)
      : records_(std::move(records)), failing_(std::move(failing)) {}

  // For braces, which a constructor would find ambiguous.
  static FakeDns of(Records records) { return FakeDns(std::move(records)); }

  // Runs the check until it has all answers; 20 rounds at most, since the same answers must lead to
  // new questions or to an end.
  template <typename Check>
  auto run(Check check) {
    RecordedDns dns;
    auto result = check(dns);
    for (rounds_ = 0; rounds_ < 20; ++rounds_) {
      std::vector<Question> missing = dns.take_missing();
      if (missing.empty()) break;
      for (Question& question : missing) {
        asked_.push_back(question.name);
        auto answered = std::make_shared<const dns::Answer>(answer(question));
        dns.add(std::move(question), std::move(answered));
      }
      result = check(dns);
      if (is_done(result)) break;
    }
    return result;
  }

  // Names in the order in which they were asked for, and how often answers were waited for.
  [[nodiscard]] const std::vector<std::string>& asked() const { return asked_; }

  [[nodiscard]] int rounds() const { return rounds_ + 1; }

 private:
  template <typename Optional>
  static auto is_done(const Optional& result) -> decltype(result.has_value()) {
    return result.has_value();
  }

  template <typename Plain>
  static auto is_done(const Plain& result) -> decltype(result.state, true) {
    return result.state != Plain::State::Unfinished;
  }

  [[nodiscard]] dns::Answer answer(const Question& question) const {
    dns::Answer answer;
    if (failing_.contains(question.name)) {
      answer.status = dns::Status::TimedOut;
      return answer;
    }
    const auto found = records_.find(question.name);
    if (found != records_.end() && !found->second.empty()) {
      answer.status = dns::Status::Ok;
      answer.texts = found->second;
      return answer;
    }
    const bool exists = std::any_of(records_.begin(), records_.end(), [&](const auto& entry) {
      return entry.first == question.name || entry.first.ends_with("." + question.name);
    });
    answer.status = exists ? dns::Status::NoData : dns::Status::NxDomain;
    return answer;
  }

  Records records_;
  std::set<std::string> failing_;
  std::vector<std::string> asked_;
  int rounds_ = 0;
};

}  // namespace rockdove::policy
