// Warm-up plans at work: how much each source may send today, of the accounts of one loop, and how
// far their plans have come (mta/traffic/warm_up.h). What a plan has reached is kept in the store
// (family `sites`, kind queue::kWarmUpNotes).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "mta/base/seldom.h"
#include "mta/outbound/environment.h"
#include "mta/outbound/session.h"
#include "mta/outbound/site.h"
#include "mta/traffic/warm_up.h"

namespace rockdove::outbound {

// The plan for this source at this account, by its provider; null: there is none.
[[nodiscard]] const WarmUpOrder* find_warm_up(const OutboundSettings& settings,
                                              const Source& source, std::string_view account);

class WarmUps {
 public:
  static constexpr std::size_t kAccountsKept = 50'000;

  explicit WarmUps(const Environment& environment) : env_(environment) {}

  // What a former run knew of an account of this loop.
  void restore(std::string_view account, std::string_view value);

  // The site with what its source may send there today among the rates of its account; mostly the
  // site itself.
  [[nodiscard]] std::shared_ptr<const Site> as_planned(const std::shared_ptr<const Site>& site);
  void learn(const JobReport& report, const Site& site);
  // Whether nothing more goes today, because too much was pushed back, and until when.
  [[nodiscard]] std::optional<base::Instant> stopped_until(const Site& site);

  // For people: "warm-up day 3 of 8: 200 messages; today 120 accepted, 4 pushed back"; "": no plan.
  [[nodiscard]] std::string describe(const Site& site) const;

  // Writes what was not written yet, because the process ends.
  void store_all();

 private:
  struct Account {
    traffic::WarmUp warm_up;
    traffic::WarmUpState stored{};
    base::Instant stored_at{};
    // The last that as_planned() was asked about, and its answer.
    std::shared_ptr<const Site> asked{};
    std::uint32_t allowance = 0;
    std::shared_ptr<const Site> planned{};
  };

  // Null: no plan.
  [[nodiscard]] Account* account_of(const Site& site);
  void store(const std::string& name, Account& account);
  void drop_row(std::string_view name);
  // Of which nothing would be missed.
  void forget_some();

  const Environment& env_;
  std::map<std::string, Account, std::less<>> accounts_;
  base::Seldom swept_;
};

}  // namespace rockdove::outbound
