// How much a turn of a loop moves, and that everybody gets there.
#include "mta/net/turn_shares.h"

#include <algorithm>
#include <map>
#include <set>

#include <catch2/catch.hpp>

#include "net_world.h"

namespace rockdove::net {

namespace {

constexpr std::size_t kOne = UvLoop::kReadBufferOctets;
constexpr std::size_t kTurnOctetsMax = 512 * 1024 + kOne;
constexpr std::size_t kCrowd = 40;  // each of whom has more than one read to say

// As many as want to, in this order, each with `octets` a read; who was read.
std::set<std::size_t> play_turn(TurnShares& shares, std::vector<TurnShares::Reader>& readers,
                                std::size_t octets) {
  std::set<std::size_t> read;
  shares.begin_turn();
  for (std::size_t i = 0; i < readers.size(); ++i) {
    while (shares.try_read(readers[i])) {
      CHECK(read.insert(i).second);  // once a turn
      shares.count_read(octets);
    }
  }
  return read;
}

// As much as the kernel takes while nobody reads.
void fill(const Client& client) {
  const std::string text(kOne, 'x');
  while (::send(client.number(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
  }
}

// Keeps the loop from its turns until `work` is done.
template <typename F>
void while_loop_stands(NetWorld& world, F work) {
  std::promise<void> stands;
  std::promise<void> done;
  world.loop.post([&] {
    stands.set_value();
    done.get_future().wait();
  });
  stands.get_future().wait();
  work();
  done.set_value();
}

}  // namespace

TEST_CASE("few who read are read once in every turn") {
  TurnShares shares;
  std::vector<TurnShares::Reader> readers(TurnShares::kReadOctetsMax / kOne);
  for (int turn = 0; turn < 5; ++turn)
    CHECK(play_turn(shares, readers, kOne).size() == readers.size());
}

TEST_CASE("many who read share the turns, whatever the order in which they are asked") {
  TurnShares shares;
  std::vector<TurnShares::Reader> readers(kCrowd);
  std::set<std::size_t> read;
  const std::size_t turns = (kCrowd * kOne - 1) / TurnShares::kReadOctetsMax + 1;
  for (int round = 0; round < 3; ++round) {
    read.clear();
    for (std::size_t turn = 0; turn < turns; ++turn) {
      const std::set<std::size_t> now = play_turn(shares, readers, kOne);
      CHECK(now.size() * kOne <= kTurnOctetsMax);
      for (const std::size_t reader : now) CHECK(read.insert(reader).second);
    }
    CHECK(read.size() == kCrowd);
  }
}

TEST_CASE("who was turned away and does not come back holds up nobody") {
  TurnShares shares;
  std::vector<TurnShares::Reader> readers(kCrowd);
  CHECK(play_turn(shares, readers, kOne).size() < kCrowd);
  readers.resize(4);  // all of whom were read
  CHECK(play_turn(shares, readers, kOne).empty());
  CHECK(play_turn(shares, readers, kOne).size() == 4);
}

TEST_CASE("small messages of a crowd fit in one turn") {
  TurnShares shares;
  std::vector<TurnShares::Reader> readers(100);
  CHECK(play_turn(shares, readers, 4096).size() == 100);
}

TEST_CASE("a loop reads of each connection once a turn, of all so much, and all get their turn") {
  NetWorld world;

  struct Read {
    base::Instant turn;
    const Puppet* by;
    std::size_t octets;
  };

  std::vector<Read> reads;
  const auto heard = std::make_shared<Heard>();
  const base::SocketAddress address = world.serve(heard, [&reads](Puppet& puppet) {
    puppet.when_received = [&reads](Puppet& self) {
      reads.push_back({self.now.instant, &self, self.arrived.size()});
    };
    puppet.when_peer_closed = [](Puppet& self) { self.over = true; };
  });
  std::vector<std::unique_ptr<Client>> clients;
  for (std::size_t i = 0; i < kCrowd; ++i) clients.push_back(std::make_unique<Client>(address));
  REQUIRE(world.comes_true([&] { return heard->connected == static_cast<int>(kCrowd); }));
  while_loop_stands(world, [&] {
    for (const auto& client : clients) fill(*client);
  });
  for (const auto& client : clients) client->end();
  CHECK(world.comes_true([&] { return heard->destroyed == static_cast<int>(kCrowd); }));
  std::map<base::Instant, std::size_t> octets;
  std::set<std::pair<base::Instant, const Puppet*>> once;
  std::set<const Puppet*> first;
  for (const Read& read : reads) {
    octets[read.turn] += read.octets;
    CHECK(once.insert({read.turn, read.by}).second);
    if (first.size() < kCrowd) CHECK(first.insert(read.by).second);
  }
  CHECK(first.size() == kCrowd);
  for (const auto& [turn, sum] : octets) CHECK(sum <= kTurnOctetsMax);
}

TEST_CASE("a loop sends so much a turn, and all get their turn") {
  NetWorld world;
  const auto heard = std::make_shared<Heard>();
  std::map<base::Instant, std::size_t> octets;
  const base::SocketAddress address = world.serve(heard, [&octets](Puppet& puppet) {
    puppet.when_turn = [](Puppet& self) { self.to_send.assign(kOne, 'x'); };
    puppet.when_sent = [&octets](Puppet& self) {
      octets[self.now.instant] += kOne;
      self.over = true;
    };
  });
  std::vector<std::unique_ptr<Client>> clients;
  for (std::size_t i = 0; i < kCrowd; ++i) clients.push_back(std::make_unique<Client>(address));
  REQUIRE(world.comes_true([&] { return heard->connected == static_cast<int>(kCrowd); }));
  world.ask([&] { world.network.turn_all(); });
  for (const auto& client : clients) {
    CHECK(client->hear_all().size() == kOne);
    client->close();
  }
  CHECK(world.comes_true([&] { return heard->destroyed == static_cast<int>(kCrowd); }));
  CHECK(octets.size() >= kCrowd * kOne / kTurnOctetsMax);
  for (const auto& [turn, sum] : octets) CHECK(sum <= kTurnOctetsMax);
}

}  // namespace rockdove::net
