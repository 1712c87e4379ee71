// The whole relay but its adapters: the inbound and outbound sides of every loop, joined over one
// store. What touches the world (libuv, c-ares, RocksDB, signals) is handed in by `serve`, or, on a
// virtual clock, by tests/sim; nothing here knows which.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "dns/hosts_file.h"
#include "dns/resolver.h"
#include "mta/admin/acts.h"
#include "mta/admin/bulk_act.h"
#include "mta/admin/queue_explainer.h"
#include "mta/admin/route_explainer.h"
#include "mta/admin/top.h"
#include "mta/base/client_table.h"
#include "mta/base/log.h"
#include "mta/base/loop.h"
#include "mta/daemon/pause_keeper.h"
#include "mta/inbound/reception.h"
#include "mta/inbound/settings.h"
#include "mta/inbound/submission.h"
#include "mta/net/network.h"
#include "mta/outbound/router.h"
#include "mta/outbound/settings.h"
#include "mta/outbound/source_chooser.h"
#include "queue/budget.h"
#include "queue/settings.h"
#include "queue/store.h"

namespace rockdove::outbound {
class Dispatcher;
}

namespace rockdove::daemon {

class ActivityCollector;
class Forecaster;
class Locator;

// What one loop brings. All of it outlives the relay.
struct LoopParts {
  base::Loop& loop;
  net::Network& network;
  dns::Resolver& resolver;
  base::Log& log;
};

// Once in use, immutable and shared by all loops; a reload brings another one.
struct RelaySettings {
  inbound::InboundSettings inbound;
  outbound::OutboundSettings outbound;
  queue::QueueSettings queue;
  outbound::Ourselves ourselves;
  dns::HostsFile hosts_file;
  std::uint32_t connections_out = 1000;  // what QueueSettings::connections_out came to
  base::Duration greeting_pause = std::chrono::milliseconds(200);
};

// The settings as the loops use them, made once for all of them.
struct PreparedSettings {
  RelaySettings settings;
  std::vector<std::shared_ptr<const inbound::ListenerContext>> listeners;  // by their number
  std::shared_ptr<const inbound::ListenerContext> submission;              // of submit.sock
};

[[nodiscard]] std::shared_ptr<const PreparedSettings> prepare(RelaySettings settings);

class Relay final : public admin::QueueActs,
                    public admin::PauseControl,
                    public admin::RouteExplainer,
                    public admin::QueueExplainer,
                    public admin::ActivitySource {
 public:
  // `highest` is the highest message id that the store knows; `seed` decides all chance.
  Relay(RelaySettings settings, queue::Store& store, std::vector<LoopParts> loops,
        queue::MessageId highest, std::uint64_t seed, base::Now start);
  ~Relay() override;
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  // Before the loops run: clients in whose sessions the process failed three times.
  void hold_clients(std::unordered_set<base::IpAddress> clients);

  // Before the loops run: who checks the logins of clients. Without, AUTH is not offered.
  void use_authenticator(inbound::Authenticator& authenticator);

  // Before the loops run: who does the work that mail is judged and signed with. Without, mail is
  // neither.
  void use_workers(base::Workers& workers);

  // Before the loops run: how the users of this machine are called, from any thread.
  void use_user_names(std::function<std::string(std::uint32_t user)> name_of_user);

  // These on the thread of the loop with this index.
  // Looks into the store for what waits there; also after it was reopened.
  void find_queues(unsigned loop);
  // New connections, and mail that has not started, use these from now on. What is under way ends
  // as it began. The generation of settings.outbound is higher than that of those in use.
  void use(unsigned loop, std::shared_ptr<const PreparedSettings> settings);
  // The lists of the policy have changed, and are brought to all loops; from loop 0. Where a loop
  // has got another configuration meanwhile, that came with lists of its own, and these are
  // dropped.
  void use_clients(policy::ClientPolicyPointer clients);
  // Sources are set aside from now on that are not on this machine; from loop 0.
  void use_absent(const std::shared_ptr<const outbound::AbsentAddresses>& absent);
  // The protocol for a connection to listener number `listener` of the settings; never null.
  [[nodiscard]] std::unique_ptr<net::Protocol> accept(unsigned loop, std::size_t listener,
                                                      const net::ConnectionInfo& info);
  // The same for users of this machine: a connection to submit.sock, and a file that `sendmail`
  // left.
  [[nodiscard]] std::unique_ptr<net::Protocol> accept_local(unsigned loop,
                                                            const net::ConnectionInfo& info);
  [[nodiscard]] std::unique_ptr<inbound::Submission> submit(unsigned loop,
                                                            inbound::SubmittedFile file,
                                                            inbound::Submission::Handlers handlers);
  // Ends in order: no new messages in, nothing new starts out, what is under way goes on.
  void stop(unsigned loop);
  // Nothing is being sent from this loop any more.
  [[nodiscard]] bool is_drained(unsigned loop) const;

  // From any thread.
  [[nodiscard]] std::uint32_t inbound_connections() const { return inbound_connections_.load(); }

  [[nodiscard]] std::uint32_t outbound_connections() const { return connection_budget_.open(); }

  [[nodiscard]] std::uint64_t memory_used() const { return memory_.used(); }

  // Else new mail is answered 452.
  [[nodiscard]] bool has_memory_for_mail() const { return memory_.has_room_to_accept(); }

  // admin::QueueActs, PauseControl, RouteExplainer, QueueExplainer and ActivitySource; from loop 0,
  // where each `done` runs.
  void act(std::shared_ptr<const queue::Order> order, std::vector<queue::Selected> targets,
           admin::QueueActs::Done done) override;
  [[nodiscard]] base::Result<std::string> check_target(std::string_view text) const override;
  void restored(const std::vector<queue::Delivery>& deliveries) override;
  [[nodiscard]] bool is_busy() const override;

  [[nodiscard]] std::vector<queue::Pause> pauses() const override { return pauses_->all(); }

  void pause(queue::Pause pause, base::UniqueFunction<void(base::Result<void>)> done) override;
  void resume(queue::PauseKind kind, std::string pattern, std::string by,
              base::UniqueFunction<void(base::Result<std::optional<queue::Pause>>)> done) override;
  void explain(std::string address, admin::RouteExplainer::Done done) override;
  void paces(admin::RouteExplainer::PacesDone done) override;
  [[nodiscard]] admin::WhySettings why_settings() const override;
  void locate(const queue::Message& message, const queue::Delivery& delivery,
              admin::QueueExplainer::Done done) override;
  void forecast(std::vector<admin::Waiting> waiting,
                admin::QueueExplainer::ForecastDone done) override;
  void recent(admin::ActivitySource::Done done) override;

 private:
  struct Shard;

  void read_learned();
  void read_learned(std::size_t kind);  // and those behind it
  void restore_learned(std::string_view kind, std::vector<queue::NotedRow> rows);
  void restore_senders(const std::vector<queue::NotedRow>& rows);
  void use_pauses(const std::shared_ptr<const queue::Pauses>& pauses);
  // What the pause of a user has put on hold.
  void release_held(const queue::Pause& pause, base::UniqueFunction<void(bool)> done);

  queue::Store& store_;
  queue::ConnectionBudget connection_budget_;
  queue::MemoryBudget memory_;
  queue::SenderLimits senders_;
  base::ClientTable clients_;
  std::unordered_set<base::IpAddress> held_clients_;
  std::atomic<std::uint32_t> inbound_connections_{0};
  std::vector<base::Loop*> loops_;
  std::vector<outbound::Dispatcher*> dispatchers_;
  std::vector<std::unique_ptr<Shard>> shards_;
  bool is_learned_read_ = false;  // being read
  bool is_learned_known_ = false;
  std::unique_ptr<base::Timer> read_again_;
  std::unique_ptr<PauseKeeper> pauses_;
  std::map<std::string, std::shared_ptr<admin::BulkAct>> releasing_;  // by the name of the pause
  std::unique_ptr<Locator> locator_;
  std::unique_ptr<Forecaster> forecaster_;
  std::unique_ptr<ActivityCollector> collector_;
};

}  // namespace rockdove::daemon
