// Everything that is read from the queue's rows, each function in one consistent view, without
// threads. queue::ThreadedStore calls them on its reader threads, tests/sim in a turn of its own.
// What the arguments and answers mean stands in queue/store.h.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "queue/rows.h"
#include "queue/store.h"

namespace rockdove::queue {

[[nodiscard]] Result<std::shared_ptr<const std::string>> read_chunk(const Rows& rows, MessageId id,
                                                                    std::uint32_t index);
// A message or delivery whose row is damaged is left out; `damaged` is told why, once for each.
using Damaged = std::vector<Error>;
[[nodiscard]] Result<LoadedQueue> load(const Rows& rows, const LoadRequest& request,
                                       Damaged& damaged);
[[nodiscard]] Result<std::vector<FoundQueue>> find_queues(const Rows& rows, unsigned loop,
                                                          unsigned loops);
[[nodiscard]] Result<ListedPage> list(const Rows& rows, const ListRequest& request,
                                      Damaged& damaged);
[[nodiscard]] Result<SelectedPage> select_deliveries(const Rows& rows, const SelectRequest& request,
                                                     Damaged& damaged);
[[nodiscard]] Result<QueueSummary> summarise(const Rows& rows, const SummaryRequest& request);
[[nodiscard]] Result<MessageView> view_message(const Rows& rows, MessageId id, Damaged& damaged);
[[nodiscard]] Result<ReportState> read_report_state(const Rows& rows, MessageId id);
[[nodiscard]] Result<std::vector<NotedRow>> read_notes(const Rows& rows, std::string_view kind);

}  // namespace rockdove::queue
