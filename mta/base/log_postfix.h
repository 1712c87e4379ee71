// The events of the log (base/log.h) in the words of Postfix's daemons, so that programs which read
// Postfix's log (pflogsumm, fail2ban's filters) understand ours. This is the only place that knows
// those words: an event is found by its message, its values by their names, and one event may give
// several lines. What Postfix has nothing for is a plain line of `postfix/rockdove`.
//
//   Nov 22 06:45:00 mx postfix/smtpd[64]: 4H0Q…: client=unknown[192.0.2.1]
//
// The number in brackets is the process, but for smtpd's lines that of the session, because readers
// pair "connect" and "disconnect" by it. Times are local ones, as a syslog's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mta/base/time.h"

namespace rockdove::base {

enum class Level : std::uint8_t;

class PostfixLines {
 public:
  // What stands in front of each line.
  struct Origin {
    std::string host;
    std::uint64_t process = 0;
  };

  // This machine's name up to the first dot, and this process.
  [[nodiscard]] static Origin origin_here();

  explicit PostfixLines(Origin origin) : origin_(std::move(origin)) {}

  // An event begins; its values then come in turn, each as name() and add() or direct appends to
  // value().
  void begin(Level level, std::string_view message, WallTime time);
  // `name` outlives the event.
  void name(std::string_view name);
  // A stranger's text: what is no printable ASCII or UTF-8 becomes "?", as Postfix has it, and what
  // is too long ends in "…".
  void add(std::string_view text);
  // Likewise an address: "<" and ">" too become "?", so that it cannot end its own brackets.
  void add_address(std::string_view address);

  [[nodiscard]] std::string& value() { return values_; }

  // The event's lines, each with its end.
  void end(std::string& out);

 private:
  struct Field {
    std::string_view name;
    std::size_t from;  // in values_, up to the next one's
  };

  using Writer = void (PostfixLines::*)(std::string& out) const;

  struct Event {
    std::string_view message;
    Writer write;
  };

  static const Event kEvents[];

  [[nodiscard]] std::string_view of(std::string_view name) const;
  [[nodiscard]] std::string_view message_id() const;
  [[nodiscard]] std::string client() const;

  void prefix(std::string& out, std::string_view service) const;
  void session_prefix(std::string& out) const;
  void queued_lines(std::string& out, std::string_view id) const;
  void delivery_line(std::string& out, std::string_view status, std::string_view code,
                     std::string_view text) const;

  void accepted(std::string& out) const;
  void delivered(std::string& out) const;
  void discarded(std::string& out) const;
  void deferred(std::string& out) const;
  void bounced(std::string& out) const;
  void report_made(std::string& out) const;
  void removed(std::string& out) const;
  void rejected(std::string& out) const;
  void connected(std::string& out) const;
  void session_ended(std::string& out) const;
  void login_refused(std::string& out) const;
  void tls_failed(std::string& out) const;
  void plain(std::string& out) const;

  const Origin origin_;
  Level level_{};
  std::string message_;
  std::vector<Field> fields_;
  std::string values_;
  std::chrono::sys_seconds second_ = std::chrono::sys_seconds::max();
  std::string second_text_;  // "Nov 22 06:45:00 host postfix/"; the lines of one second share it
};

}  // namespace rockdove::base
