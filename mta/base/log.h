// The log: lines of a word or sentence and named values, as text for people, as JSON, or in the
// words of Postfix's log (log_postfix.h).
//
//   log.line(Level::Info, "delivered").id(id).path("to", to).field("delay", delay).field("reply",
//   r);
//
//   2026-11-21T20:46:05.123Z info delivered id=3ZzBCDFGHJKL to=<c@d> delay=1.2s reply="250 2.0.0
//   Ok"
//   {"time":"2026-11-21T20:46:05.123Z","level":"info","message":"delivered","id":"3ZzBCDFGHJKL","to":"c@d","delay":1.2,"reply":"250
//   2.0.0 Ok"}
//
// A Log belongs to one loop or thread. It formats into a buffer, which its owner hands over once a
// turn with flush(): one write() for all lines of the turn. All Logs share one LogSink. What
// happens to mail has one line each: "accepted", "delivered", "deferred", "bounced", "rejected",
// with the values id, from, to, client, helo, listener, host, size, delay, reply, as far as they
// are known. Strangers' text is escaped, so that it can neither forge a line nor reach a terminal
// as control.
#pragma once

#include <atomic>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "mta/base/ids.h"
#include "mta/base/log_postfix.h"
#include "mta/base/result.h"
#include "mta/base/time.h"
#include "mta/base/unique_function.h"

namespace rockdove::base {

enum class Level : std::uint8_t { Error, Warning, Info, Debug };
enum class LogFormat : std::uint8_t { Text, Json, Postfix };

// "error", "warning", "info", "debug".
[[nodiscard]] std::string_view level_name(Level level);

// What an operator decides about the log ([log] in product.md).
struct LogSettings {
  std::string to = "stderr";  // or an absolute path
  Level level = Level::Info;  // this and the more serious ones are written
  LogFormat format = LogFormat::Text;
};

// Longer values are cut and end in "…".
inline constexpr std::size_t kLogValueOctetsMax = 1024;

// Where all Logs of the process write to: standard error, or a file that is opened for appending.
// Any thread may call it.
class LogSink {
 public:
  // "stderr", or a path; the file is made with mode 0640 when it is not there.
  [[nodiscard]] static Result<std::unique_ptr<LogSink>> open(const std::string& to);

  ~LogSink();
  LogSink(const LogSink&) = delete;
  LogSink& operator=(const LogSink&) = delete;

  // Writes whole lines, in one write() where the system takes it in one. A write that fails loses
  // these lines: they are counted, and said on standard error at most once a minute.
  void write(std::string_view lines);

  // Opens the path again, after a log rotation. On an error the old file stays in use.
  [[nodiscard]] Result<void> reopen();
  // Writes to another place from now on, as open() takes it. On an error the old one stays in use.
  [[nodiscard]] Result<void> change(const std::string& to);

  [[nodiscard]] std::uint64_t lines_lost() const {
    return lines_lost_.load(std::memory_order_relaxed);
  }

 private:
  LogSink(std::string path, int file);

  void use(std::string path, int file);
  void report_loss(std::string_view unwritten, int code);

  std::mutex mutex_;  // guards all below
  std::string path_;  // "": standard error
  int file_;
  bool line_torn_ = false;  // the last write ended within a line
  std::uint64_t lines_unreported_ = 0;
  Instant next_report_ = Instant::min();
  std::atomic<std::uint64_t> lines_lost_ = 0;
};

class Log;

// A line while it is being written; its end of life ends it. Names are ours: lower-case words
// joined by underscores. One at a time for each Log.
class LogLine {
 public:
  ~LogLine();
  LogLine(const LogLine&) = delete;
  LogLine& operator=(const LogLine&) = delete;

  LogLine& field(std::string_view name, std::string_view value);

  LogLine& field(std::string_view name, const char* value) {
    return field(name, std::string_view(value));
  }

  LogLine& field(std::string_view name, const std::string& value) {
    return field(name, std::string_view(value));
  }

  template <std::integral T>

  requires(!std::same_as<T, bool> && !std::same_as<T, char>) LogLine& field(std::string_view name,
                                                                            T value) {
    if constexpr (std::is_signed_v<T>) {
      return value < 0 ? number(name, Sign::Minus, ~static_cast<std::uint64_t>(value) + 1)
                       : number(name, Sign::Plus, static_cast<std::uint64_t>(value));
    } else {
      return number(name, Sign::Plus, value);
    }
  }

  // Seconds with up to three decimals: delay=1.2s, and a number in JSON.
  LogLine& field(std::string_view name, Duration value);
  LogLine& field(std::string_view name, WallTime value);
  LogLine& id(MessageId id);
  LogLine& id(DeliveryId id);
  // A reverse- or forward-path: <a@b> as text, without the brackets in JSON; "" is the null sender.
  LogLine& path(std::string_view name, std::string_view address);

  // A field that only Postfix's format needs: the others leave it out.
  template <typename T>
  LogLine& detail(std::string_view name, const T& value) {
    return has_details() ? field(name, value) : *this;
  }

 private:
  friend class Log;
  enum class Sign : std::uint8_t { Plus, Minus };

  LogLine(Log* log, Level level) : log_(log), level_(level) {}

  LogLine& number(std::string_view name, Sign sign, std::uint64_t magnitude);
  [[nodiscard]] bool has_details() const;

  Log* log_;  // null: nobody wants lines of this level
  Level level_;
};

class Log {
 public:
  // What time a line is stamped with.
  using Clock = UniqueFunction<WallTime()>;

  // `sink` outlives the Log. Without a clock, the wall clock of this machine.
  explicit Log(LogSink& sink, Level level = Level::Info, LogFormat format = LogFormat::Text);
  Log(LogSink& sink, Level level, LogFormat format, Clock clock);
  ~Log();  // flushes
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  // Begins a line. Error lines are handed over at their end, the others with the next flush(), or
  // once 64 KiB have gathered.
  LogLine line(Level level, std::string_view message);

  [[nodiscard]] bool wants(Level level) const { return level <= level_; }

  // Whether lines carry what only Postfix's log tells: look before computing a detail().
  [[nodiscard]] bool wants_details() const { return format_ == LogFormat::Postfix; }

  // Of events that Postfix's log always has (a client connects), and others only on request.
  [[nodiscard]] Level detail_level() const { return wants_details() ? Level::Info : Level::Debug; }

  // `callback` runs each time a first line waits to be flushed: the owner plans a flush().
  void when_lines_wait(UniqueFunction<void()> callback) { lines_wait_ = std::move(callback); }

  [[nodiscard]] bool has_unflushed() const { return !buffer_.empty(); }

  // One write() for what has gathered; nothing when nothing has.
  void flush();

  // From the next line on.
  void change(Level level, LogFormat format);

 private:
  friend class LogLine;

  // Where a value is written to.
  [[nodiscard]] std::string& value() {
    return format_ == LogFormat::Postfix ? postfix_->value() : buffer_;
  }

  void append_time(WallTime time);
  void append_name(std::string_view name);
  void append_value(std::string_view value);
  void end_line(Level level);

  LogSink& sink_;
  Level level_;
  LogFormat format_;
  Clock clock_;
  std::string buffer_;
  bool line_open_ = false;
  bool told_ = false;  // that lines wait
  UniqueFunction<void()> lines_wait_;
  // The second that was formatted last, "2026-11-21T20:46:05."; lines of one second share it.
  std::chrono::sys_seconds second_ = std::chrono::sys_seconds::max();
  std::string second_text_;
  std::unique_ptr<PostfixLines> postfix_;  // with LogFormat::Postfix
};

inline bool LogLine::has_details() const {
  return log_ != nullptr && log_->wants_details();
}

}  // namespace rockdove::base
