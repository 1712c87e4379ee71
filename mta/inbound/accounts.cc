#include "mta/inbound/accounts.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "mta/base/client_table.h"
#include "mta/base/counters.h"
#include "mta/base/wipe.h"
#include "mta/crypto/password.h"

namespace rockdove::inbound {

using base::Duration;
using base::Instant;
using base::Result;
using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)

namespace {

constexpr Duration kLookEvery = 1s;
constexpr Duration kKnownFor = 1h;
constexpr std::size_t kKnownMax = 4096;
// With the two delays of up to 10 s that the throttle may add, everybody has an answer in 30 s.
constexpr Duration kWaitMax = 9s;
constexpr std::size_t kJobsMax = 256;
constexpr std::size_t kQuestionsMax = 4096;

// Checked for users that do not exist, when there is no other hash; its result is not used.
constexpr const char* kAnyHash =
    "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$MnlGrnDFChzUR8qW4u6uK3Z5RkpXBigLTPaL7fxNSz0";

crypto::Digest make_key() {
  crypto::Digest key{};
  crypto::fill_random(key);
  return key;
}

}  // namespace

std::size_t Accounts::DigestHash::operator()(const crypto::Digest& digest) const {
  std::size_t value = 0;
  std::memcpy(&value, digest.data(), sizeof(value));
  return value;
}

Accounts::Accounts(const Parts& parts, std::string path, std::shared_ptr<const AccountTable> table)
    : home_(parts.home),
      workers_(parts.workers),
      log_(parts.log),
      key_(make_key()),
      throttle_(parts.limits, key_),
      known_(kKnownMax),
      path_(std::move(path)),
      table_(std::move(table)) {
  if (table_ != nullptr) seen_ = table_->stamp();
}

void Accounts::check(base::Loop& loop, Login login, Done done) {
  // A NUL is in neither of them (RFC 4616 §2, RFC 4954 §4), so the digest's text is unambiguous.
  crypto::Digest digest = crypto::hmac_sha256(key_, login.user + '\0' + login.password);
  home_.post([this, question = Question{&loop, std::move(login), std::move(done), digest,
                                        base::kNever}]() mutable { arrived(std::move(question)); });
}

void Accounts::reload(std::string path) {
  home_.post([this, path = std::move(path)]() mutable {
    if (path != path_) seen_.reset();
    path_ = std::move(path);
    look_again_ = Instant::min();
    if (!looking_) look_at_file();
  });
}

void Accounts::arrived(Question question) {
  ++questions_;
  if (questions_ > kQuestionsMax) return refuse(std::move(question), Reason::TooManyWaiting);
  const Instant now = home_.now().instant;
  const Instant start = throttle_.check_at(question.login.user, question.login.client, now);
  if (start == base::kNever) return refuse(std::move(question), Reason::TooManyFailures);
  question.give_up = start + kWaitMax;
  if (start > now) {
    at(start, [this, question = std::move(question)]() mutable { decide(std::move(question)); });
    return;
  }
  decide(std::move(question));
}

// When it is time, the file is looked at first; then as it says.
void Accounts::decide(Question question) {
  const Instant now = home_.now().instant;
  if (looking_ || now >= look_again_) {
    held_.push_back(std::move(question));
    wake();
    if (!looking_) look_at_file();
    return;
  }
  if (table_ == nullptr) return refuse(std::move(question), Reason::Unreadable);
  const Instant* known_until = known_.find(question.digest);
  if (known_until == nullptr || *known_until <= now) return enqueue(std::move(question));
  throttle_.succeeded(question.login.user, question.login.client, now);
  base::count(base::Counter::LoginsKnownAgain);
  finish(question, LoginVerdict::Accepted);
}

void Accounts::look_at_file() {
  looking_ = workers_.post([this, path = path_, seen = seen_] {
    const std::optional<FileStamp> stamp = stamp_of(path);
    if (stamp && stamp == seen) return home_.post([this] { file_looked_at(); });
    home_.post([this, path, stamp, table = read_accounts(path)]() mutable {
      if (path == path_) {
        seen_ = stamp;
        file_read(std::move(table));
      }
      file_looked_at();
    });
  });
  if (looking_) return;
  for (Question& question : std::exchange(held_, {}))
    refuse(std::move(question), Reason::TooManyWaiting);
}

void Accounts::file_read(Result<std::shared_ptr<const AccountTable>> table) {
  if (!table) {
    if (table.error().text() == last_error_) return;
    last_error_ = table.error().text();
    log_.line(base::Level::Error, "accounts not read")
        .field("error", last_error_)
        .field("detail", table_ == nullptr ? "nobody can log in" : "the old accounts stay");
    return;
  }
  table_ = std::move(*table);
  last_error_.clear();
  known_.clear();
  log_.line(base::Level::Info, "accounts read")
      .field("file", path_)
      .field("accounts", table_->accounts().size());
}

void Accounts::file_looked_at() {
  looking_ = false;
  look_again_ = home_.now().instant + kLookEvery;
  for (Question& question : std::exchange(held_, {})) decide(std::move(question));
}

void Accounts::enqueue(Question question) {
  const auto same = jobs_.find(question.digest);
  if (same != jobs_.end()) {
    base::wipe(question.login.password);  // the first one's is used
    same->second.questions.push_back(std::move(question));
    return;
  }
  const Instant now = home_.now().instant;
  const base::IpAddress client = base::client_key(question.login.client);
  const auto checks = checks_.find(client);
  if (jobs_.size() >= kJobsMax ||
      (checks != checks_.end() &&
       checks->second >= throttle_.checks_max(question.login.user, client, now)))
    return refuse(std::move(question), Reason::TooManyWaiting);
  ++checks_[client];
  Job& job = jobs_[question.digest];
  job.client = client;
  waiting_.push_back(question.digest);
  job.questions.push_back(std::move(question));
  wake();
  start_hashes();
}

// As many at once as there are workers, so that other work there waits for one hash at most.
void Accounts::start_hashes() {
  while (running_ < workers_.threads() && !waiting_.empty()) {
    const crypto::Digest digest = waiting_.front();
    if (!start_hash(digest, jobs_.at(digest))) return;
    waiting_.pop_front();
  }
}

bool Accounts::start_hash(const crypto::Digest& digest, Job& job) {
  Login& login = job.questions.front().login;
  const Account* account = table_->find(login.user);
  std::string hash = kAnyHash;
  if (account != nullptr) {
    hash = account->hash;
  } else if (const auto& all = table_->accounts(); !all.empty()) {
    hash = all[DigestHash()(digest) % all.size()].hash;  // costs what the others cost
  }
  const bool started = workers_.post([this, digest, table = table_, hash = std::move(hash),
                                      password = login.password]() mutable {
    Result<bool> matches = crypto::matches_password(password, hash);
    base::wipe(password);
    home_.post([this, digest, table = std::move(table), matches = std::move(matches)]() mutable {
      hash_done(digest, std::move(table), matches);
    });
  });
  // Else it is tried again when a hash ends, or given up when it has waited too long.
  if (!started) return false;
  base::wipe(login.password);
  job.is_running = true;
  ++running_;
  return true;
}

void Accounts::hash_done(const crypto::Digest& digest, std::shared_ptr<const AccountTable> table,
                         const Result<bool>& matches) {
  const auto found = jobs_.find(digest);
  Job job = std::move(found->second);
  jobs_.erase(found);
  --running_;
  if (--checks_[job.client] == 0) checks_.erase(job.client);
  const Instant now = home_.now().instant;
  const bool exists = table->find(job.questions.front().login.user) != nullptr;
  const bool is_good = exists && matches && *matches;
  if (is_good && table == table_) known_.insert(digest) = now + kKnownFor;
  for (Question& question : job.questions) {
    if (is_good) {
      throttle_.succeeded(question.login.user, question.login.client, now);
      finish(question, LoginVerdict::Accepted);
    } else if (!matches) {
      refuse(std::move(question), Reason::Unreadable);
    } else {
      refuse(std::move(question), exists ? Reason::WrongPassword : Reason::NoSuchUser);
    }
  }
  start_hashes();
}

void Accounts::refuse(Question question, Reason reason) {
  base::wipe(question.login.password);
  log_refusal(question.login, reason);
  switch (reason) {
    case Reason::NoSuchUser:
    case Reason::WrongPassword: {
      const Instant now = home_.now().instant;
      const Duration delay = throttle_.failed(question.login.user, question.login.client, now);
      at(now + delay, [this, question = std::move(question)]() mutable {
        finish(question, LoginVerdict::Refused);
      });
      return;
    }
    case Reason::TooManyFailures:
      return finish(question, LoginVerdict::TooMany);
    case Reason::TooManyWaiting:
    case Reason::Unreadable:
      return finish(question, LoginVerdict::Unavailable);
  }
}

void Accounts::finish(Question& question, LoginVerdict verdict) {
  base::Counter counter = base::Counter::LoginsUnavailable;
  switch (verdict) {
    case LoginVerdict::Accepted:
      counter = base::Counter::LoginsAccepted;
      break;
    case LoginVerdict::Refused:
      counter = base::Counter::LoginsRefused;
      break;
    case LoginVerdict::TooMany:
      counter = base::Counter::LoginsThrottled;
      break;
    case LoginVerdict::Unavailable:
      break;
  }
  base::count(counter);
  --questions_;
  base::wipe(question.login.password);
  question.loop->post([done = std::move(question.done), verdict]() mutable { done(verdict); });
}

void Accounts::log_refusal(const Login& login, Reason reason) {
  std::string_view text;
  switch (reason) {
    case Reason::NoSuchUser:
      text = "no such user";
      break;
    case Reason::WrongPassword:
      text = "wrong password";
      break;
    case Reason::TooManyFailures:
      text = "too many failures";
      break;
    case Reason::TooManyWaiting:
      text = "too many logins wait";
      break;
    case Reason::Unreadable:
      text = "the accounts cannot be read";
      break;
  }
  log_.line(base::Level::Info, "login refused")
      .detail("session", login.session)
      .detail("mechanism", login.mechanism)
      .field("user", login.user)
      .field("client", base::format_ip_address(login.client))
      .field("reason", text);
}

void Accounts::at(Instant time, base::Task task) {
  timed_.emplace(time, std::move(task));
  wake();
}

// Sets the timer to what comes next: a timed task, or the end of somebody's patience.
void Accounts::wake() {
  Instant next = timed_.empty() ? base::kNever : timed_.begin()->first;
  if (!held_.empty()) next = std::min(next, held_.front().give_up);
  if (!waiting_.empty())
    next = std::min(next, jobs_.at(waiting_.front()).questions.front().give_up);
  if (next == base::kNever) return;
  if (timer_ == nullptr) {
    timer_ = home_.make_timer([this] {
      const Instant now = home_.now().instant;
      while (!timed_.empty() && timed_.begin()->first <= now) {
        auto first = timed_.extract(timed_.begin());
        first.mapped()();
      }
      give_up_waiting(now);
      wake();
    });
  }
  timer_->set(next);
}

void Accounts::give_up_waiting(Instant now) {
  while (!held_.empty() && held_.front().give_up <= now) {
    Question question = std::move(held_.front());
    held_.pop_front();
    refuse(std::move(question), Reason::TooManyWaiting);
  }
  while (!waiting_.empty()) {
    const auto job = jobs_.find(waiting_.front());
    if (job->second.questions.front().give_up > now) return;
    for (Question& question : job->second.questions)
      refuse(std::move(question), Reason::TooManyWaiting);
    if (--checks_[job->second.client] == 0) checks_.erase(job->second.client);
    jobs_.erase(job);
    waiting_.pop_front();
  }
}

}  // namespace rockdove::inbound
