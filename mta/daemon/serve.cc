#include "mta/daemon/serve.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <functional>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include <sys/stat.h>

#include "dns/cache.h"
#include "dns/cares_resolver.h"
#include "dns/hosts_file.h"
#include "mta/admin/control_server.h"
#include "mta/base/text.h"
#include "mta/base/workers.h"
#include "mta/daemon/certificates.h"
#include "mta/daemon/crashes.h"
#include "mta/daemon/free_memory.h"
#include "mta/daemon/list_watch.h"
#include "mta/daemon/listening.h"
#include "mta/daemon/local_mail.h"
#include "mta/daemon/lock.h"
#include "mta/daemon/mail_workers.h"
#include "mta/daemon/monitor.h"
#include "mta/daemon/notify.h"
#include "mta/daemon/own_addresses.h"
#include "mta/daemon/privileges.h"
#include "mta/daemon/relay.h"
#include "mta/daemon/reload.h"
#include "mta/daemon/source_watch.h"
#include "mta/daemon/working.h"
#include "mta/inbound/access.h"
#include "mta/inbound/accounts.h"
#include "mta/net/socket_address.h"
#include "mta/net/uv_loop.h"
#include "mta/net/uv_network.h"
#include "queue/index.h"
#include "queue/rocks_rows.h"
#include "queue/threaded_store.h"

namespace rockdove::daemon {
namespace {

using base::Error;
using base::Result;

constexpr base::Duration kDrainTime = std::chrono::seconds(30);
constexpr base::Duration kCertificatesEach = std::chrono::hours(24);  // looked at
constexpr std::size_t kWorkWaitingMax = 1024;
constexpr std::uint64_t kDescriptorsForOurselves = 200;  // files of the queue, sockets that listen

// Everything of one loop that touches the world.
struct LoopWorld {
  LoopWorld(unsigned index, base::LogSink& sink, const base::LogSettings& settings)
      : loop(index), network(loop), log(sink, settings.level, settings.format) {}

  net::UvLoop loop;
  net::UvNetwork network;
  std::unique_ptr<dns::Resolver> asker;
  std::unique_ptr<dns::CachingResolver> resolver;
  base::Log log;
  std::unique_ptr<LoopListeners> listeners;
  bool stopping = false;  // of its thread
  std::thread thread;
};

// The listener of admin.http, as if mail came there.
std::vector<inbound::ListenerSettings> admin_listeners(const Configuration& configuration) {
  std::vector<inbound::ListenerSettings> listeners;
  if (configuration.admin_http) listeners.emplace_back().addresses = {*configuration.admin_http};
  return listeners;
}

// The operator's certificates, or our own; none where no listener speaks TLS.
Result<std::vector<net::PemIdentity>> find_identities(const Configuration& configuration) {
  if (!configuration.identities.empty() || !wants_certificates(configuration))
    return configuration.identities;
  return own_certificates(configuration.state_dir, configuration.hostname,
                          base::read_clocks().wall);
}

Result<void> make_directory(const std::string& path, mode_t mode) {
  if (mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return {};
  return Error::system("making the directory " + path, errno);
}

class Server {
 public:
  explicit Server(Configuration configuration) : configuration_(std::move(configuration)) {}

  Result<void> start();
  // Waits for a signal to stop, then ends in order.
  void run();

 private:
  Result<void> open_sockets(unsigned loops);
  Result<void> open_store();
  Result<void> make_loops(unsigned loops);
  [[nodiscard]] RelaySettings relay_settings() const;
  void make_relay();
  void make_accounts();
  [[nodiscard]] MonitoredLimits monitored_limits() const;
  void start_loops();
  void begin_work(std::unordered_set<base::IpAddress> held_clients);
  void listen(unsigned loop);
  // On each loop's thread; returns when all have run it.
  void on_all_loops(const std::function<void(LoopWorld&)>& task);
  void reload();
  Result<void> replace_configuration();
  // Says what is about to expire; certificates of our own are made anew.
  void look_at_certificates();
  void stop();
  [[nodiscard]] bool is_quiet();

  // The main thread's, as all that is not said to be otherwise; a reload replaces it.
  Configuration configuration_;
  std::uint64_t descriptors_ = 0;
  std::vector<net::PemIdentity> identities_;  // that the listeners show
  std::uint64_t generation_ = 0;
  base::CounterTable counters_;  // outlives all threads
  std::unique_ptr<StateLock> lock_;
  std::unique_ptr<WorkingTable> working_;
  std::unique_ptr<base::LogSink> sink_;
  std::unique_ptr<base::Log> log_;  // of the main thread
  std::unique_ptr<ListeningAddresses> addresses_;
  std::shared_ptr<ListenerChange> first_listeners_;
  ListeningAddresses admin_addresses_{1};
  std::shared_ptr<ListenerChange> first_admin_listeners_;
  std::atomic<bool> is_ready_{false};  // the loops listen
  std::optional<net::ListeningSocket> control_socket_;
  std::vector<std::unique_ptr<LoopWorld>> worlds_;
  std::unique_ptr<LoopListeners> admin_listeners_;  // of the first loop
  std::unique_ptr<Relay> relay_;
  std::unique_ptr<inbound::Accounts> accounts_;
  LocalMail local_mail_;
  std::unique_ptr<ListWatch> list_watch_;
  std::unique_ptr<SourceWatch> source_watch_;
  std::unique_ptr<Monitor> monitor_;
  std::unique_ptr<admin::ControlServer> control_;
  // Ends first of these: what it still answers is posted to the loops and counted in the relay.
  std::atomic<bool> tells_removed_ = false;  // to the log
  std::unique_ptr<queue::ThreadedStore> store_;
  std::unique_ptr<base::WorkerPool> workers_;       // posts to loops and accounts, too
  std::unique_ptr<base::WorkerPool> mail_workers_;  // likewise: no login holds up a signature
  sigset_t signals_{};
};

Result<void> Server::start() {
  const Result<std::uint64_t> descriptors = raise_descriptor_limit();
  if (!descriptors) return descriptors.error();
  descriptors_ = *descriptors;
  const unsigned processors = std::max(1U, std::thread::hardware_concurrency());
  const unsigned loops =
      std::min(configuration_.threads == 0 ? processors : configuration_.threads, base::kLoopsMax);
  // What needs root comes first: folders below /var and /run, and ports below 1024.
  for (const auto& [path, mode] : {std::pair{configuration_.state_dir, mode_t{0711}},
                                   std::pair{configuration_.runtime_dir, mode_t{0755}}}) {
    if (Result<void> made = make_directory(path, mode); !made) return made;
    if (Result<void> given = give_to_user(path, configuration_.user); !given) return given;
  }
  if (Result<void> opened = open_sockets(loops); !opened) return opened;
  if (Result<void> changed = become_user(configuration_.user); !changed) return changed;

  Result<std::unique_ptr<base::LogSink>> sink = base::LogSink::open(configuration_.log.to);
  if (!sink) return sink.error();
  sink_ = std::move(*sink);
  log_ = std::make_unique<base::Log>(*sink_, configuration_.log.level, configuration_.log.format);
  Result<std::unique_ptr<StateLock>> lock = StateLock::take_alone(configuration_.state_dir);
  if (!lock) return lock.error();
  lock_ = std::move(*lock);
  Result<std::unique_ptr<WorkingTable>> working = WorkingTable::open(configuration_.state_dir);
  if (!working) return working.error();
  working_ = std::move(*working);
  if (Result<void> installed = install_crash_handlers(); !installed) return installed;
  Result<std::vector<net::PemIdentity>> identities = find_identities(configuration_);
  if (!identities) return identities.error();
  identities_ = std::move(*identities);
  if (Result<void> made = make_tls_contexts(configuration_, identities_); !made) return made;

  // Threads inherit the mask, so that signals come to the main thread only.
  sigemptyset(&signals_);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals_, signal);
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  if (Result<void> opened = open_store(); !opened) return opened;
  if (Result<void> made = make_loops(loops); !made) return made;
  configuration_.inbound.clients = complete_policy(configuration_.inbound, generation_);
  make_relay();
  make_accounts();
  look_at_certificates();
  start_loops();
  return {};
}

Result<void> Server::open_sockets(unsigned loops) {
  addresses_ = std::make_unique<ListeningAddresses>(loops);
  Result<std::shared_ptr<ListenerChange>> listeners =
      addresses_->prepare(configuration_.inbound.listeners);
  if (!listeners) return listeners.error();
  first_listeners_ = std::move(*listeners);
  addresses_->changed(*first_listeners_);
  net::UnixSocketOptions options;
  options.mode = 0660;
  const std::string path = configuration_.runtime_dir + "/control.sock";
  Result<net::ListeningSocket> control = net::open_unix_socket(path, options);
  if (!control) return control.error();
  control_socket_ = std::move(*control);
  Result<std::shared_ptr<ListenerChange>> admin =
      admin_addresses_.prepare(admin_listeners(configuration_));
  if (!admin) return admin.error().in("admin.http");
  if (Result<void> opened = local_mail_.open_socket(configuration_); !opened) return opened;
  first_admin_listeners_ = std::move(*admin);
  admin_addresses_.changed(*first_admin_listeners_);
  return give_to_user(path, configuration_.user);
}

Result<void> Server::open_store() {
  queue::StoreSettings settings;
  // From the store's threads: what it uses is not replaced by a reload.
  const auto warn = [&sink = *sink_, settings = configuration_.log](std::string_view text) {
    base::Log log(sink, settings.level, settings.format);
    log.line(base::Level::Warning, "queue").field("detail", text);
  };
  settings.open = [directory = configuration_.state_dir + "/queue", warn] {
    return queue::open_rocks_rows({directory, warn});
  };
  settings.state_dir = configuration_.state_dir;
  settings.min_free_disk = configuration_.queue.min_free_disk;
  settings.is_indexed = configuration_.queue.history.is_kept;
  settings.warn = warn;
  settings.at_thread_start = [this] { return std::shared_ptr<void>(counters_.attach()); };
  // Postfix's log has a line for it.
  tells_removed_ = configuration_.log.format == base::LogFormat::Postfix;
  settings.tells_gone = &tells_removed_;
  settings.gone = [this](std::vector<base::MessageId> gone) {
    worlds_.front()->loop.post([&log = worlds_.front()->log, gone = std::move(gone)] {
      for (const base::MessageId id : gone) log.line(base::Level::Info, "removed").id(id);
    });
  };
  Result<std::unique_ptr<queue::ThreadedStore>> store =
      queue::ThreadedStore::start(std::move(settings));
  if (!store) return store.error().in("opening the queue in " + configuration_.state_dir);
  store_ = std::move(*store);
  return {};
}

Result<void> Server::make_loops(unsigned loops) {
  for (unsigned index = 0; index < loops; ++index) {
    auto world = std::make_unique<LoopWorld>(index, *sink_, configuration_.log);
    dns::CaresSettings settings;
    settings.servers = configuration_.dns_servers;
    Result<std::unique_ptr<dns::Resolver>> asker = dns::make_cares_resolver(world->loop, settings);
    if (!asker) return asker.error();
    world->asker = std::move(*asker);
    world->resolver = std::make_unique<dns::CachingResolver>(world->loop, *world->asker);
    world->listeners = std::make_unique<LoopListeners>(
        world->network, index,
        [this, index](std::size_t listener, const net::ConnectionInfo& info) {
          return relay_->accept(index, listener, info);
        });
    worlds_.push_back(std::move(world));
  }
  return {};
}

RelaySettings Server::relay_settings() const {
  RelaySettings settings;
  settings.inbound = configuration_.inbound;
  settings.outbound = configuration_.outbound;
  settings.outbound.generation = generation_;
  settings.queue = configuration_.queue;
  settings.ourselves.names = {base::lower_case(configuration_.hostname)};
  settings.ourselves.listeners = own_addresses(configuration_.inbound);
  if (Result<dns::HostsFile> hosts = dns::HostsFile::read("/etc/hosts"))
    settings.hosts_file = std::move(*hosts);
  const std::uint64_t half =
      std::max<std::uint64_t>(descriptors_, 2 * kDescriptorsForOurselves) / 2;
  settings.connections_out =
      configuration_.queue.connections_out > 0
          ? configuration_.queue.connections_out
          : static_cast<std::uint32_t>(std::min<std::uint64_t>(half, 50'000));
  return settings;
}

void Server::make_relay() {
  std::vector<LoopParts> parts;
  for (const auto& world : worlds_)
    parts.push_back({world->loop, world->network, *world->resolver, world->log});
  const std::uint64_t seed = (std::uint64_t{std::random_device{}()} << 32) | std::random_device{}();
  const base::Now start = base::read_clocks();
  // Nothing that is imported may have an id that a message has which is just being received.
  const queue::OwnIds own_ids{
      std::max(queue::first_id_at(start.wall), queue::MessageId{store_->highest_id().value + 1}),
      static_cast<unsigned>(parts.size())};
  relay_ = std::make_unique<Relay>(relay_settings(), *store_, std::move(parts),
                                   store_->highest_id(), seed, start);
  LoopWorld& first = *worlds_.front();
  list_watch_ = std::make_unique<ListWatch>(
      ListWatch::Parts{first.loop, first.log,
                       [this](const auto& clients) { relay_->use_clients(clients); }},
      configuration_.inbound.clients);
  source_watch_ = std::make_unique<SourceWatch>(
      SourceWatch::Parts{first.loop, first.log, net::is_on_this_machine,
                         [this](const auto& absent) { relay_->use_absent(absent); }},
      configuration_.outbound.pools);
  monitor_ = std::make_unique<Monitor>(*relay_, *store_, counters_);
  monitor_->set_limits(monitored_limits());
  control_ = std::make_unique<admin::ControlServer>(
      admin::ControlServer::Services{first.loop, *store_, *relay_, *relay_, *relay_, first.log,
                                     monitor_.get(), relay_.get(), relay_.get(), own_ids});
  admin_listeners_ = std::make_unique<LoopListeners>(
      first.network, 0,
      [this](std::size_t, const net::ConnectionInfo& info) { return control_->accept_http(info); });
  if (const Result<void> attached = local_mail_.attach(
          {first.loop, first.network, *store_, *relay_, first.log}, configuration_);
      !attached) {
    log_->line(base::Level::Warning, "while the relay is stopped, sendmail can leave no mail")
        .field("error", attached.error().text());
    log_->flush();
  }
  store_->on_reopened([this] {
    for (const auto& world : worlds_) {
      world->loop.post([this, index = world->loop.index()] { relay_->find_queues(index); });
    }
  });
}

// A file that is missing or bad is no reason not to start: mail of those who need no login goes on.
void Server::make_accounts() {
  workers_ = std::make_unique<base::WorkerPool>(base::default_worker_threads(), kWorkWaitingMax);
  LoopWorld& home = *worlds_.front();
  accounts_ = std::make_unique<inbound::Accounts>(
      inbound::Accounts::Parts{home.loop, *workers_, home.log}, configuration_.users, nullptr);
  relay_->use_authenticator(*accounts_);
  // Reads them now, and says how they are.
  if (inbound::takes_logins(configuration_.inbound)) accounts_->reload(configuration_.users);
}

MonitoredLimits Server::monitored_limits() const {
  MonitoredLimits limits;
  limits.state_dir = configuration_.state_dir;
  limits.connections_in = configuration_.inbound.connections_in;
  limits.connections_out = relay_settings().connections_out;
  limits.memory = configuration_.queue.memory;
  limits.min_free_disk = configuration_.queue.min_free_disk;
  limits.certificates = certificate_ends(identities_);
  return limits;
}

void Server::start_loops() {
  const std::vector<WorkedOn> found = working_->found();
  working_->reset();
  mail_workers_ = make_mail_workers(*working_, counters_);
  relay_->use_workers(*mail_workers_);
  LoopWorld& first = *worlds_.front();
  first.loop.post([this, found, &first] {
    count_crashes(*store_, first.loop, first.log, found, configuration_.queue.history,
                  [this](std::unordered_set<base::IpAddress> held_clients) {
                    begin_work(std::move(held_clients));
                  });
  });
  for (const auto& world : worlds_) {
    world->thread = std::thread([this, &loop = world->loop] {
      const std::unique_ptr<WorkingTable::Attachment> attachment = working_->attach(loop.index());
      const std::unique_ptr<base::CounterTable::Attachment> counting = counters_.attach();
      loop.run();
    });
  }
}

void Server::begin_work(std::unordered_set<base::IpAddress> held_clients) {
  relay_->hold_clients(std::move(held_clients));
  source_watch_->start();  // what it finds is known before the first mail
  for (const auto& world : worlds_) {
    world->loop.post([this, index = world->loop.index()] {
      relay_->find_queues(index);
      listen(index);
    });
  }
}

void Server::listen(unsigned loop) {
  LoopWorld& world = *worlds_[loop];
  if (world.stopping) return;  // the signal came before the crashes were counted
  world.listeners->apply(*first_listeners_);
  if (loop != 0) return;
  world.network.listen(std::move(*control_socket_),
                       [this](const net::ConnectionInfo& info) { return control_->accept(info); });
  admin_listeners_->apply(*first_admin_listeners_);
  local_mail_.begin();
  list_watch_->start();
  world.log.line(base::Level::Info, "ready")
      .field("version", ROCKDOVE_VERSION)
      .field("hostname", configuration_.hostname)
      .field("loops", worlds_.size())
      .field("state_dir", configuration_.state_dir);
  notify_ready();
  is_ready_ = true;
  is_ready_.notify_one();
}

void Server::run() {
  queue::ClockWatch clocks(base::read_clocks());
  base::Instant certificates_at = base::read_clocks().instant + kCertificatesEach;
  FreeMemory memory;
  while (true) {
    const timespec wait{60, 0};
    const int signal = sigtimedwait(&signals_, nullptr, &wait);
    if (signal == SIGTERM || signal == SIGINT) break;
    if (signal == SIGHUP) reload();
    memory.give_back();
    const base::Now now = base::read_clocks();
    if (now.instant >= certificates_at) {
      certificates_at = now.instant + kCertificatesEach;
      look_at_certificates();
    }
    store_->keep_history(queue::limits_of(configuration_.queue.history, clocks, now));
  }
  stop();
}

void Server::on_all_loops(const std::function<void(LoopWorld&)>& task) {
  // Shared, because the last one still notifies when we have gone on.
  const auto waiting = std::make_shared<std::atomic<std::size_t>>(worlds_.size());
  for (const auto& world : worlds_) {
    world->loop.post([&task, waiting, &world = *world] {
      task(world);
      waiting->fetch_sub(1);
      waiting->notify_one();
    });
  }
  for (std::size_t left = waiting->load(); left > 0; left = waiting->load()) waiting->wait(left);
}

void Server::reload() {
  is_ready_.wait(false);
  notify_reloading();
  if (const Result<void> reopened = sink_->reopen(); !reopened) {
    log_->line(base::Level::Error, "the log file cannot be opened again")
        .field("error", reopened.error().text());
  }
  if (const Result<void> replaced = replace_configuration(); replaced) {
    log_->line(base::Level::Info, "reloaded").field("configuration", configuration_.path);
    look_at_certificates();
  } else {
    log_->line(base::Level::Error, "not reloaded: all stays as it was")
        .field("error", replaced.error().text());
  }
  log_->flush();
  notify_ready();
}

// Everything that can fail comes first and changes nothing; then every loop gets all of it at once.
Result<void> Server::replace_configuration() {
  ParsedConfiguration parsed = load_configuration(configuration_.path);
  for (const Problem& problem : parsed.problems) {
    const bool is_error = problem.severity == Severity::Error;
    log_->line(is_error ? base::Level::Error : base::Level::Warning, "configuration")
        .field("detail", format_problem(problem));
  }
  if (!parsed.configuration) return Error("the configuration has errors");
  Configuration next = std::move(*parsed.configuration);
  const std::vector<std::string> kept = keep_what_needs_a_restart(configuration_, next);
  Result<std::vector<net::PemIdentity>> identities = find_identities(next);
  if (!identities) return identities.error();
  if (Result<void> made = make_tls_contexts(next, *identities); !made) return made;
  Result<std::shared_ptr<ListenerChange>> listeners = addresses_->prepare(next.inbound.listeners);
  if (!listeners) return listeners.error();
  Result<std::shared_ptr<ListenerChange>> admin = admin_addresses_.prepare(admin_listeners(next));
  if (!admin) return admin.error().in("admin.http");
  if (next.log.to != configuration_.log.to) {
    if (Result<void> changed = sink_->change(next.log.to); !changed) return changed;
  }

  configuration_ = std::move(next);
  identities_ = std::move(*identities);
  ++generation_;
  configuration_.inbound.clients = complete_policy(configuration_.inbound, generation_);
  addresses_->changed(**listeners);
  admin_addresses_.changed(**admin);
  store_->change_min_free_disk(configuration_.queue.min_free_disk);
  store_->change_history(configuration_.queue.history);
  if (inbound::takes_logins(configuration_.inbound)) accounts_->reload(configuration_.users);
  const base::LogSettings log = configuration_.log;
  log_->change(log.level, log.format);
  tells_removed_ = log.format == base::LogFormat::Postfix;
  on_all_loops([this, log, &change = **listeners, &admin_change = **admin,
                settings = prepare(relay_settings()),
                limits = monitored_limits()](LoopWorld& world) {
    world.log.change(log.level, log.format);
    if (world.loop.index() == 0) {
      monitor_->set_limits(limits);
      admin_listeners_->apply(admin_change);
    }
    relay_->use(world.loop.index(), settings);
    if (world.loop.index() == 0) {
      local_mail_.settings_replaced(configuration_);
      list_watch_->settings_replaced(configuration_.inbound.clients);
      source_watch_->settings_replaced(configuration_.outbound.pools);
    }
    world.listeners->apply(change);
  });
  for (const std::string& key : kept) {
    log_->line(base::Level::Warning, "a changed key counts from the next start").field("key", key);
  }
  return {};
}

void Server::look_at_certificates() {
  const base::WallTime now = base::read_clocks().wall;
  std::vector<CertificateNotice> notices = certificate_notices(identities_, now);
  if (!notices.empty() && configuration_.identities.empty() && is_ready_) {
    // They are ours: a reload makes new ones.
    if (const Result<void> replaced = replace_configuration(); !replaced) {
      log_->line(base::Level::Error, "the self-signed certificates could not be made anew")
          .field("error", replaced.error().text());
    }
    notices = certificate_notices(identities_, now);
  }
  for (const CertificateNotice& notice : notices)
    log_->line(notice.level, "certificate").field("detail", notice.text);
  log_->flush();
}

bool Server::is_quiet() {
  std::atomic<bool> quiet{true};
  on_all_loops([this, &quiet](LoopWorld& world) {
    if (!relay_->is_drained(world.loop.index()) || relay_->inbound_connections() > 0 ||
        world.network.counts().lingering > 0)
      quiet = false;
  });
  return quiet;
}

void Server::stop() {
  notify_stopping();
  monitor_->stopping();
  log_->line(base::Level::Info, "stopping").field("wait", kDrainTime);
  log_->flush();
  for (const auto& world : worlds_) {
    world->loop.post([this, &world = *world] {
      world.stopping = true;
      world.listeners->end();  // whoever asks how we are is still answered
      if (world.loop.index() == 0) local_mail_.stop();
      if (world.loop.index() == 0) list_watch_->stop();
      relay_->stop(world.loop.index());
      world.network.turn_all();  // so that idle sessions hear of it
    });
  }
  const base::Instant end = base::read_clocks().instant + kDrainTime;
  while (!is_quiet() && base::read_clocks().instant < end)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  for (const auto& world : worlds_) {
    world->loop.post([&world = *world] {
      world.network.stop_listening();
      world.network.close_all();
    });
  }
  // What that still brought is handed to the store before the loops end: in the first round each
  // loop hears of it, and in the second the loops that own what was cut off have been told.
  static_cast<void>(is_quiet());
  static_cast<void>(is_quiet());
  for (const auto& world : worlds_) world->loop.stop();
  for (const auto& world : worlds_) world->thread.join();
  local_mail_.end();
  list_watch_.reset();
  source_watch_.reset();
  workers_.reset();  // a result that comes now has no loop any more
  mail_workers_.reset();
  store_.reset();  // writes what was handed over
  control_.reset();
  monitor_.reset();
  accounts_.reset();
  relay_.reset();
  worlds_.clear();
  log_->line(base::Level::Info, "stopped");
  log_->flush();
}

}  // namespace

int serve(const Configuration& configuration) {
  Server server(configuration);
  if (const Result<void> started = server.start(); !started) {
    std::fprintf(stderr, "rockdove: cannot start: %s\n", started.error().text().c_str());
    return 1;
  }
  server.run();
  return 0;
}

}  // namespace rockdove::daemon
