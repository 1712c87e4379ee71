// The sessions that our client may resume (RFC 8446 §2.2, RFC 5077), by whom they are with.
// Bounded: the ones used longest ago go first.
#pragma once

#include <cstddef>
#include <list>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include <openssl/ssl.h>

namespace rockdove::net {

// Any thread.
class TlsSessions {
 public:
  static constexpr std::size_t kSessionsMax = 2'000;
  static constexpr std::size_t kOfOneKeyMax = 8;  // single-use ones, for several connections

  // `key` says with whom, and what was asked of it.
  void keep(const std::string& key, bssl::UniquePtr<SSL_SESSION> session);

  // The newest one, or null. One that may be used only once (TLS 1.3, RFC 8446 appendix C.4) is
  // forgotten here.
  [[nodiscard]] bssl::UniquePtr<SSL_SESSION> take(const std::string& key);

  [[nodiscard]] std::size_t size() const;

 private:
  struct Entry {
    std::string key;
    bssl::UniquePtr<SSL_SESSION> session;
  };

  using Place = std::list<Entry>::iterator;

  void drop(Place place);  // with the lock held

  mutable std::mutex mutex_;
  std::list<Entry> entries_;                                    // newest first
  std::unordered_map<std::string, std::vector<Place>> places_;  // of a key, oldest first
};

}  // namespace rockdove::net
