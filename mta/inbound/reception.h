// What the inbound sessions of one loop share: the settings, the store they commit to, the
// counters, and the way on for what was accepted. Wired by the daemon; everything outlives the
// sessions.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "mta/base/client_table.h"
#include "mta/base/ids.h"
#include "mta/base/log.h"
#include "mta/base/loop.h"
#include "mta/smtp/recipient_probe.h"
#include "mta/inbound/settings.h"
#include "mta/net/protocol.h"
#include "mta/smtp/server_session.h"
#include "queue/budget.h"
#include "queue/store.h"

namespace rockdove::inbound {

// One listener as sessions need it, made once for all of them.
struct ListenerContext {
  const ListenerSettings* settings = nullptr;
  smtp::ServerLimits limits;
  smtp::Greeting greeting;
};

struct Reception {
  base::Loop& loop;
  queue::Store& store;
  const InboundSettings& settings;
  queue::MemoryBudget& memory;
  base::ClientTable& clients;
  std::atomic<std::uint32_t>& connections;  // inbound, all loops
  base::Log& log;
  base::IdGenerator& ids;
  smtp::RecipientProbe& probe;
  // The name of the queue that a delivery waits in: where it goes, by rule.
  std::function<std::string(std::string_view recipient, std::string_view sender,
                            std::string_view listener, const base::IpAddress& client)>
      destination_of;
  // The message is durable and may be sent.
  std::function<void(queue::MessagePointer, std::vector<queue::Delivery>)> hand_in;
  // Clients in whose sessions this process has failed three times: they wait until an operator
  // looks.
  const std::unordered_set<base::IpAddress>& held_clients;
  bool stopping = false;  // new transactions are answered 421
  // Strangers that talk before they are greeted are no mail servers (RFC 5321 §3.1): they get so
  // long to do it.
  base::Duration greeting_pause = std::chrono::milliseconds(200);
};

[[nodiscard]] ListenerContext make_listener_context(const InboundSettings& settings,
                                                    const ListenerSettings& listener);

// The protocol for a connection that came in on this listener; never null.
[[nodiscard]] std::unique_ptr<net::Protocol> make_receiver(Reception& reception,
                                                           const ListenerContext& listener,
                                                           const net::ConnectionInfo& info);

}  // namespace rockdove::inbound
