// The accounts file ([auth] users): a line "name:hash" for each account, the hash as
// crypto/password.h makes it; empty lines and lines that begin with # are comments. `rockdove user`
// writes it, the daemon reads it. Strict: one bad line makes the whole file an error, so that
// nobody wonders why one account does not work.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mta/base/result.h"

namespace rockdove::inbound {

inline constexpr std::size_t kAccountNameOctetsMax = 128;
inline constexpr std::size_t kAccountsFileOctetsMax = 16 * 1024 * 1024;

struct Account {
  std::string name;
  std::string hash;
};

// Which content of a file it was.
struct FileStamp {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t octets = 0;
  std::int64_t modified = 0;  // nanoseconds since 1970; also when rights or owner
  std::int64_t changed = 0;   // were changed

  bool operator==(const FileStamp&) const = default;
};

class AccountTable {
 public:
  // `accounts` sorted by name.
  AccountTable(std::vector<Account> accounts, const FileStamp& stamp)
      : accounts_(std::move(accounts)), stamp_(stamp) {}

  // Null: there is no such account. Names are compared octet by octet.
  [[nodiscard]] const Account* find(std::string_view name) const;

  [[nodiscard]] const std::vector<Account>& accounts() const { return accounts_; }

  [[nodiscard]] const FileStamp& stamp() const { return stamp_; }

 private:
  std::vector<Account> accounts_;
  FileStamp stamp_;
};

// An account's name: 1 to 128 octets of UTF-8 without colons and control characters, no # in
// front, no space at an end.
[[nodiscard]] base::Result<void> check_account_name(std::string_view name);

// The accounts of a file, sorted by name. The error begins with "PATH:LINE: ".
[[nodiscard]] base::Result<std::vector<Account>> parse_accounts(std::string_view text,
                                                                const std::string& path);

// The file as it is now. Errors say what to do: it does not exist, cannot be read, may be read by
// everybody, is too large, or has a bad line. It waits for the disk: not for loops.
[[nodiscard]] base::Result<std::shared_ptr<const AccountTable>> read_accounts(
    const std::string& path);

// Nothing: there is none, or it cannot be looked at.
[[nodiscard]] std::optional<FileStamp> stamp_of(const std::string& path);

// The text of a file with this account's line replaced, or added at the end; all else stays.
[[nodiscard]] std::string with_account(std::string_view text, const Account& account);
[[nodiscard]] std::string without_account(std::string_view text, std::string_view name);

}  // namespace rockdove::inbound
