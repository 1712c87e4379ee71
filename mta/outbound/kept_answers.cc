#include "mta/outbound/kept_answers.h"

#include <iterator>
#include <utility>

namespace rockdove::outbound {

const smtp::Reply* KeptAnswers::find(std::string_view address, base::Instant now) {
  const auto found = by_address_.find(address);
  if (found == by_address_.end()) return nullptr;
  const Order::iterator kept = found->second;
  if (kept->until <= now) {
    drop(kept);
    return nullptr;
  }
  order_.splice(order_.begin(), order_, kept);
  return &kept->reply;
}

void KeptAnswers::keep(std::string address, smtp::Reply reply, base::Instant until) {
  if (const auto found = by_address_.find(address); found != by_address_.end()) drop(found->second);
  if (order_.size() >= max_) drop(std::prev(order_.end()));
  order_.push_front({std::move(address), std::move(reply), until});
  by_address_.emplace(order_.front().address, order_.begin());
}

void KeptAnswers::drop(Order::iterator kept) {
  by_address_.erase(kept->address);
  order_.erase(kept);
}

}  // namespace rockdove::outbound
