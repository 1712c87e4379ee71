// Why a delivery waits: each cause told apart, with what decides it and what can be done; and the
// request that asks for it.
#include "mta/admin/why.h"

#include "tests/unit/admin/admin_world.h"
#include "tests/unit/admin/why_case.h"

namespace {

using namespace rockdove;
using namespace rockdove::test;

constexpr std::string_view kWhyPath = "/v1/queue/why?id=";

}  // namespace

TEST_CASE("why: a reply that one of our addresses got is told with it") {
  Case one;
  one.delivery.last.source = "192.0.2.10";
  CHECK(has(one.why("451 4.3.2 try again later").text,
            "mx.example.net[192.0.2.1]:25, asked from 192.0.2.10, answered \"451 4.3.2 try"));
}

TEST_CASE("why: pauses of a provider and of a source name it, and how they end") {
  Case one;
  one.where.pauses = {{queue::PauseKind::Provider, "yahoo", kStart - 1h, {}, "ann"},
                      {queue::PauseKind::Source, "192.0.2.10", kStart - 1h, {}, "ann"}};
  const Why why = one.why();
  CHECK(why.text.starts_with(
      "ann has paused provider yahoo. ann has paused what leaves from 192.0.2.10."));
  CHECK(advises(why, "rockdove resume --provider yahoo"));
  CHECK(advises(why, "rockdove resume --source 192.0.2.10"));
}

TEST_CASE("why: a deferral names the reply, the next try and the end") {
  Case one;
  const Why why = one.why("451 4.3.2 try again later");
  CHECK(why.cause == "refused");
  CHECK(why.text ==
        "The receiving side did not take it this time: mx.example.net[192.0.2.1]:25 answered "
        "\"451 4.3.2 try again later\".");
  CHECK(why.since == kStart - 1min);
  CHECK(why.next == kStart + 4min);
  CHECK(why.ends == one.message.accepted + 120h);
  CHECK(has_setting(why, "[queue] retry", "5m, 15m, 30m, 1h, 2h, 4h"));
  CHECK(has_setting(why, "[queue] lifetime", "5d"));
  CHECK(advises(why, "rockdove queue retry "));
}

TEST_CASE("why: kinds of refusals and failures are told apart") {
  Case one;
  const std::string host = one.delivery.last.host;
  CHECK(has(one.why("450 4.7.1 Greylisted").text,
            "which is normal: " + host + " answered \"450 4.7.1 Greylisted\". Such hosts"));
  CHECK(has(one.why("452 4.2.2 full").text, "The mailbox of bob@example.net is full"));
  CHECK(one.why("421 4.7.0 too many connections").cause == "rate-limited");
  CHECK(has(one.why("451 4.4.1 " + host + " could not be reached: connection refused").text,
            "No host of example.net takes a connection; last: " + host +
                " could not be reached: connection refused."));
  CHECK(one.why("451 4.4.2 " + host + " did not answer in time (stage: banner)").cause ==
        "no-answer");
  one.delivery.destination = "route:smarthost";
  const Why tls = one.why("451 4.7.5 " + host +
                          " offers no STARTTLS, and this route requires TLS (tls = \"verify\")");
  CHECK(tls.cause == "tls");
  CHECK(has_setting(tls, "tls", "verify"));
  CHECK(has_setting(tls, "[[route]] name", "smarthost"));
  const Why login = one.why("535 5.7.8 no");
  CHECK(login.cause == "login");
  CHECK(advises(login, "systemctl reload rockdove"));
  CHECK(has(login.text, host + " answered \"535 5.7.8 no\"."));
  CHECK(has(one.why("451 4.7.11 no password is sent to mx without TLS").text,
            "log in: no password is sent to mx without TLS. All mail"));
  one.delivery.last.host = "maildir:/mail/bob";
  CHECK(has(one.why("452 4.3.1 /mail/bob/new: no space left on device").text,
            "maildir: /mail/bob/new: no space"));
  one.delivery.last.host.clear();
  CHECK(one.why("451 4.4.3 the name servers did not answer").cause == "dns");
}

TEST_CASE("why: quarantine says what a policy has against it, until when, and what to do") {
  Case one;
  one.delivery.hold_detail = "dmarc: example.com asks for quarantine (p=quarantine)";
  one.delivery.due = kStart - 1h;
  one.delivery.expires = kStart + 719h;
  const Why why = one.held("quarantine");
  CHECK(why.cause == "quarantine");
  CHECK(has(why.text, "dmarc: example.com asks for quarantine (p=quarantine)"));
  CHECK(has(why.text, "is not told"));
  CHECK(why.since == kStart - 1h);
  CHECK_FALSE(why.next.has_value());
  CHECK(why.ends == kStart + 719h);
  CHECK(why.ends_how == "then it is discarded");
  REQUIRE(why.advice.size() == 3);
  CHECK(has(why.advice[0].command, "rockdove queue show "));
  CHECK(has(why.advice[1].command, "rockdove queue release "));
  CHECK(has(why.advice[2].command, "rockdove queue delete "));
}

TEST_CASE("why: what was released from quarantine lives from then on") {
  Case one;
  one.message.accepted = kStart - 500h;
  one.delivery.lives_from = kStart - 1h;
  const Why why = one.why("451 4.3.2 later");
  CHECK(why.ends == kStart + 119h);
  CHECK_FALSE(has(why.text, "the next attempt is the last"));
}

TEST_CASE("why: the last attempt within a lifetime, and a doubt, are said") {
  Case one;
  one.message.accepted = kStart - 120h;
  CHECK(has(one.why("451 4.3.2 later").text, "the next attempt is the last"));
  one.delivery.uncertain = 1;
  CHECK(has(one.why().text, "it may have arrived already"));
  one.delivery.state = queue::DeliveryState::Held;
  CHECK(has(one.why().text, "it may have arrived already"));
}

TEST_CASE("why: where nobody can be told of a failure, nothing is said to be returned") {
  Case one;
  CHECK(has(one.why("451 later").ends_how, "returns it to its sender"));
  CHECK(one.why().advice.back().text == "give it up and tell its sender");
  one.delivery.notify.never = true;
  CHECK(has(one.why().ends_how, "its sender wants no report"));
  CHECK(one.why().advice.back().text == "give it up");
  one.message.sender.clear();
  CHECK(has(one.why().ends_how, "its sender is empty"));
  one.delivery.is_expired = true;
  CHECK(has(one.why().text, "the next failure ends it, since its sender is empty."));
}

TEST_CASE("why: crashes are told before they put it on hold") {
  Case one;
  one.delivery.crashes = 1;
  CHECK(has(one.why("451 later").text, "Rockdove itself failed 1 time while it worked on this"));
}

TEST_CASE("why: what stops everything comes before what the last attempt said") {
  Case one;
  one.where.readiness = queue::Readiness::Failed;
  CHECK(one.why("451 later").cause == "store");
  one.where.pauses = {{queue::PauseKind::Destination, "*.example.net", kStart - 2h, kStart + 2h,
                       "uid 0 (root)", "moving"}};
  one.where.readiness = queue::Readiness::Ready;
  const Why paused = one.why();
  CHECK(paused.cause == "paused");
  CHECK(paused.text ==
        "uid 0 (root) has paused destination *.example.net (moving). The last attempt: " +
            one.delivery.last.host + " answered \"451 later\".");
  CHECK(paused.next == kStart + 2h);
  CHECK(paused.since == kStart - 2h);
  CHECK(advises(paused, "rockdove resume --destination '*.example.net'"));
  one.where.is_stopping = true;
  CHECK(one.why().cause == "stopping");
  one.where.place = Whereabouts::Place::NoDaemon;
  const Why none = one.why("452 4.2.2 full");
  CHECK(none.cause == "no-daemon");
  CHECK(none.text == "No rockdove runs, so nothing is sent. The last attempt: " +
                         one.delivery.last.host + " answered \"452 4.2.2 full\".");
  CHECK_FALSE(none.next);
  CHECK_FALSE(none.since);
  // What is under way ends all the same.
  one.where.place = Whereabouts::Place::BeingSent;
  CHECK(one.why().cause == "being-sent");
}

TEST_CASE("why: of several pauses all are named, and it goes when the last one has ended") {
  Case one;
  const queue::Pause site{queue::PauseKind::Site, "mx.example.net", kStart - 1h, kStart + 1h,
                          "ann"};
  const queue::Pause user{queue::PauseKind::User, "bulk's", kStart - 3h, kStart + 3h, "ann"};
  one.where.pauses = {site, user};
  const Why two = one.why("451 later");
  CHECK(two.text.starts_with(
      "ann has paused site mx.example.net. ann has paused the mail of user bulk's. The last"));
  CHECK(two.since == kStart - 3h);
  CHECK(two.next == kStart + 3h);
  CHECK(advises(two, "rockdove resume --site mx.example.net"));
  CHECK(advises(two, "rockdove resume --user 'bulk'\\''s'"));
  one.delivery.due = kStart + 5h;
  CHECK(one.why().next == kStart + 5h);
  one.where.pauses.insert(one.where.pauses.begin(), 3,
                          {queue::PauseKind::Everything, "", kStart - 1min, {}, "ann"});
  const Why many = one.why();
  CHECK_FALSE(many.next);
  CHECK(many.estimate == "when somebody ends the pauses");
  CHECK(has(many.text, "2 other pauses (rockdove pause) are about it, too."));
  CHECK(advises(many, "rockdove resume --all"));
}

TEST_CASE("why: mail of a paused user is on hold only until the pause ends") {
  Case one;
  one.delivery.last = {};
  const Why ending = one.held("paused: user bulk");
  CHECK(ending.cause == "paused");
  CHECK(has(ending.text, "the mail of user bulk is paused"));
  CHECK_FALSE(ending.next);
  one.where.pauses = {
      {queue::PauseKind::User, "bulk", kStart - 1h, kStart + 1h, "ann", "too much"}};
  const Why held = one.why();
  CHECK(
      held.text ==
      "ann has paused the mail of user bulk (too much). It went on hold for that, and is released "
      "when the pause ends.");
  CHECK(held.next == kStart + 1h);
  CHECK(advises(held, "rockdove resume --user bulk"));
}

TEST_CASE("why: being sent says to whom, how far and since when") {
  Case one;
  one.where.place = Whereabouts::Place::BeingSent;
  one.where.host = "mx2.example.net[192.0.2.2]:25";
  one.where.stage = "RCPT";
  one.where.since = kStart - 30s;
  const Why why = one.why("451 earlier");
  CHECK(why.text ==
        "It is being sent right now, to mx2.example.net[192.0.2.2]:25 (stage: RCPT). The attempt "
        "before: mx.example.net[192.0.2.1]:25 answered \"451 earlier\".");
  CHECK(why.since == kStart - 30s);
  one.where.past_final_dot = true;
  CHECK(has(one.why().text, "has all of it and has not said yet"));
}

TEST_CASE("why: what another thing keeps now still says what its last attempt was told") {
  Case one;
  one.delivery.last.reply = "451 4.3.2 later";
  CHECK(has(one.held("operator").text,
            " The last attempt: mx.example.net[192.0.2.1]:25 answered \"451 4.3.2 later\"."));
  one.delivery.state = queue::DeliveryState::Waiting;
  one.where.site_pause_reason = "451 4.3.2 later";
  one.where.site_paused_until = kStart + 1min;
  const Why same = one.in_memory(Whereabouts::Gate::Paused);
  CHECK(has(same.text, "451 4.3.2 later"));
  CHECK_FALSE(has(same.text, "The last attempt"));
  CHECK(advises(same, "rockdove queue reroute "));
  one.where.place = Whereabouts::Place::BeingSent;
  one.where.host = "mx2.example.net[192.0.2.2]:25";
  const Why sent = one.why();
  CHECK(has(sent.text, "The attempt before: mx.example.net[192.0.2.1]:25 answered"));
  CHECK(sent.host == "mx2.example.net[192.0.2.2]:25");
  CHECK(sent.reply.empty());  // which was another host's
}

TEST_CASE("why: what a person has rerouted says so, and how it goes by the routes again") {
  Case one;
  one.delivery.route_to = "smtp://other.example:25";
  one.delivery.destination = "to:smtp://other.example:25";
  CHECK(has(one.why("451 4.3.2 later").text,
            "It goes to smtp://other.example:25 instead of by the routes, because a person has "
            "rerouted it."));
  one.add_step("rerouted", "by uid 1000 (ann): to smtp://other.example:25");
  const Why why = one.why();
  CHECK(has(why.text, "because uid 1000 (ann) has rerouted it."));
  CHECK(
      advises(why, "rockdove queue reroute " + base::format_id(one.message.id) + "-1 --to routes"));
  one.where.connections_max = one.where.window = 20;
  one.where.is_proven = true;
  const Why busy = one.in_memory(Whereabouts::Gate::Window);
  CHECK(has_setting(busy, "[queue] route_connections", "20"));
  CHECK(has(busy.text, "It is the next one of smtp://other.example:25."));
}

TEST_CASE("why: what can be done differs with what was said") {
  Case one;
  CHECK(one.why("450 4.7.1 Greylisted").advice.front().text == "leave it: it goes by itself");
  one.where.connections_max = 10;
  const Why rate = one.why("421 4.7.0 too many connections");
  CHECK(has_setting(rate, "[queue] site_connections", "10"));
  CHECK(advises(rate, "rockdove pause --destination example.net --for 1h"));
  const std::string host = one.delivery.last.host;
  const Why tls = one.why("451 4.7.5 " + host + " offers no STARTTLS, and all mail to other " +
                          "servers requires TLS ([tls] outbound = \"require\")");
  CHECK(has_setting(tls, "[tls] outbound", "require"));
  CHECK(tls.advice.front().text == "if less will do, change [tls] outbound, then");
  const Why password = one.why("451 4.7.5 " + host + " offers no STARTTLS, and this route has a " +
                               "password, which is sent only within TLS");
  CHECK_FALSE(advises(password, "systemctl reload rockdove"));
}

TEST_CASE("why: held, deleted and reported have their own ends") {
  Case one;
  one.add_step("held", "by uid 1000 (ann): looks like spam");
  const Why held = one.held("looks like spam");
  CHECK(held.cause == "held");
  CHECK(has(held.text, "on hold by uid 1000 (ann): looks like spam."));
  CHECK_FALSE(held.ends);
  CHECK(advises(held, "rockdove queue release"));
  one.delivery.crashes = 3;
  CHECK(has(one.held("crash").text, "failed 3 times"));
  one.delivery.state = queue::DeliveryState::Deleted;
  one.add_step("deleted", "by uid 1000 (ann)");
  const Why deleted = one.why();
  CHECK(deleted.cause == "deleted");
  CHECK(deleted.since == kStart - 2h);
  CHECK(deleted.ends == one.delivery.due);
  CHECK(advises(deleted, "rockdove queue undelete"));
  one.delivery.state = queue::DeliveryState::Waiting;
  one.delivery.final_status = "5.1.1";
  const Why report = one.why();
  CHECK(report.cause == "report");
  CHECK(has(report.text, "has failed for good (5.1.1)"));
  CHECK_FALSE(report.ends);
}

TEST_CASE("why: a request is answered with a line a delivery, each located") {
  class Told : public admin::QueueExplainer {
   public:
    explicit Told(base::Loop& loop) : loop_(loop) {}

    [[nodiscard]] admin::WhySettings why_settings() const override { return {}; }

    void forecast(std::vector<admin::Waiting>, ForecastDone done) override { done({}); }

    void locate(const queue::Message&, const queue::Delivery& delivery, Done done) override {
      asked.push_back(delivery.number);
      loop_.post([done = std::move(done)]() mutable {
        Whereabouts where;
        where.place = Whereabouts::Place::Resolving;
        done(where);
      });
    }

    std::vector<std::uint32_t> asked;

   private:
    base::Loop& loop_;
  };

  World world;
  Told told(world.loop);
  admin::ControlServer server{
      {world.loop, world.store, world.acts, world.pauses, world.routes, world.log, nullptr, &told}};
  Client client(world);
  client.protocol = server.accept({});
  client.protocol->connected(client, {}, world.loop.now());
  const base::MessageId id =
      world.store.add("a@here.example", {"b@example.net", "c@example.org", "d@example.com"});
  client.ask({"GET", std::string(kWhyPath) + base::format_id(id), {}, ""});
  CHECK(client.status() == 200);
  REQUIRE(client.lines().size() == 3);
  CHECK(client.lines()[1]["cause"] == "resolving");
  CHECK(client.lines()[1]["recipient"] == "c@example.org");
  CHECK(client.lines()[1]["id"] == base::format_id(id) + "-2");
  client.ask({"GET", std::string(kWhyPath) + base::format_id(id) + "-3", {}, ""});
  REQUIRE(client.lines().size() == 1);
  CHECK(told.asked == std::vector<std::uint32_t>{1, 2, 3, 3});
  queue::HistoryStep step;
  step.delivery = {id, 4};
  step.what = "delivered";
  step.host = "mx.example.net[192.0.2.1]:25";
  step.reply = "250 2.0.0 queued as 17";
  step.recipient = "e@example.net";
  world.store.history.push_back(step);
  client.ask({"GET", std::string(kWhyPath) + base::format_id(id) + "-4", {}, ""});
  REQUIRE(client.lines().size() == 1);
  CHECK(client.lines()[0]["cause"] == "gone");
  CHECK(client.lines()[0]["text"] ==
        "It does not wait any more: it was delivered, and mx.example.net[192.0.2.1]:25 answered "
        "\"250 2.0.0 queued as 17\".");
  CHECK(client.lines()[0]["advice"][0]["command"] ==
        "rockdove trace " + base::format_id(id) + "-4");
  client.ask({"GET", std::string(kWhyPath) + base::format_id(id) + "-5", {}, ""});
  CHECK(client.status() == 404);
  client.ask({"GET", std::string(kWhyPath) + base::format_id(base::MessageId{77}) + "-4", {}, ""});
  CHECK(client.lines()[0]["cause"] == "gone");
  client.ask({"GET", std::string(kWhyPath) + "nonsense", {}, ""});
  CHECK(client.status() == 400);
}
