// One TCP or Unix connection: carries bytes between a socket and a Protocol, and knows nothing of
// what they mean.
//
//   Connecting ──▶ Open ──is_over(), all sent──▶ Lingering ──▶ Closed
//        └──────────┴──────────── lost() ─────────────────────────▲
//
// A network makes it, and destroys it when libuv has let go of its handle. Lingering: we have said
// all and sent our FIN, and read on without looking until the peer's FIN, because closing a socket
// that has unread input makes the kernel send a reset, which takes our last reply away from the
// peer (RFC 1122 §4.2.2.13).
//
// TLS stands between the two once the protocol has asked for it and its clear words are sent. Its
// close_notify goes out with the last words; a peer that ends without one (many do) has closed all
// the same, since SMTP ends in words of its own.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include <uv.h>

#include "mta/net/deadline_heap.h"
#include "mta/net/file_descriptor.h"
#include "mta/net/network.h"
#include "mta/net/protocol.h"
#include "mta/net/tls_engine.h"
#include "mta/net/turn_shares.h"
#include "mta/net/uv_loop.h"
#include "mta/net/uv_network.h"

namespace rockdove::net {

class Connection : public Wire {
 public:
  using Direction = ConnectionDirection;
  using State = ConnectionState;

  Connection(UvNetwork& network, UvLoop& loop, Direction direction,
             std::unique_ptr<Protocol> protocol);
  ~Connection() override = default;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // One of the two, once. adopt() calls the protocol, start_connecting() never does.
  void adopt(FileDescriptor socket, const ConnectionInfo& info);
  void start_connecting(const ConnectRequest& request);

  void want_turn() override;
  void start_tls(StartTls how) override;
  // The turn that was wanted has come.
  void run_turn();

  // lost(Broken, ECONNABORTED), and no lingering.
  void abort();
  // The network goes before the handle is closed: the protocol dies unheard, and the connection
  // frees itself later. Nobody may use it after this.
  void abandon();

  [[nodiscard]] Direction direction() const { return direction_; }

  [[nodiscard]] State state() const { return state_; }

  std::size_t place = 0;  // in the network's list

 private:
  static constexpr std::size_t kUnsentOctetsMax = 256 * 1024;   // above this the peer is not read
  static constexpr std::size_t kInFlightOctetsMax = 64 * 1024;  // that libuv holds for the socket
  static constexpr std::size_t kKeptOctetsMax = 4 * 1024;       // of memory, once all is sent
  static constexpr int kWritesMaxPerTurn = 16;                  // others want to be served, too
  static constexpr base::Duration kOverMax{30'000};         // for the peer to take our last words
  static constexpr base::Duration kHalfClosedMax{300'000};  // for a protocol without a deadline
  static constexpr base::Duration kLingerMax{2'000};
  static constexpr std::size_t kLingerOctetsMax = 256 * 1024;
  static constexpr base::Duration kDeadlineStep{1};
  static constexpr base::Duration kHandshakeMax{60'000};
  // What reading a step of a handshake costs, in octets that are only read.
  static constexpr std::size_t kHandshakeStepOctets = 128 * 1024;
  static constexpr std::size_t kGatheredOctetsMax = 64 * 1024;  // of ciphertext for one write
  static constexpr base::Duration kConnectLook{2'000};          // whether anybody still wants it

  // What libuv tells.
  static void on_room_wanted(uv_handle_t* handle, std::size_t, uv_buf_t* room);
  static void on_read(uv_stream_t* stream, ssize_t octets, const uv_buf_t* room);
  static void on_connected(uv_connect_t* request, int status);
  static void on_written(uv_write_t* request, int status);
  static void on_deadline(void* owner);

  void start_connecting_to_path(const std::string& path);
  void open(const ConnectionInfo& info);
  void arrived(std::string_view octets);
  void ciphertext_arrived(std::string_view octets);
  // EOF, or close_notify.
  void tell_end(base::Now now);
  void arrival_ended();
  void fail_soon(int code);
  void wait_for_connect();

  // After the protocol was told anything: sends what it said and does what it wants.
  void settle(base::Now now);
  // What the protocol has to say, as far as the socket takes it; false when the connection was lost
  // by it.
  [[nodiscard]] bool send_clear(base::Now now);
  [[nodiscard]] bool send_tls(base::Now now);
  // Whether, after so many writes, another may follow in this turn; else a turn is wanted.
  [[nodiscard]] bool may_send_more(int writes);
  // One write; likewise.
  [[nodiscard]] bool send(std::string_view output, base::Now now);
  [[nodiscard]] bool send_ciphertext();
  // Gives in_flight_ to libuv, but for what stands before `from`; likewise.
  [[nodiscard]] bool write_in_flight(std::size_t from);

  [[nodiscard]] bool is_handshaking() const;
  [[nodiscard]] bool has_ciphertext() const;  // that is not with the socket yet
  [[nodiscard]] bool has_ended() const;       // the protocol has, and all it said is taken
  [[nodiscard]] bool begin_tls(base::Now now);
  void set_deadline(base::Now now);
  void set_reading();

  void finish(base::Now now);
  void linger(base::Now now);
  void lose(const Loss& loss);
  void count_tls_failure() const;
  // The alert goes out, and the connection lingers, so that the peer reads it.
  void lose_tls(std::string detail, base::Now now);
  // While shaking hands, all that ends it is TLS's failure.
  void lose_arrival(int code);
  void lose_writing(int status);
  void enter(State next);
  void close();

  [[nodiscard]] uv_stream_t* stream() { return reinterpret_cast<uv_stream_t*>(&handle_); }

  UvNetwork* network_;
  UvLoop& loop_;
  std::unique_ptr<Protocol> protocol_;  // null in Lingering and Closed
  Deadline deadline_;
  const Direction direction_;
  State state_ = State::Connecting;
  bool turn_is_wanted_ = false;
  bool peer_has_closed_ = false;
  bool wants_input_ = true;  // what the protocol, and our unsent octets, allow
  bool is_reading_ = false;  // what libuv does; it is told to stop only when something arrives
  bool is_writing_ = false;  // write_request_ is with libuv, which reads from in_flight_
  TurnShares::Reader share_;
  int socket_ = -1;  // the handle's; it closes it
  int failure_ = 0;  // errno of a connect() that failed at once
  std::size_t lingered_octets_ = 0;
  base::Instant connect_until_ = base::kNever;
  base::Instant over_until_ = base::kNever;
  base::Instant half_closed_until_ = base::kNever;
  base::Instant handshake_until_ = base::kNever;
  std::string in_flight_;
  std::unique_ptr<StartTls> tls_wanted_;  // until the clear words before it are sent
  std::unique_ptr<TlsEngine> tls_;        // null: clear text

  union {
    uv_tcp_t tcp;
    uv_pipe_t pipe;
  } handle_;

  union {
    uv_connect_t connect;
    uv_write_t write;
  } request_;
};

}  // namespace rockdove::net
