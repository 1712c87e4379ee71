// One request of the control socket and the way to answer it, shared by the connection it came on
// and by the work that answers it, which may take its time. When the client has gone, answering
// does nothing. Belongs to the control socket's loop.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "mta/base/loop.h"
#include "mta/http/message.h"
#include "mta/http/target.h"
#include "mta/net/protocol.h"

namespace rockdove::admin {

class ControlConnection;

// All paths of the control protocol begin with it; a version that cannot be spoken with the old one
// gets another. Keys may be added to answers within a version.
inline constexpr std::string_view kProtocolPath = "/v1";

// How a request came to us.
enum class Reach : std::uint8_t {
  ControlSocket,  // from somebody whom the socket's mode lets in
  Anyone,         // over TCP
};

class Exchange {
 public:
  // `running` counts the exchanges that live.
  Exchange(ControlConnection& connection, http::Request request, http::Target target,
           std::optional<net::PeerCredentials> peer, Reach reach,
           std::shared_ptr<std::uint32_t> running);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  [[nodiscard]] const http::Request& request() const { return request_; }

  [[nodiscard]] const http::Target& target() const { return target_; }

  [[nodiscard]] const std::optional<net::PeerCredentials>& peer() const { return peer_; }

  [[nodiscard]] Reach reach() const { return reach_; }

  [[nodiscard]] bool is_gone() const { return connection_ == nullptr; }

  // One whole answer: JSON without the line's end.
  void answer(unsigned status, std::string_view json, std::string_view allow = {});
  // One whole answer of another type, as it is.
  void answer_text(unsigned status, std::string_view type, std::string text);
  // {"error": text}
  void refuse(unsigned status, std::string_view text);

  // An answer in lines: start(), any number of line(), end(), which sends them as they come.
  void start();
  void line(std::string_view json);
  // Or of another type, in pieces as they are: start(type), any number of part(), end().
  void start(std::string_view type);
  void part(std::string_view octets);
  void end();
  // Instead of end(): the client learns that the answer is not whole.
  void break_off();

  [[nodiscard]] bool is_started() const { return is_started_; }

  // What went wrong with an answer in lines or pieces: refuse(500, text), or break_off() where it
  // has begun.
  void fail(std::string_view text);
  // Runs `task` as soon as the client has taken most of what was sent: at once, or in a later turn.
  // Never when it has gone. One at a time.
  void when_room(base::Task task);
  // Lives until the answer has ended or the client has gone; it may keep the exchange in turn.
  void keep(std::shared_ptr<void> what);

 private:
  friend class ControlConnection;

  void send(const http::Response& response);

  ControlConnection* connection_;
  const http::Request request_;
  const http::Target target_;
  const std::optional<net::PeerCredentials> peer_;
  const Reach reach_;
  const std::shared_ptr<std::uint32_t> running_;
  base::Task when_room_;
  std::shared_ptr<void> kept_;
  bool is_started_ = false;
};

}  // namespace rockdove::admin
