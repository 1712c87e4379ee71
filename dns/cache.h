// Remembers answers until they expire (RFC 1035 §3.2.1, RFC 2308), for one loop. Stands in front of
// another resolver and is one itself. Questions that are alike and under way share one query.
//
// Bounded in entries and octets: the one that was not used for longest makes room.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "dns/resolver.h"
#include "mta/base/loop.h"

namespace rockdove::dns {

struct CacheLimits {
  std::size_t entries_max = 20'000;
  std::size_t octets_max = 16 * 1024 * 1024;
  // TTLs are moved into these bounds: [shortest, positive_max] for records, [shortest,
  // negative_max] for NoData and NxDomain. Failures are kept for `shortest`, then twice as long
  // each time the same question fails again, up to failure_max (RFC 2308 §7 allows five minutes).
  base::Duration shortest = std::chrono::seconds(5);
  base::Duration positive_max = std::chrono::hours(24);
  base::Duration negative_max = std::chrono::minutes(10);
  base::Duration failure_max = std::chrono::seconds(30);
};

class CachingResolver final : public Resolver {
 public:
  // Both outlive this object. `upstream` belongs to `loop` too.
  CachingResolver(base::Loop& loop, Resolver& upstream, const CacheLimits& limits = {});
  ~CachingResolver() override;
  CachingResolver(const CachingResolver&) = delete;
  CachingResolver& operator=(const CachingResolver&) = delete;

  // An answer from memory carries the time it has still to live as its ttl.
  void query(std::string name, RecordType type, Done done) override;

  // Forgets all answers; questions under way go on.
  void clear();

  [[nodiscard]] std::size_t entries() const { return entries_.size(); }

  [[nodiscard]] std::size_t octets() const { return octets_; }

  struct Counts {
    std::uint64_t hits = 0;
    std::uint64_t misses = 0;  // asked upstream
    std::uint64_t shared = 0;  // joined a question under way
    std::uint64_t evicted = 0;
  };

  [[nodiscard]] const Counts& counts() const { return counts_; }

 private:
  struct Question {
    std::string name;
    RecordType type;
    bool operator==(const Question&) const = default;
  };

  struct QuestionHash {
    std::size_t operator()(const Question& question) const noexcept {
      return std::hash<std::string>()(question.name) * 31 + static_cast<std::size_t>(question.type);
    }
  };

  struct Entry {
    AnswerPointer answer;
    base::Instant expires;
    base::Duration kept;  // for failures: how long this one was kept
    std::size_t octets;
    std::list<const Question*>::iterator used;  // place in recently_used_
  };

  using Entries = std::unordered_map<Question, Entry, QuestionHash>;

  void answered(const Question& question, const AnswerPointer& answer);
  [[nodiscard]] base::Duration time_to_keep(const Question& question, const Answer& answer) const;
  void remember(const Question& question, AnswerPointer answer, base::Duration kept);
  void forget(Entries::iterator entry);
  void call_later(Done done, AnswerPointer answer);
  void call_ready();

  base::Loop& loop_;
  Resolver& upstream_;
  CacheLimits limits_;
  Entries entries_;
  std::list<const Question*> recently_used_;  // the latest first
  std::size_t octets_ = 0;
  std::unordered_map<Question, std::vector<Done>, QuestionHash> under_way_;
  std::vector<std::pair<Done, AnswerPointer>> ready_;  // answered from memory in this turn
  Counts counts_;
  std::shared_ptr<CachingResolver*> self_;  // callbacks hold it weakly: gone when we are
};

}  // namespace rockdove::dns
