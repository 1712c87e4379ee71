// A scheduler with a clock of its own, and what it started; for the tests of queue/scheduler.h.
// Jobs are made up, sites have the account's name, and nothing is sent anywhere: a test says what
// became of each session.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <catch2/catch.hpp>

#include "queue/scheduler.h"

namespace rockdove::queue::test {

using Command = Scheduler::Command;
using Finish = Scheduler::Finish;
using Recording = Scheduler::Recording;
using SessionAfter = Scheduler::SessionAfter;

// A scheduler with a clock, and what it started.
struct Bench {
  explicit Bench(std::uint32_t connections = 1000) : budget(connections) {
    settings.retry = {5min, 15min, 30min};
  }

  SitePointer site(const std::string& account, std::uint32_t connections_max = 10) {
    auto spec = std::make_shared<SiteSpec>();
    auto of = std::make_shared<AccountSpec>();
    of->name = account;
    spec->name = account;
    spec->account = std::move(of);
    spec->connections_max = connections_max;
    return spec;
  }

  void offer(const std::string& account, const std::string& destination, int count = 1,
             std::uint32_t connections_max = 10) {
    const SitePointer where = site(account, connections_max);
    for (int i = 0; i < count; ++i) scheduler.offer(job(destination), where, now);
  }

  Job job(const std::string& destination) {
    auto message = std::make_shared<Message>();
    message->id = MessageId{++messages};
    Delivery delivery;
    delivery.number = 1;
    return {message, {delivery}, {destination, "", 0}};
  }

  // Runs next() to its end; sessions at work by account.
  std::vector<Command> run() {
    std::vector<Command> commands;
    while (std::optional<Command> command = scheduler.next(Recording::Possible, now)) {
      if (const auto* open = std::get_if<Scheduler::Open>(&*command)) {
        working[open->session] = open->site->name;
        ++opened[open->site->name];
        started.push_back(open->job.queue.destination);
      } else if (const auto* start = std::get_if<Scheduler::Start>(&*command)) {
        REQUIRE_FALSE(working.contains(start->session));
        working[start->session] = start->site->name;
        started.push_back(start->job.queue.destination);
      } else if (const auto* give_up = std::get_if<Scheduler::GiveUp>(&*command)) {
        given_up.push_back(give_up->session);
      } else if (const auto* keep = std::get_if<Scheduler::Keep>(&*command)) {
        scheduler.kept(*keep, Scheduler::Durable::Yes);
      } else {
        quit.push_back(std::get<Scheduler::Quit>(*command).session);
      }
      commands.push_back(std::move(*command));
      REQUIRE(commands.size() < 1'000'000);
    }
    return commands;
  }

  SessionId one_of(const std::string& account) {
    for (const auto& [id, name] : working) {
      if (name == account) return id;
    }
    FAIL("nothing of " << account << " is at work");
    return {};
  }

  void finish(const std::string& account, Finish how, SessionAfter after = SessionAfter::Idle) {
    const SessionId id = one_of(account);
    working.erase(id);
    scheduler.finished(id, how, after, "451 reason", now);
  }

  std::size_t at_work(const std::string& account) const {
    return static_cast<std::size_t>(
        std::count_if(working.begin(), working.end(),
                      [&account](const auto& entry) { return entry.second == account; }));
  }

  void pass(base::Duration time) {
    now.instant += time;
    now.wall += time;
  }

  // One success, so that the account counts as proven.
  void prove(const std::string& account) {
    offer(account, account);
    run();
    finish(account, Finish::Success);
  }

  QueueSettings settings;
  ConnectionBudget budget;
  base::Random random{1};
  Scheduler scheduler{settings, budget, random};
  base::Now now{base::Instant{} + 1000h, base::from_unix_milliseconds(1'800'000'000'000)};
  std::uint64_t messages = 0;
  std::map<SessionId, std::string> working;
  std::map<std::string, int> opened;
  std::vector<std::string> started;
  std::vector<SessionId> quit;
  std::vector<SessionId> given_up;
};

}  // namespace rockdove::queue::test
