#include "mta/outbound/settler.h"

#include <algorithm>
#include <utility>

#include "mta/base/working.h"
#include "mta/mail/enhanced_code.h"
#include "mta/outbound/bounce.h"
#include "mta/outbound/dispatcher.h"

namespace rockdove::outbound {
namespace {

using Kind = DeliveryResult::Kind;

// How often the last report asks whether the message's other deliveries have ended.
constexpr base::Duration kLastReportAsksEvery = std::chrono::hours(1);

std::vector<queue::Delivery> deliveries_of(const std::vector<FailedDelivery>& failed) {
  std::vector<queue::Delivery> deliveries;
  deliveries.reserve(failed.size());
  for (const FailedDelivery& delivery : failed) deliveries.push_back(delivery.delivery);
  return deliveries;
}

}  // namespace

unsigned Settler::desk_loop(base::MessageId message, unsigned loops) {
  return static_cast<unsigned>(std::hash<base::MessageId>()(message) >> 32) % loops;
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
    env_.log.line(base::Level::Info, "discarded")
        .id(base::DeliveryId{job.message->id, delivery.number})
        .path("from", job.message->sender)
        .path("to", delivery.recipient)
        .field("route", delivery.destination);
  }
  commit(queue::ended(*job.message, job.deliveries, queue::Outcome::Discarded,
                      queue::Attempt{now.wall, {}, "", ""}),
         job.queue, std::move(releases));
}

std::vector<queue::Delivery> Settler::settle(JobReport report) {
  const base::Now now = env_.now();
  const queue::Message& message = *report.message;
  queue::Attempt attempt{now.wall,
                         std::chrono::duration_cast<base::Duration>(now.instant - report.started),
                         report.host,
                         {}};
  std::vector<queue::Delivery> again;
  std::vector<queue::Delivery> delivered;
  std::vector<FailedDelivery> failed;
  std::vector<Release> releases;
  std::optional<queue::Change> change;
  const auto add = [&change](queue::Change next) {
    if (change) {
      change->join(std::move(next));
    } else {
      change = std::move(next);
    }
  };
  for (DeliveryResult& result : report.results) {
    const base::DeliveryId id{message.id, result.delivery.number};
    if (result.kind == Kind::TryAgainNow) {
      again.push_back(std::move(result.delivery));
      continue;
    }
    if (result.kind == Kind::Delivered) {
      env_.log.line(base::Level::Info, "delivered")
          .id(id)
          .path("from", message.sender)
          .path("to", result.delivery.recipient)
          .field("host", report.host)
          .field("delay", now.wall - message.accepted)
          .field("reply", result.reply);
      attempt.reply = std::move(result.reply);
      delivered.push_back(std::move(result.delivery));
      releases.push_back({id, std::nullopt});
      continue;
    }
    queue::Delivery after = result.delivery;
    if (result.counted) ++after.attempts;
    after.last = {now.wall, report.host, result.reply};
    // Also where the environment did not let us try: without an IPv6 route it never will.
    const bool is_final =
        result.kind == Kind::Bounce ||
        (env_.clocks.may_expire(now) && queue::is_over_age(env_.queue, message.accepted, now.wall));
    if (is_final) {
      const mail::EnhancedCode expired{4, 4, 7};  // RFC 3463 §3.5
      after.failed_status =
          mail::format_enhanced_code(result.kind == Kind::Bounce ? result.status : expired);
      failed.push_back({std::move(after), std::move(result.delivery)});
      continue;
    }
    base::Duration wait = queue::retry_wait(env_.queue, after.attempts, env_.random);
    if (result.kind == Kind::DeferUncertain && ++after.uncertain == 1)
      wait = std::max(wait, queue::kUncertainWait);
    after.due = now.wall + wait;
    env_.log.line(base::Level::Info, "deferred")
        .id(id)
        .path("from", message.sender)
        .path("to", after.recipient)
        .field("host", report.host)
        .field("stage", smtp::stage_name(result.stage))
        .field("attempts", after.attempts)
        .field("next", after.due)
        .field("uncertain", after.uncertain)
        .field("reply", result.reply);
    queue::Attempt deferral = attempt;
    deferral.reply = result.reply;
    add(queue::moved(message, result.delivery, after, deferral));
    releases.push_back({id, after.due});
  }
  if (!delivered.empty()) add(queue::ended(message, delivered, queue::Outcome::Delivered, attempt));
  if (change) commit(std::move(*change), report.queue, std::move(releases));
  if (!failed.empty()) fail(report.message, std::move(failed));
  return again;
}

void Settler::fail(const queue::MessagePointer& message, std::vector<FailedDelivery> failed) {
  if (message->recipients == 1) return report(message, {std::move(failed), {}, {}}, [] {});
  env_.on_loop(desk_loop(message->id, env_.loop_count()),
               [message, failed = std::move(failed)](Dispatcher& dispatcher) mutable {
                 dispatcher.settler().fail_at_desk(message, std::move(failed));
               });
}

void Settler::fail_at_desk(const queue::MessagePointer& message,
                           std::vector<FailedDelivery> failed) {
  Desk& desk = desks_[message->id];
  desk.message = message;
  std::move(failed.begin(), failed.end(), std::back_inserter(desk.waiting));
  if (desk.busy) return;  // they join what comes next
  desk.busy = true;
  // At the end of the turn, so that what fails in the same turn shares the report.
  env_.loop.at_turn_end([this, id = message->id] { desk_go_on(id); });
}

void Settler::desk_go_on(base::MessageId id) {
  env_.store.read_report_state(env_.loop, id, [this, id](base::Result<queue::ReportState> state) {
    // The store is being replaced: how many reports there were must be known.
    if (!state) return park(desks_.at(id), env_.now().wall + kReportsApart);
    if (state->reports + 1 != kReportsMax) return desk_decide(id, *state, {});
    env_.store.view(env_.loop, id,
                    [this, id, known = *state](base::Result<queue::MessageView> view) {
                      if (!view) return park(desks_.at(id), env_.now().wall + kReportsApart);
                      desk_decide(id, known, view->deliveries);
                    });
  });
}

void Settler::desk_decide(base::MessageId id, const queue::ReportState& state,
                          const std::vector<queue::Delivery>& in_queue) {
  Desk& desk = desks_.at(id);
  const base::Now now = env_.now();
  const bool is_last = state.reports + 1 == kReportsMax;
  const base::WallTime next = state.reports == 0 ? base::WallTime{} : state.last + kReportsApart;
  const bool are_named = state.reports >= kReportsMax;  // by the last report, see below
  if (!are_named && next > now.wall && next - now.wall <= kReportsApart) return park(desk, next);
  if (!are_named && state.reports > 0 && !desk.has_gathered) return gather(id, desk);
  desk.has_gathered = false;
  // The last report names all that is left, so it waits until nothing else can fail. Those that
  // wait for it in the queue come here later, each with its own load, and end without another one.
  Reporting reporting;
  if (is_last) {
    for (const queue::Delivery& delivery : in_queue) {
      const bool is_here = std::any_of(desk.waiting.begin(), desk.waiting.end(),
                                       [&delivery](const FailedDelivery& failed) {
                                         return failed.delivery.number == delivery.number;
                                       });
      if (is_here) continue;
      if (delivery.failed_status.empty()) return park(desk, now.wall + kLastReportAsksEvery);
      reporting.named_too.push_back(delivery);
    }
  }
  if (!are_named) reporting.state = queue::ReportState{state.reports + 1, now.wall};
  reporting.failed = std::exchange(desk.waiting, {});
  reporting.are_named = are_named;
  report(desk.message, std::move(reporting), [this, id] { desk_committed(id); });
}

void Settler::gather(base::MessageId id, Desk& desk) {
  desk.has_gathered = true;
  // Not from the timer's own call, because the desk and its timer may end by it.
  desk.timer =
      env_.loop.make_timer([this, id] { env_.loop.at_turn_end([this, id] { desk_go_on(id); }); });
  desk.timer->set(env_.now().instant + kGatherFor);
}

void Settler::park(Desk& desk, base::WallTime due) {
  std::vector<FailedDelivery> parked = std::exchange(desk.waiting, {});
  const base::MessageId id = desk.message->id;
  const base::WallTime wall = env_.now().wall;
  for (FailedDelivery& failed : parked) {
    queue::Delivery after = failed.delivery;
    after.due = due;
    const bool is_new = failed.as_stored.failed_status.empty();
    std::optional<queue::Attempt> attempt;
    if (is_new) attempt = queue::Attempt{wall, {}, after.last.host, after.last.reply};
    commit(queue::moved(*desk.message, failed.as_stored, after, attempt), queue::queue_of(after),
           {{{id, after.number}, due}});
  }
  desk_committed(id);
}

void Settler::desk_committed(base::MessageId id) {
  const auto found = desks_.find(id);
  if (found == desks_.end()) return;
  if (found->second.waiting.empty()) {
    desks_.erase(found);
    return;
  }
  env_.loop.at_turn_end([this, id] { desk_go_on(id); });
}

void Settler::report(const queue::MessagePointer& message, Reporting reporting,
                     base::UniqueFunction<void()> done) {
  const bool returns_body =
      message->header_block.size() + message->body_octets <= env_.queue.bounce_returned;
  if (message->body != nullptr || message->body_chunks == 0 || !returns_body ||
      reporting.are_named) {
    return report_with_body(message, std::move(reporting), std::move(done), message->body);
  }
  env_.store.read_chunk(
      env_.loop, message->id, 0,
      [this, message, reporting = std::move(reporting),
       done = std::move(done)](base::Result<std::shared_ptr<const std::string>> body) mutable {
        report_with_body(message, std::move(reporting), std::move(done), body ? *body : nullptr);
      });
}

void Settler::report_with_body(const queue::MessagePointer& message, Reporting reporting,
                               base::UniqueFunction<void()> done,
                               const std::shared_ptr<const std::string>& body) {
  const base::Now now = env_.now();
  std::vector<FailedDelivery> failed = std::move(reporting.failed);
  const base::WorkingOn working(base::DeliveryId{message->id, failed.front().delivery.number});
  // Nothing that we wrote ourselves, and nothing without a sender, is answered with another report
  // (RFC 5321 §6.1): the postmaster hears of it once.
  const bool to_postmaster = message->sender.empty();
  const std::string to = to_postmaster ? env_.queue.postmaster : message->sender;
  std::vector<std::string> recipients;
  if (message->kind != queue::MessageKind::PostmasterReport && !to.empty())
    recipients = env_.expand(to);
  const queue::Outcome how =
      recipients.empty() ? queue::Outcome::Unreturnable : queue::Outcome::Bounced;
  // Each closes with its own last reply.
  queue::Change change =
      queue::ended(*message, deliveries_of(failed), how, queue::Attempt{now.wall, {}, {}, {}});
  std::shared_ptr<queue::Message> bounce;
  std::vector<queue::Delivery> bounce_deliveries;
  if (!recipients.empty() && !reporting.are_named) {
    BounceRequest request{
        *message,
        {},
        body ? std::string_view(*body) : std::string_view(),
        to,
        to_postmaster ? queue::MessageKind::PostmasterReport : queue::MessageKind::Report,
        env_.ids.next(now.wall),
        now.wall};
    request.failed = deliveries_of(failed);
    std::move(reporting.named_too.begin(), reporting.named_too.end(),
              std::back_inserter(request.failed));
    bounce = std::make_shared<queue::Message>(make_bounce(env_.queue, request));
    for (const std::string& recipient : recipients) {
      queue::Delivery delivery;
      delivery.number = static_cast<std::uint32_t>(bounce_deliveries.size() + 1);
      delivery.recipient = recipient;
      delivery.destination = destination_of(env_.outbound, {recipient, "", "", {}});
      delivery.due = now.wall;
      bounce_deliveries.push_back(std::move(delivery));
    }
    bounce->recipients = static_cast<std::uint32_t>(bounce_deliveries.size());
    change.join(queue::accepted(*bounce, bounce_deliveries, queue::Change::Kind::Result));
    // Many recipients, or long replies: what is larger than a chunk is read when it is sent.
    if (bounce->body_chunks > 1) bounce->body = nullptr;
  }
  if (reporting.state) change.join(queue::reported(message->id, *reporting.state));
  for (const FailedDelivery& delivery : failed) {
    log_failed(*message, delivery, how, bounce ? std::optional(bounce->id) : std::nullopt);
  }
  env_.store.commit(env_.loop, std::move(change),
                    [this, message, failed = std::move(failed), bounce = std::move(bounce),
                     bounce_deliveries = std::move(bounce_deliveries),
                     done = std::move(done)](base::Result<void> result) mutable {
                      MTA_ASSERT(result.is_ok());
                      release_all(message, failed, std::nullopt);
                      if (bounce) {
                        env_.peers[env_.loop.index()]->hand_in(
                            counted(std::move(bounce), env_.memory), std::move(bounce_deliveries));
                      }
                      done();
                    });
}

void Settler::release_all(const queue::MessagePointer& message,
                          const std::vector<FailedDelivery>& failed,
                          std::optional<base::WallTime> due) {
  for (const FailedDelivery& delivery : failed) {
    const queue::QueueName name = queue::queue_of(delivery.as_stored);
    const base::DeliveryId id{message->id, delivery.as_stored.number};
    env_.on_loop(queue::home_loop(name.destination, env_.loop_count()),
                 [name, id, due](Dispatcher& dispatcher) {
                   dispatcher.released(name, {{id, due}});
                 });
  }
}

void Settler::log_failed(const queue::Message& message, const FailedDelivery& failed,
                         queue::Outcome how, std::optional<base::MessageId> report_id) {
  base::LogLine line =
      env_.log.line(base::Level::Info, how == queue::Outcome::Bounced ? "bounced" : "unreturnable");
  line.id(base::DeliveryId{message.id, failed.delivery.number})
      .path("from", message.sender)
      .path("to", failed.delivery.recipient)
      .field("host", failed.delivery.last.host)
      .field("status", failed.delivery.failed_status)
      .field("reply", failed.delivery.last.reply);
  if (report_id) line.field("report", base::format_id(*report_id));
}

}  // namespace rockdove::outbound
