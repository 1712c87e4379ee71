// The connections of one loop over real sockets: those it accepts and those it makes.
//
// Belongs to its loop's thread; may be made and filled with listeners before the loop runs, and
// destroyed after it has ended. To end in order: stop_listening(), let the protocols end,
// close_all() for those that have not, stop the loop. Protocols that are still there in the
// destructor die without hearing lost().
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "mta/net/listener.h"
#include "mta/net/listening_socket.h"
#include "mta/net/network.h"
#include "mta/net/uv_loop.h"

namespace rockdove::net {

class Connection;  // not part of the interface, and the only one here that needs <uv.h>
enum class ConnectionDirection : std::uint8_t { In, Out };
enum class ConnectionState : std::uint8_t { Connecting, Open, Lingering, Closed };

class UvNetwork : public Network {
 public:
  struct Counts {
    std::size_t in = 0;         // accepted, and still speaking
    std::size_t out = 0;        // made by us, those that are still connecting included
    std::size_t lingering = 0;  // have said all and wait for the peer's end, 2 s at most
  };

  explicit UvNetwork(UvLoop& loop);
  ~UvNetwork() override;
  UvNetwork(const UvNetwork&) = delete;
  UvNetwork& operator=(const UvNetwork&) = delete;

  void connect(const ConnectRequest& request, std::unique_ptr<Protocol> protocol) override;

  using ListenerId = std::size_t;
  // Accepts from `socket` until stop_listening(). Neither may be called from within `accept`, nor
  // by a protocol that was just accepted within connected().
  ListenerId listen(ListeningSocket socket, Accept accept);
  void stop_listening(ListenerId listener);  // once each
  void stop_listening();                     // all of them

  [[nodiscard]] Counts counts() const { return counts_; }

  // Accepted and closed at once for want of descriptors, by the listeners that listen now.
  [[nodiscard]] std::size_t turned_away() const;

  // Every protocol that is connected gets a turn, to see what has changed around it.
  void turn_all();

  // Every protocol that is left hears lost(Broken, ECONNABORTED), but not those that are connected
  // in answer to it. Not from within a protocol's call.
  void close_all();

 private:
  friend class Connection;

  // For the connections.
  void turn_wanted(Connection& connection);
  void turn_unwanted(Connection& connection);
  void state_changes(const Connection& connection, ConnectionState next);
  void forget(Connection& connection);

  void accepted(FileDescriptor socket, const ConnectionInfo& info, Accept& accept);
  Connection& add(ConnectionDirection direction, std::unique_ptr<Protocol> protocol);
  void run_turns();
  void schedule_turns();

  UvLoop& loop_;
  Counts counts_;
  std::vector<std::unique_ptr<Listener>> listeners_;  // by ListenerId; null: stopped
  std::vector<std::unique_ptr<Connection>> connections_;
  std::deque<Connection*>
      turns_;  // in the order of their wishes; null: closed before its turn came
  std::shared_ptr<bool> is_alive_ =
      std::make_shared<bool>(true);  // for a task of ours at a turn's end
};

}  // namespace rockdove::net
