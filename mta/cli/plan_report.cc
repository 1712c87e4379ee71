#include "mta/cli/plan_report.h"

#include <algorithm>

#include <fmt/format.h>

#include "mta/cli/json_text.h"
#include "mta/cli/safe_text.h"
#include "mta/traffic/rate.h"

namespace rockdove::cli {

using nlohmann::ordered_json;
using queue::Limit;
using queue::RehearsedAccount;

namespace {

constexpr std::size_t kNameColumns = 36;

RehearsedAccount sum_of(std::vector<RehearsedAccount>::const_iterator first,
                        std::vector<RehearsedAccount>::const_iterator last) {
  RehearsedAccount sum;
  for (auto account = first; account != last; ++account) {
    sum.messages += account->messages;
    sum.sent += account->sent;
    sum.sites += account->sites;
    sum.connections += account->connections;
    if (account->last >= sum.last) {
      sum.last = account->last;
      sum.limit = account->limit;
    }
  }
  return sum;
}

// The one that takes longest first.
std::vector<RehearsedAccount> sorted(std::vector<RehearsedAccount> accounts) {
  std::stable_sort(accounts.begin(), accounts.end(),
                   [](const RehearsedAccount& a, const RehearsedAccount& b) {
                     const bool a_ends = a.sent == a.messages;
                     const bool b_ends = b.sent == b.messages;
                     return a_ends != b_ends ? !a_ends : a.last > b.last;
                   });
  return accounts;
}

std::string row_of(const std::string& name, const RehearsedAccount& account, base::WallTime begin) {
  const bool ends = account.sent == account.messages;
  const double seconds = std::chrono::duration<double>(account.last).count();
  return fmt::format("{:<36} {:>10} {:>6} {:>10} {:<19} {:>9} {}\n",
                     cut(safe_text(name), kNameColumns), account.messages, account.sites,
                     ends ? base::format_duration(account.last) : "not yet",
                     ends ? local_time(base::to_unix_milliseconds(begin + account.last) / 1000)
                          : std::to_string(account.sent) + " by then",
                     account.sent > 0 && seconds > 0
                         ? traffic::format_pace(static_cast<double>(account.sent) / seconds)
                         : "",
                     name_of(account.limit));
}

ordered_json account_as_json(const RehearsedAccount& account) {
  return {{"recipients", account.messages},
          {"sent", account.sent},
          {"sites", account.sites},
          {"seconds", std::chrono::duration<double>(account.last).count()},
          {"connections", account.connections},
          {"limited_by", name_of(account.limit)}};
}

}  // namespace

std::string_view name_of(Limit limit) {
  switch (limit) {
    case Limit::Nothing:
      return "nothing";
    case Limit::Rate:
      return "rate";
    case Limit::ConnectionRate:
      return "rate of connections";
    case Limit::AccountConnections:
      return "connections to the provider";
    case Limit::SiteConnections:
      return "connections to a site";
    case Limit::Window:
      return "growing window of a site";
    case Limit::AllConnections:
      return "all connections of the relay";
  }
  return "";
}

std::string format_plan(const std::vector<RehearsedAccount>& accounts, const Unplanned& unplanned,
                        base::WallTime begin, std::size_t shown_max) {
  const std::vector<RehearsedAccount> order = sorted(accounts);
  std::string text = fmt::format("{:<36} {:>10} {:>6} {:>10} {:<19} {:>9} {}\n", "ACCOUNT",
                                 "RECIPIENTS", "SITES", "TAKES", "DONE AT", "PACE", "LIMITED BY");
  const std::size_t shown = std::min(order.size(), shown_max);
  for (std::size_t i = 0; i < shown; ++i) text += row_of(order[i].name, order[i], begin);
  const auto rest = order.begin() + static_cast<std::ptrdiff_t>(shown);
  if (rest != order.end()) {
    text += row_of("(" + std::to_string(order.size() - shown) + " others)",
                   sum_of(rest, order.end()), begin);
  }
  text += row_of("(all)", sum_of(order.begin(), order.end()), begin);
  if (unplanned.no_hosts > 0) {
    text += std::to_string(unplanned.no_hosts) +
            " recipients would be returned: their domains take no mail\n";
  }
  if (unplanned.unknown > 0) {
    text += std::to_string(unplanned.unknown) +
            " recipients are not in it: the DNS says nothing of their domains now\n";
  }
  if (unplanned.kept > 0) {
    text += std::to_string(unplanned.kept) +
            " recipients are not in it: a route keeps their mail here, or discards it\n";
  }
  return text;
}

std::vector<ordered_json> plan_as_json(const std::vector<RehearsedAccount>& accounts,
                                       const Unplanned& unplanned) {
  std::vector<ordered_json> lines;
  const std::vector<RehearsedAccount> order = sorted(accounts);
  for (const RehearsedAccount& account : order) {
    ordered_json line = {{"account", safe_text(account.name)}};
    line.update(account_as_json(account));
    lines.push_back(std::move(line));
  }
  ordered_json total = {{"total", true}};
  total.update(account_as_json(sum_of(order.begin(), order.end())));
  total["no_hosts"] = unplanned.no_hosts;
  total["unknown"] = unplanned.unknown;
  total["kept"] = unplanned.kept;
  lines.push_back(std::move(total));
  return lines;
}

}  // namespace rockdove::cli
