// The sockets of the listeners, from the first start through all reloads. An address that stays
// keeps its sockets, so that nobody is refused in between; those that are new are bound before
// anything else changes; those that go stop listening while their connections end in peace.
//
// Each loop has a socket of its own for each address (SO_REUSEPORT). Before the first of them, the
// address is bound once without that: a stranger on the port is an error, not a partner.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "mta/base/result.h"
#include "mta/inbound/settings.h"
#include "mta/net/listening_socket.h"
#include "mta/net/uv_network.h"

namespace rockdove::daemon {

// Made once for all loops; each takes its own sockets out of it.
struct ListenerChange {
  struct Begin {
    std::string key;
    std::vector<net::ListeningSocket> sockets;  // by loop
  };

  std::vector<Begin> begin;
  std::vector<std::string> end;
  std::map<std::string, std::size_t> numbers;  // the listener of each address that is open after it
};

// What is open, as the thread that starts and reloads knows it.
class ListeningAddresses {
 public:
  explicit ListeningAddresses(unsigned loops) : loops_(loops) {}

  // Opens what is new. Nothing else changes: a change that is thrown away closes it again. The
  // error names the address.
  [[nodiscard]] base::Result<std::shared_ptr<ListenerChange>> prepare(
      const std::vector<inbound::ListenerSettings>& listeners) const;
  // The loops have been given the change, or will be.
  void changed(const ListenerChange& change);

 private:
  const unsigned loops_;
  std::set<std::string> open_;
};

// The listeners of one loop, on its thread.
class LoopListeners {
 public:
  // `listener` is its number in the settings that are in use when the connection comes.
  using Accept = std::function<std::unique_ptr<net::Protocol>(std::size_t listener,
                                                              const net::ConnectionInfo& info)>;

  // Both outlive it; `loop` is its index.
  LoopListeners(net::UvNetwork& network, unsigned loop, Accept accept)
      : network_(network), loop_(loop), accept_(std::move(accept)) {}

  void apply(ListenerChange& change);
  // Nobody is accepted any more; nothing is applied after it.
  void end();

 private:
  struct Listening {
    net::UvNetwork::ListenerId id = 0;
    std::shared_ptr<std::size_t> number;
  };

  net::UvNetwork& network_;
  const unsigned loop_;
  const Accept accept_;
  std::map<std::string, Listening> listening_;
};

}  // namespace rockdove::daemon
