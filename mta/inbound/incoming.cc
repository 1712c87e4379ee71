#include "mta/inbound/incoming.h"

#include <algorithm>
#include <utility>

#include "mta/base/assert.h"

namespace rockdove::inbound {
namespace {

bool has_high_octets(std::string_view octets) {
  return std::any_of(octets.begin(), octets.end(),
                     [](char c) { return (static_cast<unsigned char>(c) & 0x80) != 0; });
}

}  // namespace

Incoming::Incoming(mail::Address sender, bool eight_bit, std::uint64_t announced_octets,
                   queue::MemoryBudget& memory)
    : sender_(std::move(sender)),
      eight_bit_(eight_bit),
      announced_octets_(announced_octets),
      splitter_(queue::kHeaderBlockOctetsMax - kHeaderRoom),
      memory_(memory) {}

Incoming::~Incoming() {
  memory_.give_back(accounted_);
}

void Incoming::add_recipient(const mail::Address& offered,
                             const std::vector<std::string>& addresses) {
  if (offered_++ == 0) first_offered_ = offered;
  for (const std::string& address : addresses) {
    if (!recipients_.empty() && known_.empty()) known_.insert(recipients_.front());
    if (!recipients_.empty() && !known_.insert(address).second) continue;
    recipients_.push_back(address);
    recipient_octets_ += 2 * (sizeof(std::string) + address.size());  // `known_` has it, too
  }
  account();
}

void Incoming::add_content(std::string_view octets) {
  if (!eight_bit_) eight_bit_ = has_high_octets(octets);
  if (!splitter_.is_done()) {
    octets.remove_prefix(splitter_.receive(octets));
    if (splitter_.is_done()) add_body(splitter_.body_start());
  }
  add_body(octets);
  account();
}

void Incoming::add_body(std::string_view octets) {
  if (octets.empty()) return;
  if (body_.empty()) {
    const std::uint64_t expected =
        announced_octets_ > body_octets_ ? announced_octets_ - body_octets_ : 0;
    body_.reserve(std::min<std::uint64_t>(std::max<std::uint64_t>(expected, octets.size()),
                                          queue::kBodyChunkOctets));
  }
  body_.append(octets);
  body_octets_ += octets.size();
}

void Incoming::finish_content() {
  if (splitter_.is_done()) return;
  splitter_.finish();
  add_body(splitter_.body_start());
  account();
}

std::shared_ptr<const std::string> Incoming::take_full_chunk() {
  // One octet more than a chunk must be there, so that the last chunk is never empty.
  if (body_.size() <= queue::kBodyChunkOctets) return nullptr;
  std::string rest = body_.substr(queue::kBodyChunkOctets);
  body_.resize(queue::kBodyChunkOctets);
  auto chunk = std::make_shared<const std::string>(std::move(body_));
  body_ = std::move(rest);
  account();
  return chunk;
}

std::shared_ptr<const std::string> Incoming::take_rest() {
  if (body_.empty()) return nullptr;
  auto chunk = std::make_shared<const std::string>(std::exchange(body_, {}));
  account();
  return chunk;
}

void Incoming::account() {
  const std::uint64_t octets = body_.capacity() + splitter_.memory() + recipient_octets_;
  if (octets > accounted_) memory_.take(octets - accounted_);
  if (octets < accounted_) memory_.give_back(accounted_ - octets);
  accounted_ = octets;
}

}  // namespace rockdove::inbound
