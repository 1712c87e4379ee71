#include "mta/cli/accounts_editor.h"

#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <optional>
#include <pwd.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <sys/file.h>
#include <sys/stat.h>

#include "mta/base/time.h"
#include "mta/net/file_descriptor.h"

namespace rockdove::cli {

using base::Error;
using base::Result;
using net::FileDescriptor;

namespace {

constexpr base::Duration kLockWithin = std::chrono::seconds(10);
constexpr base::Duration kLockEvery = std::chrono::milliseconds(20);

struct Locked {
  FileDescriptor file;

  struct stat status {};

  bool is_new = false;
};

std::optional<gid_t> group_of(const std::string& user) {
  std::vector<char> memory(16 * 1024);
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwnam_r(user.c_str(), &entry, memory.data(), memory.size(), &found) != 0 ||
      found == nullptr)
    return std::nullopt;
  return entry.pw_gid;
}

Result<FileDescriptor> open_file(const std::string& path, IfMissing if_missing, bool& is_new) {
  FileDescriptor file(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (file.is_open()) return file;
  if (errno == ENOENT && if_missing == IfMissing::Make) {
    FileDescriptor made(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (made.is_open()) {
      is_new = true;
      return made;
    }
    if (errno == EEXIST) return open_file(path, IfMissing::Fail, is_new);
  }
  if (errno == ENOENT && if_missing == IfMissing::Fail)
    return Error("there is no accounts file " + path + "; `rockdove user add NAME` makes it");
  return Error::system("opening " + path, errno);
}

// The lock belongs to a file, not to its name: who waited for it may hold the file of before, and
// opens anew.
Result<Locked> lock_file(const std::string& path, IfMissing if_missing) {
  const base::Instant give_up = base::read_clocks().instant + kLockWithin;
  Locked locked;
  for (;;) {
    Result<FileDescriptor> file = open_file(path, if_missing, locked.is_new);
    if (!file) return file.error();
    bool has_lock = ::flock(file->number(), LOCK_EX | LOCK_NB) == 0;
    if (!has_lock && errno != EWOULDBLOCK) return Error::system("locking " + path, errno);

    struct stat now {};

    if (::fstat(file->number(), &locked.status) != 0)
      return Error::system("looking at " + path, errno);
    has_lock = has_lock && ::stat(path.c_str(), &now) == 0 && now.st_dev == locked.status.st_dev &&
               now.st_ino == locked.status.st_ino;
    if (has_lock) {
      locked.file = std::move(*file);
      return locked;
    }
    if (base::read_clocks().instant >= give_up)
      return Error(path + " is being changed by another `rockdove user`; try again");
    std::this_thread::sleep_for(kLockEvery);
  }
}

Result<std::string> read_whole(int file, const std::string& path) {
  std::string text;
  std::string part(64 * 1024, '\0');
  for (;;) {
    const ssize_t octets = ::read(file, part.data(), part.size());
    if (octets < 0 && errno == EINTR) continue;
    if (octets < 0) return Error::system("reading " + path, errno);
    if (octets == 0) return text;
    text.append(part, 0, static_cast<std::size_t>(octets));
    if (text.size() > inbound::kAccountsFileOctetsMax)
      return Error(path + " has over 16 MiB, which is no accounts file");
  }
}

Result<void> write_whole(int file, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t octets = ::write(file, text.data(), text.size());
    if (octets < 0 && errno == EINTR) continue;
    if (octets < 0) return Error::system("writing " + path, errno);
    text.remove_prefix(static_cast<std::size_t>(octets));
  }
  if (::fsync(file) != 0) return Error::system("syncing " + path, errno);
  return {};
}

// Mode and owner of the file that is replaced; those of a new one as EditOptions says.
Result<void> take_over_rights(int file, const Locked& old, const EditOptions& options,
                              const std::string& path) {
  mode_t mode = old.status.st_mode & 07777;
  uid_t owner = old.status.st_uid;
  gid_t group = old.status.st_gid;
  if (old.is_new && ::geteuid() == 0) {
    if (const std::optional<gid_t> wanted = group_of(options.daemon_user)) {
      group = *wanted;
      mode = 0640;
    }
  }

  struct stat made {};

  if (::fstat(file, &made) != 0) return Error::system("looking at " + path, errno);
  if ((made.st_uid != owner || made.st_gid != group) && ::fchown(file, owner, group) != 0)
    return Error::system("giving " + path + " its owner (only root may)", errno);
  if (::fchmod(file, mode) != 0) return Error::system("giving " + path + " its mode", errno);
  return {};
}

Result<void> sync_folder(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const FileDescriptor opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!opened.is_open() || ::fsync(opened.number()) != 0)
    return Error::system("syncing " + folder, errno);
  return {};
}

Result<void> replace(const std::string& path, const Locked& old, const EditOptions& options,
                     std::string_view text) {
  std::string beside = path + ".XXXXXX";
  const FileDescriptor file(::mkostemp(beside.data(), O_CLOEXEC));
  if (!file.is_open()) return Error::system("making a file beside " + path, errno);
  Result<void> done = write_whole(file.number(), text, beside);
  if (done) done = take_over_rights(file.number(), old, options, beside);
  if (done && ::rename(beside.c_str(), path.c_str()) != 0)
    done = Error::system("renaming " + beside + " to " + path, errno);
  if (!done) {
    ::unlink(beside.c_str());
    return done;
  }
  return sync_folder(path);
}

// A link stays a link.
std::string followed(const std::string& path) {
  char* real = ::realpath(path.c_str(), nullptr);
  if (real == nullptr) return path;
  std::string found = real;
  std::free(real);  // NOLINT(cppcoreguidelines-no-malloc): realpath() allocates so
  return found;
}

}  // namespace

Result<void> edit_accounts(const std::string& named, const EditOptions& options, Edit edit) {
  const std::string path = followed(named);
  Result<Locked> locked = lock_file(path, options.if_missing);
  if (!locked) return locked.error();
  if (!S_ISREG(locked->status.st_mode)) return Error(path + " is not a file");
  const Result<std::string> text = read_whole(locked->file.number(), path);
  if (!text) return text.error();
  Result<std::vector<inbound::Account>> accounts = inbound::parse_accounts(*text, path);
  if (!accounts) return accounts.error();
  const inbound::AccountTable table(std::move(*accounts), {});
  const Result<std::string> edited = edit(*text, table);
  if (!edited) return edited.error();
  return replace(path, *locked, options, *edited);
}

}  // namespace rockdove::cli
