#include <memory>
#include <string>
#include <vector>

#include "mta/admin/trace_text.h"
#include "tests/unit/admin/admin_world.h"

namespace {

using namespace rockdove;
using namespace std::chrono_literals;
using test::Client;
using test::Json;
using test::World;

constexpr base::WallTime kNow =
    base::from_unix_milliseconds(1'795'295'700'000);  // 2026-11-21T21:15Z

queue::TracedMessage traced(std::uint64_t tick, std::uint32_t recipients = 1) {
  queue::TracedMessage message;
  message.id = {(base::to_unix_milliseconds(kNow) + tick) << 20};
  message.is_whole = true;
  message.sender = "a@b.example";
  message.client = {base::IpAddress::v4({192, 0, 2, 7}), "client.example", "lan", "bob",
                    "TLSv1.3 X"};
  message.accepted = message.id.made_at();
  message.octets = 1234;
  message.message_id_field = "<1@b.example>";
  for (std::uint32_t number = 1; number <= recipients; ++number) {
    queue::TracedDelivery& delivery = message.deliveries.emplace_back();
    delivery.number = number;
    delivery.recipient = "c" + std::to_string(number) + "@x.example";
    delivery.outcome = queue::Outcome::Delivered;
    delivery.ended = message.accepted + 2s;
    queue::HistoryStep& step = delivery.steps.emplace_back();
    step.delivery = {message.id, number};
    step.at = delivery.ended;
    step.what = "delivered";
    step.host = "mx.x.example[192.0.2.1]:25";
    step.reply = "250 2.0.0 Ok \xFF";
    step.took = 1500ms;
  }
  return message;
}

http::Request get(const std::string& target) {
  return {"GET", target, {}, ""};
}

std::vector<Json> take(admin::TraceRun& run, queue::TracedPage page) {
  std::vector<Json> lines;
  run.take(std::move(page), [&](std::string_view line) { lines.push_back(Json::parse(line)); });
  return lines;
}

}  // namespace

TEST_CASE("trace: a moment is an age, a day or a time of day") {
  CHECK(admin::parse_moment("90m", kNow).value() == kNow - 90min);
  CHECK(admin::parse_moment("2026-11-21T21:00:05Z", kNow).value() ==
        base::from_unix_milliseconds(1'795'294'805'000));
  CHECK(admin::parse_moment("2026-11-21Z", kNow).value() ==
        base::from_unix_milliseconds(1'795'219'200'000));
  CHECK(admin::parse_moment("2026-11-21 21:00", kNow));
  for (const char* bad : {"", "soon", "90", "2026-13-01", "2026-11-21 25:00", "2026-11-21x"}) {
    CHECK_FALSE(admin::parse_moment(bad, kNow));
  }
}

TEST_CASE("trace: addresses are looked up whole, with their domains in ASCII") {
  const auto query = [](const admin::Parameters& parameters) {
    return admin::TraceRun::parse(parameters, kNow).value().request()->query;
  };
  CHECK(query({{"sender", "<>"}}).sender == "");
  CHECK(query({{"sender", "<a@b.example>"}}).sender == "a@b.example");
  CHECK(query({{"recipient", "a@b\xC3\xBC.example"}}).recipient == "a@xn--b-eha.example");
  CHECK(query({{"domain", "@x.example"}}).domain == "x.example");
  CHECK(query({{"client", "::ffff:192.0.2.7"}}).client == base::IpAddress::v4({192, 0, 2, 7}));
  for (const admin::Parameters& bad : {admin::Parameters{},
                                       {{"limit", "5"}},
                                       {{"sender", "*@b.example"}},
                                       {{"domain", "a@b"}},
                                       {{"client", "10.0.0.0/8"}},
                                       {{"id", "x"}},
                                       {{"limit", "0"}, {"sender", "a@b"}},
                                       {{"sender", "a@b"}, {"sender", "c@d"}},
                                       {{"colour", "red"}}}) {
    CHECK_FALSE(admin::TraceRun::parse(bad, kNow));
  }
}

TEST_CASE("trace: a message is told with its steps, whatever octets they have") {
  queue::TracedMessage message = traced(0);
  message.deliveries[0].steps[0].report = {99ULL << 20};
  message.deliveries[0].steps[0].source = "192.0.2.10";
  queue::TracedMessage report = traced(1);
  report.kind = queue::MessageKind::Report;
  report.about = message.id;
  report.client = {};
  message.reports.push_back(report);
  const Json json = Json::parse(admin::format_traced(message));
  CHECK(json["queue_id"] == base::format_id(message.id));
  CHECK(json["client"] == "192.0.2.7");
  CHECK(json["helo"] == "client.example");
  CHECK(json["user"] == "bob");
  CHECK(json["tls"] == "TLSv1.3 X");
  CHECK(json["message_size"] == 1234);
  CHECK(json["message_id"] == "<1@b.example>");
  const Json& step = json["recipients"][0]["steps"][0];
  CHECK(step["what"] == "delivered");
  CHECK(step["seconds"] == 1.5);
  CHECK(step["source"] == "192.0.2.10");
  CHECK(step["report"] == base::format_id(base::MessageId{99ULL << 20}));
  CHECK(json["reports"][0]["about"] == json["queue_id"]);
  CHECK_FALSE(json["reports"][0].contains("client"));
}

TEST_CASE("trace: of very many recipients the first are told and the others counted") {
  const Json json = Json::parse(admin::format_traced(traced(0, 1005)));
  CHECK(json["recipients"].size() == 1000);
  CHECK(json["recipients_left_out"] == 5);
  admin::TraceRun run = admin::TraceRun::parse({{"recipient", "c1003@x.example"}}, kNow).value();
  queue::TracedPage page;
  page.messages = {traced(0, 1005)};
  const auto lines = take(run, page);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0]["recipients"].size() == 1);
  CHECK(lines[0]["recipients"][0]["address"] == "c1003@x.example");
  CHECK(lines[0]["recipients_left_out"] == 1004);
}

TEST_CASE("trace: mail of a user of this machine has no address, and can be asked for") {
  queue::TracedMessage message = traced(0);
  message.client = {base::IpAddress(), "", "sendmail", "uid 33 (www-data)"};
  const Json json = Json::parse(admin::format_traced(message));
  CHECK(json["client"] == "local");
  CHECK(json["user"] == "uid 33 (www-data)");
  const auto run = admin::TraceRun::parse({{"client", "local"}}, kNow);
  CHECK(run.value().request()->query.client == base::IpAddress());
}

TEST_CASE("stats: more counts at once than a few are refused, until one has ended") {
  World world;
  world.store.holds_walks = true;
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(std::make_unique<Client>(world));
    clients.back()->ask(get("/v1/stats"));
  }
  Client late(world);
  late.ask(get("/v1/stats"));
  CHECK(late.status() == 503);
  REQUIRE(world.store.held_walks.size() == 4);
  world.store.held_walks.front()(std::optional<base::MessageId>());
  world.store.held_walks.erase(world.store.held_walks.begin());
  clients.front()->run();
  CHECK(clients.front()->status() == 200);
  Client again(world);
  again.ask(get("/v1/stats"));
  CHECK(world.store.held_walks.size() == 4);
  world.store.held_walks.clear();
}

TEST_CASE("trace: pages go on behind each other until the limit, which is said") {
  admin::TraceRun run =
      admin::TraceRun::parse({{"recipient", "c2@x.example"}, {"limit", "3"}}, kNow).value();
  queue::TracedPage page;
  page.messages = {traced(9, 3), traced(8, 2)};
  page.more_before = page.messages.back().id;
  const auto first = take(run, page);
  REQUIRE(first.size() == 2);
  CHECK(first[0]["recipients"].size() == 1);
  CHECK(first[0]["recipients"][0]["address"] == "c2@x.example");
  CHECK(first[0]["recipients_left_out"] == 2);
  REQUIRE(run.request());
  CHECK(run.request()->before == page.more_before);
  page.messages = {traced(7, 2), traced(6, 2)};
  page.more_before.reset();
  const auto second = take(run, page);
  REQUIRE(second.size() == 2);
  CHECK(second[1]["more"] == true);
  CHECK_FALSE(run.request());
}

TEST_CASE("trace: where the limit is met exactly, more is said only if there is more") {
  admin::TraceRun run =
      admin::TraceRun::parse({{"sender", "a@b.example"}, {"limit", "2"}}, kNow).value();
  queue::TracedPage page;
  page.messages = {traced(9), traced(8)};
  page.more_before = page.messages.back().id;  // the page was full, or took long
  CHECK(take(run, page).size() == 2);
  REQUIRE(run.request());
  CHECK(run.request()->before == page.more_before);
  page.messages.clear();
  CHECK(take(run, page).empty());
  REQUIRE(run.request());
  const bool has_more = GENERATE(false, true);
  if (has_more) page.messages = {traced(7)};
  page.more_before.reset();
  const auto last = take(run, page);
  CHECK_FALSE(run.request());
  REQUIRE(last.size() == (has_more ? 1 : 0));
  if (has_more) CHECK(last[0]["more"] == true);
}

TEST_CASE("stats: what was accepted before its time does not count, whatever its id") {
  admin::StatsRun run =
      admin::StatsRun::parse({{"since", "2026-11-21T20:00Z"}, {"until", "2026-11-21T21:00Z"}}, kNow)
          .value();
  CHECK(run.request()->from < queue::first_id_at(kNow - 75min));
  for (const base::Duration ago : {76min, 75min, 16min, 15min}) {
    queue::TracedMessage message = traced(0);
    message.accepted = kNow - ago;
    run.count(message);
  }
  run.counted(std::nullopt);
  std::vector<Json> lines;
  run.tell([&](std::string_view line) { lines.push_back(Json::parse(line)); });
  CHECK(lines.back()["accepted"] == 2);
}

TEST_CASE("trace: the control socket streams the answer, and says what is wrong with a question") {
  World world;
  int pages = 0;
  world.store.on_trace =
      [&](const queue::TraceRequest& request) -> base::Result<queue::TracedPage> {
    CHECK(request.query.sender == "a@b.example");
    queue::TracedPage page;
    page.messages = {traced(9U - static_cast<unsigned>(pages))};
    if (++pages < 3) page.more_before = page.messages.back().id;
    return page;
  };
  Client client(world);
  client.ask(get("/v1/trace?sender=a@b.example"));
  CHECK(client.status() == 200);
  CHECK(client.conversation.is_done());
  CHECK(client.lines().size() == 3);
  Client wrong(world);
  wrong.ask(get("/v1/trace?sender=*@b.example"));
  CHECK(wrong.status() == 400);
}

TEST_CASE("stats: the control socket counts page by page and ends with the total") {
  World world;
  for (std::uint64_t tick = 0; tick < 5; ++tick) world.store.walked.push_back(traced(tick, 2));
  Client client(world);
  client.ask(get("/v1/stats?by=sender&since=2026-11-01"));
  CHECK(client.status() == 200);
  const auto lines = client.lines();
  REQUIRE(lines.size() == 2);
  CHECK(lines[0]["name"] == "a@b.example");
  CHECK(lines[0]["accepted"] == 5);
  CHECK(lines[0]["recipients"] == 10);
  CHECK(lines[0]["delivered"] == 10);
  CHECK(lines[0]["delay_median"] > 1.8);
  CHECK(lines[1]["total"] == true);
  CHECK(lines[1]["octets"] == 5 * 1234);
  Client wrong(world);
  wrong.ask(get("/v1/stats?by=moon"));
  CHECK(wrong.status() == 400);
}

TEST_CASE("stats: names beyond the limit are told together") {
  admin::StatsRun run = admin::StatsRun::parse({{"by", "sender"}, {"limit", "1"}}, kNow).value();
  for (const char* sender : {"x@b", "y@b", "x@b", "z@b"}) {
    queue::TracedMessage message = traced(0);
    message.sender = sender;
    run.count(message);
  }
  run.counted(std::nullopt);
  CHECK_FALSE(run.request());
  std::vector<Json> lines;
  run.tell([&](std::string_view line) { lines.push_back(Json::parse(line)); });
  REQUIRE(lines.size() == 3);
  CHECK(lines[0]["name"] == "x@b");
  CHECK(lines[0]["recipients"] == 2);
  CHECK(lines[1]["names"] == 2);
  CHECK(lines[1]["recipients"] == 2);
  CHECK(lines[2]["total"] == true);
  CHECK(lines[2]["recipients"] == 4);
}

TEST_CASE("replies: what servers refused is told page by page, and nothing else") {
  World world;
  queue::TracedMessage first = traced(0, 2);
  first.deliveries[0].recipient = "c1@X.example";
  first.deliveries[0].steps.insert(first.deliveries[0].steps.begin(),
                                   first.deliveries[0].steps.front());
  first.deliveries[0].steps.front().what = "deferred";
  first.deliveries[0].steps.front().reply = "451 4.7.1 later";
  first.deliveries[1].outcome = queue::Outcome::Bounced;
  first.deliveries[1].steps[0].what = "bounced";
  first.deliveries[1].steps[0].outcome = queue::Outcome::Bounced;
  first.deliveries[1].steps[0].reply = "550 5.1.1 no \xFF";
  queue::TracedMessage second = traced(1);
  second.deliveries[0].steps[0].what = "deferred";
  second.deliveries[0].steps[0].host.clear();  // nobody was reached
  second.steps_left_out = 7;
  world.store.walked = {first, second, traced(2)};
  Client client(world);
  client.ask(get("/v1/replies"));
  const std::vector<Json> lines = client.lines();
  REQUIRE(lines.size() == 3);
  CHECK(lines[0]["id"] == base::format_id(base::DeliveryId{first.id, 1}));
  CHECK(lines[0]["domain"] == "x.example");
  CHECK(lines[0]["host"] == "mx.x.example[192.0.2.1]:25");
  CHECK(lines[0]["reply"] == "451 4.7.1 later");
  CHECK(lines[0]["ended"] == false);
  CHECK(lines[1]["reply"] == "550 5.1.1 no \xef\xbf\xbd");
  CHECK(lines[1]["ended"] == true);
  CHECK(lines[2] ==
        Json{{"total", true}, {"messages", 3}, {"replies", 2}, {"replies_left_out", 7}});
  Client wrong(world);
  wrong.ask(get("/v1/replies?limit=5"));
  CHECK(wrong.status() == 400);
}
