#include "mta/daemon/drop_scan.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <unistd.h>
#include <unordered_map>
#include <utility>

#include <sys/stat.h>

#include "mta/base/text.h"

namespace rockdove::daemon {

using base::Error;
using base::Result;

namespace {

constexpr std::size_t kFirstReadOctets = 16 * 1024;

Result<void> change_mode(const std::string& path, mode_t mode) {
  if (::chmod(path.c_str(), mode) == 0) return {};
  return Error::system("changing the mode of " + path, errno);
}

// Up to `octets` from the beginning of the file.
Result<std::string> read_beginning(int file, std::size_t octets) {
  std::string text(octets, '\0');
  std::size_t filled = 0;
  while (filled < octets) {
    const ssize_t count =
        ::pread(file, text.data() + filled, octets - filled, static_cast<off_t>(filled));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error::system("reading it", errno);
    if (count == 0) break;
    filled += static_cast<std::size_t>(count);
  }
  text.resize(filled);
  return text;
}

Result<DropEnvelope> read_envelope(int file) {
  for (std::size_t octets = kFirstReadOctets;; octets *= 16) {
    const Result<std::string> beginning = read_beginning(file, octets);
    if (!beginning) return beginning.error();
    const bool is_all = beginning->size() < octets || octets >= kDropEnvelopeOctetsMax;
    if (is_all || has_drop_envelope(*beginning)) return parse_drop_envelope(*beginning);
  }
}

// Why a file of this kind is none of ours; nullopt: it may be one.
std::optional<std::string> oddity(const struct stat& status, const DropLimits& limits) {
  if (!S_ISREG(status.st_mode)) return "it is no regular file";
  if (status.st_nlink != 1) return "it has " + std::to_string(status.st_nlink) + " links";
  // Somebody else may have written it and moved it here in its owner's name.
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) return "others than its owner may write to it";
  const auto octets = static_cast<std::uint64_t>(status.st_size);
  if (octets > limits.content_octets_max + kDropEnvelopeOctetsMax)
    return "it is larger than sendmail.max_message_size";
  return std::nullopt;
}

bool is_complete(const struct stat& status) {
  return (status.st_mode & S_IXUSR) != 0;
}

// An unfinished file may still be at work.
bool is_abandoned(const struct stat& status, const DropLimits& limits, base::WallTime now) {
  const base::WallTime touched =
      base::from_unix_milliseconds(static_cast<std::uint64_t>(status.st_mtim.tv_sec) * 1000);
  return now - touched > limits.unfinished_max;
}

// One look through the folder.
struct Looking {
  const DropLimits& limits;
  base::WallTime now;
  int folder;
  DropLook found;
  std::unordered_map<std::uint32_t, std::size_t> of_user;
  std::size_t envelope_octets;

  [[nodiscard]] bool is_full() const {
    return found.ready.size() >= limits.ready_max || envelope_octets >= limits.envelope_octets_max;
  }

  void look_at(const std::string& name) {
    struct stat status = {};
    if (::fstatat(folder, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return;  // just gone
    if (!is_drop_name(name)) return add_odd(name, status, "its name is none that sendmail gives");
    if (std::optional<std::string> why = oddity(status, limits))
      return add_odd(name, status, *std::move(why));
    if (!is_complete(status)) {
      if (is_abandoned(status, limits, now)) add_odd(name, status, "it was never completed");
      return;
    }
    if (of_user[status.st_uid] < limits.ready_of_user_max) open(name, status);
  }

  // Since the first look it may have become anything: only what is open counts.
  void open(const std::string& name, struct stat status) {
    net::FileDescriptor file(
        ::openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (!file.is_open()) {
      if (errno != ENOENT)
        add_odd(name, status, Error::system("it cannot be opened", errno).text());
      return;
    }
    if (::fstat(file.number(), &status) != 0) return;
    if (std::optional<std::string> why = oddity(status, limits))
      return add_odd(name, status, *std::move(why));
    if (!is_complete(status)) return;
    Result<DropEnvelope> envelope = read_envelope(file.number());
    if (!envelope) return add_odd(name, status, envelope.error().text(), OddFile::Stays::ForGood);
    const auto octets = static_cast<std::uint64_t>(status.st_size);
    if (octets < envelope->octets) return;  // cut off meanwhile
    envelope->envelope.octets = octets - envelope->octets;
    envelope_octets += envelope->octets;
    ++of_user[status.st_uid];
    found.ready.push_back(
        {name, status.st_uid, status.st_gid, std::move(file), *std::move(envelope)});
  }

  void add_odd(const std::string& name, const struct stat& status, std::string why,
               OddFile::Stays stays = OddFile::Stays::ForNow) {
    found.odd.push_back({name, status.st_uid, std::move(why), stays});
  }
};

}  // namespace

Result<void> make_drop_folder(const std::string& state_dir) {
  constexpr mode_t kPassable = S_IXGRP | S_IXOTH;
  struct stat status = {};
  if (::stat(state_dir.c_str(), &status) != 0)
    return Error::system("looking at " + state_dir, errno);
  if ((status.st_mode & kPassable) != kPassable) {
    if (Result<void> done = change_mode(state_dir, (status.st_mode & 07777) | kPassable); !done)
      return done;
  }
  const std::string folder = drop_folder_path(state_dir);
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    return Error::system("making the directory " + folder, errno);
  if (::lstat(folder.c_str(), &status) != 0) return Error::system("looking at " + folder, errno);
  if (!S_ISDIR(status.st_mode)) return Error(folder + " is in the way and no directory");
  if ((status.st_mode & 07777) == 01733) return {};
  return change_mode(folder, 01733);
}

DropScan::~DropScan() {
  close();
}

void DropScan::close() {
  if (stream_ != nullptr) ::closedir(stream_);
  stream_ = nullptr;
}

Result<void> DropScan::open() {
  if (stream_ != nullptr) return {};
  stream_ = ::opendir(folder_.c_str());
  if (stream_ == nullptr) return Error::system("opening " + folder_, errno);
  return {};
}

Result<DropLook> DropScan::look(const DropLimits& limits, base::WallTime now,
                                const std::function<bool(const std::string&)>& is_known) {
  if (Result<void> opened = open(); !opened) return opened.error();
  Looking looking{limits, now, ::dirfd(stream_), {}, {}, 0};
  for (std::size_t names = 0; names < limits.names_max && !looking.is_full(); ++names) {
    errno = 0;
    const dirent* entry = ::readdir(stream_);
    if (entry == nullptr) {
      const int failed = errno;
      close();
      if (failed != 0) return Error::system("reading " + folder_, failed);
      looking.found.is_whole = true;
      break;
    }
    const std::string name = static_cast<const char*>(entry->d_name);
    if (name != "." && name != ".." && !is_known(name)) looking.look_at(name);
  }
  return std::move(looking.found);
}

Result<void> DropScan::remove(const std::string& name) {
  const net::FileDescriptor folder(
      ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!folder.is_open()) return Error::system("opening " + folder_, errno);
  if (!is_drop_name(name)) return Error("no file of sendmail's is called so");
  if (::unlinkat(folder.number(), name.c_str(), 0) != 0 && errno != ENOENT)
    return Error::system("removing " + folder_ + "/" + name, errno);
  if (::fsync(folder.number()) != 0) return Error::system("syncing " + folder_, errno);
  return {};
}

}  // namespace rockdove::daemon
