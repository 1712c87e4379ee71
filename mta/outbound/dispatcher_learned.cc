// The part of a dispatcher that keeps over a restart what its accounts have learned and granted.
#include <utility>

#include "mta/outbound/dispatcher.h"
#include "queue/learned.h"

namespace rockdove::outbound {
namespace {

queue::Change change_of(const queue::Scheduler::Keep& keep) {
  return queue::noted(queue::limiter_notes(keep.kind), keep.name,
                      queue::encode_limiter(keep.state));
}

}  // namespace

void Dispatcher::store(queue::Scheduler::Keep keep) {
  queue::Change change = change_of(keep);
  env_.store.commit(env_.loop, std::move(change),
                    [this, keep = std::move(keep)](const base::Result<void>& result) {
                      scheduler_.kept(keep, result.is_ok() ? queue::Scheduler::Durable::Yes
                                                           : queue::Scheduler::Durable::No);
                      want_pass();
                    });
}

void Dispatcher::store_last() {
  teaching_.store_all();
  for (const queue::Scheduler::Keep& last : scheduler_.last_states(env_.now()))
    env_.store.commit(env_.loop, change_of(last), [](const base::Result<void>&) {});
}

void Dispatcher::restore_learned(std::string_view kind, std::string_view name,
                                 std::string_view value) {
  if (kind == queue::kBackoffNotes) return teaching_.restore_backoff(name, value);
  if (kind == queue::kUptakeNotes) return teaching_.restore_uptake(name, value);
  if (kind == queue::kWarmUpNotes) return teaching_.warm_ups().restore(name, value);
  if (kind == queue::kRulePauseNotes) {
    const std::optional<RulePauses::Source> source = teaching_.pauses().restore(name, value);
    if (source) used_up_[source->account].add({.paused_until = source->until});
    return;
  }
  base::Result<traffic::LimiterState> state = queue::decode_limiter(value);
  if (!state) {
    env_.log
        .line(base::Level::Warning,
              "what was sent to an account before the start cannot be read: its rates over an hour "
              "and more begin anew")
        .field("account", queue::account_of_limits(name));
  } else if (!queue::is_over(*state, env_.now().wall)) {
    return scheduler_.restore(queue::kind_of_limiter_notes(kind), name, std::move(*state));
  }
  env_.store.commit(env_.loop, queue::noted(kind, name, ""), [](const base::Result<void>&) {});
}

}  // namespace rockdove::outbound
