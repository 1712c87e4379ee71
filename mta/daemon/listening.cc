#include "mta/daemon/listening.h"

#include <algorithm>
#include <utility>

namespace rockdove::daemon {

base::Result<std::shared_ptr<ListenerChange>> ListeningAddresses::prepare(
    const std::vector<inbound::ListenerSettings>& listeners) const {
  auto change = std::make_shared<ListenerChange>();
  for (std::size_t number = 0; number < listeners.size(); ++number) {
    for (const base::SocketAddress& address : listeners[number].addresses) {
      // With port 0 an address may be there more than once.
      const std::string name = base::format_socket_address(address);
      std::string key = name;
      for (unsigned same = 2; change->numbers.contains(key); ++same)
        key = name + " " + std::to_string(same);
      change->numbers[key] = number;
      if (open_.contains(key)) continue;
      base::Result<net::ListeningSocket> alone =
          net::open_listening_socket(address, net::ReusePort::No);
      if (!alone) return alone.error();
      const base::SocketAddress bound = alone->address();
      alone->close();
      ListenerChange::Begin begin{key, {}};
      for (unsigned loop = 0; loop < loops_; ++loop) {
        base::Result<net::ListeningSocket> socket = net::open_listening_socket(
            bound, loops_ == 1 ? net::ReusePort::No : net::ReusePort::Yes);
        if (!socket) return socket.error();
        begin.sockets.push_back(std::move(*socket));
      }
      change->begin.push_back(std::move(begin));
    }
  }
  for (const std::string& key : open_) {
    if (!change->numbers.contains(key)) change->end.push_back(key);
  }
  return change;
}

void ListeningAddresses::changed(const ListenerChange& change) {
  for (const std::string& key : change.end) open_.erase(key);
  for (const ListenerChange::Begin& begin : change.begin) open_.insert(begin.key);
}

void LoopListeners::apply(ListenerChange& change) {
  for (const std::string& key : change.end) {
    const auto found = listening_.find(key);
    network_.stop_listening(found->second.id);
    listening_.erase(found);
  }
  for (ListenerChange::Begin& begin : change.begin) {
    auto number = std::make_shared<std::size_t>(0);
    const net::UvNetwork::ListenerId id = network_.listen(
        std::move(begin.sockets[loop_]),
        [this, number](const net::ConnectionInfo& info) { return accept_(*number, info); });
    listening_[begin.key] = Listening{id, std::move(number)};
  }
  for (const auto& [key, number] : change.numbers) *listening_.at(key).number = number;
}

void LoopListeners::end() {
  for (const auto& [key, listening] : listening_) network_.stop_listening(listening.id);
  listening_.clear();
}

}  // namespace rockdove::daemon
