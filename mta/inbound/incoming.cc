#include "mta/inbound/incoming.h"

#include <algorithm>
#include <utility>

#include "mta/base/utf8.h"

namespace rockdove::inbound {
namespace {

// What two RCPTs for one address want together (RFC 3461 §4.1).
mail::NotifySet merged(const mail::NotifySet& one, const mail::NotifySet& other) {
  if (one == other || other.never) return one;
  if (one.never) return other;
  mail::NotifySet both;
  both.success = one.success || other.success;
  both.failure = one.wants_failure() || other.wants_failure();
  both.delay = one.delay || other.delay;
  return both;
}

}  // namespace

Incoming::Incoming(const smtp::SenderOffered& offered, queue::MemoryBudget& memory)
    : sender_(offered.sender),
      envelope_id_(offered.envelope_id),
      returned_(offered.returned),
      priority_(offered.priority),
      hold_for_(offered.hold_for),
      hold_until_(offered.hold_until),
      utf8_(offered.utf8),
      announced_octets_(offered.size),
      splitter_(queue::kHeaderBlockOctetsMax - kHeaderRoom),
      memory_(memory) {}

Incoming::~Incoming() {
  memory_.give_back(accounted_);
}

void Incoming::add_recipient(const smtp::RecipientOffered& offered,
                             const std::vector<std::string>& addresses) {
  if (offered_++ == 0) first_offered_ = offered.recipient;
  mail::NotifySet notify = offered.notify;
  if (addresses.size() > 1 && notify.success) {
    mail::NotifySet success;
    success.success = true;
    expanded_.push_back(
        {mail::format_address(offered.recipient), success, offered.original_recipient});
    recipient_octets_ += sizeof(Recipient) + offered.original_recipient.size();
    notify.success = false;
    notify.never = !notify.failure && !notify.delay;
  }
  const std::string name = mail::format_address(offered.recipient);
  for (const std::string& address : addresses) {
    if (!recipients_.empty()) {
      if (known_.empty()) known_.emplace(recipients_.front().address, 0);
      const auto [known, is_new] = known_.emplace(address, recipients_.size());
      if (!is_new) {
        Recipient& twice = recipients_[known->second];
        twice.notify = merged(twice.notify, notify);
        continue;
      }
    }
    recipients_.push_back(
        {address, notify, offered.original_recipient, address == name ? std::string() : name});
    // `known_` has it, too.
    recipient_octets_ += sizeof(Recipient) + sizeof(std::string) + 2 * address.size() +
                         offered.original_recipient.size() + recipients_.back().alias.size();
  }
  account();
}

void Incoming::add_refused(const smtp::RecipientOffered& offered, const smtp::Reply& reply) {
  if (offered_++ == 0) first_offered_ = offered.recipient;
  refused_.push_back(
      {{mail::format_address(offered.recipient), offered.notify, offered.original_recipient},
       reply});
  recipient_octets_ += sizeof(Refused) + reply.text.size() + offered.original_recipient.size();
  account();
}

void Incoming::add_content(std::string_view octets) {
  if (is_forgotten_) return;
  if (!eight_bit_) eight_bit_ = !base::is_ascii(octets);
  if (!splitter_.is_done()) {
    octets.remove_prefix(splitter_.receive(octets));
    if (splitter_.is_done()) add_body(splitter_.body_start());
  }
  add_body(octets);
  account();
}

void Incoming::forget_content() {
  is_forgotten_ = true;
  // Swapped, because assigning an empty string would keep the memory of the old one.
  mail::HeaderSplitter none;
  std::swap(splitter_, none);
  std::string().swap(body_);
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

bool Incoming::needs_utf8() const {
  if (is_unicode(sender_) || (utf8_ && !base::is_ascii(header()))) return true;
  return std::any_of(recipients_.begin(), recipients_.end(),
                     [](const Recipient& recipient) { return !base::is_ascii(recipient.address); });
}

void Incoming::account() {
  const std::uint64_t octets = body_.capacity() + splitter_.memory() + recipient_octets_;
  if (octets > accounted_) memory_.take(octets - accounted_);
  if (octets < accounted_) memory_.give_back(accounted_ - octets);
  accounted_ = octets;
}

}  // namespace rockdove::inbound
