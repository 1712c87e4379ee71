// What /metrics and /healthz say, and who may ask. That a Prometheus reads it,
// tests/e2e/metrics_test.py shows with promtool.
#include "mta/admin/metrics.h"

#include <algorithm>
#include <utility>

#include "tests/unit/admin/admin_world.h"

namespace {

using namespace rockdove;
using Catch::Matchers::Contains;
using test::World;

class ToldMonitored final : public admin::Monitored {
 public:
  admin::Standing standing() override { return told; }

  base::CounterTotals counts() override { return counted; }

  admin::Standing told;
  base::CounterTotals counted;
};

// A whole answer as octets; over the control socket, or over TCP.
std::string say(World& world, admin::ControlServer& server, const std::string& bytes,
                admin::Reach reach = admin::Reach::Anyone) {
  struct QuietWire : net::Wire {
    void want_turn() override {}

    void start_tls(net::StartTls) override {}
  } wire;

  const net::ConnectionInfo info;
  const auto protocol =
      reach == admin::Reach::Anyone ? server.accept_http(info) : server.accept(info);
  if (protocol == nullptr) return "";
  protocol->connected(wire, info, world.loop.now());
  protocol->receive(bytes, world.loop.now());
  world.loop.run();
  return std::string(protocol->output());
}

std::string ask(World& world, admin::ControlServer& server, const std::string& target,
                admin::Reach reach = admin::Reach::Anyone, const std::string& method = "GET") {
  return say(world, server, method + " " + target + " HTTP/1.1\r\nHost: x\r\n\r\n", reach);
}

struct Fixture {
  Fixture()
      : server({world.loop, world.store, world.acts, world.pauses, world.routes, world.log,
                &monitored}) {
    monitored.told.now = test::kStart;
  }

  World world;
  ToldMonitored monitored;
  admin::ControlServer server;
};

void set(base::CounterTotals& totals, base::Counter counter, std::uint64_t value) {
  totals.counters[static_cast<std::size_t>(counter)] = value;
}

}  // namespace

TEST_CASE("metrics: counts, gauges and histograms are in Prometheus' text format") {
  base::CounterTotals counts;
  set(counts, base::Counter::MessagesAccepted, 7);
  set(counts, base::Counter::RefusedPermanentPolicy, 3);
  set(counts, base::Counter::TlsServer13, 2);
  set(counts, base::Counter::Deferred, 5);
  auto& turns = counts.histograms[static_cast<std::size_t>(base::Timing::LoopTurn)];
  turns.buckets[0] = 4;
  turns.buckets[2] = 1;
  turns.buckets[base::kBuckets - 1] = 1;
  turns.sum = 1'500'000'000;
  auto& turns_processor =
      counts.histograms[static_cast<std::size_t>(base::Timing::LoopTurnProcessor)];
  turns_processor.buckets[0] = 8;
  turns_processor.buckets[7] = 2;  // up to 10 ms
  turns_processor.sum = 20'000'000;
  admin::Standing standing;
  standing.now = test::kStart;
  standing.loops = {{0, std::chrono::milliseconds(250), 12},
                    {1, std::chrono::milliseconds(500), 13}};
  standing.memory_used = 1000;
  standing.memory_max = 256'000'000;
  standing.certificates = {
      {"/a.pem", "relay.example", "P-256", test::kStart + std::chrono::hours(36)},
      {"/b\"\\.pem", "relay.example", "P-256", test::kStart - std::chrono::hours(24)}};
  const std::string text = admin::format_metrics(
      counts, standing,
      admin::QueueCount{5, 1, 0, test::kStart - std::chrono::minutes(1), test::kStart});
  CHECK_THAT(text, Contains("# HELP rockdove_messages_accepted_total ") &&
                       Contains("# TYPE rockdove_messages_accepted_total counter\n") &&
                       Contains("\nrockdove_messages_accepted_total 7"));
  CHECK_THAT(text, Contains("rockdove_refused_total{kind=\"permanent\",subject=\"policy\"} 3"));
  CHECK_THAT(text, Contains("rockdove_tls_connections_total{direction=\"in\",version=\"1.3\"} 2"));
  CHECK_THAT(text, Contains("rockdove_deliveries_total{result=\"deferred\"} 5"));
  CHECK_THAT(text, Contains("# TYPE rockdove_loop_turn_seconds histogram"));
  CHECK_THAT(text, Contains("rockdove_loop_turn_seconds_count 6\n") &&
                       Contains("rockdove_loop_turn_seconds_sum 1.5") &&
                       Contains("rockdove_loop_turn_seconds_bucket{le=\"0.00025\"} 5") &&
                       Contains("rockdove_loop_turn_seconds_bucket{le=\"+Inf\"} 6"));
  CHECK_THAT(text, Contains("rockdove_loop_connections_out_total{loop=\"0\"} 12\n") &&
                       Contains("rockdove_loop_connections_out_total{loop=\"1\"} 13\n"));
  CHECK_THAT(text, Contains("rockdove_loop_turn_processor_seconds_count 10\n") &&
                       Contains("rockdove_loop_turn_processor_seconds_sum 0.02\n") &&
                       Contains("rockdove_loop_turn_processor_seconds_bucket{le=\"0.005\"} 8\n"));
  CHECK_THAT(text,
             Contains("# TYPE rockdove_loop_turn_processor_longest_seconds gauge\n") &&
                 Contains("rockdove_loop_turn_processor_longest_seconds{loop=\"0\"} 0.25\n") &&
                 Contains("rockdove_loop_turn_processor_longest_seconds{loop=\"1\"} 0.5\n"));
  CHECK_THAT(text, Contains("rockdove_memory_bytes 1000") &&
                       Contains("rockdove_memory_limit_bytes 256000000"));
  CHECK_THAT(
      text,
      Contains("rockdove_certificate_remaining_seconds{source=\"/a.pem\",name=\"relay.example\","
               "key=\"P-256\"} 129600\n") &&
          Contains("rockdove_certificate_remaining_seconds{source=\"/b\\\"\\\\.pem\",name="
                   "\"relay.example\",key=\"P-256\"} -86400\n"));
  CHECK_THAT(text, Contains("rockdove_queue_deliveries{state=\"waiting\"} 5") &&
                       Contains("rockdove_queue_oldest_seconds 60"));
  CHECK_THAT(admin::format_metrics(counts, standing, std::nullopt), !Contains("rockdove_queue_"));
}

TEST_CASE("metrics: the queue is counted by state, and the oldest is one that waits") {
  queue::QueueSummary summary;
  const auto add = [&summary](queue::DeliveryState state, std::uint64_t deliveries, int minutes) {
    summary.lines.push_back({state,
                             "x.example",
                             deliveries,
                             0,
                             test::kStart,
                             test::kStart,
                             test::kStart - std::chrono::minutes(minutes),
                             {}});
  };
  add(queue::DeliveryState::Waiting, 10, 5);
  add(queue::DeliveryState::Waiting, 20, 7);
  add(queue::DeliveryState::Held, 3, 60);
  add(queue::DeliveryState::Deleted, 2, 90);
  const admin::QueueCount count = admin::count_queue(summary, test::kStart);
  CHECK(count.waiting == 30);
  CHECK(count.held == 3);
  CHECK(count.deleted == 2);
  CHECK(count.oldest == test::kStart - std::chrono::minutes(7));
  CHECK_FALSE(admin::count_queue({}, test::kStart).oldest);
}

TEST_CASE("metrics: illness is said in plain words") {
  admin::Standing standing;
  standing.state_dir = "/var/lib/rockdove";
  CHECK(admin::format_illness(standing).empty());
  standing.readiness = queue::Readiness::DiskFull;
  standing.disk_free = 900'000'000;
  standing.disk_free_min = 1'000'000'000;
  CHECK(admin::format_illness(standing) ==
        "the disk of /var/lib/rockdove has 900M free, less than min_free_disk, 1G; new mail is "
        "refused\n");
  standing.readiness = queue::Readiness::Failed;
  standing.is_stopping = true;
  standing.has_memory_for_mail = false;
  standing.memory_max = 256'000'000;
  CHECK(admin::format_illness(standing) ==
        "the relay is stopping\n"
        "the queue in /var/lib/rockdove cannot be written; no mail is accepted or sent until it "
        "can\n"
        "messages fill the memory that they may have, 256M (limits.memory); new mail is refused\n");
  standing = {};
  standing.readiness = queue::Readiness::Busy;
  CHECK_THAT(admin::format_illness(standing), Contains("does not keep up"));
}

TEST_CASE("metrics: over TCP there are /metrics and /healthz and nothing else") {
  Fixture it;
  CHECK_THAT(ask(it.world, it.server, "/metrics"), Contains("HTTP/1.1 200") &&
                                                       Contains("text/plain; version=0.0.4") &&
                                                       Contains("rockdove_build_info"));
  CHECK_THAT(ask(it.world, it.server, "/healthz"),
             Contains("HTTP/1.1 200") && Contains("\r\n\r\nok\n"));
  it.monitored.told.is_stopping = true;
  CHECK_THAT(ask(it.world, it.server, "/healthz"),
             Contains("HTTP/1.1 503") && Contains("the relay is stopping\n"));
  for (const std::string path :
       {"/v1/queue", "/v1/queue/summary", "/v1/queue/message?id=x", "/v1/alive",
        "/v1/route?address=a@b.example", "/v1/queue/delete"}) {
    CHECK_THAT(ask(it.world, it.server, path), Contains("HTTP/1.1 403"));
    CHECK_THAT(ask(it.world, it.server, path, admin::Reach::ControlSocket),
               !Contains("HTTP/1.1 403"));
  }
  for (const std::string path : {"/", "/metrics/", "//metrics", "/metrics%2f", "/METRICS"})
    CHECK_THAT(ask(it.world, it.server, path), Contains("HTTP/1.1 404"));
  CHECK_THAT(ask(it.world, it.server, "/metrics", admin::Reach::ControlSocket),
             Contains("HTTP/1.1 200"));
}

TEST_CASE("metrics: HEAD is answered as GET is, without the text; nothing else is") {
  Fixture it;
  for (const admin::Reach reach : {admin::Reach::Anyone, admin::Reach::ControlSocket}) {
    for (const std::string path : {"/metrics", "/healthz"}) {
      const std::string head = ask(it.world, it.server, path, reach, "HEAD");
      CHECK_THAT(head, Contains("HTTP/1.1 200") && Catch::Matchers::EndsWith("\r\n\r\n"));
      for (const std::string method : {"POST", "PUT", "DELETE", "OPTIONS", "get"}) {
        CHECK_THAT(ask(it.world, it.server, path, reach, method),
                   Contains("HTTP/1.1 405") && Contains("Allow: GET, HEAD\r\n"));
      }
    }
  }
  CHECK_THAT(ask(it.world, it.server, "/v1/alive", admin::Reach::ControlSocket, "HEAD"),
             Contains("HTTP/1.1 405") && Contains("Allow: GET\r\n"));
}

TEST_CASE("metrics: over TCP a request is small and has no body") {
  Fixture it;
  const std::string start = "GET /healthz HTTP/1.1\r\nHost: x\r\n";
  const std::string field = "X: " + std::string(8000, 'x') + "\r\n\r\n";
  CHECK_THAT(say(it.world, it.server, start + field), Contains("HTTP/1.1 200"));
  CHECK_THAT(say(it.world, it.server, start + "Y: " + std::string(200, 'y') + "\r\n" + field),
             Contains("HTTP/1.1 431"));
  const std::string body = "Content-Length: 1\r\n\r\nx";
  CHECK_THAT(say(it.world, it.server, start + body), Contains("HTTP/1.1 413"));
  CHECK_THAT(say(it.world, it.server, start + body, admin::Reach::ControlSocket),
             Contains("HTTP/1.1 200"));
}

TEST_CASE("metrics: a client that only asks does not fill our memory, and is answered in the end") {
  Fixture it;

  struct CountingWire : net::Wire {
    void want_turn() override { ++turns; }

    void start_tls(net::StartTls) override {}

    int turns = 0;
  } wire;

  const auto protocol = it.server.accept_http({});
  protocol->connected(wire, {}, it.world.loop.now());
  std::string flood;
  for (int i = 0; i < 500; ++i) flood += "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
  protocol->receive(flood, it.world.loop.now());
  it.world.loop.run();
  int answers = 0;
  for (int rounds = 0; rounds < 1000 && !protocol->output().empty(); ++rounds) {
    const std::string some(protocol->output());
    CHECK(some.size() < 128 * 1024);
    for (std::size_t at = some.find("HTTP/1.1 200"); at != some.npos;
         at = some.find("HTTP/1.1 200", at + 1))
      ++answers;
    protocol->output_sent(some.size(), it.world.loop.now());
    if (std::exchange(wire.turns, 0) > 0) protocol->turn(it.world.loop.now());
    it.world.loop.run();
  }
  CHECK(answers == 500);
}

TEST_CASE("metrics: many TCP connections do not take the control socket's places") {
  Fixture it;
  std::vector<std::unique_ptr<net::Protocol>> held;
  for (std::uint32_t i = 0; i < admin::kHttpConnectionsMax; ++i) {
    held.push_back(it.server.accept_http({}));
    REQUIRE(held.back() != nullptr);
  }
  CHECK(it.server.accept_http({}) == nullptr);
  CHECK(it.server.accept({}) != nullptr);
  held.pop_back();
  CHECK(it.server.accept_http({}) != nullptr);
}

TEST_CASE("metrics: those who wait for the first count do not take the commands' places") {
  Fixture it;
  std::vector<std::optional<bool>> told(10);
  admin::QueueCounter counter(it.world.loop, it.world.store);
  for (std::optional<bool>& one : told)
    counter.ask([&one](const std::optional<admin::QueueCount>& count) { one = count.has_value(); });
  CHECK(std::count(told.begin(), told.end(), std::nullopt) == 4);
  CHECK(std::count(told.begin(), told.end(), false) == 6);
  it.world.loop.run();
  CHECK(std::count(told.begin(), told.end(), true) == 4);
}

TEST_CASE("metrics: the queue is counted at most every ten seconds") {
  Fixture it;
  const auto waiting = [&] {
    const std::string answer = ask(it.world, it.server, "/metrics");
    const std::string name = "rockdove_queue_deliveries{state=\"waiting\"} ";
    const std::size_t at = answer.find(name);
    return at == answer.npos ? "none" : answer.substr(at + name.size(), 1);
  };
  it.world.store.summary.lines = {
      {queue::DeliveryState::Waiting, "x.example", 1, 0, test::kStart, test::kStart, {}}};
  CHECK(waiting() == "1");
  it.world.store.summary.lines[0].deliveries = 2;
  it.world.loop.passed += std::chrono::seconds(9);
  CHECK(waiting() == "1");
  it.world.loop.passed += std::chrono::seconds(1);
  CHECK(waiting() == "2");
}
