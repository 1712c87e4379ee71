// What acts come to, for a delivery in each state; the pauses and their rows; what acts read.
#include "queue/steering.h"

#include <catch2/catch.hpp>

#include "queue/account_name.h"
#include "queue/codec.h"
#include "queue/directory.h"
#include "queue/ledger.h"
#include "queue/pauses.h"
#include "queue/reading.h"
#include "queue/reading_acts.h"
#include "tests/support/memory_rows.h"
#include "tests/unit/queue/sample_mail.h"
#include "tests/unit/queue/small_queue.h"

using namespace rockdove;
using namespace rockdove::queue;
using namespace rockdove::tests;
using namespace std::chrono_literals;

namespace {

const WallTime kNow = kSampleTime + 1h;
using Kind = Decision::Kind;

Delivery waiting() {
  Delivery delivery = sample_delivery(sample_message(1), 1);
  delivery.due = kNow + 2h;
  delivery.attempts = 3;
  delivery.last = {kSampleTime, "mx.example.net[192.0.2.1]:25", "451 4.3.0 later"};
  return delivery;
}

Delivery held() {
  Delivery delivery = waiting();
  delivery.state = DeliveryState::Held;
  delivery.hold_reason = "crash";
  delivery.crashes = 3;
  delivery.due = kSampleTime;
  return delivery;
}

Delivery deleted(const Delivery& delivery) {
  const Decision decision = decide({Act::Delete, "", "", "x"}, delivery, kNow, 24h);
  REQUIRE(decision.kind == Kind::Move);
  return decision.after;
}

Decision decide_on(Act act, const Delivery& delivery) {
  return decide({act, "", "smtp://a.example:25", "x"}, delivery, kNow, 24h);
}

std::string octets_of(const Delivery& delivery) {
  std::string octets;
  encode_delivery(delivery, octets);
  return octets;
}

}  // namespace

TEST_CASE("steering: every act has its name, and the states it is about") {
  for (std::size_t i = 0; i < kActs; ++i) {
    const Act act = static_cast<Act>(i);
    CHECK(parse_act(act_name(act)) == act);
    CHECK_FALSE(states_of(act).empty());
  }
  CHECK_FALSE(parse_act("destroy"));
}

TEST_CASE("steering: an act on a state that it is not about changes nothing") {
  for (const Act act : {Act::Hold, Act::Undelete}) {
    CHECK(decide_on(act, held()).kind == Kind::Nothing);
  }
  CHECK(decide_on(Act::Release, waiting()).kind == Kind::Nothing);
  for (std::size_t act = 0; act < kActs; ++act) {
    if (static_cast<Act>(act) == Act::Undelete) continue;
    CHECK(decide_on(static_cast<Act>(act), deleted(waiting())).kind == Kind::Nothing);
  }
}

TEST_CASE("steering: a hold keeps the reason, a release and a retry make it due with new chances") {
  const Decision hold = decide({Act::Hold, "wait for Bob", "", "x"}, waiting(), kNow, 24h);
  CHECK(hold.after.state == DeliveryState::Held);
  CHECK(hold.after.hold_reason == "wait for Bob");
  CHECK(hold.after.due == kNow);
  CHECK(decide_on(Act::Hold, waiting()).after.hold_reason == kOperatorHold);
  for (const Act act : {Act::Release, Act::Retry}) {
    const Delivery after = decide_on(act, held()).after;
    CHECK(after.state == DeliveryState::Waiting);
    CHECK(after.due == kNow);
    CHECK(after.hold_reason.empty());
    CHECK(after.crashes == 0);
    CHECK(after.attempts == 3);
  }
}

TEST_CASE("steering: what is scheduled goes at its time when released, at once when retried") {
  Delivery scheduled = held();
  scheduled.attempts = 0;
  scheduled.lives_from = kNow + 5h;
  CHECK(decide_on(Act::Release, scheduled).after.due == kNow + 5h);
  CHECK(is_scheduled(decide_on(Act::Release, scheduled).after, kNow));
  CHECK(decide_on(Act::Retry, scheduled).after.due == kNow);
  Delivery waits = decide_on(Act::Release, scheduled).after;
  CHECK(decide_on(Act::Reroute, waits).after.due == kNow + 5h);
  scheduled.lives_from = kNow - 5h;  // its time came while it was on hold
  CHECK(decide_on(Act::Release, scheduled).after.due == kNow);
}

TEST_CASE("steering: what is undeleted is exactly what was deleted, also through its row") {
  for (const Delivery& before : {waiting(), held()}) {
    const Delivery gone = deleted(before);
    CHECK(gone.state == DeliveryState::Deleted);
    CHECK(gone.due == kNow + 24h);
    const auto stored = decode_delivery({sample_id(1), 1}, octets_of(gone));
    REQUIRE(stored);
    const Decision back = decide_on(Act::Undelete, *stored);
    REQUIRE(back.kind == Kind::Move);
    CHECK(octets_of(back.after) == octets_of(before));
  }
}

TEST_CASE(
    "steering: what a next hop took cannot be undone, a failure can be kept from its sender") {
  Delivery taken = waiting();
  taken.final_status = "2.0.0";
  taken.ending = Ending::Delivered;
  Delivery failed = waiting();
  failed.final_status = "5.1.1";
  for (std::size_t act = 0; act < kActs; ++act) {
    CHECK(decide_on(static_cast<Act>(act), taken).kind == Kind::Nothing);
    const bool is_delete = static_cast<Act>(act) == Act::Delete;
    CHECK(decide_on(static_cast<Act>(act), failed).kind ==
          (is_delete ? Kind::Move : Kind::Nothing));
  }
}

TEST_CASE("steering: a bounce fails with the words given, an expiry marks, a reroute names") {
  const Decision bounce = decide({Act::Bounce, "no more of this", "", "x"}, held(), kNow, 24h);
  CHECK(bounce.kind == Kind::Fail);
  CHECK(bounce.after.final_status == "5.0.0");
  CHECK(bounce.after.last.reply == "550 5.0.0 no more of this");
  CHECK(bounce.after.state == DeliveryState::Held);  // its row stands there
  CHECK(bounce.after.due == held().due);
  const Decision expiry = decide_on(Act::Expire, waiting());
  CHECK(expiry.after.is_expired);
  CHECK(expiry.after.due == kNow);
  const Decision reroute = decide_on(Act::Reroute, waiting());
  CHECK(reroute.after.route_to == "smtp://a.example:25");
  CHECK(reroute.after.due == kNow);
  CHECK(decide_on(Act::Reroute, reroute.after).kind == Kind::Nothing);
  CHECK(decide_on(Act::Reroute, held()).after.state == DeliveryState::Held);
  const auto stored = decode_delivery({sample_id(1), 1}, octets_of(reroute.after));
  REQUIRE(stored);
  CHECK(stored->route_to == "smtp://a.example:25");
}

TEST_CASE("steering: an act on all that waits meets each row once, however long it was due") {
  SmallQueue queue;
  constexpr std::uint64_t kRows = 50;
  for (std::uint64_t tick = 1; tick <= kRows; ++tick) {
    const Message message = sample_message(tick);
    Delivery delivery = sample_delivery(message, 1);
    if (tick % 2 == 0) delivery.due = kNow + std::chrono::minutes(tick);
    queue.apply(accepted(message, std::vector{delivery}));
  }
  const Act act = GENERATE(Act::Retry, Act::Expire);
  SelectRequest request;
  request.filter.state = DeliveryState::Waiting;
  request.deliveries_max = 10;
  std::size_t met = 0;
  WallTime now = kNow;
  do {
    const auto page = select_deliveries(queue.rows, request, queue.damaged);
    REQUIRE(page);
    for (const Selected& one : page->deliveries) {
      now += 1ms;
      const auto read = read_deliveries(queue.rows, {{one.id}}, queue.damaged);
      REQUIRE(read->rows.size() == 1);
      const Delivery& before = read->rows.front().delivery;
      const Decision decision = decide({act, "", "", "x"}, before, now, 24h);
      REQUIRE(decision.kind == Kind::Move);
      CHECK(decision.after.due <= now);
      queue.apply(moved(one.id.message, one.note, before, decision.after, std::nullopt));
      ++met;
    }
    request.after = page->more_after;
  } while (!request.after.empty() && met < 2 * kRows);
  CHECK(met == kRows);
  CHECK(queue.disk.rows(Family::Waiting).size() == kRows);
}

TEST_CASE("steering: history says who did what") {
  const Attempt step = step_of({Act::Hold, "wait for Bob", "", "uid 0 (root)"}, kNow);
  std::string octets;
  encode_attempt(waiting(), step, octets);
  const auto read = decode_step({{sample_id(1), 1}, kNow, HistoryKind::Attempt}, octets);
  REQUIRE(read);
  CHECK(read->what == "held");
  CHECK(read->reply == "by uid 0 (root): wait for Bob");
}

TEST_CASE("pauses: apply by pattern, whatever their case; everything is above all") {
  Pause net;
  net.kind = PauseKind::Destination;
  net.pattern = "*.Example.net";
  Pause site;
  site.kind = PauseKind::Site;
  site.pattern = "mx.example.org*";
  Pause user;
  user.kind = PauseKind::User;
  user.pattern = "*";
  Pause over;
  over.is_ending = true;
  const Pauses pauses({net, site, user, over});
  CHECK(pauses.on_destination("a.example.net") != nullptr);
  CHECK(pauses.on_destination("example.net") == nullptr);
  CHECK(pauses.on_site("mx:mx.example.org+1", "mx:mx.example.org+1") != nullptr);
  CHECK(pauses.on_site("route:smart", "route:smart") == nullptr);
  Message mail;
  CHECK(pauses.on_mail(mail) == nullptr);
  mail.client.user = "bob";
  CHECK(pauses.on_mail(mail) != nullptr);
  const Pauses all({net, Pause{}});
  REQUIRE(all.on_destination("else.example") != nullptr);
  CHECK(all.on_destination("else.example")->kind == PauseKind::Everything);
  CHECK(Pauses().on_destination("x") == nullptr);
}

TEST_CASE("pauses: for people all are named that apply, in order") {
  const Pauses pauses({{PauseKind::User, "bob"},
                       {PauseKind::Site, "mx.example.org"},
                       {PauseKind::Destination, "*.net"},
                       {PauseKind::Everything, ""},
                       {PauseKind::Destination, "*.example"}});
  const auto kinds = [&pauses](std::string_view destination, std::string_view site,
                               std::string_view user) {
    std::vector<PauseKind> found;
    for (const Pause& pause : pauses.about(destination, site, site, user)) {
      found.push_back(pause.kind);
    }
    return found;
  };
  CHECK(
      kinds("a.net", "mx:mx.example.org", "bob") ==
      std::vector{PauseKind::Everything, PauseKind::Destination, PauseKind::Site, PauseKind::User});
  CHECK(kinds("a.org", "", "") == std::vector{PauseKind::Everything});
  CHECK(kinds("a.org", "route:mx.example.org", "ann") == std::vector{PauseKind::Everything});
  CHECK(Pauses().about("a.net", "mx:x", "mx:x", "bob").empty());
}

TEST_CASE("pauses: of a provider all its accounts, of a source what leaves from there") {
  const std::string_view site = "mx:mta5.yahoo.example";
  const std::string_view yahoo = "provider:yahoo";
  const std::string_view yahoo_from = "provider:yahoo from 192.0.2.10";
  const Pauses provider({{PauseKind::Provider, "Yahoo"}});
  CHECK(provider.on_site(site, yahoo) != nullptr);
  CHECK(provider.on_site(site, yahoo_from) != nullptr);
  CHECK(provider.on_site(site, "provider:yahoo-japan") == nullptr);
  CHECK(provider.on_site("mx:yahoo", "mx:yahoo") == nullptr);  // a site of that name is none
  CHECK(provider.on_destination("yahoo") == nullptr);
  const Pauses source({{PauseKind::Source, "192.0.2.10"}});
  CHECK(source.on_site(site, yahoo_from) != nullptr);
  CHECK(source.on_site(site, "mx:mta5.yahoo.example from 192.0.2.10") != nullptr);
  CHECK(source.on_site(site, "provider:yahoo from 192.0.2.100") == nullptr);
  CHECK(source.on_site(site, yahoo) == nullptr);
  CHECK(source.on_site("mx:192.0.2.10", "mx:192.0.2.10") == nullptr);
  // What is at no provider and leaves from no source of ours is not paused by "*".
  const Pauses any({{PauseKind::Provider, "*"}, {PauseKind::Source, "*"}});
  CHECK(any.on_site(site, site) == nullptr);
  REQUIRE(any.about("a.example", site, yahoo_from, "").size() == 2);
  CHECK(any.about("a.example", "", "", "").empty());
}

TEST_CASE("pauses: the kinds of providers and sources read back by name") {
  CHECK(parse_pause_kind("provider") == PauseKind::Provider);
  CHECK(parse_pause_kind("source") == PauseKind::Source);
  CHECK(pause_name({PauseKind::Provider, "yahoo"}) != pause_name({PauseKind::Source, "yahoo"}));
}

TEST_CASE("the name of an account says provider and source") {
  CHECK(provider_of_account("provider:yahoo from 192.0.2.10") == "yahoo");
  CHECK(provider_of_account("provider:yahoo") == "yahoo");
  CHECK(provider_of_account("mx:provider:yahoo from 192.0.2.10").empty());
  CHECK(source_of_account("mx:a.example from 2001:db8::1") == "2001:db8::1");
  CHECK(source_of_account("mx:a.example").empty());
  CHECK(without_source("mx:a.example from 2001:db8::1") == "mx:a.example");
  CHECK(without_source("mx:a.example") == "mx:a.example");
  CHECK(account_from(account_of_provider("yahoo"), "192.0.2.10") ==
        "provider:yahoo from 192.0.2.10");
}

TEST_CASE("pauses: of a tenant its queues, of a campaign its mail") {
  const Pauses pauses({{PauseKind::Tenant, "Blue*"}, {PauseKind::Campaign, "spring*"}});
  CHECK(pauses.on_queue({"example.net", "blue", 0}) != nullptr);
  CHECK(pauses.on_queue({"example.net", "red", 0}) == nullptr);
  CHECK(Pauses(std::vector<Pause>{{PauseKind::Tenant, "*"}}).on_queue({"example.net", "", 0}) ==
        nullptr);
  CHECK(pauses.on_destination("example.net") == nullptr);
  CHECK(
      Pauses(std::vector<Pause>{{PauseKind::Destination, "*.net"}}).on_queue({"a.net", "red", 0}) !=
      nullptr);
  Message mail;
  mail.tenant = "blue";
  CHECK(pauses.on_mail(mail) == nullptr);
  mail.campaign = "Spring 2026";
  REQUIRE(pauses.on_mail(mail) != nullptr);
  CHECK(hold_reason_of(*pauses.on_mail(mail)) == "paused: campaign spring*");
  CHECK(pauses.about("a.net", "", "", "", "blue", "spring").size() == 2);
  CHECK(pauses.about("a.net", "", "", "").empty());
}

TEST_CASE("pauses: what they put on hold is told from what a person has") {
  CHECK(is_pause_hold("paused: user bob"));
  CHECK(is_pause_hold("paused: campaign spring 2026"));
  CHECK_FALSE(is_pause_hold("paused: tenant blue"));
  CHECK_FALSE(is_pause_hold("paused: for lunch"));
  CHECK_FALSE(is_pause_hold("paused: user"));
}

TEST_CASE("pauses: a row says all that is known of one") {
  Pause pause;
  pause.kind = PauseKind::User;
  pause.pattern = "bob:the builder";
  pause.since = kNow;
  pause.until = kNow + 2h;
  pause.by = "uid 0 (root)";
  pause.reason = "spam";
  pause.is_ending = true;
  const auto read = decode_pause(pause_name(pause), encode_pause(pause));
  REQUIRE(read);
  CHECK(read->kind == pause.kind);
  CHECK(read->pattern == pause.pattern);
  CHECK(read->since == pause.since);
  CHECK(read->until == pause.until);
  CHECK(read->by == pause.by);
  CHECK(read->reason == pause.reason);
  CHECK(read->is_ending);
  CHECK_FALSE(decode_pause("moon:x", encode_pause(pause)));
}

TEST_CASE("what a past pause had put on hold waits again when it is brought back") {
  const auto brought_back = [](const Delivery& before, const Pauses* pauses) {
    Decision decision = decide_on(Act::Undelete, deleted(before));
    REQUIRE(decision.kind == Kind::Move);
    end_hold_of_past_pause(decision.after, pauses, kNow + 1min);
    return decision.after;
  };
  Pause pause;
  pause.kind = PauseKind::User;
  pause.pattern = "b*b";
  Delivery before = held();
  before.hold_reason = hold_reason_of(pause);
  const Pauses lasting({pause});
  CHECK(octets_of(brought_back(before, &lasting)) == octets_of(before));
  pause.is_ending = true;
  const Pauses ending({pause});
  pause.is_ending = false;
  pause.pattern = "b*";
  const Pauses other({pause});
  for (const Pauses* pauses : {&ending, &other, static_cast<const Pauses*>(nullptr)}) {
    const Delivery after = brought_back(before, pauses);
    CHECK(after.state == DeliveryState::Waiting);
    CHECK(after.hold_reason.empty());
    CHECK(after.due == kNow + 1min);
  }
  // A person's hold stays, and so does what waited.
  CHECK(octets_of(brought_back(held(), &other)) == octets_of(held()));
  CHECK(octets_of(brought_back(waiting(), &other)) == octets_of(waiting()));
}

TEST_CASE("acts read many deliveries at once, each message once, and end when it is much") {
  SmallQueue queue;
  const Message message = sample_message(1, 2);
  queue.accept(1, {sample_delivery(message, 1), sample_delivery(message, 2)});
  queue.accept(2, {sample_delivery(sample_message(2), 1)});
  ReadRequest request;
  request.with = ReadRequest::With::Messages;
  request.ids = {{sample_id(1), 0}, {sample_id(2), 1}, {sample_id(2), 7}, {sample_id(3), 1}};
  auto read = read_deliveries(queue.rows, request, queue.damaged);
  REQUIRE(read);
  CHECK(read->looked_at == 4);
  REQUIRE(read->rows.size() == 3);
  CHECK(read->rows[0].message == read->rows[1].message);
  CHECK(read->rows[2].delivery.recipient == "bob1@example.net");
  request.octets_max = 1;
  read = read_deliveries(queue.rows, request, queue.damaged);
  REQUIRE(read);
  CHECK(read->looked_at == 1);
  CHECK(read->rows.size() == 2);
}

TEST_CASE("deleted ones are found when their time is over, by their home, page by page") {
  SmallQueue queue;
  constexpr unsigned kLoops = 2;
  std::size_t due = 0;
  for (std::uint64_t tick = 1; tick <= 40; ++tick) {
    const std::string domain = "d" + std::to_string(tick % 5) + ".example";
    const Delivery before = sample_delivery(sample_message(tick), 1, domain);
    const Message message = queue.accept(tick, {before});
    if (tick % 4 == 0) continue;  // waits
    Delivery after = deleted(before);
    after.due = kNow + (tick % 3 == 0 ? 1h : -1h);
    if (tick % 3 != 0) ++due;
    queue.apply(moved(message, before, after, std::nullopt));
  }
  std::size_t found = 0;
  WallTime next = base::kNeverWall;
  for (unsigned loop = 0; loop < kLoops; ++loop) {
    OverdueRequest request{Overdue::Deleted, kNow, "", 3};
    do {
      auto page = find_overdue(queue.rows, loop, kLoops, request);
      REQUIRE(page);
      for (const Selected& one : page->deliveries) {
        CHECK(one.state == DeliveryState::Deleted);
        CHECK(home_loop(one.queue.destination, kLoops) == loop);
        CHECK(one.due <= kNow);
      }
      found += page->deliveries.size();
      next = std::min(next, page->next_due);
      request.after = page->more_after;
    } while (!request.after.empty());
  }
  CHECK(found == due);
  CHECK(next == kNow + 1h);
}

TEST_CASE("a paused queue is not loaded, and is once the pauses have changed") {
  const QueueSettings settings;
  bool is_paused = true;
  Directory directory(settings, [&is_paused](const QueueName&) { return is_paused; });
  directory.found(QueueName{"a", "", 0}, kNow, kNow);
  CHECK_FALSE(directory.next_load(kNow));
  CHECK(directory.wake_at() == base::kNeverWall);
  CHECK_FALSE(directory.next_load(kNow + 24h));
  is_paused = false;
  CHECK_FALSE(directory.next_load(kNow + 24h));
  directory.pauses_changed();
  const auto request = directory.next_load(kNow + 24h);
  REQUIRE(request);
  directory.pause(QueueName{"a", "", 0});
  static_cast<void>(directory.loaded(QueueName{"a", "", 0}, {{}, {}, kNow, true}));
  CHECK_FALSE(directory.next_load(kNow + 24h));
  directory.pauses_changed();
  CHECK(directory.next_load(kNow + 24h));
}
