// Where the queue commands look and act: the running daemon, over its control socket, or, when none
// runs, the queue's rows themselves, for reading only. Both give the same lines
// (admin/queue_text.h).
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mta/admin/acts.h"
#include "mta/admin/queue_explainer.h"
#include "mta/admin/queue_text.h"
#include "mta/base/result.h"
#include "mta/cli/control_client.h"
#include "queue/rows.h"

namespace rockdove::cli {

// What is wanted of a message's octets.
struct ContentWanted {
  enum class Part : std::uint8_t { All, Header, Body };
  std::string id;  // of a message or delivery
  Part part = Part::All;
  std::uint64_t body_octets_max = std::numeric_limits<std::uint64_t>::max();
};

// An act, and the word that goes with it (admin::word_of()); "": none was given.
struct ActCall {
  admin::Act act = admin::Act::Retry;
  std::string word{};
};

// A pause, as it was asked for. Its texts are the daemon's to check; "": not given.
struct PauseCall {
  queue::PauseKind kind = queue::PauseKind::Everything;
  std::string name{};
  std::string time{};  // how long
  std::string reason{};
};

class QueueSource {
 public:
  virtual ~QueueSource() = default;

  // Whether the daemon answers: without it the queue can only be looked at.
  [[nodiscard]] virtual bool is_running() const { return true; }

  // A filter, and perhaps `limit`.
  [[nodiscard]] virtual base::Result<void> list(const admin::Parameters& query,
                                                const LineSink& sink) = 0;
  // One line, {"deliveries": N}.
  [[nodiscard]] virtual base::Result<void> count(const admin::Parameters& filter,
                                                 const LineSink& sink) = 0;
  // As admin::parse_summary().
  [[nodiscard]] virtual base::Result<void> summarise(const admin::Parameters& query,
                                                     const LineSink& sink) = 0;
  // One line. An error when there is no such message.
  [[nodiscard]] virtual base::Result<void> show(const std::string& id, const LineSink& sink) = 0;
  // The octets of a message that is in the queue, as they will be sent. An error behind some of
  // them: the rest could not be had.
  [[nodiscard]] virtual base::Result<void> content(const ContentWanted& wanted,
                                                   const OctetSink& sink) = 0;
  // A line for the delivery, or for each one of the message (admin::format_why()).
  [[nodiscard]] virtual base::Result<void> why(const std::string& id, const LineSink& sink) = 0;
  // One line with the count of the deliveries that the act would change.
  [[nodiscard]] virtual base::Result<void> count(const ActCall& call,
                                                 const admin::Parameters& filter,
                                                 const LineSink& sink) = 0;
  // A line for each delivery for which it was not done, then one with the totals.
  [[nodiscard]] virtual base::Result<void> act(const ActCall& call, const admin::Parameters& filter,
                                               const LineSink& sink) = 0;
  // Likewise, for at most admin::kIdsMax ids of messages or deliveries.
  [[nodiscard]] virtual base::Result<void> act(const ActCall& call,
                                               const std::vector<std::string>& ids,
                                               const LineSink& sink) = 0;
  // As admin::TraceRun and admin::StatsRun take and tell it.
  [[nodiscard]] virtual base::Result<void> trace(const admin::Parameters& parameters,
                                                 const LineSink& sink) = 0;
  [[nodiscard]] virtual base::Result<void> stats(const admin::Parameters& parameters,
                                                 const LineSink& sink) = 0;
  [[nodiscard]] virtual base::Result<void> explain_route(const std::string& address,
                                                         const LineSink& sink) = 0;
  // A line a pause; the line of the one that was set or ended. Only a daemon answers.
  [[nodiscard]] virtual base::Result<void> list_pauses(const LineSink& sink);
  [[nodiscard]] virtual base::Result<void> pause(const PauseCall& call, const LineSink& sink);
  [[nodiscard]] virtual base::Result<void> resume(const PauseCall& call, const LineSink& sink);
  // One line, as admin::format_envelope() makes it. An error when it is not in the queue.
  [[nodiscard]] virtual base::Result<void> envelope(const std::string& id, const LineSink& sink);
  // A line an account (admin::format_learned()).
  [[nodiscard]] virtual base::Result<void> learned(const LineSink& sink);
  // As admin::RepliesRun takes and tells it.
  [[nodiscard]] virtual base::Result<void> replies(const admin::Parameters& parameters,
                                                   const LineSink& sink);
};

struct QueuePaths {
  std::string runtime_dir;
  std::string state_dir;
  // As configured, for `queue why` without a daemon.
  std::optional<admin::WhySettings> settings{};
};

// Opens the rows below a state directory for reading, with nobody else there.
using OpenRows =
    std::function<base::Result<std::unique_ptr<queue::Rows>>(const std::string& state_dir)>;

// The daemon's; null: none runs there.
[[nodiscard]] base::Result<std::unique_ptr<QueueSource>> ask_daemon(const QueuePaths& paths);

// The daemon's, if it answers; else the rows, if nobody holds the lock. A daemon that holds it and
// does not answer is an error that names its process.
[[nodiscard]] base::Result<std::unique_ptr<QueueSource>> open_queue_source(
    const QueuePaths& paths, const OpenRows& open_rows);

}  // namespace rockdove::cli
