// The whole relay but its adapters on a virtual clock: daemon::Relay over loops, a network, a DNS
// and a store that are simulated, with clients on one side and next hops on the other. One seed
// fixes all delays, cuts and choices.
//
//   Sim sim(7);
//   RemoteServer& remote = sim.remote_server("mx.example.net", {"192.0.2.1"});
//   sim.dns.mx("example.net", 10, "mx.example.net");
//   Submission& mail = sim.submit("a@home.example", {"b@example.net"}, "hi\r\n");
//   sim.run_for(1min);
//   sim.crash_and_restart();
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dns/cache.h"
#include "mta/admin/bulk_act.h"
#include "mta/base/log.h"
#include "mta/base/random.h"
#include "mta/daemon/relay.h"
#include "tests/sim/internet.h"
#include "tests/sim/remote_server.h"
#include "tests/sim/sim_client.h"
#include "tests/sim/sim_loop.h"
#include "tests/sim/sim_store.h"
#include "tests/sim/truth.h"
#include "tests/support/fake_resolver.h"
#include "tests/support/memory_rows.h"

namespace rockdove::sim {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)

inline constexpr std::string_view kPostmaster = "postmaster@home.example";

struct SimSettings {
  unsigned loops = 1;
  daemon::RelaySettings relay;
  StoreManners store;
  bool is_verbose = false;  // the relay's log goes to stderr
};

[[nodiscard]] SimSettings default_settings();

// The DNS that all loops of all runs ask.
class SimDns {
 public:
  void mx(const std::string& name, std::uint16_t preference, const std::string& exchange);
  void address(const std::string& name, const std::string& text);
  void fails(const std::string& name, dns::RecordType type, dns::Status status);
  void forget(const std::string& name);
  void set_ttl(base::Duration ttl);

 private:
  friend class Sim;
  using Step = std::function<void(tests::FakeResolver&)>;

  void add(Step step);

  std::vector<Step> steps_;
  std::vector<tests::FakeResolver*> resolvers_;
};

class Sim {
 public:
  explicit Sim(std::uint64_t seed, SimSettings settings = default_settings());
  ~Sim();
  Sim(const Sim&) = delete;
  Sim& operator=(const Sim&) = delete;

  // A next hop at these addresses, port 25, which the DNS knows by this name.
  RemoteServer& remote_server(const std::string& name, const std::vector<std::string>& addresses);

  // A client hands this in now, on a connection of its own.
  Submission& submit(std::string sender, std::vector<std::string> recipients,
                     std::string_view body);
  // Likewise several, on one connection, from this address.
  void submit(std::deque<Submission*> messages, const std::string& client = "10.0.1.1");

  // Likewise, as if it had been accepted with the sender and the options of `message` and with the
  // recipients and the options of `deliveries`: the process stops, its queue has it then, and it
  // starts again.
  Submission& plant(queue::Message message, std::vector<queue::Delivery> deliveries,
                    std::string_view body);

  void run_for(base::Duration time) { run_until(now().instant + time); }

  void run_until(base::Instant end);
  // Until the queue is empty and all connections are closed; false: that took longer than `limit`.
  [[nodiscard]] bool run_until_quiet(base::Duration limit);

  // The process is killed and what was not synced is lost; after `down` it starts again.
  void crash_and_restart(base::Duration down = 1s);

  // Every loop gets these settings in its next turn, this run and those that follow.
  void reload(daemon::RelaySettings relay);

  void move_wall_clock(base::Duration by);
  // The disk is full from the next write on, until free_disk().
  void fill_disk();
  void free_disk();

  // A person acts on these deliveries now, or on those that a filter means. `done` hears of them
  // batch by batch, once it is durable, unless the process ends before.
  using Told = std::function<void(const queue::ActAnswer&)>;
  void act(
      const queue::Order& order, std::vector<queue::DeliveryId> ids,
      Told done = [](const queue::ActAnswer&) {});
  void act(
      const queue::Order& order, const queue::QueueFilter& filter,
      Told done = [](const queue::ActAnswer&) {});
  void pause(queue::Pause pause);
  void resume(queue::PauseKind kind, const std::string& pattern);
  void end_pauses();

  // What waits, as the disk knows it.
  [[nodiscard]] std::optional<queue::Delivery> delivery(queue::MessageId id,
                                                        std::string_view recipient) const;
  [[nodiscard]] std::vector<queue::DeliveryId> waiting() const;

  // How many steps the history has of all messages.
  [[nodiscard]] std::size_t history_steps() const {
    return disk_.rows(queue::Family::History).size();
  }

  // What the history has of this message's first delivery, in order.
  [[nodiscard]] std::vector<queue::HistoryStep> steps(queue::MessageId id);

  // What there is to know about one of them, for people.
  [[nodiscard]] std::string describe(queue::DeliveryId id) const;

  [[nodiscard]] bool is_queue_empty() const { return disk_.is_empty_but_meta(); }

  // No accepted message is missing; what must be true at any time.
  void check_invariants();
  // Likewise, and nothing is held by anybody: call it when all is quiet.
  void check_quiet();

  [[nodiscard]] base::Now now() const { return agenda_.now(); }

  [[nodiscard]] const std::vector<std::string>& failures() const { return agenda_.failures(); }

  [[nodiscard]] base::Random& random() { return random_; }

  [[nodiscard]] Agenda& agenda() { return agenda_; }

  [[nodiscard]] daemon::Relay& relay();
  [[nodiscard]] SimStore& store();

 private:
  struct Run;

  Agenda agenda_;
  base::Random random_;
  SimSettings settings_;
  std::uint64_t generation_ = 0;
  tests::MemoryDisk disk_;

 public:
  SimDns dns;
  Internet internet;
  Truth truth;

 private:
  void start();
  void kill();
  [[nodiscard]] std::shared_ptr<admin::BulkAct> make_act(const queue::Order& order, Told done);

  const std::uint64_t seed_;
  SimLoop world_;
  std::unique_ptr<base::LogSink> log_sink_;
  std::map<std::string, std::unique_ptr<RemoteServer>> remotes_;
  smtp::ClientOptions client_options_;
  std::unique_ptr<Run> run_;
  std::uint64_t runs_ = 0;
};

}  // namespace rockdove::sim
