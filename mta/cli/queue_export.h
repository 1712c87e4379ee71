// `rockdove queue export DIR`, `import DIR` and what they say: messages out of a queue into a
// folder of files (mail_folder.h), and back. contrib/doc/rescue.md tells people when they need
// which.
#pragma once

#include <string>
#include <vector>

#include "mta/cli/mail_folder.h"
#include "mta/cli/queue_commands.h"
#include "mta/cli/queue_restore.h"

namespace rockdove::cli {

// Those of these ids, or that the filter means, or all that are not deleted. What leaves the queue
// meanwhile is no failure; what could not be written out is named.
[[nodiscard]] Ended run_queue_export(QueueSource& source, const std::string& folder,
                                     const std::vector<std::string>& ids,
                                     const FilterOptions& filter, const Output& output);

// How `queue import` judges the content.
enum class Contents : std::uint8_t { AsExported, Edited };

// Failed: not all of it is in the queue, or has been there.
[[nodiscard]] Ended run_queue_import(RestoreTarget& target, const std::string& folder,
                                     Contents contents, queue::OfDeleted deleted,
                                     const Output& output);

}  // namespace rockdove::cli
