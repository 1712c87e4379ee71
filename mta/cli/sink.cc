#include <atomic>
#include <cerrno>
#include <cstdio>
#include <signal.h>
#include <thread>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include "mta/base/quantity.h"
#include "mta/cli/commands.h"
#include "mta/cli/sink_providers.h"
#include "mta/cli/sink_session.h"
#include "mta/net/uv_loop.h"
#include "mta/net/uv_network.h"

namespace rockdove::cli {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)

constexpr const char* kDefaultAddress = "127.0.0.1:2525";

struct Options {
  std::vector<std::string> listen;  // empty: kDefaultAddress
  std::string directory;
  std::string providers;  // a file
  std::string log;        // of what the providers answered
  std::string hostname = "sink.localhost";
  std::string size_max = "1G";
  std::vector<std::string> rules;
  std::uint64_t messages = 0;  // end after so many; 0: never
  unsigned threads = 1;
  bool discard = false;
  bool json = false;
  bool verbose = false;
};

// A loop with all that lives on it, in the order of its making.
struct Worker {
  Worker(unsigned index, std::vector<SinkRule> rules)
      : shared(index, std::move(rules)), loop(index), network(loop) {}

  SinkLoop shared;
  net::UvLoop loop;
  net::UvNetwork network;
  std::unique_ptr<base::Timer> each_second;  // with providers
};

int complain(int status, const std::string& text) {
  std::fprintf(stderr, "rockdove sink: %s\n", text.c_str());
  return status;
}

// Signals are waited for by the main thread alone.
sigset_t block_ending_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

// `provider`: whose address it is; "": of no provider.
void report_address(const base::SocketAddress& address, const std::string& provider,
                    const Options& options) {
  const std::string text = base::format_socket_address(address);
  if (options.json) {
    nlohmann::ordered_json line = {{"listening", text}};
    if (!provider.empty()) line["provider"] = provider;
    std::puts(line.dump().c_str());
  } else {
    std::printf("%s%slistening on %s\n", provider.c_str(), provider.empty() ? "" : ": ",
                text.c_str());
  }
  std::fflush(stdout);
}

void report_counts(const SinkCounts& counts, const Options& options) {
  if (options.json) {
    const nlohmann::json line = {{"connections", counts.connections},
                                 {"messages", counts.messages},
                                 {"recipients", counts.recipients},
                                 {"octets", counts.octets},
                                 {"rules", counts.rules},
                                 {"failed", counts.failed}};
    std::puts(line.dump().c_str());
    return;
  }
  const auto shown = [](std::uint64_t number) { return static_cast<unsigned long long>(number); };
  std::printf(
      "connections %llu, messages %llu, recipients %llu, octets %llu, rules applied %llu, failed "
      "%llu\n",
      shown(counts.connections), shown(counts.messages), shown(counts.recipients),
      shown(counts.octets), shown(counts.rules), shown(counts.failed));
}

// A worker accepts from a socket for `provider`, or, null, for none.
void accept(Worker& worker, net::ListeningSocket socket, SinkProvider* provider) {
  worker.network.listen(std::move(socket),
                        [&shared = worker.shared, provider](const net::ConnectionInfo&) {
                          return std::make_unique<SinkSession>(shared, provider);
                        });
}

base::Result<void> listen_for_providers(Worker& worker, SinkProviders& providers,
                                        const Options& options) {
  for (const std::unique_ptr<SinkProvider>& provider : providers.all()) {
    for (const base::SocketAddress& address : provider->settings().listen) {
      base::Result<net::ListeningSocket> socket =
          net::open_listening_socket(address, net::ReusePort::No);
      if (!socket) return socket.error();
      report_address(socket->address(), provider->settings().name, options);
      accept(worker, *std::move(socket), provider.get());
    }
  }
  return {};
}

// Opens each address once a worker; a port of 0 is the same for all of them.
base::Result<void> listen(std::vector<std::unique_ptr<Worker>>& workers, const Options& options) {
  for (const std::string& text : options.listen) {
    base::Result<base::SocketAddress> address = base::parse_socket_address(text);
    if (!address) return address.error().in("--listen " + text);
    const net::ReusePort reuse = workers.size() > 1 ? net::ReusePort::Yes : net::ReusePort::No;
    bool first = true;
    for (const std::unique_ptr<Worker>& worker : workers) {
      base::Result<net::ListeningSocket> socket = net::open_listening_socket(*address, reuse);
      if (!socket) return socket.error();
      if (first) report_address(socket->address(), "", options);
      first = false;
      address->port = socket->address().port;
      accept(*worker, *std::move(socket), nullptr);
    }
  }
  return {};
}

base::Result<std::vector<SinkRule>> parse_rules(const std::vector<std::string>& texts) {
  std::vector<SinkRule> rules;
  for (const std::string& text : texts) {
    base::Result<SinkRule> rule = parse_sink_rule(text);
    if (!rule) return rule.error().in("--rule " + text);
    rules.push_back(*std::move(rule));
  }
  return rules;
}

void run(std::vector<std::unique_ptr<Worker>>& workers, const sigset_t& signals) {
  std::vector<std::thread> threads;
  for (const std::unique_ptr<Worker>& worker : workers) {
    threads.emplace_back([&loop = worker->loop] { loop.run(); });
  }
  int signal = 0;
  sigwait(&signals, &signal);
  for (const std::unique_ptr<Worker>& worker : workers) worker->loop.stop();
  for (std::thread& thread : threads) thread.join();
}

// A wrong use of the options; nullopt: none.
std::optional<std::string> misuse(const Options& options) {
  if (options.directory.empty() && !options.discard && options.providers.empty())
    return "say where messages go: --into DIR, --discard, or --providers FILE";
  if (options.providers.empty() && !options.log.empty())
    return "--log is of what providers answer: give --providers FILE, too";
  if (!options.providers.empty() && (options.threads > 1 || !options.listen.empty()))
    return "with --providers, addresses stand in the file, and one thread counts for all of them";
  return std::nullopt;
}

std::unique_ptr<Worker> make_worker(unsigned index, const std::vector<SinkRule>& rules,
                                    std::uint64_t size_max, const Options& options) {
  auto worker = std::make_unique<Worker>(index, rules);
  SinkLoop& shared = worker->shared;
  shared.limits.message_octets_max = size_max;
  shared.limits.recipients_max = 100'000;
  shared.limits.commands_max = 1'000'000;
  shared.greeting.hostname = options.hostname;
  shared.directory = options.discard ? "" : options.directory;
  shared.prints_messages = options.verbose;
  return worker;
}

// Lines of what the providers do, each second, from the loop's first turn on.
void report_each_second(Worker& worker, SinkProviders& providers, const Options& options) {
  worker.loop.post([&worker, &providers, &options] {
    worker.each_second = worker.loop.make_timer([&worker, &providers, &options] {
      providers.report(worker.loop.now().instant, options.json);
      worker.each_second->set(worker.loop.now().instant + 1s);
    });
    worker.each_second->set(worker.loop.now().instant + 1s);
  });
}

base::Result<void> prepare_providers(Worker& worker, SinkProviders& providers,
                                     const Options& options) {
  base::Result<void> done = providers.load(options.providers);
  if (done && !options.log.empty()) done = providers.log().open(options.log);
  if (done) done = listen_for_providers(worker, providers, options);
  if (done) report_each_second(worker, providers, options);
  return done;
}

int finish(const std::vector<std::unique_ptr<Worker>>& workers, SinkProviders& providers,
           const Options& options) {
  SinkCounts all;
  for (const std::unique_ptr<Worker>& worker : workers) {
    const SinkCounts& counts = worker->shared.counts;
    all.connections += counts.connections;
    all.messages += counts.messages;
    all.recipients += counts.recipients;
    all.octets += counts.octets;
    all.rules += counts.rules;
    all.failed += counts.failed;
  }
  if (!options.providers.empty()) {
    providers.report(base::read_clocks().instant, options.json);
    providers.report_totals(options.json);
  }
  report_counts(all, options);
  return providers.log().has_failed() ? kFailed : kDone;
}

int sink(Options& options) {
  if (const std::optional<std::string> wrong = misuse(options)) return complain(kUsage, *wrong);
  if (options.listen.empty()) options.listen = {kDefaultAddress};
  if (!options.directory.empty() && ::mkdir(options.directory.c_str(), 0755) != 0 &&
      errno != EEXIST) {
    return complain(kFailed, base::Error::system("making " + options.directory, errno).text());
  }
  const base::Result<std::uint64_t> size_max = base::parse_size(options.size_max);
  if (!size_max || *size_max == 0) return complain(kUsage, "--max-size wants a size, as in 50M");
  const base::Result<std::vector<SinkRule>> rules = parse_rules(options.rules);
  if (!rules) return complain(kUsage, rules.error().text());

  const sigset_t signals = block_ending_signals();
  std::atomic<std::uint64_t> taken = 0;
  SinkProviders providers;  // outlives the workers' sessions
  std::vector<std::unique_ptr<Worker>> workers;
  for (unsigned index = 0; index < options.threads; ++index) {
    workers.push_back(make_worker(index, *rules, *size_max, options));
    workers.back()->shared.message_taken = [&taken, &options] {
      if (++taken == options.messages) ::kill(::getpid(), SIGTERM);
    };
  }
  const base::Result<void> done = options.providers.empty()
                                      ? listen(workers, options)
                                      : prepare_providers(*workers.front(), providers, options);
  if (!done) return complain(kFailed, done.error().text());
  run(workers, signals);
  return finish(workers, providers, options);
}

}  // namespace

Action add_sink(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("--listen", options->listen, "Where to listen; port 0: any, it is printed")
      ->type_name("ADDR:PORT")
      ->default_str(kDefaultAddress);
  app.add_option("--into,--dir", options->directory,
                 "Keep each message as ID.eml, and its envelope as ID.json")
      ->type_name("DIR");
  app.add_flag("--discard", options->discard, "Keep nothing");
  app.add_option("--providers", options->providers,
                 "Play the providers of this file (contrib/doc/sink.md): limits, greylisting, "
                 "tarpits. Prints a line a second for each")
      ->type_name("FILE");
  app.add_option("--log", options->log, "What the providers answered, as CSV")->type_name("FILE");
  app.add_option(
         "--rule", options->rules,
         "STAGE[:PATTERN]=ACTION[, after N][, first N], as rcpt:*@bad.example=550 5.1.1 no such "
         "user. Stages: connect, helo, mail, rcpt, data, dot. Actions: a reply, stall, drop, "
         "delay TIME. May be given several times; the first that matches wins")
      ->type_name("RULE")
      ->expected(1)
      ->take_all();
  app.add_option("--messages", options->messages, "End after so many messages")->type_name("N");
  app.add_option("--max-size", options->size_max, "Largest message")
      ->type_name("SIZE")
      ->capture_default_str();
  app.add_option("--hostname", options->hostname, "What it calls itself")->capture_default_str();
  app.add_option("--threads", options->threads, "Event loops; each counts rules for itself")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_flag("-v,--verbose", options->verbose, "Print a line for each message");
  app.add_flag("--json", options->json, "Print address and counts as objects");
  return [options] { return sink(*options); };
}

}  // namespace rockdove::cli
