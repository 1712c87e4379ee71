#include "mta/outbound/report_desk.h"

#include <algorithm>
#include <map>
#include <unordered_set>
#include <utility>

#include "mta/base/assert.h"
#include "mta/base/counters.h"
#include "mta/base/working.h"
#include "mta/outbound/dispatcher.h"
#include "mta/outbound/release.h"
#include "mta/outbound/reporting.h"
#include "queue/codec.h"
#include "queue/quarantine.h"

namespace rockdove::outbound {
namespace {

// How often the last report asks whether the message's other deliveries have ended.
constexpr base::Duration kLastReportAsksEvery = std::chrono::hours(1);

bool has_failed(const queue::Delivery& delivery) {
  return delivery.ending == queue::Ending::Failed;
}

queue::Outcome outcome_of(const queue::Delivery& delivery, queue::Outcome of_failures) {
  switch (delivery.ending) {
    case queue::Ending::Failed:
      return of_failures;
    case queue::Ending::Delivered:
    case queue::Ending::Relayed:
      return queue::Outcome::Delivered;
    case queue::Ending::Expanded:
      return queue::Outcome::Expanded;
  }
  MTA_ASSERT(false);
}

void count_failure(queue::Outcome how) {
  switch (how) {
    case queue::Outcome::Bounced:
      return base::count(base::Counter::Bounced);
    case queue::Outcome::Unreturnable:
      return base::count(base::Counter::Unreturnable);
    case queue::Outcome::Unreported:
      return base::count(base::Counter::Unreported);
    case queue::Outcome::Delivered:
    case queue::Outcome::Discarded:
    case queue::Outcome::Deleted:
    case queue::Outcome::Expanded:
    case queue::Outcome::QuarantineExpired:
      break;
  }
  MTA_ASSERT(false);
}

// Each closes with its own last reply, and with the id of the report, if there is one.
queue::Change ends(const queue::Message& message, const std::vector<EndedDelivery>& ended,
                   queue::Outcome of_failures, base::WallTime now, base::MessageId report,
                   const queue::HistorySettings& history) {
  std::optional<queue::Change> change;
  for (const queue::Outcome how :
       {of_failures, queue::Outcome::Delivered, queue::Outcome::Expanded}) {
    std::vector<queue::Delivery> same;
    for (const EndedDelivery& one : ended) {
      if (outcome_of(one.delivery, of_failures) == how) same.push_back(one.delivery);
    }
    if (same.empty()) continue;
    queue::Attempt attempt{now, {}, {}, {}};
    attempt.report = report;
    attempt.is_kept = history.is_kept;
    attempt.is_last = true;
    queue::Change next = queue::ended(message, same, how, attempt);
    if (change) {
      change->join(std::move(next));
    } else {
      change = std::move(next);
    }
  }
  MTA_ASSERT(change.has_value());
  for (const EndedDelivery& one : ended) {
    if (one.act) change->join(queue::recorded(message.id, one.delivery, *one.act));
  }
  return std::move(*change);
}

// The step of history that a delivery has ended and waits for its report; its closing record is
// dated alike.
queue::Attempt step_of_end(const queue::Delivery& delivery, queue::Deed how,
                           const queue::HistorySettings& history) {
  const queue::LastAttempt& last = delivery.last;
  queue::Attempt step{last.at, last.took, last.host, last.reply, last.tls, last.rule, last.source};
  step.deed = how;
  step.is_kept = history.is_kept;
  return step;
}

std::vector<QueuedRelease> releases_of(base::MessageId id,
                                       const std::vector<EndedDelivery>& ended) {
  std::vector<QueuedRelease> releases;
  releases.reserve(ended.size());
  for (const EndedDelivery& one : ended) {
    releases.push_back(
        {queue::queue_of(one.as_stored), {{id, one.as_stored.number}, std::nullopt}});
  }
  return releases;
}

std::string_view action_name(queue::Ending ending) {
  switch (ending) {
    case queue::Ending::Failed:
      return "failed";
    case queue::Ending::Delivered:
      return "delivered";
    case queue::Ending::Relayed:
      return "relayed";
    case queue::Ending::Expanded:
      return "expanded";
  }
  MTA_ASSERT(false);
}

}  // namespace

struct ReportDesk::BodyRead {
  queue::MessagePointer message;
  Reporting reporting;
  base::UniqueFunction<void()> done;
  std::string body;
};

ReportDesk::ReportDesk(const Environment& environment)
    : env_(environment),
      to_postmaster_((kPostmasterAnHour + env_.loop_count() - 1) / env_.loop_count(),
                     std::chrono::hours(1)) {}

unsigned ReportDesk::loop_of(base::MessageId message, unsigned loops) {
  return static_cast<unsigned>(std::hash<base::MessageId>()(message) >> 32) % loops;
}

void ReportDesk::ended(const queue::MessagePointer& message, std::vector<EndedDelivery> ended) {
  const auto told = std::stable_partition(ended.begin(), ended.end(), [](const EndedDelivery& one) {
    return has_failed(one.delivery) && !reports_failure(one.delivery);
  });
  std::vector<EndedDelivery> rest(std::make_move_iterator(told),
                                  std::make_move_iterator(ended.end()));
  ended.erase(told, ended.end());
  if (!ended.empty()) end_untold(message, std::move(ended));
  if (rest.empty()) return;
  if (message->recipients == 1) return report(message, {std::move(rest), {}, {}}, [] {});
  to_desk(message, std::move(rest));
}

// RFC 3461 §4.1: NOTIFY does not name FAILURE.
void ReportDesk::end_untold(const queue::MessagePointer& message,
                            std::vector<EndedDelivery> failed) {
  for (const EndedDelivery& one : failed) {
    log_ended(*message, one, queue::Outcome::Unreported, std::nullopt);
  }
  commit_ends(
      ends(*message, failed, queue::Outcome::Unreported, env_.now().wall, {}, env_.queue.history),
      message, failed, {}, [] {});
}

void ReportDesk::succeeded(const queue::MessagePointer& message, std::vector<EndedDelivery> ended) {
  if (message->recipients == 1) return report(message, {std::move(ended), {}, {}}, [] {});
  // What was taken must never be sent again, so it does not wait for its report.
  std::optional<queue::Change> change;
  std::vector<QueuedRelease> releases;
  for (EndedDelivery& one : ended) {
    one.delivery.due = env_.now().wall + 2 * kGatherFor;
    releases.push_back(
        {queue::queue_of(one.delivery), {{message->id, one.delivery.number}, one.delivery.due}});
    queue::Change next =
        queue::moved(*message, one.as_stored, one.delivery,
                     step_of_end(one.delivery, queue::Deed::Succeeded, env_.queue.history));
    if (change) {
      change->join(std::move(next));
    } else {
      change = std::move(next);
    }
  }
  env_.store.commit(
      env_.loop, std::move(*change),
      [this, id = message->id, releases = std::move(releases)](base::Result<void> result) mutable {
        MTA_ASSERT(result.is_ok());
        release(env_, std::move(releases));
        env_.on_loop(loop_of(id, env_.loop_count()),
                     [id](Dispatcher& dispatcher) { dispatcher.settler().reports().expect(id); });
      });
}

void ReportDesk::to_desk(const queue::MessagePointer& message, std::vector<EndedDelivery> ended) {
  env_.on_loop(loop_of(message->id, env_.loop_count()),
               [message, ended = std::move(ended)](Dispatcher& dispatcher) mutable {
                 dispatcher.settler().reports().at_desk(message, std::move(ended));
               });
}

void ReportDesk::at_desk(const queue::MessagePointer& message, std::vector<EndedDelivery> ended) {
  Desk& desk = desks_[message->id];
  desk.message = message;
  std::move(ended.begin(), ended.end(), std::back_inserter(desk.waiting));
  if (desk.busy) return;  // they join what comes next
  desk.busy = true;
  // At the end of the turn, so that what ends in the same turn shares the report.
  env_.loop.at_turn_end([this, id = message->id] { go_on(id); });
}

void ReportDesk::go_on(base::MessageId id) {
  env_.store.read_report_state(env_.loop, id, [this, id](base::Result<queue::ReportState> state) {
    // The store is being replaced: how many reports there were must be known.
    if (!state) return park(id, env_.now().wall + kReportsApart);
    decide(id, *state);
  });
}

void ReportDesk::decide(base::MessageId id, const queue::ReportState& state) {
  Desk& desk = desks_.at(id);
  const base::WallTime now = env_.now().wall;
  if (state.reports >= kReportsMax) {  // the last report has named them, see claim()
    desk.is_time = false;
    if (desk.waiting.empty()) return committed(id);
    return report(desk.message, {std::exchange(desk.waiting, {}), {}, true},
                  [this, id] { committed(id); });
  }
  const base::WallTime next = state.reports == 0 ? base::WallTime{} : state.last + kReportsApart;
  if (next > now && next - now <= kReportsApart) return park(id, next);
  desk.state = state;
  const bool is_all = desk.message != nullptr && desk.waiting.size() == desk.message->recipients;
  if (is_all) return report_all(id);
  const bool is_due =
      std::any_of(desk.waiting.begin(), desk.waiting.end(), [now](const EndedDelivery& one) {
        return !one.as_stored.final_status.empty() && one.as_stored.due <= now;
      });
  if (!is_due && !desk.is_time) return park(id, now + kGatherFor);
  env_.store.view(env_.loop, id, [this, id](base::Result<queue::MessageView> view) {
    if (!view) return park(id, env_.now().wall + kReportsApart);
    claim(id, *view);
  });
}

void ReportDesk::claim(base::MessageId id, const queue::MessageView& view) {
  Desk& desk = desks_.at(id);
  desk.is_time = false;
  if (view.message == nullptr) {
    MTA_ASSERT(desk.waiting.empty());
    return committed(id);
  }
  if (desk.message == nullptr) desk.message = queue::counted(view.message, env_.memory);
  // The last report names all that is left, so it waits until nothing else can end.
  const bool is_last = desk.state->reports + 1 == kReportsMax;
  std::unordered_set<std::uint32_t> here;
  for (const EndedDelivery& one : desk.waiting) here.insert(one.delivery.number);
  std::map<unsigned, std::vector<QueuedRelease>> by_home;
  for (const queue::Delivery& delivery : view.deliveries) {
    if (here.contains(delivery.number)) continue;
    if (delivery.final_status.empty()) {
      if (is_last) return park(id, env_.now().wall + kLastReportAsksEvery);
      continue;
    }
    if (delivery.state != queue::DeliveryState::Waiting) continue;
    const queue::QueueName name = queue::queue_of(delivery);
    by_home[queue::home_loop(name.destination, env_.loop_count())].push_back(
        {name, {{id, delivery.number}, delivery.due}});
  }
  desk.homes_asked = static_cast<unsigned>(by_home.size());
  desk.rows_asked = 0;
  desk.claimed.clear();
  for (const auto& [home, rows] : by_home) desk.rows_asked += rows.size();
  if (by_home.empty()) return report_all(id);
  for (auto& [home, rows] : by_home) {
    env_.on_loop(home, [id, rows = std::move(rows),
                        desk_loop = env_.loop.index()](Dispatcher& dispatcher) mutable {
      dispatcher.home().claim_ended(rows);
      dispatcher.environment().on_loop(desk_loop,
                                       [id, rows = std::move(rows)](Dispatcher& at_desk) mutable {
                                         at_desk.settler().reports().claimed(id, std::move(rows));
                                       });
    });
  }
}

void ReportDesk::claimed(base::MessageId id, std::vector<QueuedRelease> rows) {
  Desk& desk = desks_.at(id);
  std::move(rows.begin(), rows.end(), std::back_inserter(desk.claimed));
  if (--desk.homes_asked > 0) return;
  if (desk.rows_asked == 0) return report_all(id);
  // As they stand now that nobody else may move them.
  env_.store.view(env_.loop, id, [this, id](base::Result<queue::MessageView> view) {
    if (view) return take_claimed(id, *view);
    std::vector<QueuedRelease> back = std::exchange(desks_.at(id).claimed, {});
    for (QueuedRelease& row : back)
      row.release.due = base::WallTime{};  // looked for from the front
    release(env_, std::move(back));
    park(id, env_.now().wall + kReportsApart);
  });
}

void ReportDesk::take_claimed(base::MessageId id, const queue::MessageView& view) {
  Desk& desk = desks_.at(id);
  std::unordered_map<std::uint32_t, const queue::Delivery*> rows;
  for (const queue::Delivery& delivery : view.deliveries) rows[delivery.number] = &delivery;
  std::vector<QueuedRelease> not_taken;
  bool is_complete = desk.claimed.size() == desk.rows_asked;
  for (QueuedRelease& row : std::exchange(desk.claimed, {})) {
    const auto found = rows.find(row.release.delivery.number);
    // Not there; or a person has deleted it since it was looked for, and nobody is to hear of it.
    if (found == rows.end() || queue::queue_of(*found->second) != row.queue ||
        found->second->state != queue::DeliveryState::Waiting) {
      row.release.due = std::nullopt;
      not_taken.push_back(std::move(row));
    } else if (found->second->final_status.empty()) {
      row.release.due = found->second->due;
      not_taken.push_back(std::move(row));
      is_complete = false;
    } else {
      desk.waiting.push_back({*found->second, *found->second});
    }
  }
  release(env_, std::move(not_taken));
  // What is on its way here would come behind the last report.
  const bool is_last = desk.state->reports + 1 == kReportsMax;
  if (is_last && !is_complete) return park(id, env_.now().wall + kReportsApart);
  report_all(id);
}

void ReportDesk::report_all(base::MessageId id) {
  Desk& desk = desks_.at(id);
  if (desk.waiting.empty()) return committed(id);
  Reporting reporting;
  reporting.state = queue::ReportState{desk.state->reports + 1, env_.now().wall};
  reporting.ended = std::exchange(desk.waiting, {});
  report(desk.message, std::move(reporting), [this, id] { committed(id); });
}

void ReportDesk::park(base::MessageId id, base::WallTime until) {
  Desk& desk = desks_.at(id);
  const base::Now now = env_.now();
  const std::vector<EndedDelivery> parked = std::exchange(desk.waiting, {});
  desk.is_time = false;
  if (desks_.size() <= kDesksMax) {
    const base::Duration wait = std::max(until - now.wall, base::Duration::zero());
    desk.collect_at = std::min<base::Instant>(desk.collect_at, now.instant + wait);
  }
  for (const EndedDelivery& one : parked) {
    queue::Delivery after = one.delivery;
    after.due = until + kGatherFor;  // if the timer does not find it, as behind a restart
    after.state = queue::DeliveryState::Waiting;  // a person may have ended one that was on hold
    queue::forget_hold(after);
    const bool is_new = one.as_stored.final_status.empty();
    std::optional<queue::Attempt> step;
    if (is_new) step = step_of_end(after, queue::Deed::Failed, env_.queue.history);
    queue::Change change = queue::moved(*desk.message, one.as_stored, after, step);
    if (one.act) change.join(queue::recorded(id, after, *one.act));
    std::vector<QueuedRelease> releases{{queue::queue_of(after), {{id, after.number}, after.due}}};
    env_.store.commit(env_.loop, std::move(change),
                      [this, releases = std::move(releases)](base::Result<void> result) mutable {
                        MTA_ASSERT(result.is_ok());
                        release(env_, std::move(releases));
                      });
  }
  committed(id);
}

void ReportDesk::expect(base::MessageId id) {
  if (desks_.size() >= kDesksMax && !desks_.contains(id)) return;  // found when it is due
  Desk& desk = desks_[id];
  desk.collect_at = std::min<base::Instant>(desk.collect_at, env_.now().instant + kGatherFor);
  if (!desk.busy) set_timer(id, desk);
}

void ReportDesk::set_timer(base::MessageId id, Desk& desk) {
  // Not from the timer's own call, because the desk and its timer may end by it.
  if (desk.timer == nullptr) {
    desk.timer = env_.loop.make_timer(
        [this, id] { env_.loop.at_turn_end([this, id] { time_to_collect(id); }); });
  }
  desk.timer->set(desk.collect_at);
}

void ReportDesk::time_to_collect(base::MessageId id) {
  const auto found = desks_.find(id);
  if (found == desks_.end() || found->second.collect_at > env_.now().instant) return;
  Desk& desk = found->second;
  desk.collect_at = base::kNever;
  desk.is_time = true;
  if (std::exchange(desk.busy, true)) return;
  go_on(id);
}

void ReportDesk::committed(base::MessageId id) {
  const auto found = desks_.find(id);
  if (found == desks_.end()) return;
  Desk& desk = found->second;
  if (!desk.waiting.empty() || desk.is_time) {
    env_.loop.at_turn_end([this, id] { go_on(id); });
  } else if (desk.collect_at != base::kNever) {
    desk.busy = false;
    desk.message = nullptr;
    set_timer(id, desk);
  } else {
    desks_.erase(found);
  }
}

void ReportDesk::report(const queue::MessagePointer& message, Reporting reporting,
                        base::UniqueFunction<void()> done) {
  // RFC 3461 §4.3: only a report of a failure returns more than the header.
  const bool returns_body =
      message->header_block.size() + message->body_octets <= env_.queue.bounce_returned &&
      message->returned != mail::ReturnContent::Headers && !reporting.are_named &&
      std::any_of(reporting.ended.begin(), reporting.ended.end(),
                  [](const EndedDelivery& one) { return has_failed(one.delivery); });
  const bool may_read = message->body_chunks == 1 || env_.memory.has_room_to_keep();
  if (message->body != nullptr || message->body_chunks == 0 || !returns_body || !may_read) {
    const std::shared_ptr<const std::string> body = message->body;
    return report_with_body(message, std::move(reporting), std::move(done),
                            body != nullptr ? std::string_view(*body) : std::string_view());
  }
  read_on(
      std::shared_ptr<BodyRead>(new BodyRead{message, std::move(reporting), std::move(done), {}}));
}

// Bounded by [bounce] returned. What cannot be read does not come back.
void ReportDesk::read_on(std::shared_ptr<BodyRead> read) {
  const queue::MessagePointer& message = read->message;
  const auto index = static_cast<std::uint32_t>(read->body.size() / queue::kBodyChunkOctets);
  if (index >= message->body_chunks || read->body.size() >= message->body_octets) {
    return report_with_body(message, std::move(read->reporting), std::move(read->done), read->body);
  }
  env_.store.read_chunk(
      env_.loop, message->id, index,
      [this, read](base::Result<std::shared_ptr<const std::string>> chunk) mutable {
        const bool is_whole =
            chunk && ((*chunk)->size() == queue::kBodyChunkOctets ||
                      read->body.size() + (*chunk)->size() == read->message->body_octets);
        if (is_whole) {
          read->body += **chunk;
          return read_on(std::move(read));
        }
        report_with_body(read->message, std::move(read->reporting), std::move(read->done), {});
      });
}

ReportDesk::Addressee ReportDesk::addressee(const queue::Message& message,
                                            const Reporting& reporting) {
  if (message.kind == queue::MessageKind::PostmasterReport) return {};
  if (!message.sender.empty()) {
    Addressee sender{message.sender, env_.expand(message.sender), queue::MessageKind::Report};
    if (!sender.recipients.empty()) return sender;
  }
  // Nothing that we wrote ourselves, and nothing without a sender or with one of ours that does not
  // exist, is answered (RFC 5321 §6.1): the postmaster hears of its failure once.
  const bool has_failures =
      std::any_of(reporting.ended.begin(), reporting.ended.end(),
                  [](const EndedDelivery& one) { return has_failed(one.delivery); });
  if (!has_failures || env_.queue.postmaster.empty()) return {};
  Addressee postmaster{env_.queue.postmaster, env_.expand(env_.queue.postmaster),
                       queue::MessageKind::PostmasterReport};
  if (postmaster.recipients.empty() || reporting.are_named) return postmaster;
  // A flood of mail under forged addresses must not bury him.
  if (!to_postmaster_.take(env_.now().instant)) return {};
  return postmaster;
}

void ReportDesk::report_with_body(const queue::MessagePointer& message, Reporting reporting,
                                  base::UniqueFunction<void()> done, std::string_view body) {
  const base::Now now = env_.now();
  const std::vector<EndedDelivery>& ended = reporting.ended;
  const base::WorkingOn working(base::DeliveryId{message->id, ended.front().delivery.number});
  Addressee reader = addressee(*message, reporting);
  const queue::Outcome of_failures =
      reader.recipients.empty() ? queue::Outcome::Unreturnable : queue::Outcome::Bounced;
  const bool has_report = !reader.recipients.empty() && !reporting.are_named;
  const base::MessageId report_id = has_report ? env_.ids.next(now.wall) : base::MessageId{};
  queue::Change change =
      ends(*message, ended, of_failures, now.wall, report_id, env_.queue.history);
  ReportMail report;
  if (has_report) {
    ReportRequest request{
        *message,    {},        body,    std::move(reader.to), std::move(reader.recipients),
        reader.kind, report_id, now.wall};
    for (const EndedDelivery& one : ended) request.about.push_back(one.delivery);
    if (request.kind == queue::MessageKind::PostmasterReport) {
      std::erase_if(request.about, [](const queue::Delivery& one) { return !has_failed(one); });
    }
    report = make_report_mail(env_.queue, env_.outbound, request);
    change.join(queue::accepted(*report.message, report.deliveries, queue::Change::Kind::Result));
    const bool has_failures = of_failures == queue::Outcome::Bounced &&
                              std::any_of(ended.begin(), ended.end(), [](const EndedDelivery& one) {
                                return has_failed(one.delivery);
                              });
    log_report(env_.log, message->id, report,
               request.kind == queue::MessageKind::PostmasterReport ? "postmaster non-delivery"
               : has_failures                                       ? "sender non-delivery"
                                                                    : "sender delivery status");
    // Many recipients, or long replies: what is larger than a chunk is read when it is sent.
    if (report.message->body_chunks > 1) report.message->body = nullptr;
  }
  if (reporting.state) change.join(queue::reported(message->id, *reporting.state));
  for (const EndedDelivery& one : ended) {
    log_ended(*message, one, outcome_of(one.delivery, of_failures),
              report.message ? std::optional(report.message->id) : std::nullopt);
  }
  commit_ends(std::move(change), message, ended, std::move(report), std::move(done));
}

void ReportDesk::commit_ends(queue::Change change, const queue::MessagePointer& message,
                             const std::vector<EndedDelivery>& ended, ReportMail report,
                             base::UniqueFunction<void()> done) {
  env_.store.commit(
      env_.loop, std::move(change),
      [this, message, releases = releases_of(message->id, ended), report = std::move(report),
       done = std::move(done)](base::Result<void> result) mutable {
        MTA_ASSERT(result.is_ok());
        release(env_, std::move(releases));
        if (report.message != nullptr) {
          env_.peers[env_.loop.index()]->hand_in(counted(std::move(report.message), env_.memory),
                                                 std::move(report.deliveries));
        }
        done();
      });
}

void ReportDesk::log_ended(const queue::Message& message, const EndedDelivery& ended,
                           queue::Outcome how, std::optional<base::MessageId> report_id) {
  const queue::Delivery& delivery = ended.delivery;
  const bool is_failure = has_failed(delivery);
  if (is_failure) count_failure(how);
  if (!is_failure && !report_id && delivery.ending != queue::Ending::Expanded) return;
  // That it was delivered has a line of its own.
  base::LogLine line = env_.log.line(
      base::Level::Info, is_failure ? queue::outcome_name(how) : std::string_view("reported"));
  line.id(base::DeliveryId{message.id, delivery.number})
      .path("from", message.sender)
      .path("to", delivery.recipient);
  if (is_failure) {
    line.field("host", delivery.last.host).field("status", delivery.final_status);
    if (!delivery.last.tls.empty()) line.field("tls", delivery.last.tls);
    line.field("reply", delivery.last.reply);
    if (ended.stage) line.detail("stage", smtp::stage_name(*ended.stage));
    const base::Duration delay = env_.now().wall - message.accepted;
    line.detail("delay", delay).detail("waited", delay);
  } else {
    line.field("action", action_name(delivery.ending)).field("status", delivery.final_status);
  }
  if (report_id) line.field("report", base::format_id(*report_id));
}

}  // namespace rockdove::outbound
