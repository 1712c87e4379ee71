// What one job costs the scheduler: offer, next and finished for 10^5 jobs, in one account and
// spread over 20,000. Run it by hand from a release build; it prints nanoseconds a job.
#include <chrono>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "queue/scheduler.h"

namespace {

using namespace rockdove;  // NOLINT(google-build-using-namespace)
using queue::Scheduler;

constexpr std::size_t kJobs = 100'000;

queue::Job make_job(std::size_t number, const std::string& destination) {
  auto message = std::make_shared<queue::Message>();
  message->id = base::MessageId{number + 1};
  queue::Delivery delivery;
  delivery.number = 1;
  return {std::move(message), {std::move(delivery)}, {destination, "", 0}};
}

void measure(std::size_t accounts) {
  const queue::QueueSettings settings;
  queue::ConnectionBudget budget(500);
  base::Random random(1);
  Scheduler scheduler(settings, budget, random);
  base::Now now{base::Instant{} + std::chrono::hours(1000),
                base::from_unix_milliseconds(1'800'000'000'000)};
  std::vector<queue::SitePointer> sites;
  for (std::size_t i = 0; i < accounts; ++i) {
    auto site = std::make_shared<queue::SiteSpec>();
    auto account = std::make_shared<queue::AccountSpec>();
    account->name = "site" + std::to_string(i) + ".example.net";
    site->name = account->name;
    site->account = std::move(account);
    sites.push_back(std::move(site));
  }
  std::vector<queue::Job> jobs;
  jobs.reserve(kJobs);
  for (std::size_t i = 0; i < kJobs; ++i) jobs.push_back(make_job(i, sites[i % accounts]->name));

  const auto begin = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < kJobs; ++i)
    scheduler.offer(std::move(jobs[i]), sites[i % accounts], now);
  std::size_t ended = 0;
  std::vector<queue::SessionId> working;
  while (ended < kJobs) {
    now.instant += std::chrono::milliseconds(1);
    while (std::optional<Scheduler::Command> command =
               scheduler.next(Scheduler::Recording::Possible, now)) {
      if (const auto* open = std::get_if<Scheduler::Open>(&*command)) {
        working.push_back(open->session);
      } else if (const auto* start = std::get_if<Scheduler::Start>(&*command)) {
        working.push_back(start->session);
      } else if (const auto* quit = std::get_if<Scheduler::Quit>(&*command)) {
        scheduler.closed(quit->session, now);
      } else if (const auto* keep = std::get_if<Scheduler::Keep>(&*command)) {
        scheduler.kept(*keep, Scheduler::Durable::Yes);
      }
    }
    for (const queue::SessionId session : std::exchange(working, {})) {
      scheduler.finished(session, Scheduler::Finish::Success, Scheduler::SessionAfter::Idle, "",
                         now);
      ++ended;
    }
  }
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
  std::printf("%zu jobs in %zu accounts: %.0f ns a job\n", kJobs, accounts,
              took.count() / static_cast<double>(kJobs));
}

}  // namespace

int main() {
  measure(1);
  measure(20'000);
  return 0;
}
