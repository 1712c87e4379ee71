// Keeps the pauses that people have set (queue/pauses.h): reads them at a start, before anything is
// sent; writes each change before it counts; ends those whose time has come; tells the loops. When
// the pause of a user ends, what it has put on hold is released, also across a restart: the row
// stays, marked, until that is done. Belongs to the first loop.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "mta/base/log.h"
#include "mta/base/loop.h"
#include "mta/base/result.h"
#include "mta/base/unique_function.h"
#include "queue/pauses.h"
#include "queue/store.h"

namespace rockdove::daemon {

class PauseKeeper {
 public:
  // Has every loop use these.
  using Publish = std::function<void(const std::shared_ptr<const queue::Pauses>&)>;
  // Releases what this pause of a user has put on hold; true: all of it was gone over.
  using Release = std::function<void(const queue::Pause&, base::UniqueFunction<void(bool)> done)>;
  using Done = base::UniqueFunction<void(base::Result<void>)>;
  using Ended = base::UniqueFunction<void(base::Result<std::optional<queue::Pause>>)>;

  PauseKeeper(base::Loop& loop, queue::Store& store, base::Log& log, Publish publish,
              Release release);

  // Reads them; called again it does nothing.
  void start();

  // All of them, those that are ending included.
  [[nodiscard]] std::vector<queue::Pause> all() const;

  // Both answer when it is durable. resume() with nothing where there is no such pause.
  void pause(queue::Pause pause, Done done);
  void resume(queue::PauseKind kind, const std::string& pattern, const std::string& by,
              Ended ended);

 private:
  void read();
  void take(const std::vector<queue::NotedRow>& rows);
  void publish();
  void set_timer();
  void look_at_clock();
  // Writes that it is over; `written` runs when it no longer counts.
  void end(const std::string& name, const std::string& by, base::UniqueFunction<void()> written);
  void release(const std::string& name);
  void released(const std::string& name, bool is_whole);
  void forget(const std::string& name, base::UniqueFunction<void()> written);

  struct Releasing {
    unsigned passes = 0;  // that went over everything
    base::Instant next{};
    bool is_running = false;
  };

  base::Loop& loop_;
  queue::Store& store_;
  base::Log& log_;
  const Publish publish_;
  const Release release_;
  std::map<std::string, queue::Pause> pauses_;  // by pause_name()
  std::map<std::string, Releasing> releasing_;
  // Being written by pause(): what they replace no longer ends by itself.
  std::multiset<std::string> setting_;
  std::unique_ptr<base::Timer> timer_;
  bool is_reading_ = false;
  bool is_known_ = false;
};

}  // namespace rockdove::daemon
