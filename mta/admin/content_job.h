// GET /v1/queue/content: the octets of a message that is in the queue, just as they will be sent.
// The header block, then the body chunk by chunk, with a pause whenever the client does not keep
// up: of a large message at most two chunks are in memory.
#pragma once

#include <memory>

#include "mta/admin/exchange.h"
#include "mta/base/loop.h"
#include "queue/store.h"

namespace rockdove::admin {

// Parameters: id, of a message or delivery; part, "header" or "body", else both; octets, at most so
// many of the body. The answer is message/rfc822. One that breaks off has no last chunk: the
// message ended meanwhile, or could not be read.
void start_content(base::Loop& loop, queue::Store& store, std::shared_ptr<Exchange> exchange);

}  // namespace rockdove::admin
