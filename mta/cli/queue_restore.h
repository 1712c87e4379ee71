// The ways for messages back into the queue, for `queue import`: through the daemon's control
// socket while it runs, else into the rows, with the state directory's lock held alone. Whoever is
// root then becomes the owner of the queue, so that the daemon can open it afterwards.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "mta/admin/envelope_text.h"
#include "mta/base/result.h"
#include "mta/cli/mail_folder.h"
#include "mta/cli/queue_source.h"
#include "queue/restore.h"

namespace rockdove::cli {

struct Restored {
  enum class Outcome : std::uint8_t {
    Taken,    // it is in the queue, durably
    Known,    // the queue has it already, or has had it
    Deleted,  // not taken, because a person has deleted it there
  };
  Outcome outcome = Outcome::Taken;
  std::string id;  // in this queue; another one where another message had its own
};

class RestoreTarget {
 public:
  virtual ~RestoreTarget() = default;

  // All of the message, or nothing. Content of other lengths than the envelope's is an error.
  [[nodiscard]] virtual base::Result<Restored> restore(const admin::Envelope& envelope,
                                                       ContentSource& content,
                                                       queue::OfDeleted deleted) = 0;
};

// The daemon, if it answers; else the rows, which `open_rows` opens for writing.
[[nodiscard]] base::Result<std::unique_ptr<RestoreTarget>> open_restore_target(
    const QueuePaths& paths, const OpenRows& open_rows);

// Over rows that nobody else uses; they outlive it.
[[nodiscard]] base::Result<std::unique_ptr<RestoreTarget>> make_rows_target(queue::Rows& rows);

}  // namespace rockdove::cli
