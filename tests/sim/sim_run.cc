// Runs scenarios by their seeds. A seed that fails is printed and replays alone:
//
//   sim_run --seeds 1000 --first 1     # the normal run
//   sim_run --only 4711 -v             # one seed with the relay's own log
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <unistd.h>

#include "tests/sim/scenario.h"

namespace {

using rockdove::sim::Scenario;

constexpr int kFailedSeedsMax = 20;

struct Options {
  std::uint64_t seeds = 1000;
  std::uint64_t first = 1;
  bool verbose = false;
};

// Read by the signal handler: the seed that runs, as a line.
char seed_line[64];  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

void note_seed(std::uint64_t seed) {
  std::snprintf(seed_line, sizeof(seed_line), "the process failed in seed %llu\n",
                static_cast<unsigned long long>(seed));
}

void on_failure(int signal) {
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, seed_line, std::strlen(seed_line));
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<Options> parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "-v") {
      options.verbose = true;
      continue;
    }
    if (++i == argc) return std::nullopt;
    const std::optional<std::uint64_t> value = number(argv[i]);
    if (!value) return std::nullopt;
    if (name == "--seeds") {
      options.seeds = *value;
    } else if (name == "--first") {
      options.first = *value;
    } else if (name == "--only") {
      options.first = *value;
      options.seeds = 1;
    } else {
      return std::nullopt;
    }
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const std::optional<Options> options = parse(argc, argv);
  if (!options) {
    std::fprintf(stderr, "usage: sim_run [--seeds N] [--first SEED] [--only SEED] [-v]\n");
    return 2;
  }
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE}) std::signal(signal, on_failure);
  int failed = 0;
  for (std::uint64_t i = 0; i < options->seeds && failed < kFailedSeedsMax; ++i) {
    const std::uint64_t seed = options->first + i;
    note_seed(seed);
    Scenario scenario(seed, options->verbose ? Scenario::Trace::On : Scenario::Trace::Off);
    const std::vector<std::string> failures = scenario.run();
    if (options->verbose || !failures.empty()) {
      std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed),
                  scenario.summary().c_str());
    }
    if (failures.empty()) continue;
    ++failed;
    for (const std::string& failure : failures) std::printf("  %s\n", failure.c_str());
    std::printf("  replay: %s --only %llu -v\n", argv[0], static_cast<unsigned long long>(seed));
    std::fflush(stdout);
  }
  if (failed > 0) {
    std::printf("%d seeds failed\n", failed);
    return 1;
  }
  std::printf("%llu seeds passed\n", static_cast<unsigned long long>(options->seeds));
  return 0;
}
