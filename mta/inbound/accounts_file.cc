#include "mta/inbound/accounts_file.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

#include <sys/stat.h>

#include "mta/base/text.h"
#include "mta/base/utf8.h"
#include "mta/crypto/password.h"
#include "mta/net/file_descriptor.h"

namespace rockdove::inbound {

using base::Error;
using base::Result;

namespace {

struct NumberedAccount {
  Account account;
  std::size_t line;
};

// The line's text without its end, and what follows.
std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

bool is_comment(std::string_view line) {
  return line.find_first_not_of(" \t") == std::string_view::npos || line.front() == '#';
}

bool is_of(std::string_view line, std::string_view name) {
  return line.size() > name.size() && line.starts_with(name) && line[name.size()] == ':';
}

Result<Account> parse_line(std::string_view line) {
  if (line.ends_with('\r')) return Error("the line ends in CR LF; lines end in LF alone here");
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos)
    return Error("an account is a name, a colon and a hash; `rockdove user add NAME` writes one");
  const std::string_view name = line.substr(0, colon);
  if (const Result<void> good = check_account_name(name); !good) return good.error();
  const std::string_view hash = line.substr(colon + 1);
  if (!crypto::is_password_hash(hash))
    return Error("what follows the colon is no yescrypt hash ($y$…); `rockdove user passwd " +
                 base::printable(name, kAccountNameOctetsMax) + "` writes one");
  return Account{std::string(name), std::string(hash)};
}

FileStamp stamp_from(const struct stat& status) {
  const auto nanoseconds = [](const timespec& time) {
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
  };
  return {status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size),
          nanoseconds(status.st_mtim), nanoseconds(status.st_ctim)};
}

Result<std::string> read_text(int file, const std::string& path) {
  std::string text;
  std::string part(64 * 1024, '\0');
  while (text.size() <= kAccountsFileOctetsMax) {
    const ssize_t octets = ::read(file, part.data(), part.size());
    if (octets < 0 && errno == EINTR) continue;
    if (octets < 0) return Error::system("reading " + path, errno);
    if (octets == 0) return text;
    text.append(part, 0, static_cast<std::size_t>(octets));
  }
  return Error(path + " has over 16 MiB, which is no accounts file");
}

}  // namespace

const Account* AccountTable::find(std::string_view name) const {
  const auto found = std::lower_bound(
      accounts_.begin(), accounts_.end(), name,
      [](const Account& account, std::string_view wanted) { return account.name < wanted; });
  return found != accounts_.end() && found->name == name ? &*found : nullptr;
}

Result<void> check_account_name(std::string_view name) {
  if (name.empty()) return Error("the name is empty");
  if (name.size() > kAccountNameOctetsMax) return Error("the name has over 128 octets");
  if (name.find(':') != std::string_view::npos) return Error("a name has no colon");
  const bool has_control = std::any_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) < ' ' || c == '\x7f';
  });
  if (has_control) return Error("a name has no control characters");
  if (!base::is_utf8(name)) return Error("the name is not in UTF-8");
  if (name.front() == '#') return Error("a name does not begin with #, which begins a comment");
  if (name.front() == ' ' || name.back() == ' ')
    return Error("a name neither begins nor ends with a space");
  return {};
}

Result<std::vector<Account>> parse_accounts(std::string_view text, const std::string& path) {
  std::vector<NumberedAccount> found;
  std::size_t number = 0;
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    ++number;
    if (is_comment(line)) continue;
    Result<Account> account = parse_line(line);
    if (!account) return account.error().in(path + ":" + std::to_string(number));
    found.push_back({std::move(*account), number});
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.account.name < b.account.name; });
  const auto twice = std::adjacent_find(
      found.begin(), found.end(),
      [](const auto& a, const auto& b) { return a.account.name == b.account.name; });
  if (twice != found.end()) {
    return Error("\"" + base::printable(twice->account.name, kAccountNameOctetsMax) +
                 "\" stands in line " + std::to_string(twice->line) + " already")
        .in(path + ":" + std::to_string(std::next(twice)->line));
  }
  std::vector<Account> accounts;
  accounts.reserve(found.size());
  for (NumberedAccount& one : found) accounts.push_back(std::move(one.account));
  return accounts;
}

Result<std::shared_ptr<const AccountTable>> read_accounts(const std::string& path) {
  const net::FileDescriptor file(
      ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!file.is_open()) {
    if (errno == ENOENT)
      return Error("there is no accounts file " + path + "; `rockdove user add NAME` makes it");
    return Error::system("opening " + path, errno);
  }

  struct stat status {};

  if (::fstat(file.number(), &status) != 0) return Error::system("looking at " + path, errno);
  if (!S_ISREG(status.st_mode)) return Error(path + " is not a file");
  if ((status.st_mode & S_IRWXO) != 0)
    return Error(path + " may be read or written by everybody on this machine; `chmod o= " + path +
                 "` mends that");
  const Result<std::string> text = read_text(file.number(), path);
  if (!text) return text.error();
  Result<std::vector<Account>> accounts = parse_accounts(*text, path);
  if (!accounts) return accounts.error();
  return std::make_shared<const AccountTable>(std::move(*accounts), stamp_from(status));
}

std::optional<FileStamp> stamp_of(const std::string& path) {
  struct stat status {};

  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  return stamp_from(status);
}

std::string with_account(std::string_view text, const Account& account) {
  std::string edited;
  bool is_there = false;
  const std::string line = account.name + ":" + account.hash + "\n";
  while (!text.empty()) {
    const std::string_view old = take_line(text);
    if (is_of(old, account.name)) {
      edited += line;
      is_there = true;
    } else {
      edited.append(old) += '\n';
    }
  }
  return is_there ? edited : edited + line;
}

std::string without_account(std::string_view text, std::string_view name) {
  std::string edited;
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    if (!is_of(line, name)) edited.append(line) += '\n';
  }
  return edited;
}

}  // namespace rockdove::inbound
