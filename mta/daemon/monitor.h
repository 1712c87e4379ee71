// What the control socket shows of a running daemon: the counts of its threads, and how it stands
// against its limits.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "mta/admin/metrics.h"
#include "mta/base/counters.h"
#include "mta/daemon/relay.h"
#include "mta/net/tls.h"
#include "queue/threaded_store.h"

namespace rockdove::daemon {

// What the configuration says; a reload brings another one.
struct MonitoredLimits {
  std::string state_dir;
  std::uint32_t connections_in = 0;
  std::uint32_t connections_out = 0;
  std::uint64_t memory = 0;
  std::uint64_t min_free_disk = 0;
  std::vector<admin::CertificateEnd> certificates;
};

// When they end; one that cannot be read is left out.
[[nodiscard]] std::vector<admin::CertificateEnd> certificate_ends(
    const std::vector<net::PemIdentity>& identities);

class Monitor final : public admin::Monitored {
 public:
  // Both outlive it.
  Monitor(const Relay& relay, const queue::ThreadedStore& store, const base::CounterTable& counters)
      : relay_(relay), store_(store), counters_(counters) {}

  // On the control socket's loop, or before it runs.
  void set_limits(MonitoredLimits limits) { limits_ = std::move(limits); }

  // Any thread: from now on /healthz says so.
  void stopping() { is_stopping_.store(true, std::memory_order_relaxed); }

  [[nodiscard]] admin::Standing standing() override;

  [[nodiscard]] base::CounterTotals counts() override { return counters_.totals(); }

 private:
  const Relay& relay_;
  const queue::ThreadedStore& store_;
  const base::CounterTable& counters_;
  MonitoredLimits limits_;
  std::atomic<bool> is_stopping_ = false;
};

}  // namespace rockdove::daemon
