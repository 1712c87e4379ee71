#include "mta/inbound/lookups.h"

#include <string>

namespace rockdove::inbound {
namespace {

// A check that lacks something new this many times does not end by itself.
constexpr unsigned kRoundsMax = 200;

dns::AnswerPointer unanswered(std::string why) {
  dns::Answer answer;
  answer.status = dns::Status::TimedOut;
  answer.detail = std::move(why);
  return std::make_shared<const dns::Answer>(std::move(answer));
}

// What was asked for in one call.
struct Batch {
  Lookups::Answers answers;
  std::size_t open = 0;
  base::UniqueFunction<void(Lookups::Answers)> done;
};

}  // namespace

struct Lookups::State : std::enable_shared_from_this<State> {
  State(base::Loop& its_loop, dns::Resolver& its_resolver)
      : loop(its_loop), resolver(its_resolver) {}

  void answered(const std::shared_ptr<Batch>& batch, std::size_t number, dns::AnswerPointer answer);
  void time_is_up();
  void tell(const std::shared_ptr<Batch>& batch);

  base::Loop& loop;
  dns::Resolver& resolver;
  std::vector<std::shared_ptr<Batch>> open;
  std::unique_ptr<base::Timer> timer;
  base::Instant deadline = base::kNever;
  std::size_t asked = 0;
  bool is_over = false;  // the object is gone
};

void Lookups::State::answered(const std::shared_ptr<Batch>& batch, std::size_t number,
                              dns::AnswerPointer answer) {
  if (is_over || batch->open == 0) return;  // too late: they have been told
  dns::AnswerPointer& known = batch->answers[number].second;
  if (known != nullptr) return;
  known = std::move(answer);
  if (--batch->open > 0) return;
  std::erase(open, batch);
  if (open.empty() && timer != nullptr) timer->set(base::kNever);
  batch->done(std::move(batch->answers));
}

void Lookups::State::time_is_up() {
  const std::shared_ptr<State> self = shared_from_this();  // an answer may end it
  const std::vector<std::shared_ptr<Batch>> late = open;
  for (const std::shared_ptr<Batch>& batch : late) {
    for (std::size_t i = 0; i < batch->answers.size(); ++i) {
      answered(batch, i, unanswered("no answer within the time that a message's checks have"));
    }
  }
}

// Later, because nobody is told within his own call.
void Lookups::State::tell(const std::shared_ptr<Batch>& batch) {
  loop.post([self = shared_from_this(), batch] {
    if (!self->is_over) batch->done(std::move(batch->answers));
  });
}

Lookups::Lookups(base::Loop& loop, dns::Resolver& resolver)
    : state_(std::make_shared<State>(loop, resolver)) {}

Lookups::~Lookups() {
  state_->is_over = true;
  state_->timer.reset();
  for (const std::shared_ptr<Batch>& batch : state_->open) batch->done = {};
  state_->open.clear();
}

void Lookups::restart_time(base::Duration left) {
  State& state = *state_;
  state.deadline = state.loop.now().instant + left;
  if (!state.open.empty()) state.timer->set(state.deadline);
}

std::size_t Lookups::asked() const {
  return state_->asked;
}

void Lookups::ask(std::vector<policy::Question> questions,
                  base::UniqueFunction<void(Answers)> done) {
  State& state = *state_;
  const base::Instant now = state.loop.now().instant;
  if (state.deadline == base::kNever) state.deadline = now + kLookupTimeMax;
  const auto batch = std::make_shared<Batch>();
  batch->done = std::move(done);
  std::vector<std::size_t> to_ask;
  for (policy::Question& question : questions) {
    dns::AnswerPointer answer;
    if (now >= state.deadline) {
      answer = unanswered("no time is left of what a message's checks have");
    } else if (state.asked >= kLookupQuestionsMax) {
      answer = unanswered("a message's checks may not ask for more");
    } else {
      ++state.asked;
      to_ask.push_back(batch->answers.size());
    }
    batch->answers.emplace_back(std::move(question), std::move(answer));
  }
  if (to_ask.empty()) return state.tell(batch);
  batch->open = to_ask.size();
  state.open.push_back(batch);
  if (state.timer == nullptr) {
    state.timer = state.loop.make_timer([weak = state.weak_from_this()] {
      if (const std::shared_ptr<State> self = weak.lock()) self->time_is_up();
    });
  }
  state.timer->set(state.deadline);
  for (const std::size_t number : to_ask) {
    const policy::Question& question = batch->answers[number].first;
    state.resolver.query(question.name, question.type,
                         [self = state_, batch, number](dns::AnswerPointer answer) {
                           self->answered(batch, number, std::move(answer));
                         });
  }
}

namespace {

struct Run {
  Lookups& lookups;
  policy::RecordedDns& dns;
  base::UniqueFunction<bool()> step;
  base::UniqueFunction<void(bool)> done;
  unsigned rounds = 0;
};

void go_on(const std::shared_ptr<Run>& run) {
  if (run->step()) return run->done(true);
  std::vector<policy::Question> missing = run->dns.take_missing();
  if (missing.empty() || ++run->rounds > kRoundsMax) return run->done(false);
  run->lookups.ask(std::move(missing), [run](Lookups::Answers answers) {
    for (auto& [question, answer] : answers) run->dns.add(std::move(question), std::move(answer));
    go_on(run);
  });
}

}  // namespace

void run_check(Lookups& lookups, policy::RecordedDns& dns, base::UniqueFunction<bool()> step,
               base::UniqueFunction<void(bool)> done) {
  const auto run = std::shared_ptr<Run>(new Run{lookups, dns, std::move(step), std::move(done), 0});
  go_on(run);
}

}  // namespace rockdove::inbound
