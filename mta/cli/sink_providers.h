// All providers that one `rockdove sink --providers` plays, with the log and the clock that they
// share, and what it prints of them each second. Belongs to one loop.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "mta/base/result.h"
#include "mta/base/time.h"
#include "mta/cli/sink_log.h"
#include "mta/cli/sink_provider.h"

namespace rockdove::cli {

class SinkProviders {
 public:
  SinkProviders() = default;

  // Fails with all that is wrong with the file, a line each. Once.
  [[nodiscard]] base::Result<void> load(const std::string& path);

  [[nodiscard]] const std::vector<std::unique_ptr<SinkProvider>>& all() const { return providers_; }

  [[nodiscard]] SinkLog& log() { return log_; }

  // A line on standard output for each provider that something has happened to since the last call,
  // or that has connections; the log is flushed.
  void report(base::Instant now, bool json);
  // The totals, a line for each provider.
  void report_totals(bool json) const;

 private:
  SinkLog log_;
  std::vector<std::unique_ptr<SinkProvider>> providers_;
  std::vector<SinkProviderCounts> reported_;  // by provider
};

}  // namespace rockdove::cli
