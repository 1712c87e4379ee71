// Where a delivery stands within the running daemon, beyond what its row says: what `rockdove queue
// why` asks. The daemon implements it: the home of the delivery's destination and whoever may have
// it at the moment are asked on their own loops, for at most a second.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "mta/base/ids.h"
#include "mta/base/time.h"
#include "mta/base/unique_function.h"
#include "queue/pauses.h"
#include "queue/settings.h"
#include "queue/store.h"
#include "queue/types.h"

namespace rockdove::admin {

struct Whereabouts {
  enum class Place : std::uint8_t {
    NoDaemon,   // nobody runs
    Silent,     // a loop that should know did not answer within a second
    OnDisk,     // its row waits for its time, or for room in memory
    Resolving,  // the DNS is asked for its destination
    InMemory,   // it waits for its turn, with those of its site
    BeingSent,
    OnItsWay,  // between two of these: its turn comes, or its result is being written
  };
  // Why it waits in memory, as queue::Scheduler::Gate.
  enum class Gate : std::uint8_t { Open, Paused, Budget, Source, Window, Backoff, Rate, Account };

  Place place = Place::NoDaemon;
  bool is_stopping = false;
  queue::Readiness readiness = queue::Readiness::Ready;
  bool is_memory_short = false;
  std::vector<queue::Pause> pauses;  // of persons', that are about it
  std::uint64_t out = 0;             // deliveries of its queue that are in memory or being sent
  std::uint64_t room = 0;            // how many of them may be; more are read at half of it
  // Its destination's DNS is asked again then; not later than now: at once.
  base::WallTime asked_again{};

  // Of its site, where that is known.
  std::string site;
  base::WallTime site_paused_until{};
  std::string site_pause_reason;
  std::uint32_t connections = 0;
  std::uint32_t window = 0;                   // connections that it may have at the moment
  std::uint32_t connections_max = 0;          // and at most
  bool is_proven = false;                     // it has taken mail within the last ten minutes
  std::string account;                        // the site itself, or "provider:NAME" with more sites
  std::uint32_t account_connections = 0;      // of all its sites
  std::uint32_t account_connections_max = 0;  // and at most; 0: no limit of its own
  std::string rates;                          // that hold for messages, "50/min"; "": none
  base::WallTime next_grant{};                // with rates: when they let the next one go
  // A budget of an hour or more of the account that has no room for it now: "10000 recipients a
  // day", "" where it is not known which; and when it has. Then it goes by another route if
  // `overflow` names one.
  std::string used_up{};
  base::WallTime used_up_until{};
  bool has_sources = false;  // mail leaves from configured sources, each with a budget of its own
  std::string overflow{};
  Gate gate = Gate::Open;
  std::uint64_t before = 0;  // deliveries of its destination in memory that go first

  // Being sent.
  std::string host;
  std::string stage;  // "connect", "RCPT", …
  base::WallTime since{};
  bool past_final_dot = false;

  // When it will have gone, if nothing changes. In memory: about, behind `before` others of its
  // account; on disk: at the latest, since all `before` others of its account may go first.
  struct Estimate {
    base::WallTime at{};
    std::uint64_t before = 0;
  };

  std::optional<Estimate> goes{};  // none: nobody can say, or something else decides

  // Its tenant or campaign, with its rates, that is at its limit: "tenant shop.example (10/s)"; "":
  // neither is.
  std::string sender_limit{};
  base::WallTime sender_limit_until{};
  // A traffic rule has paused the mail of its tenant to its account; in the past: none has.
  base::WallTime tenant_paused_until{};
  std::string tenant_pause_reason{};  // the reply, and which rule it matched
  std::string source_pause_reason{};  // likewise of one of its sources; "": no rule has
};

// What decides about waits, as the configuration has it.
struct WhySettings {
  queue::QueueSettings queue;
  std::uint32_t connections_out = 0;     // what limits.connections_out comes to
  std::vector<std::string> providers{};  // that the traffic profiles name
};

// Mail that waits for one destination.
struct Waiting {
  std::string destination;
  std::uint64_t deliveries = 0;  // 0: only whose budget it shares is asked
  base::WallTime latest_due{};   // of these
  std::uint64_t octets = 0;      // of the messages of these deliveries, each by itself
};

// When the mail of an account will have gone, if nothing changes.
struct AccountForecast {
  base::WallTime done{};  // the last of it, as far as it is known; not later than now: at once
  std::uint64_t not_known = 0;  // deliveries of which nobody can say
  std::string why_not_known;    // why of most of these: "its hosts take no mail at the moment"
  // A budget of an hour or more that has no room now, "10000 recipients a day", and when it has.
  std::string used_up{};
  base::WallTime used_up_until{};
};

struct Forecast {
  // The account of each destination that was asked about and is known here at the moment: what has
  // just been looked up, or waits to be sent.
  std::map<std::string, std::string> account_of;
  std::map<std::string, AccountForecast> accounts;  // of those that were asked with deliveries
};

class QueueExplainer {
 public:
  using Done = base::UniqueFunction<void(Whereabouts)>;
  using ForecastDone = base::UniqueFunction<void(Forecast)>;

  virtual ~QueueExplainer() = default;
  [[nodiscard]] virtual WhySettings why_settings() const = 0;
  // From the control socket's loop; `done` runs there, once, within about a second and never within
  // this call.
  virtual void locate(const queue::Message& message, const queue::Delivery& delivery,
                      Done done) = 0;
  // From the same loop, `done` likewise. Each delivery counts as a message of its own.
  virtual void forecast(std::vector<Waiting> waiting, ForecastDone done) = 0;
};

}  // namespace rockdove::admin
