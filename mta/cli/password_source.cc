#include "mta/cli/password_source.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <termios.h>
#include <unistd.h>

#include "mta/base/wipe.h"
#include "mta/crypto/digest.h"
#include "mta/crypto/password.h"

namespace rockdove::cli {

using base::Error;
using base::Result;

namespace {

constexpr char kInterrupt = '\x03';  // Ctrl-C

// No signs that a person mistakes for others on a printer's little display: 0 O, 1 I l.
constexpr std::string_view kAlphabet = "23456789abcdefghijkmnpqrstuvwxyz";
constexpr std::size_t kGeneratedCharacters = 24;
static_assert(256 % kAlphabet.size() == 0);  // each sign is equally likely

// While it lives, what is typed is not shown, and Ctrl-C ends the line instead of the process,
// which would leave the terminal silent.
class SilentTerminal {
 public:
  SilentTerminal() {
    if (::tcgetattr(STDIN_FILENO, &before_) != 0) return;
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO | ISIG);
    silent.c_lflag |= ECHONL;
    silent.c_cc[VEOL] = static_cast<cc_t>(kInterrupt);
    is_silent_ = ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) == 0;
  }

  ~SilentTerminal() {
    if (is_silent_) ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  }

  SilentTerminal(const SilentTerminal&) = delete;
  SilentTerminal& operator=(const SilentTerminal&) = delete;

  [[nodiscard]] bool is_silent() const { return is_silent_; }

 private:
  termios before_{};
  bool is_silent_ = false;
};

Result<std::string> ask(const std::string& question) {
  std::fputs(question.c_str(), stderr);
  std::string line;
  std::array<char, 1024> part{};
  while (line.find_first_of("\n\x03") == std::string::npos) {
    const ssize_t octets = ::read(STDIN_FILENO, part.data(), part.size());
    if (octets < 0 && errno == EINTR) continue;
    if (octets <= 0) return Error("the terminal was closed");
    line.append(part.data(), static_cast<std::size_t>(octets));
    if (line.size() > 2 * part.size()) return Error("the password is too long");
  }
  ::explicit_bzero(part.data(), part.size());
  if (line.find(kInterrupt) != std::string::npos) {
    std::fputc('\n', stderr);
    base::wipe(line);
    return Error("interrupted; nothing was changed");
  }
  line.pop_back();
  return line;
}

Result<std::string> ask_twice(const std::string& user) {
  if (::isatty(STDIN_FILENO) == 0)
    return Error("standard input is no terminal; use --password-stdin or --generate");
  const SilentTerminal silent;
  if (!silent.is_silent()) return Error::system("making the terminal silent", errno);
  Result<std::string> first = ask("New password for " + user + ": ");
  if (!first) return first;
  Result<std::string> second = ask("Again: ");
  if (!second) return second;
  const bool are_same = *first == *second;
  base::wipe(*second);
  if (!are_same) return Error("the two passwords differ; nothing was changed");
  return first;
}

Result<std::string> read_standard_input() {
  std::string text;
  std::array<char, 1024> part{};
  for (;;) {
    const ssize_t octets = ::read(STDIN_FILENO, part.data(), part.size());
    if (octets < 0 && errno == EINTR) continue;
    if (octets < 0) return Error::system("reading standard input", errno);
    if (octets == 0) break;
    text.append(part.data(), static_cast<std::size_t>(octets));
    if (text.size() > 4 * part.size()) return Error("the password is too long");
  }
  ::explicit_bzero(part.data(), part.size());
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

std::string generate() {
  std::array<std::uint8_t, kGeneratedCharacters> random{};
  crypto::fill_random(random);
  std::string password;
  for (const std::uint8_t octet : random) password += kAlphabet[octet % kAlphabet.size()];
  return password;
}

}  // namespace

Result<std::string> get_password(PasswordSource source, const std::string& user) {
  Result<std::string> password{std::string()};
  switch (source) {
    case PasswordSource::Terminal:
      password = ask_twice(user);
      break;
    case PasswordSource::StandardInput:
      password = read_standard_input();
      break;
    case PasswordSource::Generated:
      password = generate();
      break;
  }
  if (!password) return password;
  if (password->empty()) return Error("the password is empty");
  if (password->size() > crypto::kPasswordOctetsMax)
    return Error("the password has over " + std::to_string(crypto::kPasswordOctetsMax) + " octets");
  if (std::any_of(password->begin(), password->end(),
                  [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }))
    return Error("the password has a control character or a second line");
  return password;
}

}  // namespace rockdove::cli
