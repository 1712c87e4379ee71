// What tests of commands share: a source that says what it is told to, output that is kept, and a
// daemon of canned answers on a Unix socket.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <sys/socket.h>
#include <sys/un.h>

#include "mta/cli/control_client.h"
#include "mta/cli/queue_commands.h"

namespace rockdove::test {

using namespace rockdove::cli;  // NOLINT(google-build-using-namespace)
using base::Result;

inline const base::WallTime kNow = base::from_unix_milliseconds(1'795'295'700'000);

class ToldSource : public QueueSource {
 public:
  Result<void> list(const admin::Parameters& filter, const LineSink& sink) override {
    asked = filter;
    return answer(sink);
  }

  Result<void> count(const admin::Parameters&, const LineSink& sink) override {
    return answer(sink);
  }

  Result<void> summarise(const admin::Parameters& query, const LineSink& sink) override {
    asked = query;
    return answer(sink);
  }

  Result<void> show(const std::string&, const LineSink& sink) override { return answer(sink); }

  Result<void> why(const std::string&, const LineSink& sink) override { return answer(sink); }

  Result<void> content(const ContentWanted& wanted, const OctetSink& sink) override {
    asked_content = wanted;
    if (wanted.part != ContentWanted::Part::Body) sink(header);
    // Cut anywhere.
    for (std::size_t at = 0; at < body.size() && at < wanted.body_octets_max; at += 7)
      if (wanted.part != ContentWanted::Part::Header) sink(std::string_view(body).substr(at, 7));
    if (error) return *error;
    return {};
  }

  Result<void> trace(const admin::Parameters& parameters, const LineSink& sink) override {
    asked = parameters;
    return answer(sink);
  }

  Result<void> stats(const admin::Parameters& parameters, const LineSink& sink) override {
    asked = parameters;
    return answer(sink);
  }

  Result<void> count(const ActCall&, const admin::Parameters& filter,
                     const LineSink& sink) override {
    asked = filter;
    sink(counts);
    return {};
  }

  Result<void> act(const ActCall&, const admin::Parameters&, const LineSink& sink) override {
    ++acts;
    return answer(sink);
  }

  Result<void> act(const ActCall&, const std::vector<std::string>& ids,
                   const LineSink& sink) override {
    ++acts;
    most_ids = std::max(most_ids, ids.size());
    return answer(sink);
  }

  Result<void> explain_route(const std::string&, const LineSink& sink) override {
    return answer(sink);
  }

  std::vector<std::string> lines;
  std::string header;
  std::string body;
  ContentWanted asked_content;
  std::string counts = R"({"deliveries":3})";
  std::optional<base::Error> error;
  admin::Parameters asked;
  int acts = 0;
  std::size_t most_ids = 0;

 private:
  Result<void> answer(const LineSink& sink) const {
    for (const std::string& line : lines) sink(line);
    if (error) return *error;
    return {};
  }
};

struct Printed {
  explicit Printed(Show show = Show::Table) : output{out, error, kNow, show} {}

  std::ostringstream out;
  std::ostringstream error;
  Output output;
};

// Answers one connection: reads until the empty line, then writes `answer` and closes.
class CannedDaemon {
 public:
  CannedDaemon(const std::string& path, std::string answer) {
    socket_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    REQUIRE(::bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
    REQUIRE(::listen(socket_, 4) == 0);
    thread_ = std::thread([this, answer = std::move(answer)] {
      const int client = ::accept(socket_, nullptr, nullptr);
      char octets[4096];
      while (request.find("\r\n\r\n") == std::string::npos) {
        const ssize_t got = ::recv(client, octets, sizeof(octets), 0);
        if (got <= 0) break;
        request.append(octets, static_cast<std::size_t>(got));
        if (!request.starts_with("GET /v1/alive ") || !request.ends_with("\r\n\r\n")) continue;
        constexpr std::string_view kAlive = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        static_cast<void>(::send(client, kAlive.data(), kAlive.size(), MSG_NOSIGNAL));
        request.clear();
      }
      std::string_view rest = answer;
      while (!rest.empty()) {
        const ssize_t sent = ::send(client, rest.data(), rest.size(), MSG_NOSIGNAL);
        if (sent <= 0) break;
        rest.remove_prefix(static_cast<std::size_t>(sent));
      }
      // No answer at all: stay silent until the client gives up.
      if (answer.empty()) static_cast<void>(::recv(client, octets, sizeof(octets), 0));
      ::close(client);
    });
  }

  ~CannedDaemon() {
    thread_.join();
    ::close(socket_);
  }

  CannedDaemon(const CannedDaemon&) = delete;
  CannedDaemon& operator=(const CannedDaemon&) = delete;

  std::string request;

 private:
  int socket_;
  std::thread thread_;
};

inline std::string error_of(const Result<void>& result) {
  REQUIRE_FALSE(result);
  return result.error().text();
}

inline Result<std::unique_ptr<queue::Rows>> no_rows(const std::string& state_dir) {
  return base::Error("opened " + state_dir);
}

inline std::unique_ptr<ControlClient> connected(const std::string& path) {
  auto client = ControlClient::connect(path);
  REQUIRE(std::holds_alternative<std::unique_ptr<ControlClient>>(client));
  return std::get<std::unique_ptr<ControlClient>>(std::move(client));
}

}  // namespace rockdove::test
