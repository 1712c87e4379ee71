// What `rockdove trace`, `stats` and `traffic replay` ask for and what they are told, as parameters
// and as JSON, one object a line. The daemon answers so on the control socket; a command that looks
// at a queue without a daemon makes the very same lines.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mta/admin/queue_text.h"
#include "mta/base/result.h"
#include "queue/tally.h"
#include "queue/trace.h"

namespace rockdove::admin {

inline constexpr std::uint32_t kTracedDefault = 100;
inline constexpr std::uint32_t kTracedMax = 1'000'000;
inline constexpr std::uint32_t kStatsLinesDefault = 100;

// A moment as people write it: "3d" or "4h30m" (so long ago), "2026-11-22", "2026-11-22 14:05",
// with or without seconds; local time, unless it ends in Z.
[[nodiscard]] base::Result<base::WallTime> parse_moment(std::string_view text, base::WallTime now);

// One question, asked page by page.
class TraceRun {
 public:
  // id, message_id, sender, recipient, domain, client, tenant, campaign, since, until, limit; each
  // at most once, and at least one besides limit. An error names what is unknown or unreadable.
  [[nodiscard]] static base::Result<TraceRun> parse(const Parameters& parameters,
                                                    base::WallTime now);

  // The next page to ask for; nullopt: all was told.
  [[nodiscard]] const std::optional<queue::TraceRequest>& request() const { return request_; }

  // The page that request() asked for: a line for each message, the newest first. Where the limit
  // cuts it off, a last line {"more": true}.
  void take(queue::TracedPage page, const std::function<void(std::string_view)>& line);

 private:
  std::optional<queue::TraceRequest> request_ = queue::TraceRequest{};
  std::uint32_t left_ = kTracedDefault;
};

// {"queue_id", "accepted", "sender", …, "recipients": [{"id", "address", "state", "steps": […]}]}.
[[nodiscard]] std::string format_traced(const queue::TracedMessage& message);

// One table, counted page by page.
class StatsRun {
 public:
  // by (hour, day, destination, sender, client), since, until, limit; all optional.
  [[nodiscard]] static base::Result<StatsRun> parse(const Parameters& parameters,
                                                    base::WallTime now);

  // The next messages to count; nullopt: all were.
  [[nodiscard]] const std::optional<queue::WalkRequest>& request() const { return request_; }

  // Counts one of them; on any one thread at a time.
  void count(const queue::TracedMessage& message);

  // All of request() were counted; `from`: where to go on.
  void counted(std::optional<base::MessageId> from);

  // A line for each name; then, by name, one for those that the limit or the memory left out, and
  // one with the totals.
  void tell(const std::function<void(std::string_view)>& line) const;

 private:
  std::optional<queue::WalkRequest> request_ = queue::WalkRequest{};
  queue::TallyBy by_ = queue::TallyBy::Hour;
  std::uint32_t lines_max_ = kStatsLinesDefault;
  base::WallTime since_;  // accepted
  base::WallTime until_;  // likewise, before
  std::shared_ptr<queue::Tally> tally_;
};

// What servers said to attempts that failed, for `rockdove traffic replay`: page by page, so that
// five million replies need no more memory than one page of them.
class RepliesRun {
 public:
  // since, until: accepted; without `since` all that is kept.
  [[nodiscard]] static base::Result<RepliesRun> parse(const Parameters& parameters,
                                                      base::WallTime now);

  // The next messages to look at; nullopt: all were.
  [[nodiscard]] const std::optional<queue::WalkRequest>& request() const { return request_; }

  // Takes the replies to one of them; on any one thread at a time.
  void look_at(const queue::TracedMessage& message);

  // All of request() were looked at; `from`: where to go on. A line for each of their replies:
  // {"id", "at", "domain", "host", "reply", "ended"}; behind the last page one
  // {"total": true, "messages", "replies", "replies_left_out"}.
  void looked(std::optional<base::MessageId> from,
              const std::function<void(std::string_view)>& line);

 private:
  std::optional<queue::WalkRequest> request_ = queue::WalkRequest{};
  base::WallTime since_;  // accepted
  base::WallTime until_;  // likewise, before
  std::vector<std::string> lines_;
  std::uint64_t messages_ = 0;
  std::uint64_t replies_ = 0;
  std::uint64_t left_out_ = 0;
};

}  // namespace rockdove::admin
