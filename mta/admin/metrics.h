// What GET /metrics and GET /healthz answer: the counts of all threads, and how things stand now,
// in Prometheus' text format 0.0.4 and as a sentence. The names are a contract with dashboards and
// alarms (contrib/doc/monitoring.md, contrib/dashboards). The only user of prometheus-cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mta/base/counters.h"
#include "mta/base/time.h"
#include "queue/store.h"

namespace rockdove::admin {

struct CertificateEnd {
  std::string source;  // its file, as the log names it
  std::string name;    // whom it names first; "": nobody
  std::string key;     // "RSA-2048", "P-256"
  base::WallTime not_after;
};

// How things stand.
struct Standing {
  base::WallTime now;
  queue::Readiness readiness = queue::Readiness::Ready;
  bool is_stopping = false;
  std::uint32_t connections_in = 0;
  std::uint32_t connections_in_max = 0;
  std::uint32_t connections_out = 0;
  std::uint32_t connections_out_max = 0;
  std::uint64_t memory_used = 0;  // octets of message data
  std::uint64_t memory_max = 0;
  bool has_memory_for_mail = true;  // else new mail is answered 452
  std::uint64_t disk_free = 0;      // octets, of the disk of state_dir
  std::uint64_t disk_free_min = 0;
  std::string state_dir;
  std::vector<CertificateEnd> certificates;
  std::vector<base::LoopCounts> loops;  // in their order
};

// Whoever knows it, the daemon. From the control socket's loop.
class Monitored {
 public:
  virtual ~Monitored() = default;
  [[nodiscard]] virtual Standing standing() = 0;
  [[nodiscard]] virtual base::CounterTotals counts() = 0;
};

// The queue's rows by state; counting them reads all of them, so that it is not done at each
// scrape.
struct QueueCount {
  std::uint64_t waiting = 0;
  std::uint64_t held = 0;
  std::uint64_t deleted = 0;
  std::optional<base::WallTime> oldest;  // acceptance of the oldest that waits; none: nothing does
  base::WallTime counted;
};

[[nodiscard]] QueueCount count_queue(const queue::QueueSummary& summary, base::WallTime now);

// Without a count, the queue's families are left out.
[[nodiscard]] std::string format_metrics(const base::CounterTotals& counts,
                                         const Standing& standing,
                                         const std::optional<QueueCount>& queue);

// Why mail is not taken, a sentence a line; "": it is.
[[nodiscard]] std::string format_illness(const Standing& standing);

}  // namespace rockdove::admin
