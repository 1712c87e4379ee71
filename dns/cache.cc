#include "dns/cache.h"

#include <algorithm>

#include "dns/message.h"
#include "mta/base/counters.h"

namespace rockdove::dns {
namespace {

// What an entry takes besides its name and answer, roughly: nodes of the map and the list.
constexpr std::size_t kEntryOctets = 200;

}  // namespace

CachingResolver::CachingResolver(base::Loop& loop, Resolver& upstream, const CacheLimits& limits)
    : loop_(loop),
      upstream_(upstream),
      limits_(limits),
      self_(std::make_shared<CachingResolver*>(this)) {}

CachingResolver::~CachingResolver() = default;

void CachingResolver::query(std::string name, RecordType type, Done done) {
  std::optional<std::string> normal = question_name(name);
  if (!normal) {
    call_later(std::move(done), std::make_shared<const Answer>(failure(Status::BadName, name, type,
                                                                       name_of(Status::BadName))));
    return;
  }
  const Question question{std::move(*normal), type};
  const base::Instant now = loop_.now().instant;
  if (const auto known = entries_.find(question); known != entries_.end()) {
    Entry& entry = known->second;
    if (now < entry.expires) {
      ++counts_.hits;
      base::count(base::Counter::DnsKept);
      recently_used_.splice(recently_used_.begin(), recently_used_, entry.used);
      auto answer = std::make_shared<Answer>(*entry.answer);
      answer->ttl = std::chrono::duration_cast<base::Duration>(entry.expires - now);
      call_later(std::move(done), std::move(answer));
      return;
    }
    // A failure that has expired stays until the next answer, which is kept longer if it fails too.
    if (!is_temporary(entry.answer->status)) forget(known);
  }
  std::vector<Done>& waiting = under_way_[question];
  waiting.push_back(std::move(done));
  if (waiting.size() > 1) {
    ++counts_.shared;
    return;
  }
  ++counts_.misses;
  base::count(base::Counter::DnsQuestions);
  upstream_.query(question.name, type,
                  [self = std::weak_ptr(self_), question](const AnswerPointer& answer) {
                    auto alive = self.lock();
                    if (alive == nullptr) return;
                    CachingResolver& resolver = **alive;
                    alive.reset();  // else its end in a callback would go unnoticed
                    resolver.answered(question, answer);
                  });
}

void CachingResolver::answered(const Question& question, const AnswerPointer& answer) {
  if (is_temporary(answer->status)) base::count(base::Counter::DnsFailures);
  AnswerPointer result = answer;
  if (answer->status != Status::BadName) {
    const base::Duration kept = time_to_keep(question, *answer);
    if (!is_temporary(answer->status) && kept != answer->ttl) {
      auto clamped = std::make_shared<Answer>(*answer);
      clamped->ttl = kept;
      result = std::move(clamped);
    }
    remember(question, result, kept);
  }
  const auto waiting = under_way_.extract(question);
  if (waiting.empty()) return;
  // A callback may destroy us; the others are dropped then.
  const std::weak_ptr<CachingResolver*> self = self_;
  for (Done& done : waiting.mapped()) {
    done(result);
    if (self.expired()) return;
  }
}

base::Duration CachingResolver::time_to_keep(const Question& question, const Answer& answer) const {
  switch (answer.status) {
    case Status::Ok:
      return std::clamp(answer.ttl, limits_.shortest, limits_.positive_max);
    case Status::NoData:
    case Status::NxDomain:
      return std::clamp(answer.ttl, limits_.shortest, limits_.negative_max);
    case Status::ServerFailure:
    case Status::TimedOut: {
      const auto before = entries_.find(question);
      const bool failed_before =
          before != entries_.end() && is_temporary(before->second.answer->status);
      return failed_before ? std::min(before->second.kept * 2, limits_.failure_max)
                           : limits_.shortest;
    }
    case Status::BadName:
      break;
  }
  return base::Duration(0);
}

void CachingResolver::remember(const Question& question, AnswerPointer answer,
                               base::Duration kept) {
  if (const auto old = entries_.find(question); old != entries_.end()) forget(old);
  const std::size_t octets = kEntryOctets + question.name.capacity() + answer->memory();
  if (octets > limits_.octets_max || limits_.entries_max == 0) return;
  while (entries_.size() >= limits_.entries_max || octets_ + octets > limits_.octets_max) {
    forget(entries_.find(*recently_used_.back()));
    ++counts_.evicted;
  }
  const base::Instant expires = loop_.now().instant + kept;
  const auto entry =
      entries_.emplace(question, Entry{std::move(answer), expires, kept, octets, {}}).first;
  recently_used_.push_front(&entry->first);
  entry->second.used = recently_used_.begin();
  octets_ += octets;
}

void CachingResolver::forget(Entries::iterator entry) {
  octets_ -= entry->second.octets;
  recently_used_.erase(entry->second.used);
  entries_.erase(entry);
}

void CachingResolver::clear() {
  entries_.clear();
  recently_used_.clear();
  octets_ = 0;
}

void CachingResolver::call_later(Done done, AnswerPointer answer) {
  ready_.emplace_back(std::move(done), std::move(answer));
  if (ready_.size() > 1) return;
  loop_.post([self = std::weak_ptr(self_)] {
    auto alive = self.lock();
    if (alive == nullptr) return;
    CachingResolver& resolver = **alive;
    alive.reset();  // else its end in a callback would go unnoticed
    resolver.call_ready();
  });
}

void CachingResolver::call_ready() {
  std::vector<std::pair<Done, AnswerPointer>> ready;
  ready.swap(ready_);
  const std::weak_ptr<CachingResolver*> self = self_;
  for (auto& [done, answer] : ready) {
    done(std::move(answer));
    if (self.expired()) return;
  }
}

}  // namespace rockdove::dns
