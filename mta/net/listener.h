// Accepts connections from one listening socket on one loop. It owns the socket, not the
// connections: each goes to its Sink at once.
#pragma once

#include <cstddef>
#include <memory>

#include "mta/base/loop.h"
#include "mta/base/unique_function.h"
#include "mta/net/file_descriptor.h"
#include "mta/net/listening_socket.h"
#include "mta/net/protocol.h"
#include "mta/net/uv_loop.h"

struct uv_poll_s;

namespace rockdove::net {

class Listener {
 public:
  // Takes one connection: `socket` is open and non-blocking. Must not destroy the listener.
  using Sink = base::UniqueFunction<void(FileDescriptor socket, const ConnectionInfo& info)>;

  Listener(UvLoop& loop, ListeningSocket socket, Sink sink);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  [[nodiscard]] const base::SocketAddress& address() const { return socket_.address(); }

  // Connections that were accepted and closed at once because the process has no descriptor left.
  [[nodiscard]] std::size_t turned_away() const { return turned_away_; }

 private:
  static constexpr int kAcceptedMaxPerTurn =
      64;  // so that a burst does not starve open connections

  void on_readable();
  void take(FileDescriptor accepted, const ConnectionInfo& info);
  // False: it did not work, or there was nobody; the caller pauses.
  [[nodiscard]] bool turn_one_away();
  void pause();
  void resume();

  UvLoop& loop_;
  ListeningSocket socket_;
  Sink sink_;
  // Given up for a moment to accept a connection that there is no descriptor for, and close it: the
  // client learns it now, and the socket does not stay readable for ever.
  FileDescriptor reserve_;
  std::unique_ptr<base::Timer> pause_over_;
  uv_poll_s* poll_;  // freed by its close callback
  std::size_t turned_away_ = 0;
};

}  // namespace rockdove::net
