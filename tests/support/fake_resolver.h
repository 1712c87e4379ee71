// A DNS that is a table, for tests. It answers when it is told to: run() for everything that waits,
// or by itself through a loop, if it was given one.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "dns/message.h"
#include "dns/resolver.h"
#include "mta/base/loop.h"

namespace rockdove::tests {

class FakeResolver final : public dns::Resolver {
 public:
  FakeResolver() = default;

  // Answers in a task of `loop`, after `delay` of its time; `loop` outlives this object.
  explicit FakeResolver(base::Loop& loop, base::Duration delay = base::Duration(0))
      : loop_(&loop), delay_(delay), timer_(loop.make_timer([this] { answer_due(); })) {}

  void mx(const std::string& name, std::uint16_t preference, const std::string& exchange) {
    table_[{name, dns::RecordType::MX}].exchanges.push_back({preference, exchange});
    ok(name, dns::RecordType::MX);
  }

  // Of either family.
  void address(const std::string& name, const std::string& text) {
    const base::IpAddress ip = *base::parse_ip_address(text);
    const auto type = ip.is_v4() ? dns::RecordType::A : dns::RecordType::AAAA;
    table_[{name, type}].addresses.push_back(ip);
    ok(name, type);
  }

  void text(const std::string& name, const std::string& text) {
    table_[{name, dns::RecordType::TXT}].texts.push_back(text);
    ok(name, dns::RecordType::TXT);
  }

  // Any status but Ok.
  void fails(const std::string& name, dns::RecordType type, dns::Status status) {
    table_[{name, type}] = dns::failure(status, name, type, dns::name_of(status));
    names_.insert(name);
  }

  void forget(const std::string& name) {
    std::erase_if(table_, [&name](const auto& row) { return row.first.first == name; });
    names_.erase(name);
  }

  void set_ttl(base::Duration ttl) { ttl_ = ttl; }

  void query(std::string name, dns::RecordType type, Done done) override {
    asked_.emplace_back(name, type);
    const std::optional<std::string> normal = dns::question_name(name);
    auto answer = std::make_shared<dns::Answer>(
        normal ? look_up(*normal, type)
               : dns::failure(dns::Status::BadName, name, type, "no name"));
    waiting_.push_back({loop_ == nullptr ? base::Instant{} : loop_->now().instant + delay_,
                        std::move(done), std::move(answer)});
    if (timer_ != nullptr && waiting_.size() == 1) timer_->set(waiting_.front().due);
  }

  // Answers all that waits, and what is asked meanwhile.
  void run() {
    while (!waiting_.empty()) run_one();
  }

  // The oldest question that waits; there must be one.
  void run_one() {
    Waiting first = std::move(waiting_.front());
    waiting_.pop_front();
    first.done(std::move(first.answer));
  }

  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }

  [[nodiscard]] const auto& asked() const { return asked_; }

 private:
  struct Waiting {
    base::Instant due;
    Done done;
    dns::AnswerPointer answer;
  };

  void ok(const std::string& name, dns::RecordType type) {
    table_[{name, type}].status = dns::Status::Ok;
    names_.insert(name);
  }

  [[nodiscard]] dns::Answer look_up(const std::string& name, dns::RecordType type) const {
    dns::Answer answer;
    if (const auto found = table_.find({name, type}); found != table_.end()) {
      answer = found->second;
    } else {
      answer.status = names_.contains(name) ? dns::Status::NoData : dns::Status::NxDomain;
    }
    if (!dns::is_temporary(answer.status)) answer.ttl = ttl_;
    return answer;
  }

  void answer_due() {
    const base::Instant now = loop_->now().instant;
    while (!waiting_.empty() && waiting_.front().due <= now) run_one();
    if (!waiting_.empty()) timer_->set(waiting_.front().due);
  }

  base::Loop* loop_ = nullptr;
  base::Duration delay_{0};
  base::Duration ttl_ = std::chrono::minutes(5);
  std::unique_ptr<base::Timer> timer_;
  std::map<std::pair<std::string, dns::RecordType>, dns::Answer> table_;
  std::set<std::string> names_;
  std::deque<Waiting> waiting_;
  std::vector<std::pair<std::string, dns::RecordType>> asked_;
};

}  // namespace rockdove::tests
