#include "mta/cli/top.h"

#include <algorithm>
#include <iostream>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <variant>

#include "mta/cli/commands.h"
#include "mta/cli/control_client.h"
#include "mta/cli/safe_text.h"
#include "mta/cli/screen.h"
#include "mta/daemon/configuration.h"

namespace rockdove::cli {

using base::Result;

namespace {

constexpr base::Duration kIntervalMin = std::chrono::milliseconds(100);
constexpr base::Duration kIntervalMax = std::chrono::hours(1);
constexpr base::Duration kFirstInterval = std::chrono::milliseconds(500);

struct TopOptions {
  std::string configuration;
  std::string interval = "1s";
  bool once = false;
  bool json = false;
};

struct Sample {
  std::string line;
  base::Instant at;
};

// A connection of its own each time, so that a daemon that is started anew is found again.
Result<Sample> take_sample(const std::string& socket_path) {
  auto connected = ControlClient::connect(socket_path);
  if (auto* refused = std::get_if<ControlClient::Refused>(&connected)) {
    const bool nobody = refused->why == ControlClient::Refusal::NobodyListens;
    return nobody ? refused->error.in("no rockdove runs") : refused->error;
  }
  Sample sample;
  const Result<void> asked = std::get<std::unique_ptr<ControlClient>>(connected)->ask(
      {"GET", "/v1/top", {}, ""}, [&sample](std::string_view line) { sample.line = line; });
  if (!asked) return asked.error();
  if (sample.line.empty()) return base::Error("the daemon answered nothing");
  sample.at = base::read_clocks().instant;
  return sample;
}

base::Duration between(const Sample& before, const Sample& after) {
  return std::chrono::duration_cast<base::Duration>(after.at - before.at);
}

int fail(const base::Error& error) {
  std::cout.flush();
  std::cerr << "rockdove: " << safe_text(error.text()) << '\n';
  return kFailed;
}

// Where nobody watches: a snapshot each interval, or a single one.
int print_snapshots(const std::string& socket_path, base::Duration interval,
                    const TopOptions& options) {
  Result<Sample> before = take_sample(socket_path);
  if (!before) return fail(before.error());
  for (bool is_first = true;; is_first = false) {
    std::this_thread::sleep_for(interval);
    Result<Sample> after = take_sample(socket_path);
    if (!after) return fail(after.error());
    const base::Duration apart = between(*before, *after);
    if (options.json) {
      std::cout << top_line(before->line, after->line, apart) << '\n';
    } else {
      std::cout << (is_first ? "" : "\n") << top_page(before->line, after->line, apart, {});
    }
    std::cout.flush();
    if (options.once || !std::cout) return kDone;
    before = std::move(after);
  }
}

// The last two samples, or why there is none.
class View {
 public:
  explicit View(Sample first) : after_(std::move(first)) {}

  void look(const std::string& socket_path) {
    Result<Sample> sample = take_sample(socket_path);
    if (!sample) {
      before_.reset();
      after_.reset();
      trouble_ = sample.error().text();
      return;
    }
    before_ = std::exchange(after_, *std::move(sample));
  }

  [[nodiscard]] std::string page(TopSize size) const {
    if (!after_) return top_trouble(trouble_, size);
    const Sample& from = before_ ? *before_ : *after_;
    return top_page(from.line, after_->line, between(from, *after_), size);
  }

 private:
  std::optional<Sample> before_;
  std::optional<Sample> after_;
  std::string trouble_;
};

// Until q or Ctrl-C. A daemon that goes away is waited for.
int watch(const std::string& socket_path, base::Duration interval) {
  Result<Sample> first = take_sample(socket_path);
  if (!first) return fail(first.error());
  View view(*std::move(first));
  const Screen screen;
  // The first rates soon, then as often as was asked for.
  base::Instant next =
      base::read_clocks().instant + std::min<base::Duration>(interval, kFirstInterval);
  for (;;) {
    Screen::show(view.page(Screen::size()));
    switch (screen.wait(next)) {
      case Screen::Woken::Resized:
        break;
      case Screen::Woken::Ended:
        return kDone;
      case Screen::Woken::TimeIsOver:
        view.look(socket_path);
        next = base::read_clocks().instant + interval;
        break;
    }
  }
}

int run_top(const TopOptions& options) {
  const Result<base::Duration> interval = base::parse_duration(options.interval);
  if (!interval || *interval < kIntervalMin || *interval > kIntervalMax) {
    std::cerr << "rockdove: --interval is from 100ms to 1h, as 2s\n";
    return kUsage;
  }
  const daemon::ParsedConfiguration parsed =
      daemon::load_configuration_keys(daemon::configuration_path(options.configuration));
  if (!parsed.configuration) {
    return fail(base::Error(parsed.problems.empty()
                                ? "the configuration cannot be read"
                                : daemon::format_problem(parsed.problems.front())));
  }
  const std::string socket_path = parsed.configuration->runtime_dir + "/control.sock";
  if (options.once || options.json || !is_on_terminal()) {
    return print_snapshots(socket_path, *interval, options);
  }
  return watch(socket_path, *interval);
}

}  // namespace

Action add_top(CLI::App& app) {
  const auto options = std::make_shared<TopOptions>();
  add_config_option(app, options->configuration);
  app.add_option("--interval", options->interval, "Time between two looks")
      ->type_name("TIME")
      ->capture_default_str();
  app.add_flag("--once", options->once, "One snapshot, with the rates of one interval");
  app.add_flag("--json", options->json, "A JSON object for each snapshot");
  app.footer("q or Ctrl-C ends. Where the output is no terminal, snapshots are printed.");
  return [options] { return run_top(*options); };
}

}  // namespace rockdove::cli
