// `rockdove queue show`: the envelope, the attempts, the header with its encoded words decoded, and
// the body. Whatever strangers wrote reaches a terminal without its control characters; --raw gives
// the octets as they are to a file or a pipe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mta/cli/queue_commands.h"

namespace rockdove::cli {

enum class ShowWhat : std::uint8_t {
  Page,     // all, with the beginning of the body
  Headers,  // all fields
  Body,     // whole
  Raw,      // header and body, the octets as they will be sent
};

// Messages that have left the queue have only their history.
[[nodiscard]] Ended run_queue_show(QueueSource& source, const std::vector<std::string>& ids,
                                   ShowWhat what, const Output& output);

// The page of a line as admin::format_view() makes it, without the body.
[[nodiscard]] std::string message_page(std::string_view line, base::WallTime now);

}  // namespace rockdove::cli
