// Runs tests/sim/crowd.h and measures what a delivery costs: with ten times as many sites it must
// not cost much more.
//
//   crowd_run --sites 10000     # a million deliveries
//   crowd_run --seed 7
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/resource.h>

#include "tests/sim/crowd.h"

namespace {

using rockdove::sim::Crowd;

// Caches hold a tenth of the sites better.
constexpr double kCostRatioMax = 2.5;
// What a site with its tenants and lanes, and what waits for it, may take in memory.
constexpr long kOctetsOfSiteMax = 40'000;
constexpr long kOctetsBesides = 64'000'000;

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

double processor_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

struct Cost {
  bool passed = false;
  double microseconds = 0;  // of the processor, a delivery
};

Cost run(std::uint64_t seed, std::size_t sites) {
  const double before = processor_seconds();
  Crowd crowd(seed, sites);
  const std::vector<std::string> wrong = crowd.run();
  const double took = processor_seconds() - before;
  const double cost = took * 1e6 / static_cast<double>(crowd.deliveries());
  std::printf("%s; %.1f us a delivery\n", crowd.summary().c_str(), cost);
  for (const std::string& what : wrong) std::printf("  %s\n", what.c_str());
  std::fflush(stdout);
  return {wrong.empty(), cost};
}

// At most in the whole run, of this process.
long memory_octets() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * 1024;
}

bool is_memory_measured() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return false;  // the sanitizers' own is many times that
#else
  return true;
#endif
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t seed = 1;
  std::uint64_t sites = 1000;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    const std::optional<std::uint64_t> value = number(argv[i + 1]);
    if (!value || (name != "--seed" && name != "--sites")) {
      argc = 0;
      break;
    }
    (name == "--seed" ? seed : sites) = *value;
  }
  if (argc % 2 == 0 || sites < 1000) {
    std::fprintf(stderr, "usage: crowd_run [--sites N] [--seed N]\n  N sites are at least 1000\n");
    return 2;
  }
  const Cost few = run(seed, sites / 10);
  const Cost many = run(seed, sites);
  bool passed = few.passed && many.passed;
  const double ratio = many.microseconds / few.microseconds;
  std::printf("ten times the sites cost %.2f times as much a delivery (at most %.1f)\n", ratio,
              kCostRatioMax);
  passed = passed && ratio <= kCostRatioMax;
  if (is_memory_measured()) {
    const long most = kOctetsBesides + kOctetsOfSiteMax * static_cast<long>(sites);
    std::printf("%ld MB of memory (at most %ld)\n", memory_octets() / 1'000'000, most / 1'000'000);
    passed = passed && memory_octets() <= most;
  }
  std::printf("%s\n", passed ? "PASS" : "FAIL");
  return passed ? 0 : 1;
}
