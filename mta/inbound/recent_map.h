// A table of bounded size that forgets what nobody has asked for the longest: for what strangers
// make us remember (addresses, names, logins). Not for several threads.
#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <unordered_map>
#include <utility>

namespace rockdove::inbound {

template <typename Key, typename Value, typename Hash = std::hash<Key>>
class RecentMap {
 public:
  // `size_max` is at least 1.
  explicit RecentMap(std::size_t size_max) : size_max_(size_max) {}

  // Null: not there. Valid until the next insert() or clear().
  [[nodiscard]] Value* find(const Key& key) {
    const auto found = places_.find(key);
    if (found == places_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, found->second);
    return &found->second->second;
  }

  // The value of `key`, made when it is not there.
  Value& insert(const Key& key) {
    if (Value* there = find(key)) return *there;
    if (places_.size() >= size_max_) {
      places_.erase(entries_.back().first);
      entries_.pop_back();
    }
    entries_.emplace_front(key, Value());
    places_.emplace(key, entries_.begin());
    return entries_.front().second;
  }

  void clear() {
    places_.clear();
    entries_.clear();
  }

  [[nodiscard]] std::size_t size() const { return places_.size(); }

 private:
  using Entries = std::list<std::pair<Key, Value>>;

  const std::size_t size_max_;
  Entries entries_;  // the one used last comes first
  std::unordered_map<Key, typename Entries::iterator, Hash> places_;
};

}  // namespace rockdove::inbound
