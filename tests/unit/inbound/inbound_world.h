// What receivers stand in for tests: a store, a loop, clients and accounts that the test turns by
// hand. "192.0.2.0/24" may relay; ours.example is relayed to; local.example is ours, with aliases.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "mta/inbound/receiver.h"
#include "tests/support/hand_loop.h"
#include "tests/support/hand_network.h"
#include "tests/support/hand_store.h"

namespace rockdove::inbound {

using namespace std::chrono_literals;

struct Probe final : smtp::RecipientProbe {
  struct Question {
    std::string address;
    Done done;
  };

  void ask(std::string address, Done done) override {
    questions.push_back({std::move(address), std::move(done)});
  }

  std::deque<Question> questions;
};

struct Logins final : Authenticator {
  struct Question {
    Login login;
    Done done;
  };

  void check(base::Loop& /*loop*/, Login login, Done done) override {
    questions.push_back({std::move(login), std::move(done)});
  }

  void answer(LoginVerdict verdict) {
    Done done = std::move(questions.front().done);
    questions.pop_front();
    done(verdict);
  }

  std::deque<Question> questions;
};

struct Context final : net::TlsServerContext {};

struct World {
  World() {
    settings.hostname = "relay.example";
    settings.postmaster = "admin@relay.example";
    settings.local.domains = {"local.example"};
    settings.local.aliases["all"] = {"a@x.example", "b@x.example", "a@x.example"};
    settings.relay.domains = {"ours.example"};
    ListenerSettings& listener = settings.listeners.emplace_back();
    listener.name = "in";
    listener.relay_from = {*base::parse_ip_network("192.0.2.0/24")};
  }

  // With the settings as they are now.
  std::unique_ptr<tests::HandConnection> silent_client(const std::string& ip = "192.0.2.1") {
    return silent_client_of(reception, ip);
  }

  std::unique_ptr<tests::HandConnection> silent_client_of(Reception& on, const std::string& ip) {
    const net::ConnectionInfo info{{}, {*base::parse_ip_address(ip), 4711}};
    auto context = make_listener_context(std::make_shared<const InboundSettings>(settings), 0);
    auto client = std::make_unique<tests::HandConnection>(
        loop, net::ConnectRequest{info.peer, {}}, make_receiver(on, std::move(context), info));
    client->accept(info);
    return client;
  }

  // One that has said EHLO.
  std::unique_ptr<tests::HandConnection> client(const std::string& ip = "192.0.2.1") {
    return client_of(reception, ip);
  }

  std::unique_ptr<tests::HandConnection> client_of(Reception& on, const std::string& ip) {
    auto connection = silent_client_of(on, ip);
    if (ip.starts_with("198.")) {
      loop.pass(200ms);
      connection->ring();
    }
    connection->say("EHLO client.example\r\n");
    connection->take_said();
    return connection;
  }

  tests::HandLoop loop;
  tests::HandStore store;
  InboundSettings settings;
  queue::MemoryBudget memory{64 * 1024 * 1024};
  base::ClientTable clients;
  std::atomic<std::uint32_t> connections{0};
  std::unique_ptr<base::LogSink> sink = *base::LogSink::open("/dev/null");
  base::Log log{*sink, base::Level::Debug};
  base::IdGenerator ids{0, {}};
  Probe probe;
  Logins logins;
  std::unordered_set<base::IpAddress> held;

  struct HandedIn {
    queue::MessagePointer message;
    std::vector<queue::Delivery> deliveries;
  };

  // The same reception with another log.
  Reception reception_with(base::Log& other) {
    return {loop,
            store,
            memory,
            clients,
            connections,
            other,
            ids,
            probe,
            reception.destination_of,
            reception.hand_in,
            held};
  }

  std::vector<std::string> destinations_asked;
  std::vector<HandedIn> handed_in;
  Reception reception{
      loop,
      store,
      memory,
      clients,
      connections,
      log,
      ids,
      probe,
      [this](const inbound::HandedIn& mail) {
        std::string& asked = destinations_asked.emplace_back(mail.recipient);
        for (const std::string_view part : {mail.sender, mail.listener})
          asked.append(1, ' ').append(part);
        asked.append(1, ' ').append(base::format_ip_address(mail.client));
        asked.append(1, ' ').append(mail.user);
        return std::string(mail.recipient.substr(mail.recipient.find('@') + 1));
      },
      [this](queue::MessagePointer message, std::vector<queue::Delivery> deliveries) {
        handed_in.push_back({std::move(message), std::move(deliveries)});
      },
      held};
};

// The reply's last line, without CRLF.
inline std::string last_line(tests::HandConnection& client) {
  client.settle();
  std::string said = client.take_said();
  while (said.ends_with('\n') || said.ends_with('\r')) said.pop_back();
  return said.substr(said.rfind('\n') + 1);
}

inline std::string command(tests::HandConnection& client, const std::string& line) {
  client.say(line + "\r\n");
  return last_line(client);
}

inline void begin(tests::HandConnection& client, const std::string& recipient = "to@x.example") {
  REQUIRE_THAT(command(client, "MAIL FROM:<from@y.example>"), Catch::Matchers::StartsWith("250"));
  REQUIRE_THAT(command(client, "RCPT TO:<" + recipient + ">"), Catch::Matchers::StartsWith("250"));
  REQUIRE_THAT(command(client, "DATA"), Catch::Matchers::StartsWith("354"));
}

inline const std::string kSmall =
    "Date: Sat, 21 Nov 2026 21:00:00 +0000\r\nMessage-ID: <1@y.example>\r\n\r\nhello\r\n";

}  // namespace rockdove::inbound
