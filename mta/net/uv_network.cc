#include "mta/net/uv_network.h"

#include <algorithm>
#include <utility>

#include "mta/base/assert.h"
#include "mta/net/connection.h"

namespace rockdove::net {

UvNetwork::UvNetwork(UvLoop& loop) : loop_(loop) {}

UvNetwork::~UvNetwork() {
  *is_alive_ = false;
  stop_listening();
  for (std::unique_ptr<Connection>& connection : connections_) {
    connection.release()->abandon();  // its close callback deletes it
  }
}

void UvNetwork::connect(const ConnectRequest& request, std::unique_ptr<Protocol> protocol) {
  MTA_ASSERT(protocol != nullptr);
  add(Connection::Direction::Out, std::move(protocol)).start_connecting(request);
}

UvNetwork::ListenerId UvNetwork::listen(ListeningSocket socket, Accept accept) {
  listeners_.push_back(std::make_unique<Listener>(
      loop_, std::move(socket),
      [this, kept = std::move(accept)](FileDescriptor client, const ConnectionInfo& info) mutable {
        accepted(std::move(client), info, kept);
      }));
  return listeners_.size() - 1;
}

void UvNetwork::stop_listening(ListenerId listener) {
  listeners_.at(listener).reset();
}

void UvNetwork::stop_listening() {
  for (std::unique_ptr<Listener>& listener : listeners_) listener.reset();
}

std::size_t UvNetwork::turned_away() const {
  std::size_t sum = 0;
  for (const std::unique_ptr<Listener>& listener : listeners_) {
    if (listener != nullptr) sum += listener->turned_away();
  }
  return sum;
}

void UvNetwork::accepted(FileDescriptor socket, const ConnectionInfo& info, Accept& accept) {
  std::unique_ptr<Protocol> protocol = accept(info);
  if (protocol == nullptr) return;
  add(Connection::Direction::In, std::move(protocol)).adopt(std::move(socket), info);
}

Connection& UvNetwork::add(Connection::Direction direction, std::unique_ptr<Protocol> protocol) {
  connections_.push_back(
      std::make_unique<Connection>(*this, loop_, direction, std::move(protocol)));
  Connection& connection = *connections_.back();
  connection.place = connections_.size() - 1;
  ++(direction == Connection::Direction::In ? counts_.in : counts_.out);
  return connection;
}

void UvNetwork::state_changes(const Connection& connection, Connection::State next) {
  std::size_t& speaking =
      connection.direction() == Connection::Direction::In ? counts_.in : counts_.out;
  switch (next) {
    case Connection::State::Connecting:
    case Connection::State::Open:
      return;
    case Connection::State::Lingering:
      --speaking;
      ++counts_.lingering;
      return;
    case Connection::State::Closed:
      --(connection.state() == Connection::State::Lingering ? counts_.lingering : speaking);
      return;
  }
}

void UvNetwork::forget(Connection& connection) {
  const std::size_t place = connection.place;
  MTA_ASSERT(connections_[place].get() == &connection);
  std::swap(connections_[place], connections_.back());
  connections_[place]->place = place;
  connections_.pop_back();
}

void UvNetwork::turn_wanted(Connection& connection) {
  turns_.push_back(&connection);
  if (turns_.size() == 1) schedule_turns();
}

void UvNetwork::schedule_turns() {
  loop_.at_turn_end([this, alive = is_alive_] {
    if (*alive) run_turns();
  });
}

void UvNetwork::turn_unwanted(Connection& connection) {
  std::replace(turns_.begin(), turns_.end(), &connection, static_cast<Connection*>(nullptr));
}

void UvNetwork::run_turns() {
  // Those that are wanted meanwhile come in the next round. The running one keeps its place, so
  // that none of these wishes is the first.
  for (std::size_t left = turns_.size(); left > 0 && loop_.shares().may_send(); --left) {
    if (turns_.front() != nullptr) turns_.front()->run_turn();
    turns_.pop_front();
  }
  if (!turns_.empty()) schedule_turns();
}

void UvNetwork::turn_all() {
  for (const std::unique_ptr<Connection>& connection : connections_) connection->want_turn();
}

void UvNetwork::close_all() {
  // Closing only marks, so places hold. What a protocol connects while it hears of its loss stays:
  // one that always tries again would never let this end.
  const std::size_t there_now = connections_.size();
  for (std::size_t i = 0; i < there_now; ++i) connections_[i]->abort();
}

}  // namespace rockdove::net
