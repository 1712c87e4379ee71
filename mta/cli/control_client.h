// The commands' side of the control socket: connect, ask, read the answer line by line. It blocks,
// as a command may; a daemon that does not answer within the time given is an error.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "mta/base/result.h"
#include "mta/base/time.h"
#include "mta/http/client_conversation.h"

namespace rockdove::cli {

// A Unix socket's path has at most so many octets.
inline constexpr std::size_t kSocketPathOctetsMax = 107;
inline constexpr base::Duration kAnswerWithin = std::chrono::seconds(5);

// One line of an answer, without its end: JSON. Valid during the call.
using LineSink = std::function<void(std::string_view line)>;
// The next octets of an answer. Valid during the call.
using OctetSink = std::function<void(std::string_view octets)>;

class ControlClient {
 public:
  enum class Refusal : std::uint8_t {
    NobodyListens,  // no socket there, or nobody behind it
    Other,          // no permission, a path that is too long, …
  };

  struct Refused {
    Refusal why;
    base::Error error;
  };

  // Either a client, or why there is none.
  [[nodiscard]] static std::variant<std::unique_ptr<ControlClient>, Refused> connect(
      const std::string& socket_path);

  ~ControlClient();
  ControlClient(const ControlClient&) = delete;
  ControlClient& operator=(const ControlClient&) = delete;

  // Hands each line of a good answer to `sink` as it comes. An error: the daemon's own words when
  // it refuses; or it did not send anything for `patience`; or the answer is not whole.
  [[nodiscard]] base::Result<void> ask(const http::Request& request, const LineSink& sink,
                                       base::Duration patience = kAnswerWithin);
  // The same for an answer of any octets.
  [[nodiscard]] base::Result<void> fetch(const http::Request& request, const OctetSink& sink,
                                         base::Duration patience = kAnswerWithin);

  // Of the last answer; 0: there was none.
  [[nodiscard]] unsigned status() const { return status_; }

 private:
  explicit ControlClient(int socket) : socket_(socket) {}

  [[nodiscard]] base::Result<void> send();
  // Empty at the end of the connection.
  [[nodiscard]] base::Result<std::string> receive(base::Duration patience);
  [[nodiscard]] base::Result<void> take_lines(std::string_view octets, const LineSink& sink);

  int socket_;
  http::ClientConversation conversation_;
  std::string unread_;  // of a line that has not ended
  unsigned status_ = 0;
};

}  // namespace rockdove::cli
