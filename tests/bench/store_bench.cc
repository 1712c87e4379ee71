// What the durable queue costs: messages are accepted and then end as delivered, through
// ThreadedStore over RocksRows on a real disk, with a bounded number on their way at once.
//
//   store_bench DIRECTORY [messages=200000] [octets=4096] [outstanding=32] [loops=2]
//   store_bench fill DIRECTORY [messages=200000] [destinations=1000] [senders=1] [octets=4096]
//   store_bench look DIRECTORY
//
// Prints processor time a message for the loops (which encode), the committer and RocksDB's
// threads, syncs, and peak memory. The directory must be on the disk that is meant and is made.
// `fill` writes deferred messages and dies by SIGKILL, `look` opens what is left, finds the queues
// and summarises: what a start after a crash costs.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <unistd.h>
#include <vector>

#include <sys/resource.h>
#include <sys/vfs.h>

#include "queue/rocks_rows.h"
#include "queue/threaded_store.h"
#include "tests/support/thread_loop.h"
#include "tests/unit/queue/sample_mail.h"

namespace {

using namespace rockdove;
using queue::Change;
using queue::Message;
using Clock = std::chrono::steady_clock;

constexpr long kTmpfsMagic = 0x01021994;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Nanoseconds that each thread of this process has run so far, by its name; threads of one name
// count together.
std::map<std::string, double> thread_times() {
  std::map<std::string, double> times;
  std::error_code error;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task", error)) {
    std::string name;
    std::ifstream(task.path() / "comm") >> name;
    name = name.substr(0, name.find_last_not_of("0123456789") + 1);
    double nanoseconds = 0;
    std::ifstream(task.path() / "schedstat") >> nanoseconds;
    times[name] += nanoseconds;
  }
  return times;
}

long peak_kibibytes() {
  struct rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

double processor_seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

void fail(const std::string& text) {
  std::fprintf(stderr, "store_bench: %s\n", text.c_str());
  std::exit(1);
}

std::unique_ptr<queue::ThreadedStore> open_store(const std::string& directory) {
  queue::StoreSettings settings;
  settings.state_dir = directory;
  settings.open = [directory] { return queue::open_rocks_rows({directory + "/queue", {}}); };
  settings.warn = [](std::string_view text) {
    std::fprintf(stderr, "%.*s\n", static_cast<int>(text.size()), text.data());
  };
  auto store = queue::ThreadedStore::start(std::move(settings));
  if (!store) fail(store.error().text());
  return std::move(*store);
}

// As from inbound: a header block of 600 octets, a body in memory.
Message make_message(std::uint64_t number, std::size_t octets) {
  Message message = tests::sample_message(number, 1, std::string(octets, 'x'));
  message.header_block.insert(0, std::string(560, 'h') + "\r\n");
  return message;
}

queue::Delivery make_delivery(const Message& message) {
  return tests::sample_delivery(
      message, 1,
      "d" + std::to_string(message.id.made_at().time_since_epoch().count() % 20) + ".example.net");
}

// One loop's share of the messages.
class Sender {
 public:
  Sender(queue::ThreadedStore& store, unsigned index, unsigned loops, std::uint64_t messages,
         std::size_t octets)
      : store_(store), loop_(index), next_(index), step_(loops), left_(messages), octets_(octets) {}

  void start(std::uint64_t outstanding) {
    loop_.post([this, outstanding] {
      for (std::uint64_t i = 0; i < outstanding; ++i) send_one();
    });
  }

  void wait() { over_.get_future().wait(); }

  // Runs before the loop ends.
  [[nodiscard]] tests::ThreadLoop& loop() { return loop_; }

 private:
  void send_one() {
    if (started_ == left_) return;
    ++started_;
    auto message = std::make_shared<const Message>(make_message(next_, octets_));
    next_ += step_;
    const queue::Delivery delivery = make_delivery(*message);
    store_.commit(loop_, queue::accepted(*message, {&delivery, 1}),
                  [this, message](queue::Result<void> result) {
                    if (!result) fail(result.error().text());
                    end_one(*message);
                  });
  }

  void end_one(const Message& message) {
    const queue::Delivery delivery = make_delivery(message);
    store_.commit(loop_,
                  queue::ended(message, {&delivery, 1}, queue::Outcome::Delivered,
                               tests::sample_attempt(message.accepted)),
                  [this](queue::Result<void> result) {
                    if (!result) fail(result.error().text());
                    if (++ended_ == left_) over_.set_value();
                    send_one();
                  });
  }

  queue::ThreadedStore& store_;
  tests::ThreadLoop loop_;
  std::uint64_t next_;
  std::uint64_t step_;
  std::uint64_t left_;
  std::size_t octets_;
  std::uint64_t started_ = 0;
  std::uint64_t ended_ = 0;
  std::promise<void> over_;
};

void measure_encoding(std::size_t octets) {
  constexpr int kRounds = 100'000;
  const Message message = make_message(1, octets);
  const queue::Delivery delivery = make_delivery(message);
  const auto start = Clock::now();
  std::size_t built = 0;
  for (int i = 0; i < kRounds; ++i) {
    built += queue::accepted(message, {&delivery, 1}).octets();
    built += queue::ended(message, {&delivery, 1}, queue::Outcome::Delivered,
                          tests::sample_attempt(message.accepted))
                 .octets();
  }
  std::printf("encoding alone: %.2f us a message, %zu octets of rows\n",
              seconds_since(start) / kRounds * 1e6, built / kRounds);
}

void run(const std::string& directory, std::uint64_t messages, std::size_t octets,
         std::uint64_t outstanding, unsigned loops) {
  measure_encoding(octets);
  const auto store = open_store(directory);
  std::vector<std::unique_ptr<Sender>> senders;
  for (unsigned i = 0; i < loops; ++i) {
    senders.push_back(std::make_unique<Sender>(*store, i, loops, messages / loops, octets));
  }
  const std::map<std::string, double> before = thread_times();
  struct rusage usage_before = {};
  ::getrusage(RUSAGE_SELF, &usage_before);
  const auto start = Clock::now();
  for (auto& sender : senders) sender->start(std::max<std::uint64_t>(1, outstanding / loops));
  for (auto& sender : senders) sender->wait();
  const double took = seconds_since(start);
  struct rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto count = static_cast<double>(messages / loops * loops);
  const queue::StoreStatistics statistics = store->statistics();
  std::printf("%.0f messages/s, %.0f syncs/s, %.1f messages a sync\n", count / took,
              static_cast<double>(statistics.groups) / took,
              count / static_cast<double>(statistics.groups));
  const double user = processor_seconds(usage.ru_utime) - processor_seconds(usage_before.ru_utime);
  const double kernel =
      processor_seconds(usage.ru_stime) - processor_seconds(usage_before.ru_stime);
  std::printf("processor: %.1f us a message (%.1f user, %.1f kernel)\n",
              (user + kernel) / count * 1e6, user / count * 1e6, kernel / count * 1e6);
  for (const auto& [name, nanoseconds] : thread_times()) {
    const auto found = before.find(name);
    const double spent = nanoseconds - (found == before.end() ? 0 : found->second);
    if (spent > 0) std::printf("  %-16s %6.2f us\n", name.c_str(), spent / count / 1e3);
  }
  std::printf("written to disk: %.0f octets a message\n",
              static_cast<double>(usage.ru_oublock - usage_before.ru_oublock) * 512 / count);
  std::printf("peak memory: %ld MiB\n", peak_kibibytes() / 1024);
}

// What `fill` makes.
struct Filling {
  std::uint64_t messages = 200'000;
  std::uint64_t destinations = 1'000;
  std::uint64_t senders = 1;  // the first has half of all, if there are several
  std::size_t octets = 4096;
};

std::string sender_of(const Filling& filling, std::uint64_t number) {
  const bool is_first = filling.senders == 1 || number % 2 == 0;
  const std::uint64_t sender = is_first ? 0 : 1 + number / 2 % (filling.senders - 1);
  return "s" + std::to_string(sender) + "@senders.example";
}

// The last ones of these were accepted just now, the first ones a day ago; they are due within the
// next one to four hours.
Message make_deferred(const Filling& filling, std::uint64_t number, base::WallTime now) {
  Message message = make_message(0, filling.octets);
  const std::uint64_t behind = filling.messages - std::min(filling.messages, number);
  const auto ago = std::chrono::milliseconds(86'400'000 * behind / filling.messages);
  message.accepted = now - ago;
  message.id = {(base::to_unix_milliseconds(message.accepted) << 20) + number % (1 << 14)};
  message.sender = sender_of(filling, number);
  return message;
}

// Each message is accepted and then deferred once; the process dies while more are coming.
void fill(const std::string& directory, const Filling& filling) {
  const auto store = open_store(directory);
  tests::ThreadLoop loop(0);
  std::atomic<std::uint64_t> done = 0;
  std::promise<void> over;
  std::uint64_t next = 0;
  const base::WallTime now = base::read_clocks().wall;
  base::UniqueFunction<void()> send = [&] {
    const auto message = std::make_shared<const Message>(make_deferred(filling, next, now));
    const queue::Delivery before = tests::sample_delivery(
        *message, 1, "d" + std::to_string(next % filling.destinations) + ".example.net");
    const auto wait = std::chrono::hours(1) + std::chrono::milliseconds(next % 10'800'000);
    ++next;
    store->commit(
        loop, queue::accepted(*message, {&before, 1}),
        [&, message, before, wait](queue::Result<void>) {
          queue::Delivery after = before;
          after.due = now + wait;
          after.attempts = 1;
          after.last = {message->accepted, "mx.example.net[192.0.2.1]:25", "451 4.3.0 try later"};
          store->commit(
              loop, queue::moved(*message, before, after, tests::sample_attempt(message->accepted)),
              [&](queue::Result<void> result) {
                if (!result) fail(result.error().text());
                if (++done == filling.messages) over.set_value();
                send();
              });
        });
  };
  loop.post([&] {
    for (int i = 0; i < 256; ++i) send();
  });
  over.get_future().wait();
  std::printf("filled with %llu deferred messages\n", static_cast<unsigned long long>(done.load()));
  std::fflush(stdout);
  ::kill(::getpid(), SIGKILL);
}

void look(const std::string& directory) {
  auto start = Clock::now();
  tests::ThreadLoop loop(0);
  const auto store = open_store(directory);
  std::printf("opened in %.3f s, peak memory %ld MiB\n", seconds_since(start),
              peak_kibibytes() / 1024);
  start = Clock::now();
  std::promise<std::size_t> queues;
  store->find_queues(loop, 1, [&](queue::Result<std::vector<queue::FoundQueue>> found) {
    queues.set_value(found ? found->size() : 0);
  });
  const std::size_t found = queues.get_future().get();
  std::printf("found %zu queues in %.3f s\n", found, seconds_since(start));
  start = Clock::now();
  std::promise<std::uint64_t> deliveries;
  store->summarise(loop, {base::read_clocks().wall},
                   [&](queue::Result<queue::QueueSummary> summary) {
                     std::uint64_t count = 0;
                     if (summary) {
                       for (const queue::QueueSummary::Line& line : summary->lines)
                         count += line.deliveries;
                     }
                     deliveries.set_value(count);
                   });
  const std::uint64_t counted = deliveries.get_future().get();
  std::printf("summarised %llu deliveries in %.3f s, peak memory %ld MiB\n",
              static_cast<unsigned long long>(counted), seconds_since(start),
              peak_kibibytes() / 1024);
}

std::string make_directory(const char* path) {
  std::filesystem::create_directories(path);
  struct statfs disk = {};
  if (::statfs(path, &disk) == 0 && disk.f_type == kTmpfsMagic) fail("a tmpfs proves nothing");
  return path;
}

std::uint64_t number(int count, char** arguments, int index, std::uint64_t otherwise) {
  return index < count ? std::strtoull(arguments[index], nullptr, 10) : otherwise;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) fail("which directory?");
  const std::string first = arguments[1];
  if (first == "fill" && count > 2) {
    const Filling usual;
    fill(make_directory(arguments[2]),
         {std::max<std::uint64_t>(1, number(count, arguments, 3, usual.messages)),
          std::max<std::uint64_t>(1, number(count, arguments, 4, usual.destinations)),
          std::max<std::uint64_t>(1, number(count, arguments, 5, usual.senders)),
          number(count, arguments, 6, usual.octets)});
  } else if (first == "look" && count > 2) {
    look(make_directory(arguments[2]));
  } else {
    run(make_directory(arguments[1]), number(count, arguments, 2, 200'000),
        number(count, arguments, 3, 4096), number(count, arguments, 4, 32),
        static_cast<unsigned>(number(count, arguments, 5, 2)));
  }
  return 0;
}
