#include "mta/admin/trace_jobs.h"

#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "mta/admin/trace_text.h"

namespace rockdove::admin {

using base::Result;

namespace {

// Each may keep some 13 MB of names.
constexpr std::uint32_t kCountingMax = 4;

class TraceJob : public std::enable_shared_from_this<TraceJob> {
 public:
  TraceJob(base::Loop& loop, queue::Store& store, std::shared_ptr<Exchange> exchange, TraceRun run)
      : loop_(loop), store_(store), exchange_(std::move(exchange)), run_(std::move(run)) {}

  void next_page() {
    store_.trace(loop_, *run_.request(),
                 [self = shared_from_this()](Result<queue::TracedPage> page) {
                   self->on_page(std::move(page));
                 });
  }

 private:
  void on_page(Result<queue::TracedPage> page) {
    if (exchange_->is_gone()) return;
    if (!page) return exchange_->fail(page.error().text());
    if (!exchange_->is_started()) exchange_->start();
    run_.take(*std::move(page), [this](std::string_view line) { exchange_->line(line); });
    if (!run_.request()) {
      exchange_->end();
      return;
    }
    exchange_->when_room([self = shared_from_this()] { self->next_page(); });
  }

  base::Loop& loop_;
  queue::Store& store_;
  const std::shared_ptr<Exchange> exchange_;
  TraceRun run_;
};

// Shows a page of the history to `look`, then calls job->on_page(). The store's thread does the
// looking, and nobody else uses the job meanwhile. That thread must not be the one that lets go of
// the job last, so only what it posts back holds it.
template <typename Job>
void walk_page(base::Loop& loop, queue::Store& store, const queue::WalkRequest& request,
               std::shared_ptr<Job> job, std::function<void(const queue::TracedMessage&)> look) {
  store.walk_history(
      loop, request, std::move(look),
      [job = std::move(job)](Result<std::optional<base::MessageId>> more) { job->on_page(more); });
}

class StatsJob : public std::enable_shared_from_this<StatsJob> {
 public:
  StatsJob(base::Loop& loop, queue::Store& store, std::shared_ptr<Exchange> exchange, StatsRun run,
           std::shared_ptr<std::uint32_t> counting)
      : loop_(loop),
        store_(store),
        exchange_(std::move(exchange)),
        run_(std::move(run)),
        counting_(std::move(counting)) {
    ++*counting_;
  }

  ~StatsJob() { --*counting_; }

  StatsJob(const StatsJob&) = delete;
  StatsJob& operator=(const StatsJob&) = delete;

  void next_page() {
    walk_page(loop_, store_, *run_.request(), shared_from_this(),
              [this](const queue::TracedMessage& message) { run_.count(message); });
  }

  void on_page(const Result<std::optional<base::MessageId>>& more) {
    if (exchange_->is_gone()) return;
    if (!more) {
      exchange_->refuse(500, more.error().text());
      return;
    }
    run_.counted(*more);
    if (run_.request()) return next_page();
    exchange_->start();
    run_.tell([this](std::string_view line) { exchange_->line(line); });
    exchange_->end();
  }

 private:
  base::Loop& loop_;
  queue::Store& store_;
  const std::shared_ptr<Exchange> exchange_;
  StatsRun run_;
  const std::shared_ptr<std::uint32_t> counting_;
};

class RepliesJob : public std::enable_shared_from_this<RepliesJob> {
 public:
  RepliesJob(base::Loop& loop, queue::Store& store, std::shared_ptr<Exchange> exchange,
             RepliesRun run)
      : loop_(loop), store_(store), exchange_(std::move(exchange)), run_(std::move(run)) {}

  void next_page() {
    walk_page(loop_, store_, *run_.request(), shared_from_this(),
              [this](const queue::TracedMessage& message) { run_.look_at(message); });
  }

  void on_page(const Result<std::optional<base::MessageId>>& more) {
    if (exchange_->is_gone()) return;
    if (!more) return exchange_->fail(more.error().text());
    if (!exchange_->is_started()) exchange_->start();
    run_.looked(*more, [this](std::string_view line) { exchange_->line(line); });
    if (!run_.request()) {
      exchange_->end();
      return;
    }
    exchange_->when_room([self = shared_from_this()] { self->next_page(); });
  }

 private:
  base::Loop& loop_;
  queue::Store& store_;
  const std::shared_ptr<Exchange> exchange_;
  RepliesRun run_;
};

}  // namespace

void start_trace(base::Loop& loop, queue::Store& store, std::shared_ptr<Exchange> exchange) {
  Result<TraceRun> run = TraceRun::parse(exchange->target().parameters, loop.now().wall);
  if (!run) return exchange->refuse(400, run.error().text());
  std::make_shared<TraceJob>(loop, store, std::move(exchange), *std::move(run))->next_page();
}

void start_stats(base::Loop& loop, queue::Store& store, std::shared_ptr<Exchange> exchange,
                 std::shared_ptr<std::uint32_t> counting) {
  if (*counting >= kCountingMax) return exchange->refuse(503, "others are counting; try again");
  Result<StatsRun> run = StatsRun::parse(exchange->target().parameters, loop.now().wall);
  if (!run) return exchange->refuse(400, run.error().text());
  std::make_shared<StatsJob>(loop, store, std::move(exchange), *std::move(run), std::move(counting))
      ->next_page();
}

void start_replies(base::Loop& loop, queue::Store& store, std::shared_ptr<Exchange> exchange) {
  Result<RepliesRun> run = RepliesRun::parse(exchange->target().parameters, loop.now().wall);
  if (!run) return exchange->refuse(400, run.error().text());
  std::make_shared<RepliesJob>(loop, store, std::move(exchange), *std::move(run))->next_page();
}

}  // namespace rockdove::admin
