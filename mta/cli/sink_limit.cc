#include "mta/cli/sink_limit.h"

#include <algorithm>
#include <charconv>

#include "mta/base/text.h"

namespace rockdove::cli {
namespace {

// "10s", "1m30s", or a unit alone as in a profile: "min".
base::Result<base::Duration> parse_per(std::string_view text) {
  if (text == "s") return base::Duration(1'000);
  if (text == "min") return base::Duration(60'000);
  if (text == "h" || text == "hour") return base::Duration(3'600'000);
  if (text == "d" || text == "day") return base::Duration(24 * 3'600'000);
  return base::parse_duration(text);
}

}  // namespace

base::Result<SinkRate> parse_sink_rate(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string_view number = base::trimmed(text.substr(0, slash));
  SinkRate rate;
  const auto [end, code] =
      std::from_chars(number.data(), number.data() + number.size(), rate.count);
  const bool has_count = code == std::errc() && end == number.data() + number.size() &&
                         rate.count >= 1 && rate.count <= kSinkCountMax;
  if (slash != std::string_view::npos && has_count) {
    const base::Result<base::Duration> per = parse_per(base::trimmed(text.substr(slash + 1)));
    if (per && per->count() > 0) {
      rate.per = *per;
      return rate;
    }
  }
  return base::Error("\"" + base::printable(text, 80) +
                     "\" is no rate: write a count of 1 to 1000000 and a time, as \"50/min\" or "
                     "\"25/10s\"");
}

std::string format_sink_rates(std::span<const SinkRate> rates) {
  if (rates.empty()) return "off";
  std::string text;
  for (const SinkRate& rate : rates) {
    if (!text.empty()) text += ", ";
    text += std::to_string(rate.count) + "/" + base::format_duration(rate.per);
  }
  return text;
}

std::span<const SinkRate> rates_at(const std::vector<SinkRateChange>& schedule,
                                   base::Duration time) {
  const auto after = std::upper_bound(
      schedule.begin(), schedule.end(), time,
      [](base::Duration wanted, const SinkRateChange& change) { return wanted < change.at; });
  if (after == schedule.begin()) return {};
  return std::prev(after)->rates;
}

SinkLimit::SinkLimit(SinkWindow window, const std::vector<SinkRateChange>& schedule,
                     base::Instant begin)
    : window_(window), schedule_(schedule), begin_(begin) {
  for (const SinkRateChange& change : schedule) {
    for (const SinkRate& rate : change.rates)
      taken_max_ = std::max<std::size_t>(taken_max_, rate.count);
  }
}

void SinkLimit::fill(Bucket& bucket, base::Instant now) {
  const std::chrono::duration<double> passed = now - bucket.filled;
  const std::chrono::duration<double> per = bucket.rate.per;
  bucket.tokens =
      std::min<double>(bucket.rate.count, bucket.tokens + bucket.rate.count * (passed / per));
  bucket.filled = now;
}

void SinkLimit::change_rates(const std::vector<SinkRate>& rates, base::Instant at) {
  for (Bucket& bucket : buckets_) fill(bucket, at);
  std::vector<Bucket> fresh;
  for (const SinkRate& rate : rates) {
    // What is used up of a bucket stays used up when it becomes another size.
    double used = 0;
    if (fresh.size() < buckets_.size()) {
      const Bucket& before = buckets_[fresh.size()];
      used = 1 - before.tokens / before.rate.count;
    }
    fresh.push_back({rate, rate.count * (1 - used), at});
  }
  buckets_ = std::move(fresh);
}

void SinkLimit::advance(base::Instant now) {
  for (; next_change_ < schedule_.size(); ++next_change_) {
    const base::Instant at = begin_ + schedule_[next_change_].at;
    if (at > now) return;
    change_rates(schedule_[next_change_].rates, at);
  }
}

bool SinkLimit::has_room(base::Instant now) {
  advance(now);
  return std::all_of(buckets_.begin(), buckets_.end(), [&](Bucket& bucket) {
    if (window_ == SinkWindow::Tokens) {
      fill(bucket, now);
      return bucket.tokens >= 1;
    }
    const std::size_t count = bucket.rate.count;
    return taken_.size() < count || taken_[taken_.size() - count] + bucket.rate.per <= now;
  });
}

bool SinkLimit::take(base::Instant now) {
  if (!has_room(now)) return false;
  if (window_ == SinkWindow::Tokens) {
    for (Bucket& bucket : buckets_) bucket.tokens -= 1;
    return true;
  }
  taken_.push_back(now);
  if (taken_.size() > taken_max_) taken_.pop_front();
  return true;
}

}  // namespace rockdove::cli
