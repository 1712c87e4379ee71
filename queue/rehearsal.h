// How long a mailing takes: the scheduler itself on a virtual clock, with connections and next hops
// that take as long as they are said to and refuse nothing. `rockdove plan` is made of it.
//
// No network, no store and no sleep: a million messages are a matter of seconds. What is held in
// memory is a few jobs a site, as in the relay.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mta/base/time.h"
#include "mta/traffic/knobs.h"
#include "queue/scheduler.h"
#include "queue/settings.h"

namespace rockdove::queue {

// Mail to one site: so many messages with one recipient each. A site is named once.
struct RehearsedSite {
  SitePointer site;
  std::uint64_t messages = 0;
  std::uint32_t messages_per_connection = 0;  // 0: as QueueSettings says
};

struct RehearsalSettings {
  QueueSettings queue;  // connections_out as it will be; not 0
  base::Duration connecting = std::chrono::milliseconds(300);  // until a session may say MAIL
  base::Duration sending = std::chrono::milliseconds(300);     // from MAIL to the last reply
  base::Duration idle_timeout = std::chrono::seconds(5);
  std::uint64_t message_octets = traffic::kOctetsUnit;  // of each message, for rates of octets
  double accepted_per_second = 0;      // how fast the mail comes in; 0: all of it is there
  std::map<std::string, double> pace;  // by account: messages a second, as learned
  base::Duration longest = std::chrono::hours(24 * 30);  // it ends then at the latest
};

// What keeps an account from being faster.
enum class Limit : std::uint8_t {
  Nothing,             // the mail does not come in faster, or it is done at once
  Rate,                // messages, recipients or octets in a time, or the pace
  ConnectionRate,      // connections begun in a time
  AccountConnections,  // those at once to all its sites
  SiteConnections,     // those at once to one site
  Window,              // which grows with each success
  AllConnections,      // those of the process
};
inline constexpr std::size_t kLimits = 7;

struct RehearsedAccount {
  std::string name;
  std::uint64_t messages = 0;  // to be sent
  std::uint64_t sent = 0;      // fewer: not done within `longest`
  std::size_t sites = 0;
  base::Duration first{0};  // since the start, when the first one was accepted by the next hop
  base::Duration last{0};
  std::uint64_t connections = 0;       // begun
  std::uint32_t connections_most = 0;  // at once
  Limit limit = Limit::Nothing;        // the one that held it up for most of the time
};

// By name.
[[nodiscard]] std::vector<RehearsedAccount> rehearse(const std::vector<RehearsedSite>& sites,
                                                     const RehearsalSettings& settings);

}  // namespace rockdove::queue
