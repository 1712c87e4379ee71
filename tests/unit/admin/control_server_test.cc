#include "mta/admin/bulk_act.h"
#include "tests/unit/admin/admin_world.h"

namespace {

using namespace rockdove;
using test::Client;
using test::Json;
using test::World;

http::Request get(const std::string& target) {
  return {"GET", target, {}, ""};
}

http::Request post(const std::string& target, const Json& body) {
  return {"POST", target, {}, body.dump()};
}

// Knows where the mail of two destinations goes.
class ToldProviders : public admin::QueueExplainer {
 public:
  [[nodiscard]] admin::WhySettings why_settings() const override {
    return {{}, 0, {"google", "yahoo"}};
  }

  void locate(const queue::Message&, const queue::Delivery&, Done done) override { done({}); }

  void forecast(std::vector<admin::Waiting>, ForecastDone done) override {
    done({{{"a.example", "provider:yahoo from 192.0.2.10"}, {"b.example", "mx:yahoo"}}, {}});
  }
};

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace

TEST_CASE("control: lists the queue in Postfix's keys, one object a message") {
  World world;
  const base::MessageId id = world.store.add("a@here.example", {"b@example.net", "c@example.org"});
  world.store.add("", {"d@example.net"});
  queue::Delivery& tried = world.store.messages[id].deliveries[0];
  tried.attempts = 3;
  tried.due = test::kStart + std::chrono::seconds(270);
  tried.last = {test::kStart, "mx.example.net[192.0.2.1]:25", "451 try later"};
  Client client(world);
  client.ask(get("/v1/queue"));
  CHECK(client.status() == 200);
  CHECK(client.conversation.is_done());
  const auto lines = client.lines();
  REQUIRE(lines.size() == 2);
  CHECK(lines[0]["queue_name"] == "deferred");
  CHECK(lines[0]["queue_id"] == base::format_id(id));
  CHECK(lines[0]["arrival_time"] == 1'795'295'600);
  CHECK(lines[0]["message_size"] == 1234);
  CHECK(lines[0]["forced_expire"] == false);
  CHECK(lines[0]["sender"] == "a@here.example");
  CHECK(lines[0]["recipients"][0]["address"] == "b@example.net");
  CHECK(lines[0]["recipients"][0]["delay_reason"] ==
        "host mx.example.net[192.0.2.1]:25 said: 451 try later");
  CHECK_FALSE(lines[0]["recipients"][1].contains("delay_reason"));
  CHECK(lines[1]["sender"] == "MAILER-DAEMON");
  CHECK(lines[1]["queue_name"] == "active");
}

TEST_CASE("control: a long listing streams, waits for its reader, and holds one page at a time") {
  World world;
  for (int i = 0; i < 1000; ++i) world.store.add("a@here.example", {"b@example.net"});
  Client client(world);
  client.takes_output = false;
  client.ask(get("/v1/queue"));
  CHECK(world.store.lists < 5);  // 64 KiB and a page, then it waits
  CHECK(client.protocol->output().size() < 200'000);
  client.takes_output = true;
  client.run();
  CHECK(client.conversation.is_done());
  CHECK(client.lines().size() == 1000);
  CHECK(world.server.requests() == 0);
}

TEST_CASE("control: a listing that fails half way is seen to be not whole") {
  World world;
  for (int i = 0; i < 150; ++i) world.store.add("a@here.example", {"b@example.net"});
  Client client(world);
  SECTION("at once") {
    world.store.fails_after_lists = 0;
    client.ask(get("/v1/queue"));
    CHECK(client.status() == 500);
    CHECK(client.lines()[0]["error"] == "reading the queue: Input/output error");
  }
  SECTION("half way") {
    world.store.fails_after_lists = 1;
    client.ask(get("/v1/queue"));
    CHECK(client.status() == 200);
    CHECK(client.lines().size() == 100);
    CHECK_FALSE(client.conversation.is_done());
    CHECK(client.protocol->is_over());
    CHECK_FALSE(client.conversation.peer_closed());
  }
}

TEST_CASE("control: wrong paths, methods, parameters and bodies are refused by name") {
  World world;
  const auto refused = [&world](const http::Request& request) {
    Client client(world);
    client.ask(request);
    return std::to_string(client.status()) + " " + client.lines().at(0)["error"].get<std::string>();
  };
  CHECK(refused(get("/elsewhere")) == "404 there is nothing at this path");
  CHECK(refused(get("/v1/queue/delete")) == "405 this path takes POST");
  CHECK(refused(get("/v1/queue?sneder=a")) == "400 there is no filter sneder");
  CHECK(refused(get("/v1/queue?state=gone")) == "400 state: waiting, held or deleted, not gone");
  CHECK(refused(get("/v1/queue?older_than=5")).starts_with("400 older_than: "));
  CHECK(refused(get("/v1/queue?sender=a&sender=b")) == "400 sender is given twice");
  CHECK(refused(get("/v1/queue/message?id=x")).starts_with("400 id= must be"));
  CHECK(refused(get("/v1/queue/message?id=000000000001")).starts_with("404 "));
  CHECK(refused(get("/v1/route")) == "400 address= must be a mail address");
  CHECK(refused({"POST", "/v1/queue/retry", {}, "{"}).starts_with("400 the body must be"));
  CHECK(refused(post("/v1/queue/retry", Json::object())) ==
        "400 the body must have either ids or filter");
  CHECK(refused(post("/v1/queue/retry", {{"ids", {"a b"}}})) ==
        "400 \"a b\" is no id of a message or delivery");
  CHECK(refused(post("/v1/queue/delete", {{"filter", Json::object()}})) ==
        "400 a filter without a condition would meet everything");
  CHECK(refused(post("/v1/queue/delete", {{"filter", {{"sender", 1}}}})) ==
        "400 filter.sender must be a string");
  CHECK(refused(post("/v1/queue/delete", {{"ids", Json::array()}, {"force", true}})) ==
        "400 there is no force here");
  CHECK(world.acts.asked.empty());
}

TEST_CASE("control: acts on ids, tells each outcome, and logs who asked") {
  World world;
  const base::MessageId first =
      world.store.add("a@here.example", {"b@example.net", "c@example.org"});
  const base::MessageId second = world.store.add("a@here.example", {"d@example.net"});
  world.acts.being_sent.insert({second, 1});
  const base::MessageId missing{12345};
  Client client(world);
  client.ask(post("/v1/queue/delete",
                  {{"ids",
                    {base::format_id(first), base::format_id(base::DeliveryId{second, 1}),
                     base::format_id(missing)}}}));
  const auto lines = client.lines();
  REQUIRE(lines.size() == 3);
  CHECK(lines[0]["id"] == base::format_id(missing));
  CHECK(lines[0]["outcome"] == "not-found");
  CHECK(lines[1]["id"] == base::format_id(base::DeliveryId{second, 1}));
  CHECK(lines[1]["outcome"] == "being-sent");
  CHECK(lines[2] ==
        Json{{"done", 2}, {"unchanged", 0}, {"being_sent", 1}, {"not_found", 1}, {"failed", 0}});
  CHECK(world.acts.asked ==
        std::vector<std::pair<admin::Act, base::DeliveryId>>{{admin::Act::Delete, {first, 1}},
                                                             {admin::Act::Delete, {first, 2}}});
  const std::string log = world.logged();
  CHECK(count_of(log, "act=delete uid=1000") == 2);
  CHECK(count_of(log, "pid=4242 selection=\"3 ids\"") == 2);
  CHECK(count_of(log, "done=2 unchanged=0 being_sent=1 not_found=1 failed=0") == 1);
}

TEST_CASE("control: a filter is counted by a dry run and then acted on, a few at once") {
  World world;
  for (int i = 0; i < 5000; ++i)
    world.store.add("a@here.example", {"b@example.net", "c@example.net"});
  world.store.add("other@here.example", {"b@example.net"});
  Client client(world);
  const Json filter = {{"sender", "a@here.example"}};
  client.ask(post("/v1/queue/retry", {{"filter", filter}, {"dry_run", true}}));
  CHECK(client.lines().at(0) == Json{{"deliveries", 10'000}});
  CHECK(world.acts.asked.empty());
  CHECK(world.logged().empty());
  client.ask(post("/v1/queue/retry", {{"filter", filter}}));
  CHECK(client.lines().back()["done"] == 10'000);
  CHECK(world.acts.asked.size() == 10'000);
  CHECK(world.acts.most_at_once <= admin::BulkAct::kAtOnce + admin::BulkAct::kPage);
}

TEST_CASE("control: an act takes the word that belongs to it, checked, and no other") {
  World world;
  const base::MessageId id = world.store.add("a@here.example", {"b@example.net"});
  const Json ids = {base::format_id(id)};
  const auto status = [&world](const http::Request& request) {
    Client client(world);
    client.ask(request);
    return client.status();
  };
  CHECK(status(post("/v1/queue/hold", {{"ids", ids}, {"because", "the boss says so"}})) == 200);
  CHECK(world.acts.last.text == "the boss says so");
  CHECK(world.acts.last.by.starts_with("uid 1000"));
  CHECK(status(post("/v1/queue/bounce", {{"ids", ids}, {"text", "no\r\nX-Header: y"}})) == 400);
  CHECK(status(post("/v1/queue/bounce", {{"ids", ids}, {"text", std::string(600, 'x')}})) == 400);
  CHECK(status(post("/v1/queue/release", {{"ids", ids}, {"text", "x"}})) == 400);
  CHECK(status(post("/v1/queue/reroute", {{"ids", ids}})) == 400);
  CHECK(status(post("/v1/queue/reroute", {{"ids", ids}, {"to", "nowhere"}})) == 400);
  CHECK(status(post("/v1/queue/reroute", {{"ids", ids}, {"to", "smtp://a.example:25"}})) == 200);
  CHECK(world.acts.last.target == "smtp://a.example:25");
}

TEST_CASE("control: pauses are set, listed and ended, and the log says by whom") {
  World world;
  const auto ask = [&world](const http::Request& request) {
    Client client(world);
    client.ask(request);
    return std::pair(client.status(), client.body);
  };
  const Json pause = {{"kind", "destination"}, {"name", "Example.NET"}};
  Json limited = pause;
  limited["for"] = "2h";
  CHECK(ask(post("/v1/pause", limited)).first == 200);
  REQUIRE(world.pauses.all.size() == 1);
  CHECK(world.pauses.all[0].pattern == "example.net");
  CHECK(world.pauses.all[0].until.has_value());
  CHECK(ask(get("/v1/pauses")).second.find("\"left\":\"2h\"") != std::string::npos);
  CHECK(ask(post("/v1/pause", {{"kind", "destination"}})).first == 400);
  CHECK(ask(post("/v1/pause", {{"kind", "everything"}, {"name", "x"}})).first == 400);
  CHECK(ask(post("/v1/pause", {{"kind", "moon"}, {"name", "x"}})).first == 400);
  CHECK(ask(post("/v1/resume", limited)).first == 400);
  CHECK(ask(post("/v1/resume", pause)).first == 200);
  CHECK(ask(post("/v1/resume", pause)).first == 404);
  CHECK(count_of(world.logged(), "what=destination:example.net") == 3);
}

TEST_CASE("control: providers are those that the profiles name") {
  World world;
  ToldProviders told;
  admin::ControlServer server{
      {world.loop, world.store, world.acts, world.pauses, world.routes, world.log, nullptr, &told}};
  const auto ask = [&](const http::Request& request) {
    Client client(world);
    client.protocol = server.accept({});
    client.protocol->connected(client, {}, world.loop.now());
    client.ask(request);
    return std::pair(client.status(), client.body);
  };
  const auto pause = [&ask](const std::string& kind, const std::string& name) {
    return ask(post("/v1/pause", {{"kind", kind}, {"name", name}}));
  };
  CHECK(pause("provider", "yahoo").first == 200);
  CHECK(pause("provider", "*").first == 200);
  const auto refused = pause("provider", "yaho");
  CHECK(refused.first == 400);
  CHECK(count_of(refused.second,
                 "the traffic profiles have no provider yaho, did you mean `yahoo`?") == 1);
  CHECK(ask(post("/v1/queue/hold", {{"filter", {{"provider", "yaho"}}}})).first == 400);
  CHECK(ask(get("/v1/queue?provider=gogle")).first == 400);
  CHECK(world.store.lists == 0);
  CHECK(ask(get("/v1/queue?provider=Yahoo")).first == 200);
  REQUIRE(world.store.listed.at_provider != nullptr);
  CHECK(*world.store.listed.at_provider == std::unordered_set<std::string>{"a.example"});
  CHECK(pause("source", "2001:DB8::1").first == 200);
  CHECK(world.pauses.all.back().pattern == "2001:db8::1");
  CHECK(pause("source", "mta1").first == 400);
}

TEST_CASE("control: a client that goes away ends its request, and the log says how far it came") {
  World world;
  for (int i = 0; i < 9000; ++i) world.store.add("a@here.example", {"b@example.net"});
  auto client = std::make_unique<Client>(world);
  world.acts.answers = false;
  client->ask(post("/v1/queue/delete", {{"filter", {{"sender", "a@here.example"}}}}));
  CHECK(world.server.requests() == 1);
  client->protocol->lost({net::Loss::How::Broken, 0}, world.loop.now());
  client.reset();
  world.loop.run();
  CHECK(world.server.requests() == 0);
  CHECK(world.server.connections() == 0);
  CHECK(world.acts.running < 9000);
  CHECK(count_of(world.logged(), "error=\"the client has gone\"") == 1);
}

TEST_CASE("control: what was learned of accounts is a line each, without what is not known") {
  World world;
  world.routes.learned = {{"provider:yahoo", 2.5, 3.5}, {"mx:mx.example.net", {}, 7.0}};
  Client client(world);
  client.ask(get("/v1/learned"));
  client.run();
  REQUIRE(client.status() == 200);
  REQUIRE(client.lines().size() == 2);
  CHECK(client.lines()[0] == Json{{"account", "provider:yahoo"}, {"pace", 2.5}, {"mean", 3.5}});
  CHECK(client.lines()[1] == Json{{"account", "mx:mx.example.net"}, {"mean", 7.0}});
}

TEST_CASE("control: the 33rd request at once is turned away, and a place is free again after") {
  World world;
  world.routes.answers_at_once = false;
  std::vector<std::unique_ptr<Client>> clients;
  for (std::uint32_t i = 0; i < admin::kRequestsMax; ++i) {
    clients.push_back(std::make_unique<Client>(world));
    clients.back()->ask(get("/v1/route?address=a+b@example.net"));
    CHECK(clients.back()->status() == 0);
  }
  CHECK(world.routes.last == "a+b@example.net");
  Client late(world);
  late.ask(get("/v1/queue"));
  CHECK(late.status() == 503);
  world.routes.explanation.conclusion = "it would go to mx.example.net";
  world.routes.answer_all();
  for (const auto& client : clients) {
    client->run();
    CHECK(client->lines().at(0)["conclusion"] == "it would go to mx.example.net");
  }
  late.ask(get("/v1/queue"));
  CHECK(late.status() == 200);
}

TEST_CASE("control: connections are bounded") {
  World world;
  std::vector<std::unique_ptr<Client>> clients;
  for (std::uint32_t i = 0; i < admin::kConnectionsMax; ++i) {
    clients.push_back(std::make_unique<Client>(world));
    REQUIRE(clients.back()->protocol != nullptr);
  }
  CHECK(world.server.accept({}) == nullptr);
  clients.pop_back();
  CHECK(world.server.accept({}) != nullptr);
}

TEST_CASE("control: an answer that comes when the client has gone harms nobody") {
  World world;
  world.routes.answers_at_once = false;
  {
    Client client(world);
    client.ask(get("/v1/route?address=a@example.net"));
    client.protocol->peer_closed(world.loop.now());
    CHECK_FALSE(client.protocol->is_over());  // it may still read
    client.protocol->lost({}, world.loop.now());
  }
  world.routes.answer_all();
  world.loop.run();
  CHECK(world.server.requests() == 0);
}

TEST_CASE("control: a message is shown with its history, by its own or a delivery's id") {
  World world;
  const base::MessageId id = world.store.add("a@here.example", {"b@example.net"});
  world.store.history.push_back({{id, 1},
                                 1,
                                 test::kStart,
                                 "deferred",
                                 "mx.example.net[192.0.2.1]:25",
                                 "451 4.3.2 \xff busy",
                                 "",
                                 ""});
  Client client(world);
  client.ask(get("/v1/queue/message?id=" + base::format_id(base::DeliveryId{id, 1})));
  const Json view = client.lines().at(0);
  CHECK(view["message"]["queue_id"] == base::format_id(id));
  CHECK(view["history"][0]["what"] == "deferred");
  CHECK(view["history"][0]["reply"] == "451 4.3.2 \xef\xbf\xbd busy");  // no UTF-8: U+FFFD
}

TEST_CASE("control: the summary of 20,000 destinations streams") {
  World world;
  for (int i = 0; i < 20'000; ++i) {
    world.store.summary.lines.push_back({queue::DeliveryState::Waiting,
                                         "d" + std::to_string(i) + ".example",
                                         3,
                                         0,
                                         test::kStart,
                                         test::kStart,
                                         {}});
  }
  Client client(world);
  client.takes_output = false;
  client.ask(get("/v1/queue/summary"));
  CHECK(client.protocol->output().size() < 200'000);
  client.takes_output = true;
  client.run();
  CHECK(client.lines().size() == 20'000);
  CHECK(client.lines().back()["deliveries"] == 3);
}
