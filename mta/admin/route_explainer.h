// Where mail to an address would go, and why: what `rockdove route ADDRESS` shows. The daemon
// implements it with the router and the resolver that deliveries use.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "mta/base/result.h"
#include "mta/base/unique_function.h"
#include "queue/learned.h"
#include "queue/pauses.h"

namespace rockdove::admin {

struct RouteHost {
  std::string name;
  unsigned preference = 0;
  std::vector<std::string> addresses;  // as tried, in this order
  std::vector<std::string> notes;      // what is remembered of it: "TLS does not work there: …"
};

struct RouteExplanation {
  std::string address;      // as it was read
  std::string destination;  // what the queue sorts it under
  std::string rule;         // "route 2: *@example.com", "no route matches: by MX"
  // What the rule comes to: "to", "protocol", "TLS", "user", with their values; never a password.
  std::vector<std::pair<std::string, std::string>> settings;
  std::vector<std::pair<std::string, std::string>> answers;  // DNS question and answer, in order
  std::vector<RouteHost> hosts;                              // in the order of trying
  std::string site;
  std::string account;
  std::vector<std::pair<std::string, std::string>> limits;  // name and value
  // What traffic rules did to its account in this run, the last to act first: a sentence each.
  std::vector<std::string> taught;
  // What people have paused: its destination, its site, everything; and each user's mail, because
  // an address does not say whose mail it would be.
  std::vector<queue::Pause> pauses;
  std::string conclusion;  // one sentence: what would happen to a message now
};

class RouteExplainer {
 public:
  using Done = base::UniqueFunction<void(base::Result<RouteExplanation>)>;

  virtual ~RouteExplainer() = default;
  // `done` runs on the control socket's loop, once, never within this call. An error is a bad
  // address.
  virtual void explain(std::string address, Done done) = 0;

  using PacesDone = base::UniqueFunction<void(std::vector<queue::LearnedPace>)>;
  // What was learned of all accounts; `done` likewise.
  virtual void paces(PacesDone done) = 0;
};

}  // namespace rockdove::admin
