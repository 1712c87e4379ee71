// TLS of one connection, memory in and memory out: ciphertext that arrived becomes plaintext, and
// plaintext becomes ciphertext to be sent. It knows no socket and no clock; net::Connection stands
// between it and both. BoringSSL does the work (RFC 8446, RFC 5246); it never negotiates again.
//
// What it holds: nothing while nothing is under way, but BoringSSL's keys; a record that has begun
// to arrive, 16 KiB; and what is unsent, as much as its user gave it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "mta/net/tls.h"
#include "mta/net/tls_failure.h"

struct ssl_st;
struct bio_st;

namespace rockdove::net {

class BoringClientContext;

class TlsEngine {
 public:
  enum class State : std::uint8_t {
    Handshaking,
    Open,
    Failed  // for good; unsent() may hold an alert that tells the peer
  };

  // The plaintext of one receive() may be so much longer than its ciphertext: a record may have
  // begun before.
  static constexpr std::size_t kRoomBeyond = 17 * 1024;

  explicit TlsEngine(const StartTls& how);
  ~TlsEngine();
  TlsEngine(const TlsEngine&) = delete;
  TlsEngine& operator=(const TlsEngine&) = delete;

  [[nodiscard]] State state() const { return state_; }

  // The client's first words, to unsent(); a server waits for them. Once, before all else.
  void begin();

  // Takes all of `ciphertext`, as much of the handshake as is possible with it, and writes what it
  // says to `room`, which is kRoomBeyond octets larger. The plaintext; of a call that ends in
  // Failed that of the records before the bad one. May make something unsent(). Not after a
  // failure.
  [[nodiscard]] std::string_view receive(std::string_view ciphertext, std::span<char> room);

  // The peer has said that it will send nothing more (close_notify).
  [[nodiscard]] bool peer_has_closed() const { return peer_has_closed_; }

  // Only when Open, and not after close(). `plaintext` becomes unsent().
  void send(std::string_view plaintext);

  // Says close_notify, if it is Open; again, it does nothing.
  void close();

  // Ciphertext that is to go out, in order. Whoever has sent of it takes it away.
  [[nodiscard]] std::string& unsent() { return unsent_; }

  [[nodiscard]] const std::string& unsent() const { return unsent_; }

  // Once it is Open.
  [[nodiscard]] TlsInfo info() const;

  // Once it has Failed: in plain words.
  [[nodiscard]] const std::string& failure() const { return failure_; }

  // For the contexts, which BoringSSL calls with nothing but its own object.
  [[nodiscard]] static TlsEngine& of(const ssl_st& connection);

  void note_offer(TlsOffer offer) { offer_ = std::move(offer); }

  [[nodiscard]] bool judge_certificate(std::uint8_t& alert);

  [[nodiscard]] const std::string& session_key() const { return session_key_; }

 private:
  static constexpr std::size_t kFirstOctetsMax = 64;

  struct Free {
    void operator()(ssl_st* connection) const;
  };

  // BoringSSL's way to us.
  static int on_read(bio_st* bio, char* room, int octets);
  static int on_write(bio_st* bio, const char* data, int octets);
  static const void* io_method();

  void set_up(const StartTlsAsServer& how);
  void set_up(const StartTlsAsClient& how);
  void make(void* context, TlsVersion least);
  void shake_hands();
  void judge_result(int result);
  void fail();

  std::shared_ptr<const void> context_;          // lives as long as we do
  const BoringClientContext* client_ = nullptr;  // null: we are the server
  TlsVerify verify_ = TlsVerify::Nothing;
  TlsVersion least_ = TlsVersion::V1_2;
  State state_ = State::Handshaking;
  bool peer_has_closed_ = false;
  bool is_closed_ = false;
  int clear_alert_ = 0;      // of the last octets that arrived in the handshake
  std::string host_;         // as client
  std::string session_key_;  // as client
  std::string_view arriving_;
  std::string unsent_;
  std::string failure_;
  std::string first_octets_;  // until it is Open
  TlsOffer offer_;            // likewise
  std::unique_ptr<ssl_st, Free> connection_;
};

}  // namespace rockdove::net
