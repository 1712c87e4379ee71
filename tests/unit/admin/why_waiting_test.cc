// Goal: of what waits its turn, in memory or on disk, it is said behind what and until when.
#include "mta/admin/why.h"
#include "tests/unit/admin/why_case.h"

using namespace rockdove;        // NOLINT(google-build-using-namespace)
using namespace rockdove::test;  // NOLINT(google-build-using-namespace)

TEST_CASE("why: a rule has paused a tenant's mail") {
  Case one;
  one.message.tenant = "shop";
  one.delivery.due = kStart - 1s;
  one.where.account = "provider:picky";
  one.delivery.last.reply = "451 4.7.1 Your customer sends too much";
  one.where.tenant_paused_until = kStart + 1h;
  one.where.tenant_pause_reason = "451 4.7.1 Your customer sends too much (rule picky.toml:3)";
  const Why paused = one.why();
  CHECK(paused.cause == "tenant-paused");
  CHECK(paused.text ==
        "A traffic rule has paused the mail of tenant shop to picky, because a server there "
        "answered: \"451 4.7.1 Your customer sends too much (rule picky.toml:3)\". Mail of others "
        "goes there meanwhile.");
  CHECK(paused.next == kStart + 1h);
  CHECK(has(paused.advice.front().command, "rockdove queue retry "));
  // Its own next attempt is later than that.
  one.delivery.due = kStart + 2h;
  CHECK(one.why().cause != "tenant-paused");
}

TEST_CASE("why: of what is in memory the gate is named, and who stands before it") {
  Case one;
  one.where.site_paused_until = kStart + 10min;
  one.where.site_pause_reason = "451 4.4.1 mx could not be reached: connection refused";
  const Why paused = one.in_memory(Whereabouts::Gate::Paused);
  CHECK(paused.cause == "site-paused");
  CHECK(has(paused.text, "connection refused"));
  CHECK(paused.next == kStart + 10min);
  one.where.site_paused_until = {};
  one.where.before = 7;
  const Why budget = one.in_memory(Whereabouts::Gate::Budget);
  CHECK(budget.cause == "no-connection-left");
  CHECK(has(budget.text, "7 others of example.net in memory go before it."));
  CHECK(has(budget.text, "share half"));
  CHECK(has_setting(budget, "[limits] connections_out", "500"));
  one.where.before = 0;
  one.where.connections_max = 10;
  const Why window = one.in_memory(Whereabouts::Gate::Window);
  CHECK(window.cause == "site-busy");
  CHECK(has(window.text,
            "Until mx.example.net has taken a message it gets a single connection, and that"));
  CHECK(has(window.text, "It is the next one of example.net."));
  CHECK_FALSE(has_setting(window, "[queue] site_connections", "10"));  // more would not help
  one.where.is_proven = true;
  one.where.window = 1;
  CHECK(has(one.in_memory(Whereabouts::Gate::Window).text, "The one connection that mx.example"));
  one.where.window = 10;
  const Why full = one.in_memory(Whereabouts::Gate::Window);
  CHECK(has(full.text, "All 10 connections"));
  CHECK(has_setting(full, "[queue] site_connections", "10"));
  CHECK(full.advice.front().text == "allow more: raise [queue] site_connections, then");
  CHECK(advises(full, "rockdove route bob@example.net"));
  CHECK(one.in_memory(Whereabouts::Gate::Backoff).cause == "site-busy");
  CHECK(one.in_memory(Whereabouts::Gate::Open).cause == "due");
}

TEST_CASE("why: a rate or an account that holds mail back is named, with what it shares") {
  Case one;
  one.where.account = "provider:google";
  one.where.rates = "50/min";
  one.where.next_grant = kStart + 1s;
  const Why first = one.in_memory(Whereabouts::Gate::Rate);
  CHECK(first.cause == "rate");
  CHECK(has(first.text, "Mail to google goes no faster than it may: 50/min."));
  CHECK(has(first.text, "All sites of google share that."));
  CHECK(first.next == kStart + 1s);
  one.where.before = 3;
  const Why later = one.in_memory(Whereabouts::Gate::Rate);
  CHECK_FALSE(later.next);
  CHECK(later.estimate == "as the rate lets those before it go");
  one.where.account = one.where.site;
  CHECK_FALSE(has(one.in_memory(Whereabouts::Gate::Rate).text, "share"));
  one.where.account = "provider:google";
  CHECK(has(one.in_memory(Whereabouts::Gate::Account).text, "No further connection to google"));
  one.where.account_connections = 5;
  one.where.account_connections_max = 5;
  const Why full = one.in_memory(Whereabouts::Gate::Account);
  CHECK(full.cause == "account-busy");
  CHECK(has(full.text, "All 5 connections that google may have are at work"));
}

TEST_CASE("why: what waits its turn says when about it goes, and how many go before it") {
  Case one;
  one.where.account = "provider:google";
  one.where.rates = "50/min";
  one.where.next_grant = kStart + 1s;
  one.where.before = 3;
  one.where.goes = Whereabouts::Estimate{kStart + 9min, 3120};
  const Why turn = one.in_memory(Whereabouts::Gate::Rate);
  CHECK_FALSE(turn.next);
  CHECK(turn.about == kStart + 9min);
  CHECK_FALSE(turn.latest);
  CHECK(turn.estimate ==
        "as the rate lets those before it go; about 3120 others of google go before it");
  // The first of its destination is not the first of its account.
  one.where.before = 0;
  CHECK(one.in_memory(Whereabouts::Gate::Rate).about == kStart + 9min);
  one.where.goes = Whereabouts::Estimate{kStart + 1s, 0};
  CHECK(one.in_memory(Whereabouts::Gate::Rate).next == kStart + 1s);
  CHECK_FALSE(one.in_memory(Whereabouts::Gate::Rate).about);
  // The end of a pause is known, and told.
  one.where.site_paused_until = kStart + 20min;
  CHECK_FALSE(one.in_memory(Whereabouts::Gate::Paused).about);
  one.where.site_paused_until = {};
  // On disk everything else may go first.
  one.where.goes = Whereabouts::Estimate{kStart + 2h, 18214};
  one.where.place = Whereabouts::Place::OnDisk;
  one.where.out = 100;
  one.where.room = 120;
  const Why behind = one.why();
  CHECK(behind.cause == "site-busy");
  CHECK(behind.latest == kStart + 2h);
  CHECK_FALSE(behind.about);
  CHECK(has(behind.estimate, "at the latest when all 18214 that wait for google have gone"));
  one.delivery.due = kStart + 5min;
  CHECK_FALSE(one.why().latest);
}

TEST_CASE("why: a budget that is used up is named, and until when") {
  Case one;
  one.where.account = "route:m365";
  one.where.rates = "30/min; recipients 10000/day";
  one.where.used_up = "10000 recipients a day";
  one.where.used_up_until = kStart + 3h;
  const std::string text = "The budget of route m365 (10000 recipients a day) is used up.";
  const Why waits = one.in_memory(Whereabouts::Gate::Rate);
  CHECK(waits.cause == "budget");
  CHECK(has(waits.text, text));
  CHECK(waits.next == kStart + 3h);
  CHECK_FALSE(has(waits.text, "meanwhile"));
  one.where.place = Whereabouts::Place::OnDisk;
  one.where.overflow = "second";
  one.delivery.due = kStart - 1s;
  CHECK(has(one.why().text, text));
  CHECK(has(one.why().text, "Mail goes by route second meanwhile"));
  one.where.used_up_until = kStart - 1s;
  CHECK(one.why().cause != "budget");
}

TEST_CASE("why: a sender at its limit is named, with how long at least, and which key it is") {
  Case one;
  one.delivery.due = kStart - 1s;
  one.where.sender_limit = "tenant shop.example (3/h)";
  one.where.sender_limit_until = kStart + 20min;
  const Why waits = one.why();
  CHECK(waits.cause == "sender-rate");
  CHECK(has(waits.text, "The rate of tenant shop.example (3/h) lets nothing more go for now"));
  CHECK(waits.estimate == "as that rate lets it go, not within the next 20m");
  CHECK(tells(waits, "allow more: raise rate of the [[tenant]]"));
  one.where.sender_limit = "campaign spring (3/h)";
  one.where.sender_limit_until = kStart;
  CHECK(one.why().estimate == "as that rate lets it go");
  CHECK(tells(one.why(), "allow more: raise rate of the [[campaign]]"));
}

TEST_CASE("why: where no source address can be used, that is the cause, and no host") {
  Case one;
  one.delivery.last.host.clear();
  const Why waits = one.why(
      "451 4.4.1 no source address of the pool main can be used: they are not on this machine");
  CHECK(waits.cause == "source");
  CHECK(has(waits.text, "It has no address to leave from: no source address of the pool main can"));
  CHECK(tells(waits, "put a missing one on an interface"));
  CHECK_FALSE(tells(waits, "send it another way"));
}

TEST_CASE("why: what its sender has scheduled says so, and until when") {
  Case one;
  one.delivery.attempts = 0;
  one.delivery.last = {};
  one.delivery.due = one.delivery.lives_from = kStart + 5h;
  CHECK(one.why().cause == "not-tried");
  CHECK(has(one.why().text, "It is scheduled: its sender wants it to be sent at its time"));
  CHECK(one.why().next == kStart + 5h);
}

TEST_CASE("why: what is due and on disk waits for memory, for room, or for its site") {
  Case one;
  one.delivery.due = kStart - 1s;
  CHECK(one.why().cause == "due");
  one.where.out = 9;
  CHECK(
      has(one.why().text, "9 others of example.net are in memory or being sent and go before it"));
  one.where.connections = one.where.window = 1;
  const Why busy = one.why();
  CHECK(busy.cause == "site-busy");
  CHECK(has(busy.text, "gets a single connection, and that one is at work"));
  one.where.is_memory_short = true;
  CHECK(one.why().cause == "memory");
  one.where.site_paused_until = kStart + 1min;
  CHECK(one.why().cause == "site-paused");
  one.delivery.last.host.clear();
  one.where.asked_again = kStart + 3min;
  const Why dns = one.why("451 4.4.3 SERVFAIL");
  CHECK(dns.cause == "dns");
  CHECK(dns.next == kStart + 3min);
  one.where.place = Whereabouts::Place::Resolving;
  CHECK(one.why().cause == "resolving");
  one.where.place = Whereabouts::Place::Silent;
  CHECK(one.why().cause == "silent");
}
