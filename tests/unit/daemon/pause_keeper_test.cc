// The keeper of the pauses that people set, against a store that answers when the test says so.
#include "mta/daemon/pause_keeper.h"

#include <catch2/catch.hpp>

#include "tests/support/hand_loop.h"
#include "tests/support/hand_store.h"

namespace rockdove::daemon {
namespace {

using namespace std::chrono_literals;

struct EmptyStore final : tests::HandStore {
  void read_notes(base::Loop& loop, std::string /*kind*/,
                  queue::Done<std::vector<queue::NotedRow>> done) override {
    loop.post([done = std::move(done)]() mutable { done(std::vector<queue::NotedRow>()); });
  }
};

struct World {
  World() {
    keeper.start();
    loop.run();
  }

  void pause(queue::PauseKind kind, base::Duration time) {
    queue::Pause pause;
    pause.kind = kind;
    pause.pattern = "x.example";
    pause.until = loop.now().wall + time;
    keeper.pause(pause, [](const base::Result<void>&) {});
  }

  void end_commits() {
    while (!store.commits.empty()) {
      store.end_commit({});
      loop.run();
    }
  }

  tests::HandLoop loop;
  EmptyStore store;
  std::unique_ptr<base::LogSink> sink = *base::LogSink::open("/dev/null");
  base::Log log{*sink, base::Level::Debug};
  std::shared_ptr<const queue::Pauses> published;
  std::vector<base::UniqueFunction<void(bool)>> releases;
  PauseKeeper keeper{
      loop, store, log,
      [this](const std::shared_ptr<const queue::Pauses>& pauses) { published = pauses; },
      [this](const queue::Pause&, base::UniqueFunction<void(bool)> done) {
        releases.push_back(std::move(done));
      }};
};

TEST_CASE("a pause ends when its time is over") {
  World world;
  world.pause(queue::PauseKind::Destination, 1min);
  world.end_commits();
  REQUIRE(world.published->on_destination("x.example") != nullptr);
  world.loop.pass(61s);
  world.end_commits();
  CHECK(world.published->is_empty());
  CHECK(world.keeper.all().empty());
}

TEST_CASE("a pause that is made longer while its time runs out does not end with it") {
  World world;
  world.pause(queue::PauseKind::Destination, 1min);
  world.end_commits();
  world.pause(queue::PauseKind::Destination, 1h);  // is being written
  world.loop.pass(2min);
  world.end_commits();
  CHECK(world.published->on_destination("x.example") != nullptr);
  CHECK(world.keeper.all().size() == 1);
}

TEST_CASE("a pause of a user that is set while the last one is being ended stays") {
  World world;
  world.pause(queue::PauseKind::User, 1min);
  world.end_commits();
  world.loop.pass(61s);
  world.end_commits();
  for (int pass = 0; pass < 2; ++pass) {
    REQUIRE(world.releases.size() == 1);
    if (pass == 1) world.pause(queue::PauseKind::User, 1h);  // is being written
    auto done = std::move(world.releases.front());
    world.releases.clear();
    done(true);
    world.loop.pass(31s);
  }
  world.end_commits();
  queue::Message mail;
  mail.client.user = "x.example";
  CHECK(world.published->on_mail(mail) != nullptr);
  CHECK(world.keeper.all().size() == 1);
}

}  // namespace
}  // namespace rockdove::daemon
