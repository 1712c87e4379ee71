// What next hops said of recipients lately (outbound/verifier.h): so many, the ones used least
// lately go first, and none longer than it was to be kept.
//
// Belongs to one loop.
#pragma once

#include <cstddef>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include "mta/base/time.h"
#include "mta/smtp/reply.h"

namespace rockdove::outbound {

class KeptAnswers {
 public:
  // `answers_max` is at least 1.
  explicit KeptAnswers(std::size_t answers_max) : max_(answers_max) {}

  // Null: none that is still good. Valid until the next call that is not const.
  [[nodiscard]] const smtp::Reply* find(std::string_view address, base::Instant now);
  // In place of what was kept for this address before.
  void keep(std::string address, smtp::Reply reply, base::Instant until);

  void clear() {
    by_address_.clear();
    order_.clear();
  }

  [[nodiscard]] std::size_t size() const { return by_address_.size(); }

 private:
  struct Kept {
    std::string address;
    smtp::Reply reply;
    base::Instant until;
  };

  using Order = std::list<Kept>;

  void drop(Order::iterator kept);

  const std::size_t max_;
  Order order_;  // used last at the front; keeps the texts that by_address_ looks at
  std::unordered_map<std::string_view, Order::iterator> by_address_;
};

}  // namespace rockdove::outbound
