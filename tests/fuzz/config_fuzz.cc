// Whatever a file holds, reading it ends, gives a configuration exactly when no problem is an error,
// and gives every problem one printable line.
#include "mta/daemon/config_aliases.h"
#include "mta/daemon/configuration.h"
#include "tests/fuzz/fuzz.h"

using namespace rockdove;
using namespace rockdove::daemon;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(fuzz::as_text(data, size));
  // The same text stands for every file that it names: aliases, recipients.
  const auto read_file = [&text](const std::string&, std::size_t octets_max) {
    return base::Result<std::optional<std::string>>(text.substr(0, octets_max));
  };
  const ParsedConfiguration parsed =
      parse_configuration(text, Surroundings{"file", "relay.example.net", read_file});
  bool has_error = false;
  for (const Problem& problem : parsed.problems) {
    has_error = has_error || problem.severity == Severity::Error;
    const std::string line = format_problem(problem);
    FUZZ_CHECK(line.find_first_of("\r\n\x1b") == std::string::npos);
    FUZZ_CHECK(line.find('\0') == std::string::npos);
  }
  FUZZ_CHECK(parsed.configuration.has_value() == !has_error);
  FUZZ_CHECK(parsed.problems.size() <= kProblemsMax + 1);
  if (!parsed.configuration) return 0;
  const Configuration& configuration = *parsed.configuration;
  FUZZ_CHECK(!configuration.hostname.empty());
  FUZZ_CHECK(!configuration.queue.retry.empty());
  for (const auto& listener : configuration.inbound.listeners) {
    FUZZ_CHECK(!listener.addresses.empty() && !listener.name.empty());
  }
  for (const auto& route : configuration.outbound.routes) FUZZ_CHECK(!route.name.empty());
  for (const auto& [alias, addresses] : configuration.inbound.local.aliases) {
    FUZZ_CHECK(!alias.empty() && !addresses.empty());
  }
  return 0;
}
