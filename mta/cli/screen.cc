#include "mta/cli/screen.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <poll.h>
#include <string>
#include <termios.h>
#include <unistd.h>

#include <sys/ioctl.h>

namespace rockdove::cli {
namespace {

constexpr std::array kEndings = {SIGINT, SIGQUIT, SIGTERM, SIGHUP};
// xterm's names for them: the second screen, the cursor's place, its look, and what is erased.
constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?25l";
constexpr std::string_view kLeave = "\x1b[?25h\x1b[?1049l";
constexpr std::string_view kHome = "\x1b[H";
constexpr std::string_view kClearLine = "\x1b[K";
constexpr std::string_view kClearBelow = "\x1b[J";

// A signal's handler reaches nothing else.
// NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables)
termios terminal_before{};
volatile std::sig_atomic_t is_resized = 0;

// NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables)

void write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written < 0 && errno != EINTR) return;  // nobody looks any more
    if (written > 0) text.remove_prefix(static_cast<std::size_t>(written));
  }
}

// Only what a handler may call (POSIX.1-2017, XSH 2.4.3).
void end_at_once(int) {
  write_all(kLeave);
  ::tcsetattr(STDIN_FILENO, TCSANOW, &terminal_before);
  ::_exit(0);
}

void note_size(int) {
  is_resized = 1;
}

void handle(int number, void (*handler)(int)) {
  struct sigaction action {};

  action.sa_handler = handler;
  ::sigaction(number, &action, nullptr);
}

}  // namespace

bool is_on_terminal() {
  const char* const kind = std::getenv("TERM");
  const bool shows_pages = kind != nullptr && *kind != '\0' && std::string_view(kind) != "dumb";
  return shows_pages && ::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1;
}

Screen::Screen() {
  ::tcgetattr(STDIN_FILENO, &terminal_before);
  sigset_t resizing;
  sigemptyset(&resizing);
  sigaddset(&resizing, SIGWINCH);
  ::pthread_sigmask(SIG_BLOCK, &resizing, &mask_);
  handle(SIGWINCH, note_size);
  for (const int number : kEndings) handle(number, end_at_once);
  termios raw = terminal_before;
  raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  raw.c_iflag &= ~static_cast<tcflag_t>(IXON);  // Ctrl-S would stop us in the midst of a page
  // Suspended, it would leave the terminal in the second screen.
  raw.c_cc[VSUSP] = _POSIX_VDISABLE;
  ::tcsetattr(STDIN_FILENO, TCSANOW, &raw);
  write_all(kEnter);
}

Screen::~Screen() {
  write_all(kLeave);
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &terminal_before);
  for (const int number : kEndings) handle(number, SIG_DFL);
  handle(SIGWINCH, SIG_DFL);
  ::pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
}

TopSize Screen::size() {
  winsize window{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_col == 0 ||
      window.ws_row == 0) {
    return {79, 24};
  }
  return {std::max<std::size_t>(window.ws_col, 2) - 1, window.ws_row};
}

void Screen::show(std::string_view page) {
  std::string octets(kHome);
  while (!page.empty()) {
    const std::size_t end = page.find('\n');
    octets.append(page.substr(0, end)).append(kClearLine);
    page.remove_prefix(end == std::string_view::npos ? page.size() : end + 1);
    // No line's end behind the last one, which would scroll.
    if (!page.empty()) octets += "\r\n";
  }
  write_all(octets.append(kClearBelow));
}

Screen::Woken Screen::wait(base::Instant until) const {
  for (;;) {
    if (is_resized != 0) {
      is_resized = 0;
      return Woken::Resized;
    }
    const auto left =
        std::chrono::duration_cast<std::chrono::nanoseconds>(until - base::read_clocks().instant);
    if (left <= left.zero()) return Woken::TimeIsOver;
    const timespec time{left.count() / 1'000'000'000, left.count() % 1'000'000'000};
    pollfd keys{STDIN_FILENO, POLLIN, 0};
    const int ready = ::ppoll(&keys, 1, &time, &mask_);
    if (ready < 0 && errno != EINTR) return Woken::Ended;
    if (ready <= 0) continue;
    char key = 0;
    const ssize_t octets = ::read(STDIN_FILENO, &key, 1);
    const bool has_gone = octets == 0 || (octets < 0 && errno != EINTR);
    if (has_gone || key == 'q' || key == 'Q') return Woken::Ended;
  }
}

}  // namespace rockdove::cli
