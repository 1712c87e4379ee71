#include "mta/net/listener.h"

#include <cerrno>
#include <fcntl.h>
#include <utility>

#include <sys/socket.h>
#include <uv.h>

#include "mta/base/assert.h"
#include "mta/net/socket_address.h"
#include "mta/net/uv_handle.h"

namespace rockdove::net {

namespace {

constexpr base::Duration kPause{100};

FileDescriptor open_reserve() {
  return FileDescriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

}  // namespace

Listener::Listener(UvLoop& loop, ListeningSocket socket, Sink sink)
    : loop_(loop),
      socket_(std::move(socket)),
      sink_(std::move(sink)),
      reserve_(open_reserve()),
      pause_over_(loop.make_timer([this] { resume(); })),
      poll_(new uv_poll_t) {
  MTA_ASSERT(uv_poll_init(UvHandleAccess::loop_of(loop), poll_, socket_.number()) == 0);
  poll_->data = this;
  resume();
}

Listener::~Listener() {
  uv_poll_stop(poll_);
  close_and_delete(poll_);
}

void Listener::resume() {
  uv_poll_start(poll_, UV_READABLE, [](uv_poll_t* poll, int, int) {
    static_cast<Listener*>(poll->data)->on_readable();
  });
}

void Listener::pause() {
  uv_poll_stop(poll_);
  pause_over_->set(loop_.now().instant + kPause);
}

void Listener::on_readable() {
  loop_.begin_turn();
  for (int accepted = 0; accepted < kAcceptedMaxPerTurn; ++accepted) {
    KernelAddress peer;
    FileDescriptor client(
        ::accept4(socket_.number(), peer.get(), &peer.octets, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (client.is_open()) {
      ConnectionInfo info;
      if (!socket_.is_unix()) info.peer = from_kernel(peer);
      take(std::move(client), info);
      continue;
    }
    switch (errno) {
      case EAGAIN:
        return;
      case EMFILE:
      case ENFILE:
        if (!turn_one_away()) return pause();
        continue;
      case EBADF:
      case EINVAL:
      case ENOBUFS:
      case ENOMEM:
      case ENOTSOCK:
      case EOPNOTSUPP:
        return pause();
      default:
        continue;  // accept(2): Linux hands over errors that the new connection has already had
    }
  }
}

void Listener::take(FileDescriptor accepted, const ConnectionInfo& accepted_info) {
  ConnectionInfo info = accepted_info;
  if (socket_.is_unix()) {
    info.credentials = credentials_of(accepted.number());
  } else {
    // A socket bound to one address needs no question which one was called.
    const bool is_bound_to_one = !socket_.address().ip.is_unspecified();
    info.local = is_bound_to_one ? socket_.address() : local_address_of(accepted.number());
  }
  sink_(std::move(accepted), info);
}

bool Listener::turn_one_away() {
  if (!reserve_.is_open()) {
    reserve_ = open_reserve();
    if (!reserve_.is_open()) return false;
  }
  reserve_.close();
  FileDescriptor client(::accept4(socket_.number(), nullptr, nullptr, SOCK_CLOEXEC));
  const bool worked = client.is_open();
  client.close();
  reserve_ = open_reserve();
  if (worked) ++turned_away_;
  return worked;
}

}  // namespace rockdove::net
