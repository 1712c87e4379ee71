#include "mta/admin/metrics.h"

#include <algorithm>
#include <array>
#include <limits>
#include <prometheus/text_serializer.h>
#include <span>
#include <sstream>
#include <tuple>
#include <utility>

#include "mta/base/quantity.h"

namespace rockdove::admin {

using base::Counter;
using base::CounterTotals;
using base::Timing;
using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

namespace {

using Labels = std::vector<ClientMetric::Label>;

class Families {
 public:
  // What follows belongs to it.
  void begin(std::string name, std::string help, MetricType type) {
    all_.push_back({std::move(name), std::move(help), type, {}});
  }

  void add(double value, Labels labels = {}) {
    ClientMetric metric;
    metric.label = std::move(labels);
    (all_.back().type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
    all_.back().metric.push_back(std::move(metric));
  }

  void add(std::uint64_t value, Labels labels = {}) {
    add(static_cast<double>(value), std::move(labels));
  }

  void counter(std::string name, std::string help, std::uint64_t value) {
    begin(std::move(name), std::move(help), MetricType::Counter);
    add(value);
  }

  void gauge(std::string name, std::string help, double value) {
    begin(std::move(name), std::move(help), MetricType::Gauge);
    add(value);
  }

  // `scale` units of the timing make one of the metric's.
  void histogram(std::string name, std::string help, const CounterTotals& counts, Timing timing,
                 double scale) {
    begin(std::move(name), std::move(help), MetricType::Histogram);
    const CounterTotals::Histogram& histogram = counts.of(timing);
    const auto& bounds = base::bucket_bounds(timing);
    ClientMetric metric;
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < base::kBuckets; ++i) {
      sum += histogram.buckets[i];
      const double bound = i < bounds.size() ? static_cast<double>(bounds[i]) / scale
                                             : std::numeric_limits<double>::infinity();
      metric.histogram.bucket.push_back({sum, bound});
    }
    metric.histogram.sample_count = sum;
    metric.histogram.sample_sum = static_cast<double>(histogram.sum) / scale;
    all_.back().metric.push_back(std::move(metric));
  }

  [[nodiscard]] std::string text() const {
    std::ostringstream text;
    prometheus::TextSerializer().Serialize(text, all_);
    return std::move(text).str();
  }

 private:
  std::vector<MetricFamily> all_;
};

// The `offset`th counter behind `first`.
std::uint64_t nth(const CounterTotals& counts, Counter first, std::size_t offset) {
  return counts.counters[static_cast<std::size_t>(first) + offset];
}

void add_mail_in(Families& families, const CounterTotals& counts) {
  families.counter("rockdove_connections_in_total", "Connections of clients, refused ones too.",
                   counts.of(Counter::ConnectionsIn));
  families.counter("rockdove_messages_accepted_total", "Messages that were answered 250.",
                   counts.of(Counter::MessagesAccepted));
  families.counter("rockdove_accepted_bytes_total", "Octets of accepted messages.",
                   counts.of(Counter::OctetsAccepted));
  families.begin("rockdove_refused_total",
                 "Connections, senders, recipients and messages that were refused (rejected in "
                 "the log), by the first two numbers of the enhanced code (RFC 3463).",
                 MetricType::Counter);
  constexpr std::array<const char*, 8> kSubjects = {"other",   "address",  "mailbox", "system",
                                                    "network", "protocol", "content", "policy"};
  for (const auto& [first, kind] : {std::pair{Counter::RefusedTemporary, "temporary"},
                                    std::pair{Counter::RefusedPermanent, "permanent"}}) {
    for (std::size_t i = 0; i < kSubjects.size(); ++i)
      families.add(nth(counts, first, i), {{"kind", kind}, {"subject", kSubjects[i]}});
  }
  families.counter("rockdove_proxy_errors_total",
                   "Connections of named proxies without a good PROXY header.",
                   counts.of(Counter::ProxyErrors));
  families.begin("rockdove_logins_total", "Logins of clients (AUTH) by result.",
                 MetricType::Counter);
  for (const auto& [counter, result] : {std::pair{Counter::LoginsAccepted, "accepted"},
                                        std::pair{Counter::LoginsRefused, "refused"},
                                        std::pair{Counter::LoginsThrottled, "throttled"},
                                        std::pair{Counter::LoginsUnavailable, "unavailable"}})
    families.add(counts.of(counter), {{"result", result}});
  families.counter("rockdove_logins_known_again_total",
                   "Accepted logins that needed no new password hash.",
                   counts.of(Counter::LoginsKnownAgain));
}

void add_policy(Families& families, const CounterTotals& counts) {
  using Names = std::span<const char* const>;
  constexpr std::array kDispositions = {"accept", "quarantine", "defer", "refuse"};
  families.begin("rockdove_judged_messages_total",
                 "Mail of clients that may not relay, by what was done with it.",
                 MetricType::Counter);
  for (std::size_t i = 0; i < kDispositions.size(); ++i) {
    families.add(nth(counts, Counter::JudgedAccepted, i), {{"disposition", kDispositions[i]}});
  }
  constexpr std::array kSpf = {"none",     "neutral",   "pass",     "fail",
                               "softfail", "temperror", "permerror"};
  constexpr std::array kDkim = {"none", "pass", "fail", "permerror", "temperror"};
  constexpr std::array kArc = {"none", "pass", "fail"};
  constexpr std::array kDmarc = {"none", "pass", "fail", "temperror", "permerror"};
  families.begin("rockdove_policy_results_total",
                 "What checks of such mail came to; SPF is that of MAIL FROM.",
                 MetricType::Counter);
  for (const auto& [first, check, results] :
       {std::tuple{Counter::SpfNone, "spf", Names(kSpf)},
        std::tuple{Counter::DkimNone, "dkim", Names(kDkim)},
        std::tuple{Counter::ArcNone, "arc", Names(kArc)},
        std::tuple{Counter::DmarcNone, "dmarc", Names(kDmarc)}}) {
    for (std::size_t i = 0; i < results.size(); ++i) {
      families.add(nth(counts, first, i), {{"check", check}, {"result", results[i]}});
    }
  }
  families.counter("rockdove_signed_messages_total",
                   "Messages that got a DKIM signature or a seal of ARC.",
                   counts.of(Counter::Signed));
}

void add_mail_out(Families& families, const CounterTotals& counts) {
  families.begin("rockdove_connections_out_total",
                 "Connections to other servers, by whether there was one.", MetricType::Counter);
  families.add(counts.of(Counter::ConnectionsOut), {{"result", "connected"}});
  families.add(counts.of(Counter::ConnectionsOutFailed), {{"result", "failed"}});
  families.begin("rockdove_deliveries_total",
                 "Attempts and ends of deliveries; a delivery is one recipient of a message.",
                 MetricType::Counter);
  for (const auto& [counter, result] :
       {std::pair{Counter::Delivered, "delivered"}, std::pair{Counter::Deferred, "deferred"},
        std::pair{Counter::Bounced, "bounced"}, std::pair{Counter::Discarded, "discarded"},
        std::pair{Counter::Deleted, "deleted"}, std::pair{Counter::Unreturnable, "unreturnable"},
        std::pair{Counter::Unreported, "unreported"},
        std::pair{Counter::QuarantineExpired, "quarantine-expired"}})
    families.add(counts.of(counter), {{"result", result}});
  families.begin("rockdove_traffic_rule_actions_total",
                 "What rules of the traffic profiles did about replies.", MetricType::Counter);
  for (const auto& [counter, action] :
       {std::pair{Counter::RuleBackoff, "backoff"}, std::pair{Counter::RulePause, "pause"},
        std::pair{Counter::RuleSet, "set"}, std::pair{Counter::RuleBounce, "bounce"},
        std::pair{Counter::RuleDefer, "defer"}})
    families.add(counts.of(counter), {{"action", action}});
  families.counter("rockdove_budgets_used_up_total",
                   "How often the log has said that a budget is used up.",
                   counts.of(Counter::BudgetsUsedUp));
  families.begin("rockdove_dns_questions_total",
                 "Questions about names, by where the answer came from.", MetricType::Counter);
  families.add(counts.of(Counter::DnsQuestions), {{"from", "server"}});
  families.add(counts.of(Counter::DnsKept), {{"from", "memory"}});
  families.counter("rockdove_dns_failures_total",
                   "Questions without an answer, or with a server's failure.",
                   counts.of(Counter::DnsFailures));
}

void add_tls(Families& families, const CounterTotals& counts, const Standing& standing) {
  constexpr std::array<const char*, 4> kVersions = {"1.0", "1.1", "1.2", "1.3"};
  families.begin("rockdove_tls_connections_total",
                 "Connections that began TLS, by direction and version.", MetricType::Counter);
  for (const auto& [first, direction] :
       {std::pair{Counter::TlsServer10, "in"}, std::pair{Counter::TlsClient10, "out"}}) {
    for (std::size_t i = 0; i < kVersions.size(); ++i)
      families.add(nth(counts, first, i), {{"direction", direction}, {"version", kVersions[i]}});
  }
  families.begin("rockdove_tls_failures_total", "Failures of TLS, by direction.",
                 MetricType::Counter);
  families.add(counts.of(Counter::TlsServerFailed), {{"direction", "in"}});
  families.add(counts.of(Counter::TlsClientFailed), {{"direction", "out"}});
  if (standing.certificates.empty()) return;
  families.begin("rockdove_certificate_remaining_seconds",
                 "Time until a certificate of ours expires; below 0: it has.", MetricType::Gauge);
  for (const CertificateEnd& certificate : standing.certificates) {
    const std::chrono::duration<double> left = certificate.not_after - standing.now;
    families.add(
        left.count(),
        {{"source", certificate.source}, {"name", certificate.name}, {"key", certificate.key}});
  }
}

void add_queue(Families& families, const CounterTotals& counts,
               const std::optional<QueueCount>& queue, base::WallTime now) {
  if (queue) {
    const auto seconds_since = [now](base::WallTime then) {
      return std::max(0.0, std::chrono::duration<double>(now - then).count());
    };
    families.begin("rockdove_queue_deliveries", "Deliveries in the queue, by state.",
                   MetricType::Gauge);
    families.add(queue->waiting, {{"state", "waiting"}});
    families.add(queue->held, {{"state", "held"}});
    families.add(queue->deleted, {{"state", "deleted"}});
    families.gauge("rockdove_queue_oldest_seconds",
                   "Age of the oldest message with a delivery that waits; 0: none waits.",
                   queue->oldest ? seconds_since(*queue->oldest) : 0);
    families.gauge("rockdove_queue_count_age_seconds",
                   "Since when the queue was counted; large queues are counted less often.",
                   seconds_since(queue->counted));
  }
  constexpr double kSecond = 1e9;
  families.histogram("rockdove_commit_seconds",
                     "From the moment a change was handed over until it was durable.", counts,
                     Timing::Commit, kSecond);
  families.histogram("rockdove_store_write_seconds", "Time to write and sync a group of changes.",
                     counts, Timing::StoreWrite, kSecond);
  families.histogram("rockdove_store_group_changes", "Changes that shared one sync.", counts,
                     Timing::GroupSize, 1);
}

void add_turns(Families& families, const CounterTotals& counts, const Standing& standing) {
  constexpr double kSecond = 1e9;
  families.histogram("rockdove_loop_turn_seconds", "Work of an event loop between two waits.",
                     counts, Timing::LoopTurn, kSecond);
  families.histogram("rockdove_loop_turn_processor_seconds",
                     "Processor time of an event loop's thread from one wait to the next; others "
                     "on the same processor do not make it longer.",
                     counts, Timing::LoopTurnProcessor, kSecond);
  if (standing.loops.empty()) return;
  families.begin("rockdove_loop_turn_processor_longest_seconds",
                 "The longest of these turns of each loop in the minute that runs and the one "
                 "before: a scrape a minute sees all of them, and nobody's scrape hides one from "
                 "another's.",
                 MetricType::Gauge);
  for (const base::LoopCounts& loop : standing.loops)
    families.add(std::chrono::duration<double>(loop.longest_turn).count(),
                 {{"loop", std::to_string(loop.loop)}});
  families.begin("rockdove_loop_connections_out_total",
                 "Connections to other servers that each loop has made.", MetricType::Counter);
  for (const base::LoopCounts& loop : standing.loops)
    families.add(loop.connections_out, {{"loop", std::to_string(loop.loop)}});
}

void add_limits(Families& families, const Standing& standing) {
  families.gauge("rockdove_connections_in", "Connections of clients now.", standing.connections_in);
  families.gauge("rockdove_connections_in_limit", "Of clients at most (limits.connections_in).",
                 standing.connections_in_max);
  families.gauge("rockdove_connections_out", "Connections to other servers now.",
                 standing.connections_out);
  families.gauge("rockdove_connections_out_limit", "To other servers at most.",
                 standing.connections_out_max);
  families.gauge("rockdove_memory_bytes", "Octets of messages in memory.",
                 static_cast<double>(standing.memory_used));
  families.gauge("rockdove_memory_limit_bytes", "At most so many (limits.memory).",
                 static_cast<double>(standing.memory_max));
  families.gauge("rockdove_disk_free_bytes", "Free octets on the disk of state_dir.",
                 static_cast<double>(standing.disk_free));
  families.gauge("rockdove_disk_free_minimum_bytes",
                 "With less free, new mail is refused (queue.min_free_disk).",
                 static_cast<double>(standing.disk_free_min));
  families.gauge("rockdove_healthy", "1: /healthz says ok.",
                 format_illness(standing).empty() ? 1 : 0);
  families.begin("rockdove_build_info", "The version, as a label.", MetricType::Gauge);
  families.add(1.0, {{"version", ROCKDOVE_VERSION}});
}

}  // namespace

QueueCount count_queue(const queue::QueueSummary& summary, base::WallTime now) {
  QueueCount count;
  count.counted = now;
  for (const queue::QueueSummary::Line& line : summary.lines) {
    switch (line.state) {
      case queue::DeliveryState::Waiting:
        count.waiting += line.deliveries;
        count.oldest = count.oldest ? std::min(*count.oldest, line.oldest) : line.oldest;
        break;
      case queue::DeliveryState::Held:
        count.held += line.deliveries;
        break;
      case queue::DeliveryState::Deleted:
        count.deleted += line.deliveries;
        break;
    }
  }
  return count;
}

std::string format_metrics(const CounterTotals& counts, const Standing& standing,
                           const std::optional<QueueCount>& queue) {
  Families families;
  add_mail_in(families, counts);
  add_policy(families, counts);
  add_mail_out(families, counts);
  add_tls(families, counts, standing);
  add_queue(families, counts, queue, standing.now);
  add_turns(families, counts, standing);
  add_limits(families, standing);
  return families.text();
}

std::string format_illness(const Standing& standing) {
  std::string text;
  if (standing.is_stopping) text += "the relay is stopping\n";
  switch (standing.readiness) {
    case queue::Readiness::Ready:
      break;
    case queue::Readiness::Failed:
      text += "the queue in " + standing.state_dir +
              " cannot be written; no mail is accepted or sent until it can\n";
      break;
    case queue::Readiness::DiskFull:
      text += "the disk of " + standing.state_dir + " has " +
              base::format_size(standing.disk_free) + " free, less than min_free_disk, " +
              base::format_size(standing.disk_free_min) + "; new mail is refused\n";
      break;
    case queue::Readiness::Busy:
      text += "the disk of " + standing.state_dir +
              " does not keep up with what comes in; new mail is refused\n";
      break;
  }
  if (!standing.has_memory_for_mail)
    text += "messages fill the memory that they may have, " +
            base::format_size(standing.memory_max) + " (limits.memory); new mail is refused\n";
  return text;
}

}  // namespace rockdove::admin
