#include "mta/outbound/delay_notices.h"

#include <algorithm>
#include <utility>

#include "mta/base/assert.h"
#include "mta/base/working.h"
#include "mta/outbound/dispatcher.h"
#include "mta/outbound/report_mail.h"

namespace rockdove::outbound {
namespace {

QueuedRelease release_of(base::MessageId id, const queue::Delivery& delivery) {
  return {queue::queue_of(delivery), {{id, delivery.number}, delivery.due}};
}

// The deferrals as one change; nothing where there is nothing to write.
std::optional<queue::Change> moves(const queue::Message& message,
                                   const std::vector<DelayNotices::Deferral>& deferrals) {
  std::optional<queue::Change> change;
  for (const DelayNotices::Deferral& one : deferrals) {
    queue::Change next = queue::moved(message, one.as_stored, one.after, one.attempt);
    if (change) {
      change->join(std::move(next));
    } else {
      change = std::move(next);
    }
  }
  return change;
}

}  // namespace

void DelayNotices::defer(const queue::MessagePointer& message, std::vector<Deferral> deferrals) {
  env_.on_loop(queue::home_loop(message->sender, env_.loop_count()),
               [message, deferrals = std::move(deferrals)](Dispatcher& dispatcher) mutable {
                 dispatcher.settler().delays().defer_here(message, std::move(deferrals));
               });
}

void DelayNotices::defer_here(const queue::MessagePointer& message,
                              std::vector<Deferral> deferrals) {
  const auto found = gathering_.find(message->id);
  if (found != gathering_.end()) {
    std::move(deferrals.begin(), deferrals.end(), std::back_inserter(found->second.deferrals));
    return;
  }
  if (!may_tell(message->sender)) return put_off(*message, std::move(deferrals));
  Gathering& gathering = gathering_[message->id];
  gathering.message = message;
  gathering.deferrals = std::move(deferrals);
  // Not from the timer's own call, because the timer ends by it.
  gathering.timer = env_.loop.make_timer(
      [this, id = message->id] { env_.loop.at_turn_end([this, id] { tell(id); }); });
  gathering.timer->set(env_.now().instant + kGatherFor);
}

bool DelayNotices::may_tell(const std::string& sender) {
  const base::Instant now = env_.now().instant;
  if (env_.expand(sender).empty()) return false;  // an address of ours that does not exist
  if (of_senders_.size() >= kSendersMax && !of_senders_.contains(sender)) {
    std::erase_if(of_senders_, [now](const auto& entry) { return entry.second.is_fresh(now); });
    if (of_senders_.size() >= kSendersMax) return false;
  }
  Quota& of_sender =
      of_senders_.try_emplace(sender, kSenderAnHour, std::chrono::hours(1)).first->second;
  return of_sender.take(now) && of_loop_.take(now);
}

void DelayNotices::put_off(const queue::Message& message, std::vector<Deferral> deferrals) {
  std::vector<QueuedRelease> unchanged;
  std::vector<QueuedRelease> moved;
  for (const Deferral& one : deferrals) {
    (one.attempt ? moved : unchanged)
        .push_back(release_of(message.id, one.attempt ? one.after : one.as_stored));
  }
  release(env_, std::move(unchanged));
  std::erase_if(deferrals, [](const Deferral& one) { return !one.attempt; });
  std::optional<queue::Change> change = moves(message, deferrals);
  if (!change) return;
  env_.store.commit(env_.loop, std::move(*change),
                    [this, moved = std::move(moved)](base::Result<void> result) mutable {
                      MTA_ASSERT(result.is_ok());
                      release(env_, std::move(moved));
                    });
}

void DelayNotices::tell(base::MessageId id) {
  const auto found = gathering_.find(id);
  if (found == gathering_.end()) return;
  const Gathering gathering = std::move(found->second);
  gathering_.erase(found);
  const queue::Message& message = *gathering.message;
  const base::Now now = env_.now();
  std::vector<Deferral> deferrals = gathering.deferrals;
  const base::WorkingOn working(base::DeliveryId{id, deferrals.front().after.number});
  ReportRequest request{message,
                        {},
                        {},
                        message.sender,
                        env_.expand(message.sender),
                        queue::MessageKind::Report,
                        env_.ids.next(now.wall),
                        now.wall};
  if (request.recipients.empty()) return put_off(message, std::move(deferrals));
  std::vector<QueuedRelease> releases;
  for (Deferral& one : deferrals) {
    one.after.delay_told = true;
    if (!one.attempt) {
      const queue::LastAttempt& last = one.after.last;
      one.attempt =
          queue::Attempt{now.wall, {}, last.host, last.reply, last.tls, last.rule, last.source};
      one.attempt->deed = queue::Deed::DelayTold;
      one.attempt->is_kept = env_.queue.history.is_kept;
    }
    one.attempt->report = request.id;
    request.about.push_back(one.after);
    releases.push_back(release_of(id, one.after));
    env_.log.line(base::Level::Info, "delay told")
        .id(base::DeliveryId{id, one.after.number})
        .path("from", message.sender)
        .path("to", one.after.recipient)
        .field("report", base::format_id(request.id));
  }
  ReportMail report = make_report_mail(env_.queue, env_.outbound, request);
  log_report(env_.log, id, report, "sender delay");
  queue::Change change = *moves(message, deferrals);
  change.join(queue::accepted(*report.message, report.deliveries, queue::Change::Kind::Result));
  if (report.message->body_chunks > 1) report.message->body = nullptr;
  env_.store.commit(env_.loop, std::move(change),
                    [this, releases = std::move(releases),
                     report = std::move(report)](base::Result<void> result) mutable {
                      MTA_ASSERT(result.is_ok());
                      release(env_, std::move(releases));
                      env_.peers[env_.loop.index()]->hand_in(
                          counted(std::move(report.message), env_.memory),
                          std::move(report.deliveries));
                    });
}

}  // namespace rockdove::outbound
