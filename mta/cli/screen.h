// A terminal that shows one page after the other, in its second screen, and gets back what it was
// however that ends: plain ANSI, no library. While one lives, SIGINT, SIGQUIT, SIGTERM and SIGHUP
// give the terminal back and end the process at once, whatever it waits for; Ctrl-Z does nothing.
#pragma once

#include <csignal>
#include <string_view>

#include "mta/base/time.h"
#include "mta/cli/top.h"

namespace rockdove::cli {

// Whether standard input and output are a terminal that can show pages (TERM is not "dumb").
[[nodiscard]] bool is_on_terminal();

class Screen {
 public:
  enum class Woken : std::uint8_t {
    TimeIsOver,
    Resized,  // the page is to be made anew
    Ended,    // the person pressed q, or the terminal has gone
  };

  // Only where is_on_terminal(); one at a time.
  Screen();
  ~Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  // Without the last column: once that is written, erasing the rest of the line would take it away
  // again.
  [[nodiscard]] static TopSize size();
  // Lines with their ends, no more and no longer ones than size() says; the rest is empty.
  static void show(std::string_view page);
  [[nodiscard]] Woken wait(base::Instant until) const;

 private:
  sigset_t mask_{};  // as it was; SIGWINCH is let through only while we wait
};

}  // namespace rockdove::cli
