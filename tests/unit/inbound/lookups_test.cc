#include "mta/inbound/lookups.h"

#include <catch2/catch.hpp>

#include "tests/support/fake_resolver.h"
#include "tests/support/hand_loop.h"

namespace rockdove::inbound {
namespace {

using namespace std::chrono_literals;
using dns::RecordType;
using policy::Question;
using policy::RecordedDns;

std::vector<Question> questions(std::size_t count) {
  std::vector<Question> all;
  for (std::size_t i = 0; i < count; ++i) all.push_back({"n" + std::to_string(i), RecordType::TXT});
  return all;
}

TEST_CASE("all questions are asked at once, and told together") {
  tests::HandLoop loop;
  tests::FakeResolver resolver;
  resolver.text("n1", "hello");
  Lookups lookups(loop, resolver);
  std::optional<Lookups::Answers> told;
  lookups.ask(questions(3), [&told](Lookups::Answers answers) { told = std::move(answers); });
  CHECK(resolver.waiting() == 3);
  resolver.run_one();
  CHECK_FALSE(told);
  resolver.run();
  REQUIRE(told);
  CHECK((*told)[0].second->status == dns::Status::NxDomain);
  CHECK((*told)[1].first.name == "n1");
  CHECK((*told)[1].second->texts == std::vector<std::string>{"hello"});
  CHECK(lookups.asked() == 3);
}

TEST_CASE("what has no answer within the time is a time-out, and its late answer changes nothing") {
  tests::HandLoop loop;
  tests::FakeResolver resolver;
  resolver.text("n0", "late");
  Lookups lookups(loop, resolver);
  unsigned told = 0;
  Lookups::Answers answers;
  lookups.ask(questions(2), [&](Lookups::Answers all) {
    ++told;
    answers = std::move(all);
  });
  loop.pass(kLookupTimeMax - 1ms);
  CHECK(told == 0);
  loop.pass(1ms);
  REQUIRE(told == 1);
  CHECK(answers[0].second->status == dns::Status::TimedOut);
  CHECK_FALSE(answers[0].second->detail.empty());
  resolver.run();
  CHECK(told == 1);

  SECTION("and after that nobody is asked any more") {
    lookups.ask(questions(1), [&](Lookups::Answers all) {
      ++told;
      answers = std::move(all);
    });
    CHECK(told == 1);
    loop.run();
    CHECK(told == 2);
    CHECK(answers[0].second->status == dns::Status::TimedOut);
    CHECK(lookups.asked() == 2);
  }
  SECTION("unless its time begins anew") {
    lookups.restart_time(kLookupTimeMax);
    lookups.ask(questions(1), [&told](const Lookups::Answers&) { ++told; });
    CHECK(resolver.waiting() == 1);
    resolver.run();
    CHECK(told == 2);
  }
}

TEST_CASE("questions over the number of a message are time-outs, and are not asked") {
  tests::HandLoop loop;
  tests::FakeResolver resolver;
  Lookups lookups(loop, resolver);
  Lookups::Answers answers;
  lookups.ask(questions(kLookupQuestionsMax + 5),
              [&answers](Lookups::Answers all) { answers = std::move(all); });
  CHECK(resolver.waiting() == kLookupQuestionsMax);
  resolver.run();
  REQUIRE(answers.size() == kLookupQuestionsMax + 5);
  CHECK(answers[kLookupQuestionsMax - 1].second->status == dns::Status::NxDomain);
  CHECK(answers[kLookupQuestionsMax].second->status == dns::Status::TimedOut);
}

TEST_CASE("nobody is told once the look-ups are gone") {
  tests::HandLoop loop;
  tests::FakeResolver resolver;
  auto lookups = std::make_unique<Lookups>(loop, resolver);
  bool told = false;
  lookups->ask(questions(2), [&told](const Lookups::Answers&) { told = true; });
  resolver.run_one();
  lookups->ask({}, [&told](const Lookups::Answers&) { told = true; });
  lookups.reset();
  resolver.run();
  loop.pass(1min);
  CHECK_FALSE(told);
}

TEST_CASE("a check runs until it ends, and one that asks for nothing new does not run for ever") {
  tests::HandLoop loop;
  tests::FakeResolver resolver;
  resolver.text("a.example", "b.example");
  resolver.text("b.example", "end");
  Lookups lookups(loop, resolver);
  RecordedDns dns;
  std::string name = "a.example";
  std::optional<bool> ended;
  SECTION("it ends") {
    run_check(
        lookups, dns,
        [&] {
          while (const dns::Answer* answer = dns.find(name, RecordType::TXT)) {
            if (answer->texts.front() == "end") return true;
            name = answer->texts.front();
          }
          return false;
        },
        [&ended](bool has_ended) { ended = has_ended; });
    CHECK_FALSE(ended);
    resolver.run();
    CHECK(ended == true);
    CHECK(lookups.asked() == 2);
  }
  SECTION("it waits for nothing") {
    run_check(
        lookups, dns, [] { return false; }, [&ended](bool has_ended) { ended = has_ended; });
    CHECK(ended == false);
  }
  SECTION("it asks for something new each time") {
    unsigned number = 0;
    run_check(
        lookups, dns,
        [&] {
          static_cast<void>(dns.find("x" + std::to_string(number++), RecordType::A));
          return false;
        },
        [&ended](bool has_ended) { ended = has_ended; });
    resolver.run();
    CHECK(ended == false);
    CHECK(number < kLookupQuestionsMax);
  }
}

}  // namespace
}  // namespace rockdove::inbound
