#include "tests/sim/truth.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "mta/base/assert.h"
#include "mta/base/ids.h"
#include "queue/codec.h"
#include "queue/keys.h"
#include "queue/pauses.h"
#include "queue/quarantine.h"
#include "queue/retry.h"

namespace rockdove::sim {
namespace {

constexpr std::string_view kNumberField = "X-Sim: ";
constexpr unsigned kReportsMax = 10;
// An address of the relay itself, whose mail goes to the postmaster.
constexpr std::string_view kPostmasterAlias = "postmaster@relay.example";

// Behind the first header field, which may be folded.
std::string_view behind_first_field(std::string_view content) {
  std::size_t at = 0;
  do {
    at = content.find("\r\n", at);
    if (at == std::string_view::npos) return {};
    at += 2;
  } while (at < content.size() && (content[at] == ' ' || content[at] == '\t'));
  return content.substr(at);
}

// As it is stored: the fields by which a sender says whose mail it is are taken off (senders.md).
// Ours are one line each, behind the first field.
std::string without_wishes(std::string content) {
  constexpr std::string_view kWish = "\r\nX-Rockdove-";
  const std::size_t at = content.find(kWish);
  if (at == std::string::npos || at > content.find("\r\n\r\n")) return content;
  content.erase(at, content.find("\r\n", at + 2) - at);
  return without_wishes(std::move(content));
}

std::string_view line_behind(std::string_view text, std::string_view start) {
  const std::size_t at = text.find(start);
  if (at == std::string_view::npos) return {};
  const std::size_t begin = at + start.size();
  return text.substr(begin, text.find("\r\n", begin) - begin);
}

std::optional<std::size_t> submission_number(std::string_view content) {
  const std::string_view text = line_behind(content, kNumberField);
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// What the pause of a user held is not held for ever where that pause has ended meanwhile.
bool waits_again(queue::DeliveryId id, std::string_view before, const queue::Delivery& after) {
  const auto was = queue::decode_delivery(id, before);
  return was && was->state == queue::DeliveryState::Held &&
         was->hold_reason.starts_with(queue::kPausedHold) &&
         after.state == queue::DeliveryState::Waiting;
}

// Who brings back what was in quarantine gets time to release it.
bool has_more_time(queue::DeliveryId id, std::string_view before, queue::Delivery after) {
  const auto was = queue::decode_delivery(id, before);
  if (!was || !queue::is_quarantined(*was) || after.expires < was->expires) return false;
  after.expires = was->expires;
  std::string octets;
  queue::encode_delivery(after, octets);
  return octets == before;
}

}  // namespace

void Truth::fail(queue::MessageId id, std::string_view what) {
  agenda_.fail(base::format_id(id) + ": " + std::string(what));
}

Submission& Truth::submission(std::string sender, std::vector<std::string> recipients,
                              std::string_view body) {
  const std::size_t number = submissions_.size() + 1;
  Submission& made = submissions_[number];
  made.number = number;
  made.content = std::string(kNumberField) + std::to_string(number) +
                 "\r\nDate: Sat, 21 Nov 2026 00:00:00 +0000\r\nMessage-ID: <" +
                 std::to_string(number) + "@sim.example>\r\nFrom: <" + sender + ">\r\n\r\n";
  made.content.append(body);
  made.sender = std::move(sender);
  made.recipients = std::move(recipients);
  return made;
}

void Truth::accepted(Submission& submission, queue::MessageId id) {
  submission.told = Submission::Told::Accepted;
  submission.id = id;
  const auto found = known_.find(id);
  if (found == known_.end()) return fail(id, "got a 250 and is not on the disk");
  if (behind_first_field(found->second.content) != without_wishes(submission.content)) {
    fail(id, "got a 250, and what was stored is not what was sent");
  }
}

void Truth::applied(const queue::Change& change) {
  std::map<queue::MessageId, Known> begun;
  std::map<queue::DeliveryId, queue::Delivery> deliveries;
  std::set<queue::DeliveryId> released;  // by a person
  change.rows().for_each([&](const queue::RowOperations::Row& row) {
    if (row.operation != queue::RowOperations::Operation::Put) return;
    if (row.family == queue::Family::Messages) {
      const auto message = queue::decode_message(*queue::parse_message_key(row.key), row.value);
      MTA_ASSERT(message.is_ok());
      Known& known = begun[message->id];
      known.kind = message->kind;
      known.sender = message->sender;
      known.accepted = message->accepted;
      known.content = message->header_block;
      for (std::uint32_t chunk = 0; chunk < message->body_chunks; ++chunk) {
        const auto& bodies = disk_.rows(queue::Family::Bodies);
        const auto found = bodies.find(queue::body_key(message->id, chunk));
        if (found == bodies.end()) return fail(message->id, "is stored without its whole body");
        known.content += found->second;
      }
      if (known.content.size() != message->header_block.size() + message->body_octets) {
        fail(message->id, "says a wrong size of its body");
      }
    } else if (row.family == queue::Family::Deliveries) {
      const queue::DeliveryId id = *queue::parse_delivery_key(row.key);
      if (id.number == 0) return;
      const auto delivery = queue::decode_delivery(id, row.value);
      MTA_ASSERT(delivery.is_ok());
      deliveries[id] = *delivery;
      note_row(id, *delivery, row.value);
    } else if (row.family == queue::Family::History) {
      const auto key = queue::parse_history_key(row.key);
      MTA_ASSERT(key.has_value());
      const auto step = queue::decode_step(*key, row.value);
      MTA_ASSERT(step.is_ok());
      if (step->what == "released") released.insert(key->delivery);
      if (key->kind != queue::HistoryKind::Closing) return;
      const auto known = known_.find(key->delivery.message);
      if (known == known_.end()) return fail(key->delivery.message, "ended and never began");
      Recipient& recipient = known->second.recipients[key->delivery.number];
      recipient.outcomes.push_back(step->what);
      recipient.ended_at = agenda_.instant();
      if (recipient.outcomes.size() > 1) fail(key->delivery.message, "ended twice");
      if (step->what == "quarantine-expired") check_expiry(key->delivery.message, recipient);
    }
  });
  for (const auto& [id, delivery] : deliveries) {
    const auto known = known_.find(id.message);
    if (known == known_.end()) continue;
    if (delivery.is_expired) known->second.recipients[id.number].is_expired = true;
    note_quarantine(id, delivery, known->second.recipients[id.number], released);
    if (delivery.final_status.empty()) continue;
    Recipient& recipient = known->second.recipients[id.number];
    if (delivery.final_status == "4.4.7") check_age(id.message, known->second, recipient);
    recipient.failed_at = std::min(recipient.failed_at, agenda_.instant());
  }
  for (auto& [id, known] : begun) {
    for (const auto& [delivery_id, delivery] : deliveries) {
      if (delivery_id.message == id) {
        known.recipients[delivery_id.number].address = delivery.recipient;
        known.recipients[delivery_id.number].alias = delivery.alias;
        known.recipients[delivery_id.number].notify = delivery.notify;
        if (queue::is_quarantined(delivery)) {
          known.recipients[delivery_id.number].expires = delivery.expires;
        }
      }
    }
    begins(id, std::move(known));
  }
}

void Truth::begins(queue::MessageId id, Known known) {
  if (known_.contains(id)) return fail(id, "was accepted twice");
  const Known& kept = known_.emplace(id, std::move(known)).first->second;
  by_content_[kept.content] = id;
  check_content(id, kept);
}

void Truth::check_content(queue::MessageId id, const Known& known) {
  if (known.kind != queue::MessageKind::Ordinary) return note_report(id, known);
  const std::optional<std::size_t> number = submission_number(known.content);
  if (!number || !submissions_.contains(*number)) return fail(id, "is nobody's message");
  const Submission& submission = submissions_.at(*number);
  if (behind_first_field(known.content) != without_wishes(submission.content)) {
    fail(id, "was stored otherwise than it was sent");
  }
  if (submission.sender != known.sender) fail(id, "has another sender than was said");
  if (!stored_submissions_.insert(*number).second) fail(id, "was stored before by another number");
}

void Truth::note_report(queue::MessageId id, const Known& report) {
  const std::string_view about = line_behind(report.content, "\r\nX-Rockdove-Message: ");
  const std::optional<queue::MessageId> original_id = base::parse_message_id(about);
  if (!original_id || !known_.contains(*original_id)) return fail(id, "is a report about nothing");
  Known& original = known_.at(*original_id);
  original.reports.push_back(id);
  const std::size_t status = report.content.find("\r\nX-Rockdove-Message: ");
  const bool is_notice =
      line_behind(std::string_view(report.content).substr(status), "\r\nAction: ") == "delayed";
  if (is_notice) ++original.notices;
  if (original.reports.size() - original.notices > kReportsMax) {
    fail(*original_id, "has more than 10 reports");
  }
  const bool is_nobody =
      original.sender.ends_with("@relay.example") && original.sender != kPostmasterAlias;
  const bool to_postmaster = original.sender.empty() || is_nobody;
  if (to_postmaster && is_notice) fail(id, "tells the postmaster of a delay");
  if (original.kind == queue::MessageKind::PostmasterReport) {
    fail(id, "is a report about a report to the postmaster");
  }
  if (to_postmaster != (report.kind == queue::MessageKind::PostmasterReport)) {
    fail(id, "is a report of the wrong kind");
  }
  const bool is_alias = original.sender == kPostmasterAlias;
  const std::string& wanted = to_postmaster || is_alias ? postmaster_ : original.sender;
  for (const auto& [number, recipient] : report.recipients) {
    if (recipient.address != wanted) fail(id, "goes to " + recipient.address + ", not " + wanted);
  }
  // Only the part about delivery status counts; a returned report has such lines, too.
  std::string_view part =
      std::string_view(report.content).substr(report.content.find("\r\nX-Rockdove-Message: "));
  part = part.substr(0, part.find("\r\n--"));
  constexpr std::string_view kField = "\r\nFinal-Recipient: rfc822; ";
  for (std::size_t at = part.find(kField); at != std::string_view::npos;
       at = part.find(kField, at + 1)) {
    const std::string_view address = line_behind(part.substr(at), kField);
    const auto named = std::find_if(
        original.recipients.begin(), original.recipients.end(),
        [address](const auto& recipient) { return recipient.second.address == address; });
    if (named == original.recipients.end()) {
      fail(id, "names " + std::string(address) + ", who is no recipient");
      continue;
    }
    note_named(id, named->second, line_behind(part.substr(at), "\r\nAction: "));
    if (line_behind(part.substr(at), "\r\nStatus: ") == "4.4.7") {
      check_age(*original_id, original, named->second);
    }
  }
}

void Truth::note_named(queue::MessageId report, Recipient& recipient, std::string_view action) {
  const mail::NotifySet& notify = recipient.notify;
  if (action == "failed") {
    ++recipient.named_in_reports;
    if (!notify.wants_failure()) fail(report, "tells of a failure that nobody wants to know");
  } else if (action == "delayed") {
    if (++recipient.named_as_delayed > 1) fail(report, "tells of a delay again");
    if (!notify.wants_delay()) fail(report, "tells of a delay that nobody wants to know");
    if (!recipient.outcomes.empty()) fail(report, "calls delayed what has ended");
  } else {
    if (++recipient.named_as_done > 1) fail(report, "tells of a success again");
    if (!notify.wants_success()) fail(report, "tells of a success that nobody wants to know");
    if (recipient.copies.empty() && action != "expanded") {
      fail(report, "calls " + std::string(action) + " what never arrived");
    }
  }
}

void Truth::note_row(queue::DeliveryId id, const queue::Delivery& delivery,
                     std::string_view octets) {
  const auto last = rows_.find(id);
  const bool is_deleted = delivery.state == queue::DeliveryState::Deleted;
  const auto before = before_deletion_.find(id);
  if (is_deleted && last != rows_.end() && before == before_deletion_.end()) {
    before_deletion_[id] = last->second;
  } else if (!is_deleted && before != before_deletion_.end()) {
    if (before->second != octets && !waits_again(id, before->second, delivery) &&
        !has_more_time(id, before->second, delivery)) {
      fail(id.message, "is undeleted and not what it was");
    }
    before_deletion_.erase(before);
  }
  rows_[id] = octets;
}

// It has just been bounced for its age.
void Truth::check_age(queue::MessageId id, const Known& known, const Recipient& recipient) {
  if (recipient.failed_at != base::kNever) return;  // that was decided before, and rightly
  if (recipient.is_expired) return;
  if (agenda_.instant() < doubtful_since_ + queue::kAgeGrace) {
    fail(id, "was bounced for its age within 10 minutes of a start or a clock's jump");
  }
  if (agenda_.wall() - std::max(known.accepted, recipient.lives_from) < lifetime_) {
    fail(id, "was bounced for its age before its time");
  }
}

void Truth::note_quarantine(queue::DeliveryId id, const queue::Delivery& delivery,
                            Recipient& recipient, const std::set<queue::DeliveryId>& released) {
  recipient.lives_from = delivery.lives_from;
  if (delivery.state == queue::DeliveryState::Deleted) return;  // and may come back
  if (queue::is_quarantined(delivery)) {
    if (!recipient.expires) fail(id.message, "went into quarantine behind its acceptance");
    recipient.expires = delivery.expires;
  } else if (std::exchange(recipient.expires, std::nullopt) && !released.contains(id)) {
    fail(id.message, "left quarantine, and nobody has released it");
  }
}

// It has just been discarded because nobody has released it.
void Truth::check_expiry(queue::MessageId id, const Recipient& recipient) {
  if (!recipient.expires || agenda_.wall() < *recipient.expires) {
    fail(id, "was discarded from quarantine before its time");
  }
  if (quarantine_ > queue::kAgeGrace && agenda_.instant() < doubtful_since_ + queue::kAgeGrace) {
    fail(id, "was discarded from quarantine within 10 minutes of a start or a clock's jump");
  }
}

void Truth::arrived(const Arrival& arrival) {
  const auto found = by_content_.find(arrival.content);
  if (found == by_content_.end()) {
    return agenda_.fail("something arrived that is no message of the queue: " +
                        arrival.content.substr(0, 300));
  }
  const queue::MessageId id = found->second;
  Known& known = known_.at(id);
  if (known.sender != arrival.sender) fail(id, "arrived from <" + arrival.sender + ">");
  for (const std::string& address : arrival.recipients) {
    const auto recipient =
        std::find_if(known.recipients.begin(), known.recipients.end(),
                     [&address](const auto& entry) { return entry.second.address == address; });
    if (recipient == known.recipients.end()) {
      fail(id, "arrived for " + address + ", who is no recipient");
      continue;
    }
    Recipient& to = recipient->second;
    if (to.expires) fail(id, "arrived for " + address + " out of quarantine");
    if (!to.outcomes.empty() && arrival.connected > to.ended_at) {
      fail(id, "arrived for " + address + " after it had ended as " + to.outcomes.front());
    }
    check_copies(id, recipient->first, to);
    to.copies.push_back(
        {arrival.connection, arrival.reply_ends_at, internet_.is_orphaned(arrival.connection)});
  }
}

void Truth::check_copies(queue::MessageId id, std::uint32_t number, const Recipient& recipient) {
  for (const Copy& copy : recipient.copies) {
    if (copy.crash_since) continue;
    if (internet_.delivered(copy.connection, 1) >= copy.reply_ends_at) {
      fail(id, "arrived twice for " + recipient.address + " though the first 250 was read");
      continue;
    }
    if (internet_.is_open(copy.connection)) {
      fail(id, "arrived for " + recipient.address + " on two connections at once");
      continue;
    }
    const auto& rows = disk_.rows(queue::Family::Deliveries);
    const auto row = rows.find(queue::delivery_key({id, number}));
    if (row == rows.end()) continue;  // arrived() has seen that it had ended
    const auto delivery = queue::decode_delivery({id, number}, row->second);
    if (!delivery || delivery->uncertain == 0) {
      fail(id, "arrived twice for " + recipient.address + " and was not marked uncertain");
    }
  }
}

void Truth::crashed() {
  for (auto& [id, known] : known_) {
    for (auto& [number, recipient] : known.recipients) {
      if (!recipient.outcomes.empty()) continue;
      for (Copy& copy : recipient.copies) copy.crash_since = true;
    }
  }
}

void Truth::check_disk() {
  const auto& rows = disk_.rows(queue::Family::Deliveries);
  const auto& messages = disk_.rows(queue::Family::Messages);
  const auto& waiting = disk_.rows(queue::Family::Waiting);
  std::size_t deliveries = 0;
  std::size_t second_rows = 0;
  for (const auto& [id, known] : known_) {
    std::size_t left = 0;
    for (const auto& [number, recipient] : known.recipients) {
      const auto row = rows.find(queue::delivery_key({id, number}));
      const bool is_there = row != rows.end();
      if (is_there && !recipient.outcomes.empty()) {
        fail(id, "is in the queue for " + recipient.address + " though it ended as " +
                     recipient.outcomes.front());
      }
      if (!is_there && recipient.outcomes.empty()) {
        fail(id, "is lost for " + recipient.address);
      }
      if (!is_there) continue;
      ++left;
      const auto delivery = queue::decode_delivery({id, number}, row->second);
      if (!delivery || !waiting.contains(queue::waiting_key(id, *delivery))) {
        fail(id, "waits for " + recipient.address + " in no queue");
      }
      if (!delivery || !queue::is_quarantined(*delivery)) continue;
      ++second_rows;
      if (!waiting.contains(queue::expiry_key(id, *delivery))) {
        fail(id, "is in quarantine for " + recipient.address + " for ever");
      }
    }
    deliveries += left;
    if ((left > 0) != messages.contains(queue::message_key(id))) {
      fail(id, left > 0 ? "is lost, its deliveries are not" : "stays though all of it has ended");
    }
  }
  if (waiting.size() != deliveries + second_rows) {
    agenda_.fail("the disk has " + std::to_string(waiting.size()) + " waiting rows for " +
                 std::to_string(deliveries) + " deliveries, of which " +
                 std::to_string(second_rows) + " are in quarantine");
  }
}

void Truth::check_end() {
  check_disk();
  for (const auto& [number, submission] : submissions_) {
    const bool may_be_there = submission.told == Submission::Told::Accepted ||
                              submission.told == Submission::Told::Unclear;
    if (!may_be_there && stored_submissions_.contains(number)) {
      agenda_.fail("submission " + std::to_string(number) + " was not accepted, and was stored");
    }
  }
  for (const auto& [id, known] : known_) {
    for (const auto& [number, recipient] : known.recipients) {
      const std::string outcome = recipient.outcomes.empty() ? "" : recipient.outcomes.front();
      if (outcome == "delivered" && recipient.copies.empty()) {
        fail(id, "is said to be delivered to " + recipient.address + " and never arrived");
      }
      for (const Copy& copy : recipient.copies) {
        const bool was_told =
            !copy.crash_since && internet_.delivered(copy.connection, 1) >= copy.reply_ends_at;
        if (was_told &&
            (outcome == "bounced" || outcome == "deleted" || outcome == "quarantine-expired")) {
          fail(id, "was taken for " + recipient.address + ", and ended as " + outcome);
        }
      }
      const unsigned reports = outcome == "bounced" ? 1 : 0;
      if (recipient.named_in_reports != reports) {
        fail(id, recipient.address + " ended as \"" + outcome + "\" and is named in " +
                     std::to_string(recipient.named_in_reports) + " reports");
      }
    }
  }
}

const std::string* Truth::outcome(queue::MessageId id, std::string_view address) const {
  const auto known = known_.find(id);
  if (known == known_.end()) return nullptr;
  for (const auto& [number, recipient] : known->second.recipients) {
    if (recipient.address == address && !recipient.outcomes.empty())
      return &recipient.outcomes.front();
  }
  return nullptr;
}

std::size_t Truth::copies(queue::MessageId id, std::string_view address) const {
  const auto known = known_.find(id);
  if (known == known_.end()) return 0;
  for (const auto& [number, recipient] : known->second.recipients) {
    if (recipient.address == address) return recipient.copies.size();
  }
  return 0;
}

std::vector<queue::MessageId> Truth::reports_about(queue::MessageId id) const {
  const auto known = known_.find(id);
  return known == known_.end() ? std::vector<queue::MessageId>() : known->second.reports;
}

const std::string& Truth::content(queue::MessageId id) const {
  return known_.at(id).content;
}

std::vector<queue::MessageId> Truth::accepted_ids() const {
  std::vector<queue::MessageId> ids;
  for (const auto& [number, submission] : submissions_) {
    if (submission.told == Submission::Told::Accepted) ids.push_back(submission.id);
  }
  return ids;
}

}  // namespace rockdove::sim
