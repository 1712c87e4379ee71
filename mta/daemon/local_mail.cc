#include "mta/daemon/local_mail.h"

#include <utility>

#include "mta/daemon/privileges.h"

namespace rockdove::daemon {
namespace {

constexpr std::size_t kDiskTasksMax = 256;

std::uint64_t content_octets_max(const Configuration& configuration) {
  return configuration.inbound.submission.listener.max_message_size;
}

}  // namespace

base::Result<void> LocalMail::open_socket(const Configuration& configuration) {
  const std::string path = configuration.runtime_dir + "/submit.sock";
  net::UnixSocketOptions options;
  options.mode = 0666;
  base::Result<net::ListeningSocket> socket = net::open_unix_socket(path, options);
  if (!socket) return socket.error();
  socket_ = std::move(*socket);
  return give_to_user(path, configuration.user);
}

base::Result<void> LocalMail::attach(const Parts& parts, const Configuration& configuration) {
  parts_.emplace(parts);
  content_octets_max_ = content_octets_max(configuration);
  parts.relay.use_user_names(
      [this](std::uint32_t user) { return names_.of(user, base::read_clocks().instant); });
  if (base::Result<void> made = make_drop_folder(configuration.state_dir); !made) return made;
  disk_ = std::make_unique<base::WorkerPool>(1, kDiskTasksMax);
  folder_ = std::make_unique<DropFolder>(
      DropFolder::Parts{parts.loop, parts.store, parts.log,
                        [&relay = parts.relay, loop = parts.loop.index()](
                            inbound::SubmittedFile file, inbound::Submission::Handlers handlers) {
                          return relay.submit(loop, std::move(file), std::move(handlers));
                        },
                        [this] { return content_octets_max_; }, *disk_},
      configuration.state_dir);
  return {};
}

void LocalMail::begin() {
  listener_ = parts_->network.listen(
      *std::exchange(socket_, std::nullopt),
      [&relay = parts_->relay, loop = parts_->loop.index()](const net::ConnectionInfo& info) {
        return relay.accept_local(loop, info);
      });
  if (folder_ != nullptr) folder_->start();
}

void LocalMail::settings_replaced(const Configuration& configuration) {
  content_octets_max_ = content_octets_max(configuration);
  if (folder_ != nullptr) folder_->settings_replaced();
}

void LocalMail::stop() {
  if (listener_) parts_->network.stop_listening(*std::exchange(listener_, std::nullopt));
  if (folder_ != nullptr) folder_->stop();
}

void LocalMail::end() {
  disk_.reset();
  folder_.reset();
}

}  // namespace rockdove::daemon
