// What the providers of `rockdove sink --providers` were asked and answered, as a file of lines
//
//   time,provider,verdict,stage,recipient
//   12.345678,yahoo,deferred,mail,
//   12.400012,gmail,accepted,dot,user1@gmail.com
//
// and the clock of their schedules: seconds since the first connection to any of them. The
// recipient is all that follows the fourth comma, and empty where none is known. Lines gather in
// memory; flush() writes them.
#pragma once

#include <string>
#include <string_view>

#include "mta/base/result.h"
#include "mta/base/time.h"
#include "mta/cli/sink_rules.h"

namespace rockdove::cli {

class SinkLog {
 public:
  SinkLog() = default;
  ~SinkLog();
  SinkLog(const SinkLog&) = delete;
  SinkLog& operator=(const SinkLog&) = delete;

  // A new file at `path`, or an old one made empty. Once; without it, lines are dropped.
  [[nodiscard]] base::Result<void> open(const std::string& path);

  // The clock starts now, if it has not yet.
  void begin_at(base::Instant now);

  [[nodiscard]] bool has_begun() const { return begin_ != base::kNever; }

  // kNever before it started.
  [[nodiscard]] base::Instant begin() const { return begin_; }

  // Since the start; 0 before it.
  [[nodiscard]] base::Duration time(base::Instant now) const;

  void add(base::Instant now, std::string_view provider, std::string_view verdict, SinkStage stage,
           std::string_view recipient);
  // Writes what has gathered. The first time that it fails it says so on standard error.
  void flush();

  // Whether lines were lost.
  [[nodiscard]] bool has_failed() const { return has_failed_; }

 private:
  int file_ = -1;
  bool has_failed_ = false;
  base::Instant begin_ = base::kNever;
  std::string lines_;
};

}  // namespace rockdove::cli
