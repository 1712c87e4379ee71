// The verifier over a network, a DNS and a clock that the test turns by hand.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "mta/outbound/verifier.h"
#include "tests/support/fake_resolver.h"
#include "tests/support/hand_loop.h"
#include "tests/support/hand_network.h"
#include "tests/support/hand_store.h"

namespace rockdove::outbound {

struct VerifierWorld {
  // mx1 is 192.0.2.1, mx2 192.0.2.2 and so on.
  explicit VerifierWorld(const VerifierLimits& limits = {}, std::uint32_t connections_max = 1000,
                         int servers = 1)
      : connections(connections_max) {
    settings.hostname = "me.example";
    for (int i = 1; i <= servers; ++i) {
      const std::string name = "mx" + std::to_string(i) + ".example.net";
      resolver.mx("example.net", static_cast<std::uint16_t>(i), name);
      resolver.address(name, "192.0.2." + std::to_string(i));
    }
    probe = make_verifier(env, limits);
  }

  // Its answer goes to the end of `answers`.
  void ask(const std::string& address) {
    probe->ask(address, [this](const smtp::Reply& reply) { answers.push_back(one_line(reply)); });
  }

  // Asks, and goes on until a server is spoken to.
  tests::HandConnection& start(const std::string& address) {
    ask(address);
    resolver.run();
    return network.last();
  }

  void greet(tests::HandConnection& server) {
    server.accept();
    server.say("220 mx\r\n");
    server.say("250-mx\r\n250 PIPELINING\r\n");
  }

  // A whole conversation that ends in this answer to RCPT.
  void converse(const std::string& address, const std::string& rcpt) {
    tests::HandConnection& server = start(address);
    greet(server);
    server.say("250 ok\r\n" + rcpt + "\r\n221 bye\r\n");
    loop.run();
  }

  tests::HandLoop loop;
  tests::HandNetwork network{loop};
  tests::FakeResolver resolver;
  tests::HandStore store;
  OutboundSettings settings;
  queue::QueueSettings queue_settings;
  Ourselves ourselves;
  dns::HostsFile hosts_file;
  queue::ConnectionBudget connections;
  queue::MemoryBudget memory{1'000'000};
  std::unique_ptr<base::LogSink> sink = *base::LogSink::open("/dev/null");
  base::Log log{*sink, base::Level::Debug};
  base::IdGenerator ids{0, {}};
  base::Random random{1};
  queue::ClockWatch clocks{loop.now()};
  std::vector<Dispatcher*> peers;
  std::vector<base::Loop*> loops{&loop};
  queue::SenderLimits senders;
  Environment env{loop,      network,    resolver,    store,  settings, queue_settings,
                  ourselves, hosts_file, connections, memory, log,      ids,
                  random,    clocks,     {},          peers,  loops,    senders};
  std::unique_ptr<smtp::RecipientProbe> probe;
  std::vector<std::string> answers;
};

}  // namespace rockdove::outbound
