// What the row of `waiting` says of a delivery (queue/types.h).
#include <algorithm>

#include "queue/types.h"

namespace rockdove::queue {
namespace {

// Whether a word of a reply differs from mail to mail: an address, an id, a time.
bool is_particular(std::string_view word) {
  const auto digits =
      std::count_if(word.begin(), word.end(), [](char c) { return c >= '0' && c <= '9'; });
  return digits > 3 || word.find('@') != std::string_view::npos;
}

}  // namespace

std::string reason_class(const Delivery& delivery) {
  const bool is_held = delivery.state == DeliveryState::Held;
  std::string_view text = is_held ? delivery.hold_reason : delivery.last.reply;
  text = text.substr(0, text.find_first_of("\r\n"));
  if (is_held) return std::string(text.substr(0, kReasonClassOctets));
  std::string reason;
  while (!text.empty() && reason.size() < kReasonClassOctets) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    if (!reason.empty()) reason.push_back(' ');
    reason.append(is_particular(word) ? std::string_view("*") : word);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  if (reason.size() > kReasonClassOctets) reason.resize(kReasonClassOctets);
  return reason;
}

WaitingNote note_of(const Message& message, const Delivery& delivery) {
  return {message.sender, message.header_block.size() + message.body_octets, message.client.user,
          reason_class(delivery), message.campaign};
}

}  // namespace rockdove::queue
