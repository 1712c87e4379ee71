// A world for the control socket: a loop that is turned by hand, a queue of a few messages, owners
// of deliveries that decide as they are told, and clients that speak HTTP.
#pragma once

#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "mta/admin/control_server.h"
#include "mta/http/client_conversation.h"
#include "queue/trace.h"

namespace rockdove::test {

using namespace std::chrono_literals;
using Json = nlohmann::ordered_json;

inline const base::WallTime kStart = base::from_unix_milliseconds(1'795'295'700'000);  // 21:15 UTC

class HandLoop : public base::Loop {
 public:
  [[nodiscard]] unsigned index() const override { return 0; }

  [[nodiscard]] base::Now now() const override {
    return {base::Instant(1h + passed), kStart + passed};
  }

  void post(base::Task task) override { tasks.push_back(std::move(task)); }

  void at_turn_end(base::Task task) override { tasks.push_back(std::move(task)); }

  [[nodiscard]] std::unique_ptr<base::Timer> make_timer(base::Task) override { return nullptr; }

  void run() {
    while (!tasks.empty()) {
      base::Task task = std::move(tasks.front());
      tasks.pop_front();
      task();
    }
  }

  std::chrono::milliseconds passed{0};
  std::deque<base::Task> tasks;
};

// Keeps messages in order; its filter looks at sender and recipient only.
class ListedStore : public queue::Store {
 public:
  [[nodiscard]] queue::Readiness readiness() const override { return queue::Readiness::Ready; }

  void commit(base::Loop& loop, queue::Change change, queue::Done<void> done) override {
    committed.push_back(std::move(change));
    loop.post([this, done = std::move(done)]() mutable {
      done(write_fails ? base::Result<void>(base::Error("the disk is full"))
                       : base::Result<void>());
    });
  }

  void write_chunk(base::Loop& loop, base::MessageId id, std::uint32_t index,
                   std::shared_ptr<const std::string> octets, queue::Done<void> done) override {
    CHECK(index == written[id].size());
    written[id].push_back(*octets);
    loop.post([done = std::move(done)]() mutable { done({}); });
  }

  void drop_chunks(base::MessageId id, std::uint32_t chunks) override {
    CHECK(written[id].size() == chunks);
    written.erase(id);
  }

  void read_chunk(base::Loop& loop, base::MessageId id, std::uint32_t index,
                  queue::Done<std::shared_ptr<const std::string>> done) override {
    ++chunks_read;
    loop.post([this, id, index, done = std::move(done)]() mutable {
      const auto found = bodies.find(id);
      if (found == bodies.end() || index >= found->second.size()) {
        done(base::Error("the chunk is missing"));
      } else {
        done(std::make_shared<const std::string>(found->second[index]));
      }
    });
  }

  void load(base::Loop&, queue::LoadRequest, queue::Done<queue::LoadedQueue>) override {}

  void find_queues(base::Loop&, unsigned, queue::Done<std::vector<queue::FoundQueue>>) override {}

  void read_report_state(base::Loop& loop, base::MessageId,
                         queue::Done<queue::ReportState> done) override {
    loop.post([done = std::move(done)]() mutable { done(queue::ReportState{}); });
  }

  void read_notes(base::Loop&, std::string, queue::Done<std::vector<queue::NotedRow>>) override {}

  void trace(base::Loop& loop, queue::TraceRequest request,
             queue::Done<queue::TracedPage> done) override {
    loop.post([this, request = std::move(request), done = std::move(done)]() mutable {
      done(on_trace ? on_trace(request) : base::Result<queue::TracedPage>(queue::TracedPage{}));
    });
  }

  void walk_history(base::Loop& loop, queue::WalkRequest request,
                    std::function<void(const queue::TracedMessage&)> visit,
                    queue::Done<std::optional<base::MessageId>> done) override {
    if (holds_walks) return held_walks.push_back(std::move(done));
    loop.post([this, request, visit = std::move(visit), done = std::move(done)]() mutable {
      std::uint32_t seen = 0;
      for (const queue::TracedMessage& message : walked) {
        if (message.id < request.from || message.id >= request.until) continue;
        if (seen++ == walked_at_once) return done(std::optional<base::MessageId>(message.id));
        visit(message);
      }
      done(std::optional<base::MessageId>());
    });
  }

  // What trace() and walk_history() find.
  std::function<base::Result<queue::TracedPage>(const queue::TraceRequest&)> on_trace;
  std::vector<queue::TracedMessage> walked;
  std::uint32_t walked_at_once = 2;
  bool holds_walks = false;
  std::vector<queue::Done<std::optional<base::MessageId>>> held_walks;

  void list(base::Loop& loop, queue::ListRequest request,
            queue::Done<queue::ListedPage> done) override {
    ++lists;
    listed = request.filter;
    loop.post([this, request = std::move(request), done = std::move(done)]() mutable {
      if (fails_after_lists >= 0 && lists > fails_after_lists) {
        done(base::Error("reading the queue: Input/output error"));
        return;
      }
      queue::ListedPage page;
      for (const auto& [id, message] : messages) {
        if (!request.after.empty() && base::format_id(id) <= request.after) continue;
        if (page.messages.size() == request.messages_max) {
          page.more_after = base::format_id(page.messages.back().message->id);
          break;
        }
        if (!request.filter.sender.empty() && request.filter.sender != message.message->sender) {
          continue;
        }
        page.messages.push_back(message);
      }
      done(std::move(page));
    });
  }

  void select(base::Loop& loop, queue::SelectRequest request,
              queue::Done<queue::SelectedPage> done) override {
    loop.post([this, request = std::move(request), done = std::move(done)]() mutable {
      queue::SelectedPage page;
      for (const auto& [id, message] : messages) {
        if (!request.after.empty() && base::format_id(id) <= request.after) continue;
        if (page.deliveries.size() >= request.deliveries_max) break;
        page.more_after = base::format_id(id);
        if (message.message->sender != request.filter.sender) continue;
        for (const queue::Delivery& delivery : message.deliveries) {
          if (request.filter.state && *request.filter.state != delivery.state) continue;
          page.deliveries.push_back({{id, delivery.number},
                                     delivery.state,
                                     queue::queue_of(delivery),
                                     delivery.due,
                                     queue::note_of(*message.message, delivery)});
        }
      }
      const bool is_last = messages.empty() || page.more_after.empty() ||
                           page.more_after == base::format_id(messages.rbegin()->first);
      if (is_last) page.more_after.clear();
      done(std::move(page));
    });
  }

  void summarise(base::Loop& loop, queue::SummaryRequest,
                 queue::Done<queue::QueueSummary> done) override {
    loop.post([this, done = std::move(done)]() mutable { done(summary); });
  }

  void read_deliveries(base::Loop& loop, queue::ReadRequest request,
                       queue::Done<queue::ReadDeliveries> done) override {
    loop.post([this, request = std::move(request), done = std::move(done)]() mutable {
      queue::ReadDeliveries read;
      for (const base::DeliveryId id : request.ids) {
        ++read.looked_at;
        const auto found = messages.find(id.message);
        if (found == messages.end()) continue;
        for (const queue::Delivery& delivery : found->second.deliveries) {
          if (id.number != 0 && id.number != delivery.number) continue;
          read.rows.push_back({{id.message, delivery.number}, delivery, found->second.message});
        }
      }
      done(std::move(read));
    });
  }

  void find_overdue(base::Loop& /*loop*/, unsigned /*loops*/, queue::OverdueRequest /*request*/,
                    queue::Done<queue::OverduePage> /*done*/) override {}

  void view(base::Loop& loop, base::MessageId id, queue::Done<queue::MessageView> done) override {
    loop.post([this, id, done = std::move(done)]() mutable {
      queue::MessageView view;
      if (const auto found = messages.find(id); found != messages.end()) {
        view.message = found->second.message;
        view.deliveries = found->second.deliveries;
      }
      view.history = history;
      done(std::move(view));
    });
  }

  base::MessageId add(const std::string& sender, const std::vector<std::string>& recipients) {
    auto message = std::make_shared<queue::Message>();
    message->id = {(1'795'295'600'000ULL << 20) + messages.size()};
    message->sender = sender;
    message->accepted = kStart - 100s;
    message->body_octets = 1234;
    message->recipients = static_cast<std::uint32_t>(recipients.size());
    queue::MessageWithDeliveries entry{message, {}};
    for (const std::string& recipient : recipients) {
      queue::Delivery delivery;
      delivery.number = static_cast<std::uint32_t>(entry.deliveries.size() + 1);
      delivery.recipient = recipient;
      delivery.destination = recipient.substr(recipient.find('@') + 1);
      delivery.due = message->accepted;
      entry.deliveries.push_back(delivery);
    }
    const base::MessageId id = message->id;
    messages[id] = std::move(entry);
    return id;
  }

  std::map<base::MessageId, queue::MessageWithDeliveries> messages;
  std::map<base::MessageId, std::vector<std::string>> bodies;  // their chunks
  int chunks_read = 0;
  std::vector<queue::Change> committed;
  std::map<base::MessageId, std::vector<std::string>> written;  // by write_chunk()
  bool write_fails = false;
  std::vector<queue::HistoryStep> history;
  queue::QueueSummary summary;
  queue::QueueFilter listed;  // the last that list() was asked for
  int lists = 0;
  int fails_after_lists = -1;  // -1: never
};

class ToldActs : public admin::QueueActs {
 public:
  explicit ToldActs(base::Loop& loop) : loop_(loop) {}

  void act(std::shared_ptr<const queue::Order> order, std::vector<queue::Selected> targets,
           Done done) override {
    running += targets.size();
    most_at_once = std::max(most_at_once, running);
    if (!answers) return;
    loop_.post([this, order, targets = std::move(targets), done = std::move(done)]() mutable {
      running -= targets.size();
      last = *order;
      queue::ActAnswer answer;
      for (const queue::Selected& target : targets) {
        const bool is_sent = being_sent.contains(target.id);
        const auto outcome = is_sent ? admin::ActOutcome::BeingSent : admin::ActOutcome::Done;
        ++answer.counts[static_cast<std::size_t>(outcome)];
        if (is_sent) {
          answer.others.emplace_back(target.id, outcome);
        } else {
          asked.emplace_back(order->act, target.id);
        }
      }
      done(std::move(answer));
    });
  }

  [[nodiscard]] base::Result<std::string> check_target(std::string_view text) const override {
    if (text.starts_with("smtp://")) return std::string(text);
    return base::Error("no target");
  }

  void restored(const std::vector<queue::Delivery>& deliveries) override {
    came_back += deliveries.size();
  }

  [[nodiscard]] bool is_busy() const override { return false; }

  std::set<base::DeliveryId> being_sent;
  std::vector<std::pair<admin::Act, base::DeliveryId>> asked;
  queue::Order last;
  std::size_t running = 0;
  std::size_t most_at_once = 0;
  std::size_t came_back = 0;  // deliveries that were imported
  bool answers = true;

 private:
  base::Loop& loop_;
};

class ToldPauses : public admin::PauseControl {
 public:
  explicit ToldPauses(base::Loop& loop) : loop_(loop) {}

  [[nodiscard]] std::vector<queue::Pause> pauses() const override { return all; }

  void pause(queue::Pause pause, base::UniqueFunction<void(base::Result<void>)> done) override {
    all.push_back(std::move(pause));
    loop_.post([done = std::move(done)]() mutable { done({}); });
  }

  void resume(queue::PauseKind kind, std::string pattern, std::string,
              base::UniqueFunction<void(base::Result<std::optional<queue::Pause>>)> done) override {
    std::optional<queue::Pause> ended;
    for (const queue::Pause& one : all) {
      if (one.kind == kind && one.pattern == pattern) ended = one;
    }
    std::erase_if(all, [&](const auto& one) { return one.kind == kind && one.pattern == pattern; });
    loop_.post([ended, done = std::move(done)]() mutable { done(ended); });
  }

  std::vector<queue::Pause> all;

 private:
  base::Loop& loop_;
};

class ToldRoutes : public admin::RouteExplainer {
 public:
  explicit ToldRoutes(base::Loop& loop) : loop_(loop) {}

  void explain(std::string address, Done done) override {
    waiting.push_back(std::move(done));
    last = std::move(address);
    if (answers_at_once) answer_all();
  }

  void paces(PacesDone done) override {
    loop_.post([this, done = std::move(done)]() mutable { done(learned); });
  }

  void answer_all() {
    for (Done& done : waiting) {
      loop_.post([this, done = std::move(done)]() mutable { done(explanation); });
    }
    waiting.clear();
  }

  bool answers_at_once = true;
  std::string last;
  admin::RouteExplanation explanation;
  std::vector<queue::LearnedPace> learned;
  std::vector<Done> waiting;

 private:
  base::Loop& loop_;
};

class World;

// A connection to the server, its other end in the test's hands.
class Client : public net::Wire {
 public:
  explicit Client(World& world);

  void want_turn() override { wants_turn = true; }

  void start_tls(net::StartTls) override { FAIL("the control socket has no TLS"); }

  // All that the server has to say until it wants nothing more.
  void send(std::string_view bytes);
  void ask(const http::Request& request);
  // Lets the loop run, and takes output when `takes_output`.
  void run();

  [[nodiscard]] unsigned status() const {
    return conversation.head() ? conversation.head()->status : 0;
  }

  [[nodiscard]] std::vector<Json> lines() const {
    std::vector<Json> found;
    std::string_view rest = body;
    while (!rest.empty()) {
      const std::size_t end = rest.find('\n');
      found.push_back(Json::parse(rest.substr(0, end)));
      rest.remove_prefix(end + 1);
    }
    return found;
  }

  World& world;
  std::unique_ptr<net::Protocol> protocol;
  http::ClientConversation conversation;
  std::string body;
  bool wants_turn = false;
  bool takes_output = true;
};

class World {
 public:
  explicit World(const queue::OwnIds& own_ids = {})
      : acts(loop),
        pauses(loop),
        routes(loop),
        server({loop, store, acts, pauses, routes, log, nullptr, nullptr, nullptr, own_ids}) {}

  // Each line that was logged, without its time.
  [[nodiscard]] std::string logged() {
    log.flush();
    std::ifstream file(log_path_);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }

  ~World() { std::filesystem::remove(log_path_); }

 private:
  static std::string make_path() {
    std::string path = (std::filesystem::temp_directory_path() / "rockdove-log-XXXXXX").string();
    const int file = ::mkstemp(path.data());
    REQUIRE(file >= 0);
    return path;
  }

  const std::string log_path_ = make_path();

 public:
  HandLoop loop;
  std::unique_ptr<base::LogSink> sink = *base::LogSink::open(log_path_);
  base::Log log{*sink};
  ListedStore store;
  ToldActs acts;
  ToldPauses pauses;
  ToldRoutes routes;
  admin::ControlServer server;
};

inline Client::Client(World& the_world) : world(the_world) {
  net::ConnectionInfo info;
  info.credentials = net::PeerCredentials{1000, 1000, 4242};
  protocol = world.server.accept(info);
  if (protocol != nullptr) protocol->connected(*this, info, world.loop.now());
}

inline void Client::send(std::string_view bytes) {
  protocol->receive(bytes, world.loop.now());
  run();
}

inline void Client::ask(const http::Request& request) {
  conversation.start(request);
  body.clear();
  const std::string bytes(conversation.output());
  conversation.output_sent(bytes.size());
  send(bytes);
}

inline void Client::run() {
  do {
    world.loop.run();
    if (std::exchange(wants_turn, false)) protocol->turn(world.loop.now());
    const std::string bytes(protocol->output());
    if (takes_output && !bytes.empty()) {
      protocol->output_sent(bytes.size(), world.loop.now());
      if (!conversation.is_done()) REQUIRE(conversation.receive(bytes));
      body += conversation.take_body();
    }
  } while (wants_turn || !world.loop.tasks.empty() ||
           (takes_output && !protocol->output().empty()));
}

}  // namespace rockdove::test
