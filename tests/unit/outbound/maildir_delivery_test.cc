// A maildir on a disk that hangs: the delivery ends in time, and says what may still happen.
#include "mta/outbound/maildir_delivery.h"

#include <filesystem>
#include <future>
#include <optional>
#include <thread>

#include <catch2/catch.hpp>

#include "tests/support/hand_loop.h"
#include "tests/support/hand_store.h"
#include "tests/support/temporary_directory.h"

namespace rockdove::outbound {
namespace {

using namespace std::chrono_literals;

queue::Job make_job() {
  auto message = std::make_shared<queue::Message>();
  message->id = base::MessageId{42};
  message->sender = "s@here.example";
  message->header_block = "Subject: hi\r\n\r\n";
  message->body = std::make_shared<const std::string>("body\r\n");
  message->body_octets = message->body->size();
  message->body_chunks = 1;
  message->recipients = 2;
  queue::Job job{message, {}, {"route:test", "", 0}};
  for (const std::uint32_t number : {1U, 2U}) {
    queue::Delivery delivery;
    delivery.number = number;
    delivery.recipient = "r" + std::to_string(number) + "@example.net";
    job.deliveries.push_back(std::move(delivery));
  }
  return job;
}

struct World {
  void start() {
    delivery.emplace(loop, store, files, folder, "me.example", job,
                     [this](const MaildirDelivery::Outcome& ended) { outcome = ended; });
    delivery->start();
  }

  // The one thread of the folder is at something that does not end until recover().
  void hang() {
    files.run(
        folder, [ends = end.get_future()]() mutable { ends.wait(); }, [] {});
  }

  // And until all that waits for the disk now is done.
  void recover() {
    end.set_value();
    std::promise<void> done;
    files.run(
        folder, [&done] { done.set_value(); }, [] {});
    done.get_future().wait();
    loop.run();
  }

  [[nodiscard]] std::size_t files_in(const std::string& name) const {
    std::error_code missing;
    std::size_t count = 0;
    for (std::filesystem::directory_iterator at(folder + name, missing), last; at != last; ++at)
      ++count;
    return count;
  }

  tests::TemporaryDirectory above;
  const std::string folder = above.path() + "/box";
  const queue::Job job = make_job();
  tests::HandLoop loop;
  tests::HandStore store;
  std::promise<void> end;
  FileThreads files{loop};
  std::optional<MaildirDelivery::Outcome> outcome;
  std::optional<MaildirDelivery> delivery;
};

TEST_CASE("a disk that hangs lets the delivery go, and the files never come later") {
  World world;
  world.hang();
  world.start();
  world.loop.pass(MaildirDelivery::kStepTimeMax - 1ms);
  CHECK_FALSE(world.outcome);
  world.loop.pass(1ms);
  REQUIRE(world.outcome);
  CHECK(world.outcome->uncertain.is_none());
  REQUIRE(world.outcome->results.size() == 2);
  for (const smtp::RecipientResult& result : world.outcome->results) {
    CHECK(smtp::one_line(result.reply) == "451 4.3.0 the disk of " + world.folder +
                                              " did not answer within 5m; look whether its file "
                                              "system hangs");
  }
  const bool is_destroyed_first = GENERATE(false, true);
  if (is_destroyed_first) world.delivery.reset();
  world.outcome.reset();
  world.recover();
  CHECK_FALSE(world.outcome);
  CHECK(world.files_in("/new") == 0);
  CHECK(world.files_in("/tmp") == 0);
}

TEST_CASE("a disk that hangs for less than that is waited for, file by file") {
  World world;
  world.hang();
  world.start();
  world.loop.pass(MaildirDelivery::kStepTimeMax - 1ms);
  world.recover();
  while (!world.outcome) {
    world.loop.run();
    std::this_thread::yield();
  }
  REQUIRE(world.outcome->results.size() == 2);
  for (const smtp::RecipientResult& result : world.outcome->results)
    CHECK(result.reply.is_success());
  CHECK(world.files_in("/new") == 2);
  world.loop.pass(1h);  // no time is left that runs
  CHECK(world.outcome->results.size() == 2);
}

}  // namespace
}  // namespace rockdove::outbound
