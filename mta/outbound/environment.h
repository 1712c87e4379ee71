// What the outbound parts of one loop stand on, and how they reach those of the other loops. Wired
// by the daemon (and by tests/sim with other parts in the same places); everything outlives them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dns/hosts_file.h"
#include "dns/resolver.h"
#include "mta/base/ids.h"
#include "mta/base/log.h"
#include "mta/base/loop.h"
#include "mta/base/random.h"
#include "mta/net/network.h"
#include "mta/outbound/router.h"
#include "mta/outbound/settings.h"
#include "queue/budget.h"
#include "queue/retry.h"
#include "queue/sender_limits.h"
#include "queue/settings.h"
#include "queue/store.h"

namespace rockdove::outbound {

class Dispatcher;

struct Environment {
  base::Loop& loop;
  net::Network& network;
  dns::Resolver& resolver;
  queue::Store& store;
  // A reload replaces what these four refer to, between two turns of this loop: what is kept from
  // one turn to another is a copy, as in a Site.
  const OutboundSettings& outbound;
  const queue::QueueSettings& queue;
  const Ourselves& ourselves;
  const dns::HostsFile& hosts_file;
  queue::ConnectionBudget& connections;
  queue::MemoryBudget& memory;
  base::Log& log;
  base::IdGenerator& ids;
  base::Random& random;
  queue::ClockWatch& clocks;
  // The addresses that a report to this address goes to: itself, or what it is an alias for. Empty:
  // there is no such address here.
  std::function<std::vector<std::string>(std::string_view)> expand;
  // The dispatchers of all loops, by index; complete before the first loop runs.
  const std::vector<Dispatcher*>& peers;
  const std::vector<base::Loop*>& loops;
  queue::SenderLimits& senders;

  [[nodiscard]] base::Now now() const { return loop.now(); }

  // Runs `task(Dispatcher&)` on the loop with this index; at once when it is this one.
  template <typename F>
  void on_loop(unsigned index, F task) const;

  [[nodiscard]] unsigned loop_count() const { return static_cast<unsigned>(loops.size()); }
};

template <typename F>
void Environment::on_loop(unsigned index, F task) const {
  if (index == loop.index()) return task(*peers[index]);
  loops[index]->post([peer = peers[index], task = std::move(task)]() mutable { task(*peer); });
}

}  // namespace rockdove::outbound
