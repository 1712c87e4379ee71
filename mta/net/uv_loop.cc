#include "mta/net/uv_loop.h"

#include <csignal>
#include <utility>

#include "mta/base/assert.h"
#include "mta/base/counters.h"
#include "mta/base/processor_time.h"
#include "mta/net/uv_handle.h"

namespace rockdove::net {

namespace {

// The loop whose run() this thread is in.
thread_local UvLoop* running_here = nullptr;

class UvTimer : public base::Timer {
 public:
  UvTimer(DeadlineHeap& heap, base::Task callback)
      : callback_(std::move(callback)), deadline_(heap, &UvTimer::on_deadline, this) {}

  void set(base::Instant at) override { deadline_.set(at); }

 private:
  // The callback may destroy the timer, and with it the callable: it runs from outside and is put
  // back only if the timer is still there.
  static void on_deadline(void* owner) {
    UvTimer* timer = static_cast<UvTimer*>(owner);
    bool destroyed = false;
    timer->destroyed_ = &destroyed;
    base::Task callback = std::move(timer->callback_);
    callback();
    if (destroyed) return;
    timer->callback_ = std::move(callback);
    timer->destroyed_ = nullptr;
  }

 public:
  ~UvTimer() override {
    if (destroyed_ != nullptr) *destroyed_ = true;
  }

  UvTimer(const UvTimer&) = delete;
  UvTimer& operator=(const UvTimer&) = delete;

 private:
  base::Task callback_;
  Deadline deadline_;
  bool* destroyed_ = nullptr;
};

template <typename Handle>
uv_handle_t* as_handle(Handle* handle) {
  return reinterpret_cast<uv_handle_t*>(handle);
}

}  // namespace

struct UvLoop::Handles {
  uv_loop_t loop;
  uv_async_t wake;        // other threads have posted, or want us to stop
  uv_prepare_t prepare;   // before waiting: what timers have asked for
  uv_check_t check;       // after all that has arrived was handled: the turn's end
  uv_idle_t do_not_wait;  // active while work of the last turn is left
  uv_timer_t timer;       // the earliest deadline
};

uv_loop_t* UvHandleAccess::loop_of(UvLoop& loop) {
  return &loop.handles_->loop;
}

UvLoop::UvLoop(unsigned index)
    : index_(index),
      handles_(std::make_unique<Handles>()),
      read_buffer_(std::make_unique_for_overwrite<char[]>(kReadBufferOctets)) {
  uv_loop_t* loop = &handles_->loop;
  MTA_ASSERT(uv_loop_init(loop) == 0);
  loop->data = this;
  MTA_ASSERT(uv_async_init(loop, &handles_->wake, [](uv_async_t* wake) {
               static_cast<UvLoop*>(wake->loop->data)->take_inbox();
             }) == 0);
  uv_prepare_init(loop, &handles_->prepare);
  uv_check_init(loop, &handles_->check);
  uv_idle_init(loop, &handles_->do_not_wait);
  uv_timer_init(loop, &handles_->timer);
  // After waiting, the first who asks reads the clock: libuv has no place for us between the wait
  // and the first callback.
  uv_prepare_start(&handles_->prepare, [](uv_prepare_t* prepare) {
    UvLoop* self = static_cast<UvLoop*>(prepare->loop->data);
    self->end_turn();
    self->record_turn();
    self->record_processor_time();
    self->shares_.begin_turn();
    self->forget_time();
  });
  uv_check_start(&handles_->check, [](uv_check_t* check) {
    UvLoop* self = static_cast<UvLoop*>(check->loop->data);
    self->begin_turn();
    self->end_turn();
    self->record_turn();
    self->forget_time();
  });
}

UvLoop::~UvLoop() {
  drop_tasks();
  for (uv_handle_t* handle :
       {as_handle(&handles_->wake), as_handle(&handles_->prepare), as_handle(&handles_->check),
        as_handle(&handles_->do_not_wait), as_handle(&handles_->timer)}) {
    uv_close(handle, nullptr);
  }
  // Only close callbacks are left to run: everything that lived here has closed its handles.
  uv_run(&handles_->loop, UV_RUN_DEFAULT);
  MTA_ASSERT(uv_loop_close(&handles_->loop) == 0);
}

void UvLoop::run() {
  MTA_ASSERT(running_here == nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  running_here = this;
  begin_turn();  // what the thread did before is no turn
  arm_timer();
  if (!stopping_.load(std::memory_order_acquire)) uv_run(&handles_->loop, UV_RUN_DEFAULT);
  record_processor_time();
  flush_outboxes();
  drop_tasks();
  flush_outboxes();
  running_here = nullptr;
}

void UvLoop::stop() {
  stopping_.store(true, std::memory_order_release);
  uv_async_send(&handles_->wake);
}

std::span<char> UvLoop::plaintext_room(std::size_t octets) {
  if (plaintext_room_.size() < octets) plaintext_room_.resize(octets);
  return plaintext_room_;
}

base::Now UvLoop::now() const {
  if (!time_is_read_) {
    now_ = base::read_clocks();
    time_is_read_ = true;
  }
  return now_;
}

void UvLoop::post(base::Task task) {
  if (running_here == nullptr) {
    std::vector<base::Task> one;
    one.push_back(std::move(task));
    return accept_posts(one);
  }
  if (running_here == this) return at_turn_end(std::move(task));
  std::vector<Outbox>& outboxes = running_here->outboxes_;
  for (Outbox& outbox : outboxes) {
    if (outbox.target == this) return outbox.tasks.push_back(std::move(task));
  }
  outboxes.push_back({this, {}});
  outboxes.back().tasks.push_back(std::move(task));
}

void UvLoop::accept_posts(std::vector<base::Task>& tasks) {
  bool wake = false;
  {
    const std::lock_guard lock(inbox_mutex_);
    if (!ended_) {
      wake = inbox_.empty();
      for (base::Task& task : tasks) inbox_.push_back(std::move(task));
    }
    // Within the lock, so that the handle cannot be closed in between.
    if (wake) uv_async_send(&handles_->wake);
  }
  tasks.clear();  // outside the lock: a task's destructor may post
}

void UvLoop::take_inbox() {
  begin_turn();
  if (stopping_.load(std::memory_order_acquire)) uv_stop(&handles_->loop);
  std::vector<base::Task> tasks;
  {
    const std::lock_guard lock(inbox_mutex_);
    tasks.swap(inbox_);
  }
  for (base::Task& task : tasks) {
    task();
    task = base::Task();  // what it held goes before the next one runs, as if it had run alone
  }
  tasks.clear();
  // The vector goes back for its capacity unless somebody has posted meanwhile.
  const std::lock_guard lock(inbox_mutex_);
  if (inbox_.capacity() == 0) inbox_.swap(tasks);
}

void UvLoop::at_turn_end(base::Task task) {
  turn_end_.push_back(std::move(task));
}

void UvLoop::end_turn() {
  for (int round = 0; round < kRoundsMax && !turn_end_.empty(); ++round) {
    running_.swap(turn_end_);
    for (base::Task& task : running_) task();
    running_.clear();
  }
  flush_outboxes();
  arm_timer();
  if (turn_end_.empty()) {
    uv_idle_stop(&handles_->do_not_wait);
  } else {
    uv_idle_start(&handles_->do_not_wait, [](uv_idle_t*) {});
  }
}

// A turn begins when somebody first asks for the time; where nobody did, nothing was done.
void UvLoop::record_turn() const {
  if (time_is_read_ && base::thread_counters != nullptr)
    base::record(base::Timing::LoopTurn, std::chrono::steady_clock::now() - now_.instant);
}

void UvLoop::begin_turn() {
  if (has_turn_begun_) return;
  has_turn_begun_ = true;
  if (base::thread_counters != nullptr) processor_time_ = base::thread_processor_time();
}

// By its thread's processor time a turn is what the thread has done since it waited: what had
// arrived, the turn's end, closing of handles, timers. Not the waiting itself: to a thread that
// goes to sleep the kernel charges whatever interrupts come just then, several milliseconds of them
// on a busy disk. A reading of the clock costs 0.5 us, two a turn are 0.8 % of a thread at 8,000
// turns a second.
void UvLoop::record_processor_time() {
  const bool had_begun = std::exchange(has_turn_begun_, false);
  if (base::thread_counters == nullptr || !had_begun) return;
  const std::chrono::nanoseconds used = base::thread_processor_time() - processor_time_;
  base::thread_counters->add_turn(index_, used, std::chrono::steady_clock::now());
}

void UvLoop::flush_outboxes() {
  for (std::size_t i = 0; i < outboxes_.size(); ++i) {
    if (outboxes_[i].tasks.empty()) continue;
    // Taken out first: destroying a task that the target refuses may post again.
    std::vector<base::Task> tasks = std::move(outboxes_[i].tasks);
    outboxes_[i].target->accept_posts(tasks);
    if (outboxes_[i].tasks.empty()) outboxes_[i].tasks.swap(tasks);
  }
}

std::unique_ptr<base::Timer> UvLoop::make_timer(base::Task callback) {
  return std::make_unique<UvTimer>(deadlines_, std::move(callback));
}

// One libuv timer stands for all deadlines. It is moved only when the earliest one is earlier than
// what it is set to, or when it has rung.
void UvLoop::arm_timer() {
  const base::Instant earliest = deadlines_.earliest();
  if (earliest == base::kNever || (timer_at_ != base::kNever && timer_at_ <= earliest)) return;
  timer_at_ = earliest;
  // libuv counts from its own time of this turn, in whole milliseconds rounded down.
  uv_update_time(&handles_->loop);
  const base::Instant now = base::read_clocks().instant;
  const base::Duration wait =
      earliest <= now ? base::Duration(0) : std::chrono::ceil<base::Duration>(earliest - now);
  const auto ring = [](uv_timer_t* timer) {
    UvLoop* self = static_cast<UvLoop*>(timer->loop->data);
    self->timer_at_ = base::kNever;
    self->forget_time();
    self->deadlines_.run_due(self->now().instant);  // end_turn() sets the timer again
  };
  uv_timer_start(&handles_->timer, ring, static_cast<std::uint64_t>(wait.count()), 0);
}

// Destroying a task may post another one, here or elsewhere.
void UvLoop::drop_tasks() {
  while (true) {
    std::vector<base::Task> tasks;
    {
      const std::lock_guard lock(inbox_mutex_);
      ended_ = true;
      tasks.swap(inbox_);
    }
    if (tasks.empty() && turn_end_.empty()) return;
    tasks.clear();
    std::vector<base::Task> last;
    last.swap(turn_end_);
  }
}

}  // namespace rockdove::net
