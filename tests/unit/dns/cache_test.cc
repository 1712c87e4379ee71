#include "dns/cache.h"

#include <deque>

#include <catch2/catch.hpp>

#include "tests/support/fake_resolver.h"

namespace rockdove::dns {
namespace {

using namespace std::chrono_literals;

// A loop whose time the test sets and whose tasks run when the test says so.
class HandLoop final : public base::Loop {
 public:
  [[nodiscard]] unsigned index() const override { return 0; }

  [[nodiscard]] base::Now now() const override { return now_; }

  void post(base::Task task) override { tasks_.push_back(std::move(task)); }

  void at_turn_end(base::Task task) override { tasks_.push_back(std::move(task)); }

  [[nodiscard]] std::unique_ptr<base::Timer> make_timer(base::Task callback) override {
    static_cast<void>(callback);
    return nullptr;  // the cache sets no timers
  }

  void run() {
    while (!tasks_.empty()) {
      base::Task task = std::move(tasks_.front());
      tasks_.pop_front();
      task();
    }
  }

  void pass(base::Duration time) { now_.instant += time; }

 private:
  base::Now now_{base::Instant(1h), base::WallTime(1h)};
  std::deque<base::Task> tasks_;
};

struct Bench {
  HandLoop loop;
  tests::FakeResolver upstream;
  CacheLimits limits;
  std::unique_ptr<CachingResolver> cache =
      std::make_unique<CachingResolver>(loop, upstream, limits);

  void limit(const CacheLimits& to) {
    cache = std::make_unique<CachingResolver>(loop, upstream, to);
  }

  AnswerPointer ask(const std::string& name, RecordType type = RecordType::A) {
    AnswerPointer result;
    cache->query(name, type, [&result](AnswerPointer answer) { result = std::move(answer); });
    CHECK(result == nullptr);  // never within the call
    upstream.run();
    loop.run();
    REQUIRE(result != nullptr);
    return result;
  }

  [[nodiscard]] std::size_t asked() const { return upstream.asked().size(); }
};

TEST_CASE("cache: a record is asked for once until its time is over") {
  Bench bench;
  bench.upstream.address("a.example", "192.0.2.1");
  bench.upstream.set_ttl(60s);
  CHECK(bench.ask("a.example")->ttl == 60s);
  bench.loop.pass(59s);
  const AnswerPointer again = bench.ask("A.Example.");
  CHECK(again->addresses.size() == 1);
  CHECK(again->ttl == 1s);
  CHECK(bench.asked() == 1);
  bench.loop.pass(1s);
  CHECK(bench.ask("a.example")->ttl == 60s);
  CHECK(bench.asked() == 2);
  CHECK(bench.cache->counts().hits == 1);
}

TEST_CASE("cache: types of one name are kept apart") {
  Bench bench;
  bench.upstream.address("a.example", "192.0.2.1");
  CHECK(bench.ask("a.example", RecordType::A)->status == Status::Ok);
  CHECK(bench.ask("a.example", RecordType::AAAA)->status == Status::NoData);
  CHECK(bench.asked() == 2);
  CHECK(bench.cache->entries() == 2);
}

TEST_CASE("cache: times to live are moved into their bounds") {
  Bench bench;
  bench.upstream.address("a.example", "192.0.2.1");
  bench.upstream.set_ttl(0s);
  CHECK(bench.ask("a.example")->ttl == 5s);
  bench.cache->clear();
  bench.upstream.set_ttl(24h * 365);
  CHECK(bench.ask("a.example")->ttl == 24h);
  CHECK(bench.ask("b.example")->ttl == 10min);  // NXDOMAIN
  CHECK(bench.ask("a.example", RecordType::TXT)->ttl == 10min);
}

TEST_CASE("cache: a question that goes on failing is asked less and less often") {
  Bench bench;
  bench.upstream.fails("a.example", RecordType::A, Status::ServerFailure);
  for (const base::Duration kept : {5s, 10s, 20s, 30s, 30s}) {
    const std::size_t before = bench.asked();
    CHECK(bench.ask("a.example")->status == Status::ServerFailure);
    CHECK(bench.asked() == before + 1);
    bench.loop.pass(kept - 1ms);
    CHECK(bench.ask("a.example")->status == Status::ServerFailure);
    CHECK(bench.asked() == before + 1);
    bench.loop.pass(1ms);
  }
  bench.upstream.forget("a.example");
  bench.upstream.address("a.example", "192.0.2.1");
  CHECK(bench.ask("a.example")->status == Status::Ok);
  bench.loop.pass(24h);
  bench.upstream.fails("a.example", RecordType::A, Status::TimedOut);
  CHECK(bench.ask("a.example")->status == Status::TimedOut);
  bench.loop.pass(5s);
  const std::size_t before = bench.asked();
  CHECK(bench.ask("a.example")->status == Status::TimedOut);
  CHECK(bench.asked() == before + 1);  // the failures before the success are forgotten
}

TEST_CASE("cache: alike questions under way share one query") {
  Bench bench;
  bench.upstream.address("a.example", "192.0.2.1");
  int answers = 0;
  for (const char* name : {"a.example", "A.EXAMPLE", "a.example."}) {
    bench.cache->query(name, RecordType::A, [&answers](const AnswerPointer& answer) {
      CHECK(answer->addresses.size() == 1);
      ++answers;
    });
  }
  CHECK(bench.asked() == 1);
  bench.upstream.run();
  CHECK(answers == 3);
  CHECK(bench.cache->counts().shared == 2);
}

TEST_CASE("cache: the entry that was not used for longest makes room") {
  Bench bench;
  CacheLimits limits;
  limits.entries_max = 3;
  bench.limit(limits);
  for (const char* name : {"a.example", "b.example", "c.example"}) bench.ask(name);
  bench.ask("a.example");
  CHECK(bench.asked() == 3);
  bench.ask("d.example");
  CHECK(bench.cache->entries() == 3);
  bench.ask("a.example");
  CHECK(bench.asked() == 4);
  bench.ask("b.example");
  CHECK(bench.asked() == 5);
  CHECK(bench.cache->counts().evicted == 2);
}

TEST_CASE("cache: octets are bounded, and what is too large is not kept") {
  Bench bench;
  CacheLimits limits;
  limits.octets_max = 4000;
  bench.limit(limits);
  bench.upstream.text("large.example", std::string(5000, 'x'));
  CHECK(bench.ask("large.example", RecordType::TXT)->texts.size() == 1);
  CHECK(bench.cache->entries() == 0);
  for (int i = 0; i < 100; ++i) {
    bench.ask("n" + std::to_string(i) + ".example");
    CHECK(bench.cache->octets() <= 4000);
  }
  CHECK(bench.cache->entries() > 3);
  bench.cache->clear();
  CHECK(bench.cache->octets() == 0);
}

TEST_CASE("cache: what is no name is answered without a question") {
  Bench bench;
  CHECK(bench.ask("a..example")->status == Status::BadName);
  CHECK(bench.ask(std::string(64, 'a') + ".example")->status == Status::BadName);
  CHECK(bench.ask("a\\b.example")->status == Status::BadName);
  CHECK(bench.asked() == 0);
}

TEST_CASE("cache: answers that come after its end are dropped") {
  Bench bench;
  bool was_called = false;
  bench.cache->query("a.example", RecordType::A, [&](const AnswerPointer&) { was_called = true; });
  bench.cache->query("..", RecordType::A, [&](const AnswerPointer&) { was_called = true; });
  bench.cache.reset();
  bench.upstream.run();
  bench.loop.run();
  CHECK_FALSE(was_called);
}

}  // namespace
}  // namespace rockdove::dns
