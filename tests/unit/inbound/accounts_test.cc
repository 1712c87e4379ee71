// The whole of a login on a loop turned by hand: hashes are made when the test says so, and the
// clock stands still unless it is set. The last test does it with real threads.
#include "mta/inbound/accounts.h"

#include <deque>
#include <fstream>
#include <future>
#include <sstream>

#include <catch2/catch.hpp>
#include <sys/stat.h>

#include "mta/base/counters.h"
#include "mta/crypto/password.h"
#include "mta/net/uv_loop.h"
#include "tests/support/hand_loop.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/thread_loop.h"

namespace rockdove::inbound {
namespace {

using Catch::Matchers::Contains;
using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)
using Verdict = LoginVerdict;

const std::string& hash_of_good() {
  static const std::string hash = *crypto::hash_password("good");
  return hash;
}

class HandWorkers final : public base::Workers {
 public:
  [[nodiscard]] bool post(base::Task task) override {
    if (is_full) return false;
    tasks.push_back(std::move(task));
    return true;
  }

  [[nodiscard]] unsigned threads() const override { return 2; }

  bool is_full = false;
  std::deque<base::Task> tasks;
};

struct Fixture {
  base::CounterTable counters;
  std::unique_ptr<base::CounterTable::Attachment> counting = counters.attach();
  tests::TemporaryDirectory directory;
  std::string path = directory.path() + "/users";
  std::string log_path = directory.path() + "/log";
  tests::HandLoop loop;
  HandWorkers workers;
  std::unique_ptr<base::LogSink> sink = std::move(*base::LogSink::open(log_path));
  base::Log log{*sink};
  std::unique_ptr<Accounts> accounts;
  std::deque<std::optional<Verdict>> verdicts;
  int tasks_run = 0;

  Fixture() {
    write("ann:" + hash_of_good() + "\nbob:" + hash_of_good() + "\n");
    accounts = std::make_unique<Accounts>(Accounts::Parts{loop, workers, log}, path, nullptr);
  }

  void write(const std::string& text) {
    // A new file each time, as `rockdove user` does it, so that the inode differs.
    std::ofstream(path + ".new") << text;
    REQUIRE(::chmod((path + ".new").c_str(), 0600) == 0);
    REQUIRE(::rename((path + ".new").c_str(), path.c_str()) == 0);
  }

  std::size_t ask(const std::string& user, const std::string& password,
                  const std::string& client = "192.0.2.1") {
    const std::size_t number = verdicts.size();
    verdicts.emplace_back();
    accounts->check(loop, {user, password, *base::parse_ip_address(client)},
                    [this, number](Verdict verdict) { verdicts[number] = verdict; });
    return number;
  }

  // Lets loop and workers do all they can now.
  void settle() {
    loop.run();
    while (!workers.tasks.empty()) {
      base::Task task = std::move(workers.tasks.front());
      workers.tasks.pop_front();
      ++tasks_run;
      task();
      loop.run();
    }
  }

  std::optional<Verdict> login(const std::string& user, const std::string& password,
                               const std::string& client = "192.0.2.1") {
    const std::size_t number = ask(user, password, client);
    settle();
    return verdicts[number];
  }

  [[nodiscard]] std::uint64_t count(base::Counter counter) const {
    return counters.totals().of(counter);
  }

  std::string log_text() {
    log.flush();
    std::ifstream file(log_path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
};

TEST_CASE("a good login is accepted, never within the call") {
  Fixture it;
  const std::size_t number = it.ask("ann", "good");
  CHECK_FALSE(it.verdicts[number]);
  it.settle();
  CHECK(it.verdicts[number] == Verdict::Accepted);
  CHECK(it.count(base::Counter::LoginsAccepted) == 1);
}

TEST_CASE("a wrong password is refused after a delay that grows") {
  Fixture it;
  for (const auto delay : {1000ms, 2000ms, 4000ms}) {
    const std::size_t number = it.ask("ann", "bad");
    it.settle();
    CHECK_FALSE(it.verdicts[number]);
    it.loop.pass(delay - 1ms);
    it.settle();
    CHECK_FALSE(it.verdicts[number]);
    it.loop.pass(1ms);
    CHECK(it.verdicts[number] == Verdict::Refused);
  }
  const std::string log = it.log_text();
  CHECK_THAT(log, Contains("login refused user=ann client=192.0.2.1 reason=\"wrong password\""));
  CHECK_THAT(log, !Contains("bad") && !Contains("good"));
}

TEST_CASE("an unknown user costs a hash, too") {
  Fixture it;
  static_cast<void>(it.login("ann", "good"));
  const int before = it.tasks_run;
  CHECK_FALSE(it.login("nobody\n", "good"));
  CHECK(it.tasks_run == before + 1);
  it.loop.pass(1s);
  CHECK(it.verdicts.back() == Verdict::Refused);
  CHECK_THAT(it.log_text(), Contains("user=\"nobody\\x0a\"") || Contains("user=\"nobody\\n\""));
  CHECK_THAT(it.log_text(), Contains("no such user"));
}

TEST_CASE("the hash of somebody else lets no unknown user in") {
  Fixture it;
  it.write("ann:" + hash_of_good() + "\n");
  static_cast<void>(it.login("nobody", "good"));
  it.loop.pass(1s);
  CHECK(it.verdicts.back() == Verdict::Refused);
  it.write("");
  it.loop.pass(2s);
  static_cast<void>(it.login("nobody", "tea"));  // the hash that stands in for all others
  it.loop.pass(2s);
  CHECK(it.verdicts.back() == Verdict::Refused);
}

TEST_CASE("the same login is known again without a hash, for an hour") {
  Fixture it;
  CHECK(it.login("ann", "good") == Verdict::Accepted);
  const int before = it.tasks_run;
  for (int i = 0; i < 100; ++i) CHECK(it.login("ann", "good") == Verdict::Accepted);
  CHECK(it.tasks_run == before);
  CHECK(it.count(base::Counter::LoginsKnownAgain) == 100);
  it.loop.pass(1h);
  CHECK(it.login("ann", "good") == Verdict::Accepted);
  CHECK(it.tasks_run == before + 2);  // a look at the file, and a hash
  // Neither is another user with this password, nor this user with another.
  CHECK(it.login("bob", "good") == Verdict::Accepted);
  CHECK(it.tasks_run == before + 3);
  CHECK_FALSE(it.login("ann", "goo"));
}

TEST_CASE("equal logins wait for one hash") {
  Fixture it;
  for (int i = 0; i < 50; ++i) static_cast<void>(it.ask("ann", "good"));
  it.settle();
  CHECK(it.tasks_run == 2);
  for (const auto& verdict : it.verdicts) CHECK(verdict == Verdict::Accepted);
}

TEST_CASE("an account that was removed is gone at the next look") {
  Fixture it;
  CHECK(it.login("ann", "good") == Verdict::Accepted);
  it.write("bob:" + hash_of_good() + "\n");
  it.loop.pass(1s);
  static_cast<void>(it.login("ann", "good"));
  it.loop.pass(1s);
  CHECK(it.verdicts.back() == Verdict::Refused);
  CHECK(it.login("bob", "good") == Verdict::Accepted);
}

TEST_CASE("a file that has become bad leaves the old accounts, and one error in the log") {
  Fixture it;
  CHECK(it.login("ann", "good") == Verdict::Accepted);
  it.write("ann\n");
  for (int i = 0; i < 5; ++i) {
    it.loop.pass(1s);
    CHECK(it.login("ann", "good") == Verdict::Accepted);
  }
  std::string log = it.log_text();
  CHECK_THAT(log,
             Contains(it.path + ":1: an account is a name") && Contains("the old accounts stay"));
  CHECK(log.find("accounts not read") == log.rfind("accounts not read"));
  it.write("bob:" + hash_of_good() + "\n");
  it.loop.pass(1s);
  CHECK(it.login("bob", "good") == Verdict::Accepted);
  static_cast<void>(it.login("ann", "good"));
  it.loop.pass(1s);
  CHECK(it.verdicts.back() == Verdict::Refused);
}

TEST_CASE("without a readable file nobody can log in, and nobody is counted for it") {
  Fixture it;
  REQUIRE(::remove(it.path.c_str()) == 0);
  for (int i = 0; i < 20; ++i) CHECK(it.login("ann", "good") == Verdict::Unavailable);
  it.write("ann:" + hash_of_good() + "\n");
  it.loop.pass(1s);
  CHECK(it.login("ann", "good") == Verdict::Accepted);
}

TEST_CASE("a reload looks at once, at another file, too") {
  Fixture it;
  CHECK(it.login("ann", "good") == Verdict::Accepted);
  const std::string other = it.directory.path() + "/other";
  std::ofstream(other) << "bob:" + hash_of_good() + "\n";
  REQUIRE(::chmod(other.c_str(), 0600) == 0);
  it.accounts->reload(other);
  CHECK(it.login("bob", "good") == Verdict::Accepted);
  static_cast<void>(it.login("ann", "good"));
  it.loop.pass(1s);
  CHECK(it.verdicts.back() == Verdict::Refused);
}

TEST_CASE("ten failures, and the address is not heard") {
  Fixture it;
  for (int i = 0; i < 10; ++i) {
    static_cast<void>(it.login("ann", "bad" + std::to_string(i)));
    it.loop.pass(10s);
    CHECK(it.verdicts.back() == Verdict::Refused);
  }
  const int before = it.tasks_run;
  CHECK(it.login("ann", "good") == Verdict::TooMany);
  CHECK(it.tasks_run == before);
  CHECK_THAT(it.log_text(), Contains("too many failures"));
  CHECK(it.count(base::Counter::LoginsThrottled) == 1);
  it.loop.pass(10min);
  CHECK(it.login("ann", "good") == Verdict::Accepted);
}

TEST_CASE("one address cannot have hundreds of guesses checked at once") {
  Fixture it;
  static_cast<void>(it.login("bob", "good", "192.0.2.9"));
  for (int i = 0; i < 100; ++i) static_cast<void>(it.ask("ann", "guess" + std::to_string(i)));
  it.settle();
  it.loop.pass(30s);
  const auto refused = std::count(it.verdicts.begin(), it.verdicts.end(), Verdict::Refused);
  const auto unavailable = std::count(it.verdicts.begin(), it.verdicts.end(), Verdict::Unavailable);
  CHECK(refused == 16);
  CHECK(unavailable == 84);
}

TEST_CASE("hashes that wait are bounded, by number and by time") {
  Fixture it;
  static_cast<void>(it.login("bob", "good", "192.0.2.9"));
  for (int i = 0; i < 300; ++i) {
    const std::string client = "10.0." + std::to_string(i / 200) + "." + std::to_string(i % 200);
    static_cast<void>(it.ask("ann", "guess" + std::to_string(i), client));
  }
  it.loop.run();
  CHECK(it.workers.tasks.size() == 2);  // the others wait with us
  const auto unavailable = [&] {
    return std::count(it.verdicts.begin(), it.verdicts.end(), Verdict::Unavailable);
  };
  CHECK(unavailable() == 300 - 256);
  it.loop.pass(9s);
  CHECK(unavailable() == 298);
  it.settle();
  it.loop.pass(10s);
  CHECK(it.count(base::Counter::LoginsRefused) == 2);
}

TEST_CASE("workers that take no more are an answer") {
  Fixture it;
  it.workers.is_full = true;
  CHECK(it.login("ann", "good") == Verdict::Unavailable);
  it.workers.is_full = false;
  CHECK(it.login("ann", "good") == Verdict::Accepted);
  it.workers.is_full = true;
  static_cast<void>(it.login("bob", "good"));
  it.loop.pass(9s);
  CHECK(it.verdicts.back() == Verdict::Unavailable);
  it.workers.is_full = false;
  CHECK(it.login("bob", "good") == Verdict::Accepted);
}

TEST_CASE("answers come to the loop that asked, from real workers") {
  const tests::TemporaryDirectory directory;
  const std::string path = directory.path() + "/users";
  std::ofstream(path) << "ann:" + hash_of_good() + "\n";
  REQUIRE(::chmod(path.c_str(), 0600) == 0);
  const auto sink = std::move(*base::LogSink::open(directory.path() + "/log"));
  base::Log log(*sink);
  net::UvLoop home(0);
  std::optional<Accounts> accounts;
  std::promise<void> all_done;
  std::atomic<int> left = 40;
  std::array<std::atomic<int>, 4> verdicts{};
  {
    base::WorkerPool workers(2, 100);
    accounts.emplace(Accounts::Parts{home, workers, log}, path, nullptr);
    tests::ThreadLoop asker(1);
    for (int i = 0; i < 40; ++i) {
      // Known ones, unknown ones, and each time from another address.
      const std::string client = "10.0.0." + std::to_string(i);
      accounts->check(asker,
                      {i % 2 == 0 ? "ann" : "nobody", "good", *base::parse_ip_address(client)},
                      [&](Verdict verdict) {
                        ++verdicts[static_cast<std::size_t>(verdict)];
                        if (--left == 0) all_done.set_value();
                      });
    }
    std::thread home_thread([&] { home.run(); });  // now: no failure comes before a question
    all_done.get_future().wait();
    home.stop();
    home_thread.join();
  }
  CHECK(verdicts[0] == 20);
  CHECK(verdicts[1] == 20);
}

}  // namespace
}  // namespace rockdove::inbound
