#include "mta/net/connection.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "mta/base/assert.h"
#include "mta/base/counters.h"
#include "mta/net/socket_address.h"
#include "mta/net/uv_handle.h"
#include "mta/net/uv_network.h"

namespace rockdove::net {

namespace {

bool switch_on(int socket, int level, int option) {
  const int on = 1;
  return setsockopt(socket, level, option, &on, sizeof on) == 0;
}

uv_buf_t as_uv_buf(std::string_view octets) {
  // libuv does not write to it; its type has no const.
  return uv_buf_init(
      const_cast<char*>(octets.data()),  // NOLINT(cppcoreguidelines-pro-type-const-cast)
      static_cast<unsigned>(octets.size()));
}

// What a record of TLS adds to its text at most, also in the old modes with padding.
constexpr std::size_t kRecordOctetsMax = 64;

// A socket that is ready to connect, or the errno in `code`.
FileDescriptor open_client_socket(const ConnectRequest& request, int& code) {
  const int family = request.to.ip.is_v4() ? AF_INET : AF_INET6;
  FileDescriptor opened(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  code = errno;
  if (!opened.is_open()) return opened;
  switch_on(opened.number(), IPPROTO_TCP, TCP_NODELAY);
  switch_on(opened.number(), SOL_SOCKET, SO_KEEPALIVE);
  if (!request.from) return opened;
  // The port is chosen at connect(), when it need only differ for this one peer: otherwise the
  // source address would have no more than 28,000 connections to all the world.
  switch_on(opened.number(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
  const KernelAddress from = to_kernel({*request.from, 0});
  if (bind(opened.number(), from.get(), from.octets) == 0) return opened;
  code = errno;
  return {};
}

}  // namespace

Connection::Connection(UvNetwork& network, UvLoop& loop, Direction direction,
                       std::unique_ptr<Protocol> protocol)
    : network_(&network),
      loop_(loop),
      protocol_(std::move(protocol)),
      deadline_(loop.deadlines(), &Connection::on_deadline, this),
      direction_(direction) {}

void Connection::adopt(FileDescriptor socket, const ConnectionInfo& info) {
  uv_loop_t* loop = UvHandleAccess::loop_of(loop_);
  const bool is_unix = info.credentials.has_value();
  if (is_unix) {
    uv_pipe_init(loop, &handle_.pipe, 0);
  } else {
    uv_tcp_init(loop, &handle_.tcp);
  }
  handle_.tcp.data = this;
  socket_ = socket.number();
  const int opened =
      is_unix ? uv_pipe_open(&handle_.pipe, socket_) : uv_tcp_open(&handle_.tcp, socket_);
  MTA_ASSERT(opened == 0);  // it fails for descriptors that are no sockets or have a handle already
  static_cast<void>(socket.release());
  open(info);
}

void Connection::start_connecting(const ConnectRequest& request) {
  connect_until_ = loop_.now().instant + request.timeout;
  if (!request.unix_path.empty()) return start_connecting_to_path(request.unix_path);
  uv_tcp_init(UvHandleAccess::loop_of(loop_), &handle_.tcp);
  handle_.tcp.data = this;
  int code = 0;
  FileDescriptor socket = open_client_socket(request, code);
  if (!socket.is_open()) return fail_soon(code);
  socket_ = socket.number();
  MTA_ASSERT(uv_tcp_open(&handle_.tcp, socket_) == 0);
  static_cast<void>(socket.release());
  request_.connect.data = this;
  const KernelAddress to = to_kernel(request.to);
  const int started =
      uv_tcp_connect(&request_.connect, &handle_.tcp, to.get(), &Connection::on_connected);
  if (started != 0) return fail_soon(-started);
  wait_for_connect();
}

void Connection::start_connecting_to_path(const std::string& path) {
  uv_pipe_init(UvHandleAccess::loop_of(loop_), &handle_.pipe, 0);
  handle_.pipe.data = this;
  // libuv 1.44 would cut it off and connect to another.
  if (path.size() >= sizeof sockaddr_un{}.sun_path) return fail_soon(ENAMETOOLONG);
  request_.connect.data = this;
  // What fails at once is told by the callback, too.
  uv_pipe_connect(&request_.connect, &handle_.pipe, path.c_str(), &Connection::on_connected);
  wait_for_connect();
}

void Connection::wait_for_connect() {
  deadline_.set(std::min(connect_until_, loop_.now().instant + kConnectLook));
}

void Connection::fail_soon(int code) {
  failure_ = code;
  want_turn();
}

void Connection::on_connected(uv_connect_t* request, int status) {
  Connection& self = *static_cast<Connection*>(request->data);
  self.loop_.begin_turn();
  if (self.state_ != State::Connecting) return;  // closed meanwhile
  if (status == UV_ETIMEDOUT) return self.lose({Loss::How::ConnectTimedOut, ETIMEDOUT});
  if (status != 0) return self.lose({Loss::How::ConnectFailed, -status});
  if (self.socket_ < 0) uv_fileno(reinterpret_cast<uv_handle_t*>(&self.handle_), &self.socket_);
  KernelAddress peer;
  ConnectionInfo info;
  info.local = local_address_of(self.socket_);
  if (getpeername(self.socket_, peer.get(), &peer.octets) != 0) {
    return self.lose({Loss::How::ConnectFailed, errno});  // reset already
  }
  info.peer = from_kernel(peer);
  if (peer.storage.ss_family == AF_UNIX) info.credentials = credentials_of(self.socket_);
  self.open(info);
}

void Connection::open(const ConnectionInfo& info) {
  enter(State::Open);
  const base::Now now = loop_.now();
  protocol_->connected(*this, info, now);
  settle(now);
}

void Connection::want_turn() {
  const bool may_have_one = state_ == State::Open || (state_ == State::Connecting && failure_ != 0);
  if (turn_is_wanted_ || !may_have_one) return;
  turn_is_wanted_ = true;
  network_->turn_wanted(*this);
}

void Connection::run_turn() {
  turn_is_wanted_ = false;
  if (state_ == State::Connecting) return lose({Loss::How::ConnectFailed, failure_});
  if (state_ != State::Open) return;  // it ended in the turn in which it was wanted
  const base::Now now = loop_.now();
  if (!has_ended()) protocol_->turn(now);
  settle(now);
}

void Connection::on_room_wanted(uv_handle_t* handle, std::size_t, uv_buf_t* room) {
  Connection& self = *static_cast<Connection*>(handle->data);
  self.loop_.begin_turn();
  // No room is libuv's way to hear that we do not want it now: see on_read().
  const bool may_read = self.wants_input_ && self.loop_.shares().try_read(self.share_);
  *room = may_read ? uv_buf_init(self.loop_.read_buffer(), UvLoop::kReadBufferOctets)
                   : uv_buf_init(nullptr, 0);
}

void Connection::on_read(uv_stream_t* stream, ssize_t octets, const uv_buf_t* room) {
  Connection& self = *static_cast<Connection*>(stream->data);
  if (octets == 0) return;  // libuv's word for "try again"
  if (octets > 0) return self.arrived({room->base, static_cast<std::size_t>(octets)});
  if (octets == UV_ENOBUFS) {
    if (self.wants_input_) return;  // it has had its share; what is left is told of again next turn
    // Only now that something came while it is unwanted does stopping pay its epoll_ctl: most
    // protocols want input again before the peer sends any.
    uv_read_stop(stream);
    self.is_reading_ = false;
    return;
  }
  self.is_reading_ = false;
  if (octets == UV_EOF) return self.arrival_ended();
  self.lose_arrival(static_cast<int>(-octets));
}

void Connection::arrived(std::string_view octets) {
  loop_.shares().count_read(is_handshaking() ? kHandshakeStepOctets : octets.size());
  if (state_ == State::Lingering) {
    lingered_octets_ += octets.size();
    if (lingered_octets_ > kLingerOctetsMax) close();
    return;
  }
  if (tls_ != nullptr) return ciphertext_arrived(octets);
  const base::Now now = loop_.now();
  protocol_->receive(octets, now);
  settle(now);
}

// All of it within one turn, so that what the protocol says to it goes out in one write.
void Connection::ciphertext_arrived(std::string_view octets) {
  if (peer_has_closed_) return;  // behind a close_notify
  const base::Now now = loop_.now();
  const bool was_handshaking = is_handshaking();
  const std::string_view text =
      tls_->receive(octets, loop_.plaintext_room(octets.size() + TlsEngine::kRoomBeyond));
  const bool has_failed = tls_->state() == TlsEngine::State::Failed;
  if (has_failed && was_handshaking) return lose_tls(tls_->failure(), now);
  if (was_handshaking && !is_handshaking()) {
    handshake_until_ = base::kNever;
    if (!has_ended()) protocol_->tls_started(tls_->info(), now);
  }
  // What came before a record that is not good was good: perhaps the answer to a final dot, without
  // which the message would be sent again.
  if (!text.empty() && !has_ended()) protocol_->receive(text, now);
  if (has_failed) return lose_tls(tls_->failure(), now);
  if (tls_->peer_has_closed()) tell_end(now);
  settle(now);
}

void Connection::arrival_ended() {
  if (state_ == State::Lingering) {
    peer_has_closed_ = true;
    return close();
  }
  if (peer_has_closed_) return;  // said by close_notify before
  if (is_handshaking()) return lose_arrival(0);
  const base::Now now = loop_.now();
  tell_end(now);
  settle(now);
}

void Connection::tell_end(base::Now now) {
  peer_has_closed_ = true;
  half_closed_until_ = now.instant + kHalfClosedMax;
  if (!has_ended()) protocol_->peer_closed(now);
}

bool Connection::has_ended() const {
  return protocol_->is_over() && protocol_->output().empty();
}

void Connection::start_tls(StartTls how) {
  MTA_ASSERT(state_ == State::Open && tls_ == nullptr && tls_wanted_ == nullptr);
  tls_wanted_ = std::make_unique<StartTls>(std::move(how));
}

bool Connection::is_handshaking() const {
  return tls_ != nullptr && tls_->state() == TlsEngine::State::Handshaking;
}

bool Connection::has_ciphertext() const {
  return tls_ != nullptr && !tls_->unsent().empty();
}

// What arrives from here on is the engine's.
bool Connection::begin_tls(base::Now now) {
  const std::unique_ptr<StartTls> wanted = std::move(tls_wanted_);
  tls_ = std::make_unique<TlsEngine>(*wanted);
  handshake_until_ = now.instant + kHandshakeMax;
  if (peer_has_closed_) {
    lose_tls("the peer closed the connection before the handshake", now);
    return false;
  }
  tls_->begin();
  if (const auto* as_server = std::get_if<StartTlsAsServer>(wanted.get());
      as_server != nullptr && !as_server->received.empty()) {
    const std::size_t room = as_server->received.size() + TlsEngine::kRoomBeyond;
    // A client's first flight ends no handshake, so there is no plaintext yet.
    static_cast<void>(tls_->receive(as_server->received, loop_.plaintext_room(room)));
  }
  if (tls_->state() == TlsEngine::State::Failed) {
    lose_tls(tls_->failure(), now);
    return false;
  }
  return send_tls(now);
}

void Connection::settle(base::Now now) {
  if (tls_ == nullptr ? !send_clear(now) : !send_tls(now)) return;
  // A handshake has no place for words, so there is nothing to wait for.
  const bool all_is_said =
      !is_writing_ && (is_handshaking() || (protocol_->output().empty() && !has_ciphertext()));
  if (tls_wanted_ != nullptr && all_is_said && !protocol_->is_over() && !begin_tls(now)) return;
  if (protocol_->is_over()) {
    if (all_is_said) return finish(now);
    if (over_until_ == base::kNever) over_until_ = now.instant + kOverMax;
  }
  set_deadline(now);
  set_reading();
}

bool Connection::send_clear(base::Now now) {
  for (int writes = 0; !is_writing_; ++writes) {
    const std::string_view output = protocol_->output();
    if (output.empty()) break;
    if (writes > 0 && !may_send_more(writes)) break;
    if (!send(output, now)) return false;
  }
  return true;
}

bool Connection::may_send_more(int writes) {
  if (writes < kWritesMaxPerTurn && loop_.shares().may_send()) return true;
  want_turn();
  return false;
}

// Gathers what the protocol says, behind what TLS itself has to say, for one write.
bool Connection::send_tls(base::Now now) {
  std::string& unsent = tls_->unsent();
  for (int writes = 0; !is_writing_; ++writes) {
    while (!is_handshaking() && unsent.size() < kGatheredOctetsMax) {
      const std::string_view output = protocol_->output().substr(0, kGatheredOctetsMax);
      if (output.empty()) break;
      unsent.reserve(unsent.size() + output.size() +
                     kRecordOctetsMax * (1 + output.size() / 16'384));
      tls_->send(output);
      if (tls_->state() == TlsEngine::State::Failed) {
        lose_tls(tls_->failure(), now);
        return false;
      }
      protocol_->output_sent(output.size(), now);
    }
    if (has_ended()) tls_->close();
    if (unsent.empty()) break;
    if (writes > 0 && !may_send_more(writes)) break;
    if (!send_ciphertext()) return false;
  }
  if (unsent.empty() && unsent.capacity() > 0)
    std::string().swap(unsent);  // idle, it costs nothing
  return true;
}

bool Connection::send_ciphertext() {
  std::string& unsent = tls_->unsent();
  uv_buf_t buffer = as_uv_buf(unsent);
  const int sent = uv_try_write(stream(), &buffer, 1);
  if (sent < 0 && sent != UV_EAGAIN) {
    lose_writing(sent);
    return false;
  }
  const std::size_t taken = sent > 0 ? static_cast<std::size_t>(sent) : 0;
  loop_.shares().count_sent(taken);
  if (taken == unsent.size()) {
    unsent.clear();
    return true;
  }
  in_flight_ = std::exchange(unsent, {});
  return write_in_flight(taken);
}

bool Connection::write_in_flight(std::size_t from) {
  uv_buf_t buffer = as_uv_buf(std::string_view(in_flight_).substr(from));
  request_.write.data = this;
  const int started = uv_write(&request_.write, stream(), &buffer, 1, &Connection::on_written);
  is_writing_ = started == 0;
  if (!is_writing_) lose_writing(started);
  return is_writing_;
}

bool Connection::send(std::string_view output, base::Now now) {
  uv_buf_t buffer = as_uv_buf(output.substr(0, 1U << 30));
  const int sent = uv_try_write(stream(), &buffer, 1);
  if (sent < 0 && sent != UV_EAGAIN) {
    lose_writing(sent);
    return false;
  }
  const std::size_t taken = sent > 0 ? static_cast<std::size_t>(sent) : 0;
  loop_.shares().count_sent(taken);
  // The protocol may change its output as soon as it is told, so libuv gets a copy of what is left.
  in_flight_.assign(output.substr(taken, kInFlightOctetsMax));
  const std::size_t left = in_flight_.size();
  if (left > 0 && !write_in_flight(0)) return false;
  protocol_->output_sent(taken + left, now);
  return true;
}

void Connection::on_written(uv_write_t* request, int status) {
  Connection& self = *static_cast<Connection*>(request->data);
  self.loop_.begin_turn();
  self.is_writing_ = false;
  if (self.state_ != State::Open) return;  // closed meanwhile
  if (status != 0) return self.lose_writing(status);
  self.in_flight_.clear();
  if (self.in_flight_.capacity() > kKeptOctetsMax) std::string().swap(self.in_flight_);
  // What it has to say now waits for its place among others.
  self.want_turn();
}

void Connection::set_deadline(base::Now now) {
  base::Instant at = protocol_->deadline();
  if (at == base::kNever) at = half_closed_until_;
  at = std::min({at, over_until_, handshake_until_});
  if (at != base::kNever) at = std::max(at, now.instant + kDeadlineStep);
  deadline_.set(at);
}

void Connection::on_deadline(void* owner) {
  Connection& self = *static_cast<Connection*>(owner);
  const base::Now now = self.loop_.now();
  switch (self.state_) {
    case State::Connecting:
      // Whoever wanted it may have given it up: its descriptor must not wait for the rest.
      if (now.instant < self.connect_until_ && !self.protocol_->is_over())
        return self.wait_for_connect();
      return self.lose({Loss::How::ConnectTimedOut, ETIMEDOUT});
    case State::Open:
      break;
    case State::Lingering:
      return self.close();
    case State::Closed:
      return;
  }
  if (self.over_until_ <= now.instant) return self.lose({Loss::How::Broken, ETIMEDOUT});
  if (self.handshake_until_ <= now.instant) {
    return self.lose(
        {Loss::How::TlsFailed, ETIMEDOUT, "the peer did not complete the handshake within 60 s"});
  }
  if (self.protocol_->deadline() <= now.instant) {
    self.protocol_->deadline_reached(now);
    return self.settle(now);
  }
  if (self.protocol_->deadline() == base::kNever && self.half_closed_until_ <= now.instant) {
    return self.lose({Loss::How::PeerClosed, 0});
  }
  self.set_deadline(now);
}

void Connection::set_reading() {
  // A peer that does not read what we say is not read either. Between start_tls() and the handshake
  // nobody reads; during the handshake TLS does.
  const std::size_t unsent = in_flight_.size() + protocol_->output().size() +
                             (tls_ == nullptr ? 0 : tls_->unsent().size());
  wants_input_ = (is_handshaking() || protocol_->wants_input()) && tls_wanted_ == nullptr &&
                 !peer_has_closed_ && unsent < kUnsentOctetsMax;
  if (!wants_input_ || is_reading_ || peer_has_closed_) return;
  is_reading_ = true;
  uv_read_start(stream(), &Connection::on_room_wanted, &Connection::on_read);
}

void Connection::finish(base::Now now) {
  protocol_.reset();
  if (peer_has_closed_) return close();
  linger(now);
}

void Connection::linger(base::Now now) {
  enter(State::Lingering);
  handshake_until_ = base::kNever;
  // Nothing is with libuv any more, so the FIN needs no uv_shutdown(), which would first wait for
  // the socket to be writable: an epoll_ctl and a turn more.
  if (::shutdown(socket_, SHUT_WR) != 0) return close();
  tls_.reset();
  deadline_.set(now.instant + kLingerMax);
  wants_input_ = true;
  if (is_reading_) return;
  is_reading_ = true;
  uv_read_start(stream(), &Connection::on_room_wanted, &Connection::on_read);
}

void Connection::lose_writing(int status) {
  if (is_handshaking()) return lose_arrival(-status);
  lose({peer_has_closed_ ? Loss::How::PeerClosed : Loss::How::Broken, -status});
}

// Also where the connection had TLS, and a record of it was bad.
void Connection::count_tls_failure() const {
  base::count(direction_ == Direction::In ? base::Counter::TlsServerFailed
                                          : base::Counter::TlsClientFailed);
}

void Connection::lose(const Loss& loss) {
  if (loss.how == Loss::How::TlsFailed) count_tls_failure();
  const base::Now now = loop_.now();
  const std::unique_ptr<Protocol> protocol = std::move(protocol_);
  close();
  if (protocol != nullptr) protocol->lost(loss, now);
}

void Connection::lose_tls(std::string detail, base::Now now) {
  if (peer_has_closed_ || is_writing_) return lose({Loss::How::TlsFailed, 0, std::move(detail)});
  count_tls_failure();
  if (!tls_->unsent().empty()) {
    uv_buf_t alert = as_uv_buf(tls_->unsent());
    // There is room for it, or nobody reads it anyway.
    static_cast<void>(uv_try_write(stream(), &alert, 1));
  }
  const std::unique_ptr<Protocol> protocol = std::move(protocol_);
  linger(now);
  protocol->lost({Loss::How::TlsFailed, 0, std::move(detail)}, now);
}

void Connection::lose_arrival(int code) {
  if (state_ != State::Open || !is_handshaking()) return lose({Loss::How::Broken, code});
  lose({Loss::How::TlsFailed, code,
        code == 0 ? "the peer closed the connection within the handshake"
                  : "the peer reset the connection within the handshake"});
}

void Connection::abort() {
  if (state_ != State::Closed) lose({Loss::How::Broken, ECONNABORTED});
}

void Connection::abandon() {
  if (state_ != State::Closed) close();
  network_ = nullptr;
  protocol_.reset();
}

void Connection::enter(State next) {
  network_->state_changes(*this, next);
  state_ = next;
}

void Connection::close() {
  MTA_ASSERT(state_ != State::Closed);
  enter(State::Closed);
  deadline_.set(base::kNever);
  if (turn_is_wanted_) network_->turn_unwanted(*this);
  turn_is_wanted_ = false;
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_), [](uv_handle_t* handle) {
    Connection* self = static_cast<Connection*>(handle->data);
    if (self->network_ != nullptr) return self->network_->forget(*self);
    delete self;
  });
}

}  // namespace rockdove::net
