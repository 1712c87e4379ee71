// What rules of traffic profiles have paused of the accounts of one loop, and until when. The
// scheduler keeps back what goes to paused accounts and sites, Dispatcher what is a paused tenant's
// or leaves from a paused source; here is what all of them must know again after a restart.
//
// Each pause is a row in the store while it lasts (family `sites`, kind queue::kRulePauseNotes).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "mta/outbound/environment.h"
#include "mta/outbound/site.h"
#include "mta/traffic/rule.h"
#include "queue/scheduler.h"

namespace rockdove::outbound {

class RulePauses {
 public:
  // Both outlive it.
  RulePauses(const Environment& environment, queue::Scheduler& scheduler);

  struct Begun {
    std::string what;     // that is paused, for people
    bool is_new = false;  // it was not before
  };

  // From now on, for the time of `pause`; `tenant` is whose mail had the reply. Where it is paused
  // already, the later end counts.
  Begun begin(const traffic::Pause& pause, const std::shared_ptr<const Site>& site,
              const std::string& tenant, const std::string& reason);

  struct Source {
    std::string account;
    base::Instant until;
  };

  // What a former run had paused, before anything is offered; returns what is for Dispatcher to
  // keep back. A row that is over, or cannot be read, is deleted.
  std::optional<Source> restore(std::string_view name, std::string_view value);

  // A job was offered there: the scheduler hears of a pause of its site that was restored.
  void offered(const std::shared_ptr<const Site>& site);

  // Whether the mail of this tenant to the account is paused, and until when.
  [[nodiscard]] std::optional<base::Instant> tenant_until(std::string_view account,
                                                          std::string_view tenant) const;

  // A pause, for people.
  struct Told {
    base::Instant until;
    std::string reason;  // the reply, and which rule it matched
  };

  // Of this tenant's mail to the account (queue::without_source()), and of sources there; of
  // several the one that lasts longest.
  [[nodiscard]] std::optional<Told> of_tenant(std::string_view account,
                                              std::string_view tenant) const;
  [[nodiscard]] std::optional<Told> of_sources(std::string_view account) const;

  // A person has ended what is kept back of this tenant's mail for this site: the pauses of the
  // site, of its account, and of the tenant there.
  void end(const queue::SiteSpec& site, std::string_view tenant);

 private:
  struct One {
    base::Instant until;
    std::string reason;
    bool is_told = true;  // to the scheduler, which knows no site before something is offered
  };

  using Pauses = std::map<std::string, One, std::less<>>;  // by the names of their rows

  // Of those at the account, from whichever source, whose names end so.
  [[nodiscard]] std::optional<Told> longest(std::string_view account,
                                            std::string_view follows) const;
  void keep(const std::string& name, One pause);
  void forget(Pauses::iterator pause);
  void forget_over();

  const Environment& env_;
  queue::Scheduler& scheduler_;
  Pauses pauses_;
  std::set<std::pair<base::Instant, std::string>> ends_;  // of each of them
};

}  // namespace rockdove::outbound
