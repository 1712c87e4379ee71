// An outbound session with everything around it in the test's hands: network, clock, store, and a
// listener that keeps what it is told.
#pragma once

#include <catch2/catch.hpp>

#include "mta/outbound/client_protocol.h"
#include "mta/outbound/session.h"
#include "tests/support/hand_loop.h"
#include "tests/support/hand_network.h"
#include "tests/support/hand_store.h"

namespace rockdove::outbound {

using namespace std::chrono_literals;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
using Kind = DeliveryResult::Kind;

class NoContext final : public net::TlsClientContext {};

inline net::Loss tls_loss(std::string detail) {
  return {net::Loss::How::TlsFailed, 0, std::move(detail)};
}

struct World : SessionListener {
  explicit World(TlsLevel level, int hosts = 1) {
    auto account = std::make_shared<queue::AccountSpec>();
    account->name = "route:test";
    site->name = account->name;
    site->account = std::move(account);
    for (int i = 1; i <= hosts; ++i) {
      const std::string ip = "192.0.2." + std::to_string(i);
      site->hosts.push_back(
          {"mx" + std::to_string(i) + ".example.net", {*base::parse_ip_address(ip), 25}});
    }
    site->manner.tls = level;
    site->manner.tls_context = std::make_shared<const NoContext>();
  }

  void job_done(Session& /*session*/, JobReport report,
                queue::Scheduler::SessionAfter after) override {
    reports.push_back(std::move(report));
    is_idle = after == queue::Scheduler::SessionAfter::Idle;
  }

  void session_gone(Session& /*session*/) override { is_gone = true; }

  void came_ready(Session& /*session*/, queue::Job job, queue::Scheduler::Grant grant) override {
    has_used_grant = grant == queue::Scheduler::Grant::Used;
    handed_back.push_back(std::move(job));
    is_idle = true;
  }

  queue::Job job(int recipients = 1) {
    auto message = std::make_shared<queue::Message>();
    message->id = base::MessageId{42};
    message->sender = "s@here.example";
    message->header_block = "Subject: hi\r\nReturn-Path: <x@y>\r\n\r\n";
    message->body = std::make_shared<const std::string>("body\r\n.dot\r\n");
    message->body_octets = message->body->size();
    message->body_chunks = 1;
    message->recipients = static_cast<std::uint32_t>(recipients);
    queue::Job made{message, {}, {"route:test", "", 0}};
    for (int i = 1; i <= recipients; ++i) {
      queue::Delivery delivery;
      delivery.number = static_cast<std::uint32_t>(i);
      delivery.recipient = "r" + std::to_string(i) + "@example.net";
      made.deliveries.push_back(std::move(delivery));
    }
    return made;
  }

  void start(int recipients = 1) {
    session = std::make_unique<Session>(SessionKey{0, {1}}, site, context, *this);
    session->start(job(recipients), loop.now());
  }

  // Connected, greeted, and this said to EHLO.
  tests::HandConnection& greet(const std::string& extensions) {
    tests::HandConnection& server = network.last();
    server.accept();
    server.say("220 mx\r\n");
    CHECK(server.take_said() == "EHLO me.example\r\n");
    server.say(extensions.empty() ? "250 mx\r\n" : "250-mx\r\n250 " + extensions + "\r\n");
    return server;
  }

  // As far as the handshake.
  tests::HandConnection& to_handshake() {
    tests::HandConnection& server = greet("STARTTLS");
    CHECK(server.take_said() == "STARTTLS\r\n");
    server.say("220 go ahead\r\n");
    REQUIRE(server.tls_wanted());
    return server;
  }

  // A whole transaction on the connection that is ready for one.
  void take(tests::HandConnection& server) {
    CHECK(server.take_said() == "MAIL FROM:<s@here.example>\r\n");
    server.say("250 ok\r\n");
    CHECK(server.take_said() == "RCPT TO:<r1@example.net>\r\n");
    server.say("250 ok\r\n");
    server.say("354 go\r\n");
    server.say("250 taken\r\n");
  }

  const DeliveryResult& result(std::size_t number = 0) {
    REQUIRE(reports.size() == 1);
    return reports[0].results.at(number);
  }

  tests::HandLoop loop;
  tests::HandNetwork network{loop};
  tests::HandStore store;
  FileThreads files{loop};
  std::unique_ptr<base::LogSink> sink = *base::LogSink::open("/dev/null");
  base::Log log{*sink, base::Level::Debug};
  SessionContext context{
      loop,  network,
      store, log,
      files, std::make_shared<const smtp::ClientOptions>(smtp::ClientOptions{"me.example", {}})};
  std::shared_ptr<Site> site = std::make_shared<Site>();
  std::unique_ptr<Session> session;
  std::vector<JobReport> reports;
  std::vector<queue::Job> handed_back;
  bool has_used_grant = false;  // the last of them
  bool is_idle = false;
  bool is_gone = false;
};

inline const net::TlsInfo kGood{net::TlsVersion::V1_3, "TLS_AES_128_GCM_SHA256", false, false, ""};

}  // namespace rockdove::outbound
