// Which of our addresses mail goes from. For each job a source of its tenant's pool, in turns by
// weight, of those that can reach the site and may be used now; and the site as it is seen from
// there: an account of its own, because receivers count by our address. Belongs to a home.
//
// A source that its machine does not have is set aside, one that people have paused likewise. One
// that is used up for an account (take_nothing()) is passed over while others are not; with none
// left, mail waits at its home until the first is free, or goes by another route. Where the system
// chooses the address, the account of the site may be used up likewise.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "mta/base/time.h"
#include "mta/outbound/settings.h"
#include "mta/outbound/site.h"
#include "queue/pauses.h"

namespace rockdove::outbound {

// Addresses of sources that are not on this machine at the moment.
using AbsentAddresses = std::unordered_set<base::IpAddress>;

// The site as mail from this source sees it: its hosts of the source's family, what traffic
// profiles say of the source laid over, and an account whose name ends in " from ADDRESS". Null: it
// has no such host.
[[nodiscard]] std::shared_ptr<const Site> seen_from(const Site& site,
                                                    const std::shared_ptr<const Source>& source);

// The name of its account without the source that it is seen from, if any.
[[nodiscard]] std::string_view account_of_all_sources(const Site& site);

// The pool that the mail of this tenant ("": of nobody) leaves from: the first that names it, or
// that of all the others. Null: the system chooses the address.
[[nodiscard]] const SourcePool* pool_of(const OutboundSettings& settings, std::string_view tenant);

// Whether another source is in the pool of the tenant ("": of nobody), where it may be used or not.
[[nodiscard]] bool has_companions(const OutboundSettings& settings, const Source& source,
                                  std::string_view tenant);

class SourceChooser {
 public:
  // Of one destination, as long as its site is known.
  struct Turns {
    std::uint64_t point = 0;  // where the next turn falls, of 2^64; begin anywhere
    // The site from each source that was chosen, by its name.
    std::unordered_map<std::string, std::shared_ptr<const Site>> sites{};
  };

  // Why there is none to use: people have paused them; each takes nothing for a while; this machine
  // has none of them; or none has the family of the hosts.
  enum class None : std::uint8_t { Paused, UsedUp, Absent, OtherFamily };

  struct Choice {
    // As it was given where the system chooses the address; null: there is none to use.
    std::shared_ptr<const Site> site;
    None none = None::OtherFamily;  // then
    std::string problem{};          // then, but with None::UsedUp, as a sentence without a dot
    base::Instant free_at{};        // with None::UsedUp
  };

  // The settings outlive it.
  explicit SourceChooser(const OutboundSettings& settings);

  // Also when the settings it refers to were replaced; Turns are begun anew then, too, and nothing
  // is used up.
  void settings_replaced();

  void use_absent(std::shared_ptr<const AbsentAddresses> absent) { absent_ = std::move(absent); }

  // This account takes nothing before then.
  void take_nothing(const std::string& account, base::Instant until);

  // When this account takes mail again; `now` if it does.
  [[nodiscard]] base::Instant free_at(const std::string& account, base::Instant now) const;
  // When the first source of this tenant's pool takes mail for the site again; of those that can
  // reach it or not. Where the system chooses the address: when the site's account does.
  [[nodiscard]] base::Instant free_at(const Site& site, std::string_view tenant,
                                      base::Instant now) const;

  // `pauses` may be null. `avoided` is the address that it is not to leave from, if there is
  // another one; "": any may be used.
  [[nodiscard]] Choice choose(const std::shared_ptr<const Site>& site, std::string_view tenant,
                              Turns& turns, const queue::Pauses* pauses, base::Instant now,
                              std::string_view avoided = {});

  // What part of the mail to a site leaves from a source; all parts together are 1.
  struct Share {
    std::shared_ptr<const Site> site;  // as seen from there
    double part = 1;
  };

  // For estimates: how the mail of nobody in particular is shared out as things stand, by weight.
  // As given, and alone, where the system chooses the address; empty: no source can be used.
  [[nodiscard]] std::vector<Share> shares(const std::shared_ptr<const Site>& site,
                                          const queue::Pauses* pauses, base::Instant now) const;

  // The site as seen from each source of this tenant's pool that can reach it, whether it may be
  // used or not; as given, and alone, where the system chooses the address.
  [[nodiscard]] std::vector<std::shared_ptr<const Site>> ways(
      const std::shared_ptr<const Site>& site, std::string_view tenant) const;

 private:
  struct Candidates;

  // Null: the system chooses the address.
  [[nodiscard]] const SourcePool* pool_for(const Site& site, std::string_view tenant) const;
  [[nodiscard]] Candidates candidates_of(const SourcePool& pool, const Site& site,
                                         const queue::Pauses* pauses, base::Instant now) const;

  const OutboundSettings& settings_;
  std::shared_ptr<const AbsentAddresses> absent_;           // null: none is known to be
  std::unordered_map<std::string, base::Instant> used_up_;  // by account
};

}  // namespace rockdove::outbound
