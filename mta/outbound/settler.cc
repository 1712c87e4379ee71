#include "mta/outbound/settler.h"

#include <algorithm>
#include <utility>

#include "mta/base/assert.h"
#include "mta/base/counters.h"
#include "mta/mail/enhanced_code.h"
#include "mta/outbound/dispatcher.h"
#include "mta/outbound/reporting.h"
#include "queue/quarantine.h"

namespace rockdove::outbound {
namespace {

using Kind = DeliveryResult::Kind;

// "2.1.5" of "250 2.1.5 ok"; what says nothing is 2.0.0.
std::string success_status(std::string_view reply) {
  if (const std::size_t blank = reply.find(' '); blank != std::string_view::npos) {
    const auto code = mail::parse_enhanced_code(reply.substr(blank + 1));
    if (code && code->code.status_class == 2) return mail::format_enhanced_code(code->code);
  }
  return "2.0.0";
}

// For Postfix's log: how long the message waited in the queue before this attempt, and what the
// attempt's time went into.
void add_delays(base::LogLine& line, const JobReport& report, base::Duration took,
                base::Duration delay) {
  line.detail("waited", std::max(delay - took, base::Duration::zero()))
      .detail("setup", report.setup)
      .detail("sending", std::max(took - report.setup, base::Duration::zero()));
  if (report.is_final_delivery) line.detail("protocol", "lmtp");
}

}  // namespace

// What an attempt's results come to, while they are gone through.
struct Settler::Settlement {
  // Deliveries that were taken with the same words: over LMTP (RFC 2033 §4.2) each has its own.
  struct Delivered {
    std::string reply;
    std::vector<queue::Delivery> deliveries;
  };

  const JobReport& report;
  const std::vector<base::Duration>& retry;
  base::Now now;
  queue::Attempt attempt;
  std::vector<Delivered> delivered;
  std::vector<EndedDelivery> to_report;  // delivered, and the sender wants to know
  std::vector<EndedDelivery> failed;
  std::vector<DelayNotices::Deferral> delayed;
  std::vector<Release> releases;
  std::optional<queue::Change> change;
  AttemptCounts counts{};

  [[nodiscard]] base::DeliveryId id(const queue::Delivery& delivery) const {
    return {report.message->id, delivery.number};
  }

  void add(queue::Change next) {
    if (change) {
      change->join(std::move(next));
    } else {
      change = std::move(next);
    }
  }
};

void release(const Environment& environment, std::vector<QueuedRelease> releases) {
  for (QueuedRelease& one : releases) {
    const unsigned home = queue::home_loop(one.queue.destination, environment.loop_count());
    environment.on_loop(home, [one = std::move(one)](Dispatcher& dispatcher) {
      dispatcher.released(one.queue, {one.release});
    });
  }
}

void Settler::commit(queue::Change change, queue::QueueName queue, std::vector<Release> releases) {
  env_.store.commit(
      env_.loop, std::move(change),
      [this, queue = std::move(queue),
       releases = std::move(releases)](base::Result<void> result) mutable {
        MTA_ASSERT(result.is_ok());  // a Result answers once, when durable
        const unsigned home = queue::home_loop(queue.destination, env_.loop_count());
        env_.on_loop(home, [queue = std::move(queue), releases = std::move(releases)](
                               Dispatcher& dispatcher) { dispatcher.released(queue, releases); });
      });
}

void Settler::discard(const queue::Job& job) {
  const base::Now now = env_.now();
  std::vector<Release> releases;
  for (const queue::Delivery& delivery : job.deliveries) {
    releases.push_back({{job.message->id, delivery.number}, std::nullopt});
    base::count(base::Counter::Discarded);
    env_.log.line(base::Level::Info, "discarded")
        .id(base::DeliveryId{job.message->id, delivery.number})
        .path("from", job.message->sender)
        .path("to", delivery.recipient)
        .field("route", delivery.destination)
        .detail("delay", now.wall - job.message->accepted);
  }
  queue::Attempt attempt{now.wall, {}, "", ""};
  attempt.is_kept = env_.queue.history.is_kept;
  commit(queue::ended(*job.message, job.deliveries, queue::Outcome::Discarded, attempt), job.queue,
         std::move(releases));
}

std::vector<queue::Delivery> Settler::settle(JobReport report,
                                             const std::vector<base::Duration>& retry) {
  const base::Now now = env_.now();
  std::vector<DeliveryResult> results = std::move(report.results);
  Settlement settlement{report, retry, now, {}, {}, {}, {}, {}, {}, {}};
  settlement.attempt = {
      now.wall,     std::chrono::duration_cast<base::Duration>(now.instant - report.started),
      report.host,  {},
      report.tls,   {},
      report.source};
  settlement.attempt.is_kept = env_.queue.history.is_kept;
  std::vector<queue::Delivery> again;
  for (DeliveryResult& result : results) {
    if (result.kind == Kind::TryAgainNow) {
      again.push_back(std::move(result.delivery));
    } else if (result.kind == Kind::Delivered) {
      settle_delivered(settlement, std::move(result));
    } else {
      settle_undelivered(settlement, std::move(result));
    }
  }
  note(settlement);
  for (Settlement::Delivered& taken : settlement.delivered) {
    settlement.attempt.reply = std::move(taken.reply);
    settlement.add(queue::ended(*report.message, taken.deliveries, queue::Outcome::Delivered,
                                settlement.attempt));
  }
  if (settlement.change) {
    commit(std::move(*settlement.change), report.queue, std::move(settlement.releases));
  }
  if (!settlement.to_report.empty()) {
    reports_.succeeded(report.message, std::move(settlement.to_report));
  }
  if (!settlement.failed.empty()) reports_.ended(report.message, std::move(settlement.failed));
  if (!settlement.delayed.empty()) delays_.defer(report.message, std::move(settlement.delayed));
  return again;
}

void Settler::note(const Settlement& settlement) {
  if (settlement.counts.total() == 0) return;
  AttemptCounts counts = settlement.counts;
  counts.slowest = settlement.attempt.took;
  activity_.attempted(settlement.report.queue.destination, settlement.report.host, counts,
                      settlement.now.instant);
}

void Settler::settle_delivered(Settlement& settlement, DeliveryResult result) {
  const JobReport& report = settlement.report;
  const queue::Message& message = *report.message;
  base::count(base::Counter::Delivered);
  ++settlement.counts.delivered;
  {
    base::LogLine line = env_.log.line(base::Level::Info, "delivered");
    line.id(settlement.id(result.delivery))
        .path("from", message.sender)
        .path("to", result.delivery.recipient)
        .field("host", report.host);
    if (!report.source.empty()) line.field("source", report.source);
    if (!report.tls.empty()) line.field("tls", report.tls);
    const base::Duration delay = settlement.now.wall - message.accepted;
    line.field("delay", delay).field("reply", result.reply);
    if (env_.log.wants_details()) add_delays(line, report, settlement.attempt.took, delay);
  }
  const Taker taker = result.takes_dsn           ? Taker::NextHopWithDsn
                      : report.is_final_delivery ? Taker::Mailbox
                                                 : Taker::NextHop;
  if (const auto ending = success_to_report(message, result.delivery, taker)) {
    queue::Delivery after = result.delivery;
    after.final_status = success_status(result.reply);
    after.ending = *ending;
    after.last = {settlement.now.wall,
                  report.host,
                  std::move(result.reply),
                  report.tls,
                  settlement.attempt.took,
                  {},
                  report.source};
    settlement.to_report.push_back({std::move(after), std::move(result.delivery)});
    return;
  }
  settlement.releases.push_back({settlement.id(result.delivery), std::nullopt});
  std::vector<Settlement::Delivered>& delivered = settlement.delivered;
  if (delivered.empty() || delivered.back().reply != result.reply) {
    delivered.push_back({std::move(result.reply), {}});
  }
  delivered.back().deliveries.push_back(std::move(result.delivery));
}

base::Duration Settler::wait_of(const DeliveryResult& result, queue::Delivery& after,
                                const std::vector<base::Duration>& retry) const {
  if (result.retry_in) return *result.retry_in;
  const base::Duration wait = queue::retry_wait(retry, after.attempts, env_.random);
  if (result.kind == Kind::DeferUncertain && ++after.uncertain == 1)
    return std::max(wait, queue::kUncertainWait);
  return std::min(wait, result.retry_at_most.value_or(wait));
}

void Settler::settle_undelivered(Settlement& settlement, DeliveryResult result) {
  const JobReport& report = settlement.report;
  const queue::Message& message = *report.message;
  const base::Now now = settlement.now;
  queue::Delivery after = result.delivery;
  if (result.counted) ++after.attempts;
  after.last = {now.wall, report.host,  result.reply, report.tls, settlement.attempt.took,
                {},       report.source};
  after.last.wants_other_source = result.wants_other_source;
  after.last.provider = report.provider;
  if (result.has_rule_acted) after.last.rule = traffic::format_origin(result.rule->origin);
  const bool may_judge_age = env_.clocks.may_expire(now);
  // Also where the environment did not let us try: without an IPv6 route it never will.
  const bool is_final =
      result.kind == Kind::Bounce || after.is_expired ||
      (may_judge_age &&
       queue::is_over_age(env_.queue, queue::alive_since(message, after), now.wall));
  if (is_final) {
    const mail::EnhancedCode expired{4, 4, 7};  // RFC 3463 §3.5
    after.final_status =
        mail::format_enhanced_code(result.kind == Kind::Bounce ? result.status : expired);
    after.ending = queue::Ending::Failed;
    ++settlement.counts.bounced;
    settlement.failed.push_back({std::move(after), std::move(result.delivery), result.stage});
    return;
  }
  after.due = now.wall + wait_of(result, after, settlement.retry);
  base::count(base::Counter::Deferred);
  ++settlement.counts.deferred;
  activity_.deferred(queue::reason_of(after.last), now.instant);
  {
    base::LogLine line = env_.log.line(base::Level::Info, "deferred");
    line.id(settlement.id(after))
        .path("from", message.sender)
        .path("to", after.recipient)
        .field("host", report.host)
        .field("stage", smtp::stage_name(result.stage));
    if (!report.source.empty()) line.field("source", report.source);
    if (!report.tls.empty()) line.field("tls", report.tls);
    line.field("attempts", after.attempts)
        .field("next", after.due)
        .field("uncertain", after.uncertain)
        .field("reply", result.reply);
    if (!after.last.rule.empty()) line.field("rule", after.last.rule);
    if (env_.log.wants_details()) {
      const base::Duration delay = now.wall - message.accepted;
      line.detail("delay", delay).detail("status", mail::format_enhanced_code(result.status));
      add_delays(line, report, settlement.attempt.took, delay);
    }
  }
  queue::Attempt deferral = settlement.attempt;
  deferral.reply = std::move(result.reply);
  deferral.rule = after.last.rule;
  if (may_judge_age && wants_delay_notice(env_.queue, message, after, now.wall)) {
    settlement.delayed.push_back(
        {std::move(result.delivery), std::move(after), std::move(deferral)});
    return;
  }
  settlement.releases.push_back({settlement.id(after), after.due});
  settlement.add(queue::moved(message, result.delivery, after, deferral));
}

}  // namespace rockdove::outbound
