// Goal: jobs go in the order that lanes, tenants, sites and queues are promised; none is lost and
// none starves; a closed site is passed over, however many there are.
#include "queue/job_queue.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include <catch2/catch.hpp>

#include "mta/base/random.h"

namespace rockdove::queue {
namespace {

struct World {
  // Of one delivery, whose destination says what a test wants to know.
  Job job(std::string destination, std::string tenant = "", int priority = 0) {
    auto message = std::make_shared<Message>();
    message->id = MessageId{++messages};
    Delivery delivery;
    delivery.number = 1;
    return {message,
            {delivery},
            {std::move(destination), std::move(tenant), stored_priority(priority)}};
  }

  JobQueue::Line& line(const std::string& name) {
    std::unique_ptr<JobQueue::Line>& line = lines[name];
    if (line == nullptr) {
      line = std::make_unique<JobQueue::Line>();
      queue.open(*line);
    }
    return *line;
  }

  void put(const std::string& site, const std::string& tenant, int count, int priority = 0) {
    for (int i = 0; i < count; ++i) {
      queue.put(line(site), job(site, tenant, priority), JobQueue::End::Back);
    }
  }

  // The names of the queues that the next jobs come from.
  std::vector<QueueName> take(int count) {
    std::vector<QueueName> taken;
    for (int i = 0; i < count; ++i) {
      if (queue.next() == nullptr) break;
      taken.push_back(queue.take().queue);
    }
    return taken;
  }

  TenantWeight weight;
  JobQueue queue{weight};
  std::map<std::string, std::unique_ptr<JobQueue::Line>> lines;
  std::uint64_t messages = 0;
};

template <typename Condition>
std::ptrdiff_t count_of(const std::vector<QueueName>& taken, Condition condition) {
  return std::count_if(taken.begin(), taken.end(), condition);
}

TEST_CASE("a job in parts has all its deliveries in their order") {
  const auto sizes = [](std::size_t deliveries, std::size_t most) {
    Job job{std::make_shared<Message>(), std::vector<Delivery>(deliveries), {"q", "", 0}};
    for (std::size_t i = 0; i < deliveries; ++i)
      job.deliveries[i].number = static_cast<std::uint32_t>(i + 1);
    std::vector<std::size_t> found;
    std::uint32_t next = 1;
    for (const Job& part : in_parts(std::move(job), most)) {
      CHECK(part.queue.destination == "q");
      CHECK(part.message != nullptr);
      for (const Delivery& delivery : part.deliveries) CHECK(delivery.number == next++);
      found.push_back(part.deliveries.size());
    }
    return found;
  };
  using Sizes = std::vector<std::size_t>;
  CHECK(sizes(7, 3) == Sizes{3, 3, 1});
  CHECK(sizes(6, 3) == Sizes{3, 3});
  CHECK(sizes(3, 3) == Sizes{3});
  CHECK(sizes(3, 0) == Sizes{3});
  CHECK(sizes(3, 1) == Sizes{1, 1, 1});
}

TEST_CASE("lanes are told by MT-PRIORITY") {
  CHECK(lane_of(stored_priority(9)) == Lane::Urgent);
  CHECK(lane_of(stored_priority(1)) == Lane::Urgent);
  CHECK(lane_of(0) == Lane::Normal);
  CHECK(lane_of(stored_priority(-1)) == Lane::Bulk);
  CHECK(lane_of(stored_priority(-9)) == Lane::Bulk);
}

TEST_CASE("urgent jobs go first, and after eight of them one of those below") {
  World world;
  world.put("a", "t", 100, -3);
  world.put("a", "t", 100);
  world.put("a", "t", 100, 4);
  const std::vector<QueueName> taken = world.take(81);
  const auto of_lane = [&taken](Lane lane) {
    return count_of(taken,
                    [lane](const QueueName& name) { return lane_of(name.priority) == lane; });
  };
  CHECK(of_lane(Lane::Urgent) == 72);
  CHECK(of_lane(Lane::Normal) == 8);
  CHECK(of_lane(Lane::Bulk) == 1);
  for (int i = 0; i < 8; ++i)
    CHECK(lane_of(taken[static_cast<std::size_t>(i)].priority) == Lane::Urgent);
  CHECK(lane_of(taken[8].priority) == Lane::Normal);
  world.take(1000);
  CHECK(world.queue.size() == 0);
}

TEST_CASE("tenants take turns by their weight, whatever each has waiting") {
  World world;
  world.put("a", "big", 1000);
  world.put("a", "small", 10);
  const auto small = [](const QueueName& name) { return name.tenant == "small"; };
  CHECK(count_of(world.take(20), small) == 10);
  world.weight = [](std::string_view tenant) { return tenant == "small" ? 3U : 0U; };
  world.put("a", "small", 100);
  CHECK(count_of(world.take(40), small) == 30);
}

TEST_CASE("a tenant's sites take turns, and a site's queues; each queue keeps its order") {
  World world;
  world.put("a", "t", 100);
  world.put("b", "t", 3);
  CHECK(count_of(world.take(6), [](const QueueName& name) { return name.destination == "b"; }) ==
        3);
  JobQueue::Line& line = world.line("c");
  world.take(1000);
  for (int i = 0; i < 3; ++i) {
    world.queue.put(line, world.job("x"), JobQueue::End::Back);
    world.queue.put(line, world.job("y"), JobQueue::End::Back);
  }
  Job first = world.queue.take();
  const MessageId id = first.message->id;
  CHECK(first.queue.destination == "x");
  world.queue.put(line, std::move(first), JobQueue::End::Front);
  CHECK(world.queue.take().queue.destination == "y");
  CHECK(world.queue.take().message->id == id);
}

TEST_CASE("a closed site is passed over, and takes its turns again when it opens") {
  World world;
  world.put("a", "t", 5);
  world.put("a", "u", 5, 2);
  world.put("b", "t", 5);
  world.queue.close(world.line("a"));
  const auto of_a = [](const QueueName& name) { return name.destination == "a"; };
  CHECK(count_of(world.take(3), of_a) == 0);
  world.queue.open(world.line("a"));
  CHECK(count_of(world.take(4), of_a) == 4);  // urgent
  CHECK(count_of(world.take(1), of_a) == 1);
  CHECK(count_of(world.take(4), of_a) == 2);
  world.queue.close(world.line("a"));
  world.queue.close(world.line("b"));
  CHECK(world.queue.next() == nullptr);
  CHECK(world.queue.size() == 3);
}

// Against a plain count: whatever is put, closed and taken out, nothing is lost or comes twice, and
// next() is null just when no open site has a job.
TEST_CASE("any order of steps loses no job") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    INFO("seed " << seed);
    World world;
    base::Random random(seed);
    std::map<MessageId, std::string> waiting;  // by site
    const auto random_site = [&random] { return "s" + std::to_string(random.below(6)); };
    for (int step = 0; step < 1500; ++step) {
      const std::string site = random_site();
      switch (random.below(6)) {
        case 0:
        case 1: {
          Job job = world.job("d" + std::to_string(random.below(3)),
                              "t" + std::to_string(random.below(3)),
                              static_cast<int>(random.below(3)) - 1);
          waiting[job.message->id] = site;
          world.queue.put(world.line(site), std::move(job),
                          random.below(4) == 0 ? JobQueue::End::Front : JobQueue::End::Back);
          break;
        }
        case 2:
          world.queue.close(world.line(site));
          break;
        case 3:
          world.queue.open(world.line(site));
          break;
        case 4: {
          std::vector<Job> taken;
          if (random.below(20) == 0) {
            world.queue.take_all(world.line(site), taken);
          } else if (world.line(site).size() > 0) {
            const QueueName name = world.line(site).jobs().begin()->first;
            world.queue.take_out(
                world.line(site), name,
                [](const Job& job) { return job.message->id.value % 3 == 0; }, taken);
          }
          for (const Job& job : taken) {
            REQUIRE(waiting.at(job.message->id) == site);
            waiting.erase(job.message->id);
          }
          break;
        }
        default: {
          JobQueue::Line* line = world.queue.next();
          const bool any_open =
              std::any_of(world.lines.begin(), world.lines.end(), [](const auto& entry) {
                return entry.second->is_open() && entry.second->size() > 0;
              });
          REQUIRE((line != nullptr) == any_open);
          if (line == nullptr) break;
          const Job job = world.queue.take();
          REQUIRE(world.lines.at(waiting.at(job.message->id)).get() == line);
          waiting.erase(job.message->id);
        }
      }
      REQUIRE(world.queue.size() == waiting.size());
    }
    for (const auto& [name, line] : world.lines) world.queue.open(*line);
    while (world.queue.next() != nullptr)
      REQUIRE(waiting.erase(world.queue.take().message->id) == 1);
    REQUIRE(waiting.empty());
  }
}

TEST_CASE("five thousand closed sites cost a step nothing") {
  World world;
  for (int i = 0; i < 5000; ++i) {
    world.put("dead" + std::to_string(i), "t", 1);
    world.queue.close(world.line("dead" + std::to_string(i)));
  }
  world.put("good", "t", 5000);
  // Were each step to look at them again, this would be 2.5·10^7 looks.
  for (int i = 0; i < 5000; ++i) {
    REQUIRE(world.queue.next() == &world.line("good"));
    static_cast<void>(world.queue.take());
    world.queue.close(world.line("good"));
    world.queue.open(world.line("good"));
  }
  CHECK(world.queue.next() == nullptr);
}

TEST_CASE("a closed tenant is passed over on all lines and lanes, and comes back when it opens") {
  World world;
  world.put("one", "a", 3);
  world.put("two", "a", 3, 4);
  world.put("one", "b", 2);
  world.queue.close_tenant("a");
  world.put("three", "a", 1);  // new lines and lanes, too
  world.put("three", "a", 1, -4);
  CHECK(world.queue.front().queue.tenant == "b");
  const std::vector<QueueName> taken = world.take(10);
  REQUIRE(taken.size() == 2);
  CHECK(taken[0].tenant == "b");
  CHECK(taken[1].tenant == "b");
  CHECK(world.queue.size() == 8);
  world.queue.close(world.line("one"));
  world.queue.open(world.line("one"));
  CHECK(world.take(10).empty());
  world.queue.open_tenant("a");
  CHECK(world.take(10).size() == 8);
  world.queue.close_tenant("a");
  world.put("one", "a", 1);
  CHECK(world.take(10).empty());
}

}  // namespace
}  // namespace rockdove::queue
