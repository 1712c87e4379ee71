// The queue as people and scripts see it: JSON, one object a line, without the line's end; and the
// sentence that says why a delivery waits. The daemon writes it to the control socket; a command
// that looks at a queue without a daemon makes the very same lines.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mta/admin/acts.h"
#include "mta/admin/route_explainer.h"
#include "mta/base/result.h"
#include "mta/base/time.h"
#include "queue/store.h"

namespace rockdove::admin {

// "waits until 21:15 (in 4m30s) because mx.example.net[192.0.2.1]:25 answered "451 try later",
// attempt 3". Times of day are local ones.
[[nodiscard]] std::string explain(const queue::Delivery& delivery, base::WallTime now);

// "waiting", "held", "deleted".
[[nodiscard]] std::string_view state_name(queue::DeliveryState state);

// "ordinary", "report", "postmaster-report".
[[nodiscard]] std::string_view kind_name(queue::MessageKind kind);

using Parameters = std::vector<std::pair<std::string, std::string>>;

// What a filter may say (queue/filter.h), with the words of `--help`.
struct FilterName {
  std::string_view name;  // as in JSON and targets, "older_than"; the option is "--older-than"
  std::string_view help;
};

[[nodiscard]] std::vector<FilterName> filter_names();
// An address of ours, written as it is kept ("2001:DB8::1" becomes "2001:db8::1"), or a pattern
// with "*". An error: it is neither.
[[nodiscard]] base::Result<std::string> parse_source_pattern(const std::string& text);
// Each of filter_names() at most once, all optional. Domains may have U-labels. An error names what
// is unknown or unreadable.
[[nodiscard]] base::Result<queue::QueueFilter> parse_filter(const Parameters& parameters,
                                                            base::WallTime now);

struct ListQuery {
  queue::QueueFilter filter;
  std::uint64_t limit = 0;  // messages; 0: all
};

// A filter and `limit`.
[[nodiscard]] base::Result<ListQuery> parse_list(Parameters parameters, base::WallTime now);
// `by` (destination, sender, user, reason, tenant, campaign or provider) and `limit` of lines: by
// default all destinations, and the largest 100 of the others.
[[nodiscard]] base::Result<queue::SummaryRequest> parse_summary(const Parameters& parameters,
                                                                base::WallTime now);

// The keys of Postfix's `postqueue -j` (queue_name, queue_id, arrival_time, message_size,
// forced_expire, sender, recipients with address and delay_reason), and more of our own.
[[nodiscard]] std::string format_listed(const queue::MessageWithDeliveries& message,
                                        base::WallTime now);
// A line a state and name, and a last one {"lines_left_out": …, "deliveries_in_all": …} when some
// were left out.
[[nodiscard]] std::vector<std::string> format_summary(const queue::QueueSummary& summary,
                                                      queue::SummaryBy by);
// {"message": as format_listed(), and body_size and header: […], its fields decoded; or null,
// "history": […]}.
[[nodiscard]] std::string format_view(const queue::MessageView& view, base::WallTime now);
// A pause, for lists of them and as the answer to one who sets or ends it.
[[nodiscard]] std::string format_pause(const queue::Pause& pause, base::WallTime now);
[[nodiscard]] std::string format_act(base::DeliveryId id, const base::Result<ActOutcome>& outcome);
[[nodiscard]] std::string format_route(const RouteExplanation& route, base::WallTime now);
// {"error": text}
[[nodiscard]] std::string format_error(std::string_view text);

}  // namespace rockdove::admin
