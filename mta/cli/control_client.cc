#include "mta/cli/control_client.h"

#include <cerrno>
#include <poll.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

namespace rockdove::cli {

using base::Error;
using base::Result;

namespace {

constexpr std::size_t kReadOctets = 64 * 1024;
constexpr std::size_t kLineOctetsMax = 64 * 1024 * 1024;  // one message with all its history

// What the daemon says in {"error": …}.
Error refusal_in(const std::string& body, unsigned status) {
  const auto json = nlohmann::json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (json.is_object() && json.contains("error") && json["error"].is_string()) {
    return Error(json["error"].get<std::string>());
  }
  return Error("the daemon answered " + std::to_string(status));
}

}  // namespace

std::variant<std::unique_ptr<ControlClient>, ControlClient::Refused> ControlClient::connect(
    const std::string& socket_path) {
  const auto refused = [&socket_path](Refusal why, int code) {
    const Error error = Error::system("connecting to " + socket_path, code);
    if (code != EACCES) return Refused{why, error};
    return Refused{why, Error(error.text() + " (who may: the superuser, and the socket's group)")};
  };
  if (socket_path.size() > kSocketPathOctetsMax) {
    return Refused{Refusal::Other, Error(socket_path + ": a socket's path has at most " +
                                         std::to_string(kSocketPathOctetsMax) + " octets")};
  }
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  socket_path.copy(address.sun_path, kSocketPathOctetsMax);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return refused(Refusal::Other, errno);
  std::unique_ptr<ControlClient> client(new ControlClient(socket));
  // A daemon that accepts nothing any more lets its queue of connections fill: that waits, too.
  timeval patience{};
  patience.tv_sec = std::chrono::duration_cast<std::chrono::seconds>(kAnswerWithin).count();
  ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    const bool nobody = errno == ENOENT || errno == ECONNREFUSED || errno == EAGAIN;
    return refused(nobody ? Refusal::NobodyListens : Refusal::Other, errno);
  }
  return client;
}

ControlClient::~ControlClient() {
  ::close(socket_);
}

Result<void> ControlClient::send() {
  while (!conversation_.output().empty()) {
    const std::string_view bytes = conversation_.output();
    const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return Error::system("sending to the daemon", errno);
    conversation_.output_sent(static_cast<std::size_t>(sent));
  }
  return {};
}

Result<std::string> ControlClient::receive(base::Duration patience) {
  std::string bytes(kReadOctets, '\0');
  for (;;) {
    pollfd waiting{socket_, POLLIN, 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(patience.count()));
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) return Error("no answer within " + base::format_duration(patience));
    const ssize_t octets = ::recv(socket_, bytes.data(), bytes.size(), 0);
    if (octets < 0 && errno == EINTR) continue;
    if (ready < 0 || octets < 0) return Error::system("reading the daemon's answer", errno);
    bytes.resize(static_cast<std::size_t>(octets));
    return bytes;
  }
}

Result<void> ControlClient::take_lines(std::string_view octets, const LineSink& sink) {
  unread_ += octets;
  std::size_t from = 0;
  for (std::size_t end = unread_.find('\n'); end != std::string::npos;
       end = unread_.find('\n', from)) {
    sink(std::string_view(unread_).substr(from, end - from));
    from = end + 1;
  }
  unread_.erase(0, from);
  if (unread_.size() > kLineOctetsMax) return Error("a line of the answer is too long");
  return {};
}

Result<void> ControlClient::ask(const http::Request& request, const LineSink& sink,
                                base::Duration patience) {
  unread_.clear();
  Result<void> taken;
  const Result<void> fetched = fetch(
      request,
      [&](std::string_view octets) {
        if (taken) taken = take_lines(octets, sink);
      },
      patience);
  return fetched ? taken : fetched;
}

Result<void> ControlClient::fetch(const http::Request& request, const OctetSink& sink,
                                  base::Duration patience) {
  status_ = 0;
  conversation_.start(request);
  if (Result<void> sent = send(); !sent) return sent;
  while (!conversation_.is_done()) {
    Result<std::string> bytes = receive(patience);
    if (!bytes) return bytes.error();
    Result<void> taken =
        bytes->empty() ? conversation_.peer_closed() : conversation_.receive(*bytes);
    if (!taken) return taken;
    if (conversation_.head() && conversation_.head()->status == 200) {
      sink(conversation_.take_body());
    }
  }
  status_ = conversation_.head()->status;
  if (status_ == 200) return {};
  return refusal_in(conversation_.take_body(), status_);
}

}  // namespace rockdove::cli
