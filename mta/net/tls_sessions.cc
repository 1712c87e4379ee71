#include "mta/net/tls_sessions.h"

#include <algorithm>
#include <utility>

namespace rockdove::net {

void TlsSessions::keep(const std::string& key, bssl::UniquePtr<SSL_SESSION> session) {
  const std::lock_guard lock(mutex_);
  const std::size_t of_key_max =
      SSL_SESSION_should_be_single_use(session.get()) == 1 ? kOfOneKeyMax : 1;
  entries_.push_front({key, std::move(session)});
  std::vector<Place>& places = places_[key];
  places.push_back(entries_.begin());
  while (places.size() > of_key_max) {
    entries_.erase(places.front());
    places.erase(places.begin());
  }
  if (entries_.size() > kSessionsMax) drop(std::prev(entries_.end()));
}

bssl::UniquePtr<SSL_SESSION> TlsSessions::take(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto found = places_.find(key);
  if (found == places_.end()) return nullptr;
  const Place newest = found->second.back();
  if (SSL_SESSION_should_be_single_use(newest->session.get()) == 1) {
    bssl::UniquePtr<SSL_SESSION> taken = std::move(newest->session);
    drop(newest);
    return taken;
  }
  entries_.splice(entries_.begin(), entries_, newest);
  return bssl::UpRef(newest->session);
}

std::size_t TlsSessions::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

void TlsSessions::drop(Place place) {
  const auto found = places_.find(place->key);
  std::erase(found->second, place);
  if (found->second.empty()) places_.erase(found);
  entries_.erase(place);
}

}  // namespace rockdove::net
