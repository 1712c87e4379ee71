#include "mta/daemon/monitor.h"

#include <algorithm>

namespace rockdove::daemon {

std::vector<admin::CertificateEnd> certificate_ends(
    const std::vector<net::PemIdentity>& identities) {
  std::vector<admin::CertificateEnd> ends;
  for (const net::PemIdentity& identity : identities) {
    const base::Result<net::CertificateFacts> facts = net::certificate_facts(identity.certificate);
    if (!facts) continue;
    // A series may be there only once, though a file may be named twice.
    const bool is_known = std::any_of(
        ends.begin(), ends.end(),
        [&identity](const admin::CertificateEnd& end) { return end.source == identity.source; });
    if (is_known) continue;
    ends.push_back({identity.source, facts->names.empty() ? "" : facts->names.front(), facts->key,
                    facts->not_after});
  }
  return ends;
}

admin::Standing Monitor::standing() {
  admin::Standing standing;
  const base::Now now = base::read_clocks();
  standing.now = now.wall;
  standing.readiness = store_.readiness();
  standing.is_stopping = is_stopping_.load(std::memory_order_relaxed);
  standing.connections_in = relay_.inbound_connections();
  standing.connections_in_max = limits_.connections_in;
  standing.connections_out = relay_.outbound_connections();
  standing.connections_out_max = limits_.connections_out;
  standing.memory_used = relay_.memory_used();
  standing.memory_max = limits_.memory;
  standing.has_memory_for_mail = relay_.has_memory_for_mail();
  standing.disk_free = store_.statistics().disk_free;
  standing.disk_free_min = limits_.min_free_disk;
  standing.state_dir = limits_.state_dir;
  standing.certificates = limits_.certificates;
  standing.loops = counters_.of_loops(now.instant);
  return standing;
}

}  // namespace rockdove::daemon
