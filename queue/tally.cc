#include "queue/tally.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <ctime>
#include <limits>
#include <unordered_set>
#include <utility>

#include "mta/base/assert.h"
#include "mta/base/text.h"
#include "queue/index.h"

namespace rockdove::queue {
namespace {

std::string destination_of(const TracedDelivery& delivery) {
  const std::string_view domain = domain_of(delivery.recipient);
  return domain.empty() ? "(local)" : base::lower_case(domain);
}

// What it has come to; nullopt: it waits, or is on hold, or can still be brought back.
std::optional<Outcome> outcome_of(const TracedDelivery& delivery) {
  if (!delivery.waiting) return delivery.outcome;
  const Delivery& waiting = *delivery.waiting;
  if (waiting.final_status.empty()) return std::nullopt;
  switch (waiting.ending) {
    case Ending::Failed:
      if (waiting.state != DeliveryState::Waiting) return std::nullopt;
      return Outcome::Bounced;
    case Ending::Delivered:
    case Ending::Relayed:
      return Outcome::Delivered;
    case Ending::Expanded:
      return Outcome::Expanded;
  }
  MTA_ASSERT(false);
}

bool counts(const TracedDelivery& delivery) {
  if (!delivery.waiting && !delivery.outcome) return false;
  return outcome_of(delivery) != Outcome::Expanded;
}

}  // namespace

void TallyLine::add(const TallyLine& other) {
  messages += other.messages;
  octets += other.octets;
  recipients += other.recipients;
  delivered += other.delivered;
  bounced += other.bounced;
  discarded += other.discarded;
  deleted += other.deleted;
  waiting += other.waiting;
  deferrals += other.deferrals;
  delays.add(other.delays);
}

void DelayCounts::add(base::Duration delay) {
  if (counts_.empty()) counts_.resize(kOctaves * kPartsOfOctave);
  const auto value = static_cast<std::uint64_t>(std::max<std::int64_t>(1, delay.count()));
  const std::size_t octave = std::bit_width(value) - 1;
  // The three bits behind the highest one.
  const std::size_t part =
      (octave >= 3 ? value >> (octave - 3) : value << (3 - octave)) & (kPartsOfOctave - 1);
  const std::size_t place = std::min(octave * kPartsOfOctave + part, counts_.size() - 1);
  if (counts_[place] != std::numeric_limits<std::uint32_t>::max()) ++counts_[place];
  ++total_;
}

void DelayCounts::add(const DelayCounts& other) {
  if (other.counts_.empty()) return;
  if (counts_.empty()) counts_.resize(kOctaves * kPartsOfOctave);
  for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
  total_ += other.total_;
}

std::optional<base::Duration> DelayCounts::percentile(unsigned percent) const {
  if (total_ == 0) return std::nullopt;
  const std::uint64_t wanted = std::max<std::uint64_t>(1, (total_ * percent + 99) / 100);
  std::uint64_t seen = 0;
  for (std::size_t place = 0; place < counts_.size(); ++place) {
    seen += counts_[place];
    if (seen < wanted) continue;
    const double octave = std::ldexp(1.0, static_cast<int>(place / kPartsOfOctave));
    const double part = 1.0 + (static_cast<double>(place % kPartsOfOctave) + 0.5) / kPartsOfOctave;
    return base::Duration(static_cast<std::int64_t>(octave * part));
  }
  return std::nullopt;
}

std::string Tally::name_of(const TracedMessage& message) const {
  char text[32] = {};
  switch (by_) {
    case TallyBy::Hour: {
      const std::tm parts = local_time_(message.accepted);
      std::strftime(text, sizeof(text), "%Y-%m-%dT%H:00", &parts);
      return text;
    }
    case TallyBy::Day: {
      const std::tm parts = local_time_(message.accepted);
      std::strftime(text, sizeof(text), "%Y-%m-%d", &parts);
      return text;
    }
    case TallyBy::Sender:
      return message.sender.empty() ? "<>" : base::lower_case(message.sender);
    case TallyBy::Client:
      if (message.client.listener.empty()) return "rockdove";
      if (message.client.address.is_unspecified()) return "local";
      return base::format_ip_address(message.client.address);
    case TallyBy::Tenant:
      return message.tenant.empty() ? "-" : message.tenant;
    case TallyBy::Campaign:
      return message.campaign.empty() ? "-" : message.campaign;
    case TallyBy::Destination:
      break;
  }
  return {};
}

TallyLine& Tally::line(const std::string& name) {
  const auto found = lines_.find(name);
  if (found != lines_.end()) return found->second;
  if (lines_.size() >= 2 * names_max_) forget_small();
  TallyLine& line = lines_[name];
  line.name = name;
  return line;
}

void Tally::forget_small() {
  std::vector<std::pair<std::uint64_t, const std::string*>> sizes;
  sizes.reserve(lines_.size());
  for (const auto& [name, line] : lines_) sizes.emplace_back(line.recipients, &name);
  const auto middle = sizes.begin() + static_cast<std::ptrdiff_t>(names_max_);
  std::nth_element(sizes.begin(), middle, sizes.end(),
                   [](const auto& one, const auto& other) { return one.first > other.first; });
  std::vector<std::string> small;
  for (auto one = middle; one != sizes.end(); ++one) small.push_back(*one->second);
  for (const std::string& name : small) {
    const auto found = lines_.find(name);
    others_.add(found->second);
    lines_.erase(found);
    ++names_left_out_;
  }
}

void Tally::add_delivery(TallyLine& line, const TracedMessage& message,
                         const TracedDelivery& delivery) {
  ++line.recipients;
  line.deferrals += delivery.deferrals;
  const std::optional<Outcome> outcome = outcome_of(delivery);
  if (!outcome) {
    ++line.waiting;
    return;
  }
  switch (*outcome) {
    case Outcome::Delivered: {
      const WallTime ended = delivery.waiting ? delivery.waiting->last.at : delivery.ended;
      ++line.delivered;
      line.delays.add(ended - message.accepted);
      return;
    }
    case Outcome::Bounced:
    case Outcome::Unreturnable:
    case Outcome::Unreported:
      ++line.bounced;
      return;
    case Outcome::Discarded:
    case Outcome::QuarantineExpired:
      ++line.discarded;
      return;
    case Outcome::Deleted:
      ++line.deleted;
      return;
    case Outcome::Expanded:
      return;
  }
}

void Tally::add(const TracedMessage& message) {
  if (!message.is_whole) return;
  const auto add_message = [&message](TallyLine& line) {
    ++line.messages;
    line.octets += message.octets;
  };
  add_message(total_);
  for (const TracedDelivery& delivery : message.deliveries) {
    if (counts(delivery)) add_delivery(total_, message, delivery);
  }
  if (by_ != TallyBy::Destination) {
    TallyLine& line = this->line(name_of(message));
    add_message(line);
    for (const TracedDelivery& delivery : message.deliveries) {
      if (counts(delivery)) add_delivery(line, message, delivery);
    }
    return;
  }
  std::unordered_set<std::string> seen;
  for (const TracedDelivery& delivery : message.deliveries) {
    if (!counts(delivery)) continue;
    const std::string destination = destination_of(delivery);
    TallyLine& line = this->line(destination);
    add_delivery(line, message, delivery);
    if (seen.insert(destination).second) add_message(line);
  }
}

std::vector<TallyLine> Tally::lines() const {
  std::vector<TallyLine> all;
  all.reserve(lines_.size());
  for (const auto& [name, line] : lines_) all.push_back(line);
  const bool is_by_time = by_ == TallyBy::Hour || by_ == TallyBy::Day;
  std::sort(all.begin(), all.end(), [is_by_time](const TallyLine& one, const TallyLine& other) {
    if (!is_by_time && one.recipients != other.recipients) {
      return one.recipients > other.recipients;
    }
    return one.name < other.name;
  });
  return all;
}

}  // namespace rockdove::queue
