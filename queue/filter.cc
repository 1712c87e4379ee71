#include "queue/filter.h"

#include <utility>

#include "mta/base/text.h"
#include "mta/mail/encoded_word.h"
#include "mta/mail/headers.h"

namespace rockdove::queue {
namespace {

using base::matches_pattern;

bool is_wanted(const std::string& pattern, std::string_view text) {
  return pattern.empty() || matches_pattern(pattern, text);
}

bool is_sender_wanted(const std::string& pattern, std::string_view sender) {
  return is_wanted(pattern, sender.empty() ? std::string_view("<>") : sender);
}

// As a part, unless the person placed the "*" himself.
bool is_part_wanted(const std::string& pattern, std::string_view text) {
  if (pattern.find('*') != std::string::npos) return matches_pattern(pattern, text);
  return is_wanted(pattern.empty() ? pattern : '*' + pattern + '*', text);
}

bool is_time_wanted(const QueueFilter& filter, WallTime accepted) {
  return (!filter.accepted_before || accepted < *filter.accepted_before) &&
         (!filter.accepted_after || accepted >= *filter.accepted_after);
}

std::string_view without_brackets(std::string_view id) {
  if (id.starts_with('<')) id.remove_prefix(1);
  if (id.ends_with('>')) id.remove_suffix(1);
  return id;
}

bool is_id_wanted(const std::string& wanted, const Message& message) {
  return is_wanted(std::string(without_brackets(wanted)),
                   without_brackets(mail::message_id_of(message.header_block)));
}

bool is_subject_wanted(const std::string& wanted, const Message& message) {
  if (wanted.empty()) return true;
  const std::optional<mail::HeaderField> subject =
      mail::find_field(message.header_block, "Subject");
  return subject &&
         is_part_wanted(wanted, mail::decode_encoded_words(base::trimmed(subject->value)));
}

// What is deleted is looked at only by who names it.
bool is_state_wanted(const QueueFilter& filter, DeliveryState state) {
  return filter.state ? *filter.state == state : state != DeliveryState::Deleted;
}

// "*" is any, but not none.
bool is_some_wanted(const std::string& pattern, std::string_view text) {
  return pattern.empty() || (!text.empty() && matches_pattern(pattern, text));
}

bool is_provider_wanted(const QueueFilter& filter, const Delivery& delivery) {
  return is_some_wanted(filter.provider, delivery.last.provider) ||
         (filter.at_provider != nullptr && filter.at_provider->contains(delivery.destination));
}

}  // namespace

bool names_destination(const QueueFilter& filter) {
  return !filter.destination.empty() && filter.destination.find('*') == std::string::npos;
}

bool is_match(const QueueFilter& filter, const WaitingKeyView& row, const WaitingNote& note) {
  if (!is_state_wanted(filter, row.state)) return false;
  if (filter.message && *filter.message != row.delivery.message) return false;
  if (filter.delivery && *filter.delivery != row.delivery) return false;
  if (!is_wanted(filter.destination, row.destination)) return false;
  if (!is_wanted(filter.tenant, row.tenant)) return false;
  if (!is_time_wanted(filter, row.delivery.message.made_at())) return false;
  if (note.octets == 0) return true;
  return is_sender_wanted(filter.sender, note.sender) && is_wanted(filter.user, note.user) &&
         is_wanted(filter.campaign, note.campaign) &&
         (filter.larger_than == 0 || note.octets > filter.larger_than);
}

bool needs_delivery(const QueueFilter& filter) {
  return !filter.recipient.empty() || !filter.site.empty() || !filter.reason.empty() ||
         !filter.provider.empty() || !filter.source.empty() || filter.attempts_min > 0;
}

bool is_match(const QueueFilter& filter, const Delivery& delivery) {
  if (filter.delivery && filter.delivery->number != delivery.number) return false;
  if (!is_state_wanted(filter, delivery.state)) return false;
  return is_wanted(filter.destination, delivery.destination) &&
         is_provider_wanted(filter, delivery) &&
         is_some_wanted(filter.source, delivery.last.source) &&
         is_wanted(filter.recipient, delivery.recipient) &&
         is_wanted(filter.site, delivery.last.host) && delivery.attempts >= filter.attempts_min &&
         (is_part_wanted(filter.reason, delivery.last.reply) ||
          is_part_wanted(filter.reason, delivery.hold_reason) ||
          is_part_wanted(filter.reason, delivery.hold_detail));
}

bool needs_message(const QueueFilter& filter, const WaitingNote& note) {
  if (filter.client || !filter.subject.empty() || !filter.message_id.empty()) return true;
  const bool asks_note = !filter.sender.empty() || !filter.user.empty() ||
                         !filter.campaign.empty() || filter.larger_than > 0;
  return note.octets == 0 && asks_note;
}

bool is_match(const QueueFilter& filter, const Message& message) {
  if (!is_time_wanted(filter, message.id.made_at())) return false;
  if (!is_sender_wanted(filter.sender, message.sender)) return false;
  if (!is_wanted(filter.user, message.client.user)) return false;
  if (!is_wanted(filter.tenant, message.tenant)) return false;
  if (!is_wanted(filter.campaign, message.campaign)) return false;
  if (filter.client && !filter.client->contains(message.client.address)) return false;
  const std::uint64_t octets = message.header_block.size() + message.body_octets;
  if (filter.larger_than > 0 && octets <= filter.larger_than) return false;
  if (filter.subject.empty() && filter.message_id.empty()) return true;
  return is_id_wanted(filter.message_id, message) && is_subject_wanted(filter.subject, message);
}

}  // namespace rockdove::queue
