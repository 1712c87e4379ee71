// The mail of this machine's users: the socket submit.sock, where `sendmail` speaks SMTP, and the
// folder where it leaves messages while nobody answers there. On the first loop.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "mta/base/log.h"
#include "mta/base/result.h"
#include "mta/base/workers.h"
#include "mta/daemon/configuration.h"
#include "mta/daemon/drop_folder.h"
#include "mta/daemon/relay.h"
#include "mta/daemon/user_names.h"
#include "mta/net/listening_socket.h"
#include "mta/net/uv_network.h"

namespace rockdove::daemon {

class LocalMail {
 public:
  // All of them outlive it.
  struct Parts {
    net::UvLoop& loop;
    net::UvNetwork& network;
    queue::Store& store;
    Relay& relay;
    base::Log& log;
  };

  // In this order. As the user who starts the process:
  [[nodiscard]] base::Result<void> open_socket(const Configuration& configuration);
  // As the user who serves, before the loops run. The error: there is no folder, so `sendmail` can
  // leave nothing while the relay is stopped; all else works.
  [[nodiscard]] base::Result<void> attach(const Parts& parts, const Configuration& configuration);

  // These on the loop's thread.
  void begin();
  void settings_replaced(const Configuration& configuration);
  void stop();

  // When the loops have ended.
  void end();

 private:
  UserNames names_;
  std::optional<net::ListeningSocket> socket_;  // until begin()
  std::optional<Parts> parts_;
  std::uint64_t content_octets_max_ = 0;
  std::optional<net::UvNetwork::ListenerId> listener_;
  std::unique_ptr<DropFolder> folder_;      // null: there is none
  std::unique_ptr<base::WorkerPool> disk_;  // ends first
};

}  // namespace rockdove::daemon
