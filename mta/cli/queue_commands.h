// `rockdove queue list|show|summary|retry|delete` and `rockdove route`, once their options are
// parsed: what they ask of a QueueSource and what they print.
#pragma once

#include <map>
#include <ostream>
#include <string>
#include <vector>

#include "mta/admin/acts.h"
#include "mta/base/time.h"
#include "mta/cli/queue_source.h"

namespace rockdove::cli {

// The exit status.
enum class Ended : std::uint8_t { Done = 0, Failed = 1, Usage = 2 };

enum class Show : std::uint8_t { Table, Json };

// Where the output goes: a terminal obeys control characters, which only octets for a file may
// have.
enum class Onto : std::uint8_t { Terminal, File };

struct Output {
  std::ostream& out;
  std::ostream& error;
  base::WallTime now;
  Show show = Show::Table;
  Onto onto = Onto::Terminal;
};

// Says so on the error stream, behind all that was printed.
Ended fail(const Output& output, const base::Error& error);

// As given on the command line, by admin::filter_names(); "": not given.
struct FilterOptions {
  std::map<std::string, std::string> given;

  [[nodiscard]] admin::Parameters parameters() const;
};

// How `queue list` shows what matches.
struct ListOptions {
  std::uint64_t limit = 0;  // messages; 0: all, or with `sort` kSortedMax
  std::string sort;         // a name of sort_names(); "": as the queue has them
  bool is_count_only = false;
};

// Of more messages only the first so many are kept and shown in order.
inline constexpr std::uint64_t kSortedMax = 10'000;
// "age", "size", "attempts", "sender", "destination"; the oldest, largest, most tried first.
[[nodiscard]] std::vector<std::string> sort_names();

enum class Confirmation : std::uint8_t { Missing, DryRun, Yes };

[[nodiscard]] Ended run_queue_list(QueueSource& source, const FilterOptions& filter,
                                   const ListOptions& options, const Output& output);

// How `queue summary` sums up: `by` and `limit` as admin::parse_summary() takes them, "" for its
// default.
struct SummaryOptions {
  std::string by;
  std::string limit;
  bool has_ages = false;
};

[[nodiscard]] Ended run_queue_summary(QueueSource& source, const SummaryOptions& options,
                                      const Output& output);
// Either ids or a filter. A filter's counts are printed first; without a confirmation that is all,
// and a usage error.
[[nodiscard]] Ended run_queue_act(QueueSource& source, const ActCall& call,
                                  const std::vector<std::string>& ids, const FilterOptions& filter,
                                  Confirmation confirmation, const Output& output);
[[nodiscard]] Ended run_pause_list(QueueSource& source, const Output& output);
[[nodiscard]] Ended run_pause(QueueSource& source, const PauseCall& call, const Output& output);
[[nodiscard]] Ended run_resume(QueueSource& source, const PauseCall& call, const Output& output);
[[nodiscard]] Ended run_route(QueueSource& source, const std::string& address,
                              const Output& output);

}  // namespace rockdove::cli
