#include "mta/daemon/lock.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <sys/file.h>

namespace rockdove::daemon {

using base::Error;
using base::Result;

namespace {

constexpr int kLookAgainMilliseconds = 20;

std::string lock_path(const std::string& state_dir) {
  return state_dir + "/lock";
}

// Closes what it holds, unless that is taken out.
class File {
 public:
  explicit File(int number) : number_(number) {}

  ~File() {
    if (number_ >= 0) ::close(number_);
  }

  File(const File&) = delete;
  File& operator=(const File&) = delete;

  [[nodiscard]] int number() const { return number_; }

  [[nodiscard]] int take() { return std::exchange(number_, -1); }

 private:
  int number_;
};

pid_t read_process(int file) {
  std::array<char, 24> text{};
  const ssize_t octets = ::pread(file, text.data(), text.size(), 0);
  pid_t process = 0;
  if (octets > 0) std::from_chars(text.data(), text.data() + octets, process);
  return process;
}

Error held_by(const std::string& state_dir, pid_t process) {
  return Error(state_dir + " is in use by another rockdove" +
               (process > 0 ? ", process " + std::to_string(process) : std::string()));
}

}  // namespace

Result<std::unique_ptr<StateLock>> StateLock::take_alone(const std::string& state_dir,
                                                         base::Duration patience) {
  const std::string path = lock_path(state_dir);
  File file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640));
  if (file.number() < 0) return Error::system("opening " + path, errno);
  base::Duration waited{0};
  while (::flock(file.number(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return Error::system("locking " + path, errno);
    // When it can be had shared, only commands hold it, and what is written there is an old number.
    if (::flock(file.number(), LOCK_SH | LOCK_NB) != 0) {
      return held_by(state_dir, read_process(file.number()));
    }
    ::flock(file.number(), LOCK_UN);
    if (waited >= patience) {
      return Error(state_dir + " is being looked at by another command; try again");
    }
    ::poll(nullptr, 0, kLookAgainMilliseconds);
    waited += base::Duration(kLookAgainMilliseconds);
  }
  const std::string process = std::to_string(::getpid()) + "\n";
  if (::ftruncate(file.number(), 0) != 0 ||
      ::pwrite(file.number(), process.data(), process.size(), 0) < 0) {
    return Error::system("writing " + path, errno);
  }
  return std::unique_ptr<StateLock>(new StateLock(file.take(), How::Alone));
}

Result<std::unique_ptr<StateLock>> StateLock::take_shared(const std::string& state_dir) {
  const std::string path = lock_path(state_dir);
  File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (file.number() < 0 && errno == ENOENT) {
    return Error(state_dir + " holds no queue: no rockdove has ever served from there");
  }
  if (file.number() < 0) return Error::system("opening " + path, errno);
  if (::flock(file.number(), LOCK_SH | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return Error::system("locking " + path, errno);
    return held_by(state_dir, read_process(file.number()));
  }
  return std::unique_ptr<StateLock>(new StateLock(file.take(), How::Shared));
}

StateLock::~StateLock() {
  // The number goes first, so that nobody is told of a process that has ended.
  if (how_ == How::Alone && ::ftruncate(file_, 0) != 0) {
    // The number stays, which harms nobody who also asks for the lock.
  }
  ::close(file_);
}

Result<std::variant<NoDaemon, DaemonHolds>> find_daemon(const std::string& state_dir) {
  using Found = std::variant<NoDaemon, DaemonHolds>;
  const std::string path = lock_path(state_dir);
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (file.number() < 0 && errno == ENOENT) return Found(NoDaemon{});
  if (file.number() < 0) return Error::system("opening " + path, errno);
  if (::flock(file.number(), LOCK_SH | LOCK_NB) == 0) return Found(NoDaemon{});
  if (errno != EWOULDBLOCK) return Error::system("asking for " + path, errno);
  return Found(DaemonHolds{read_process(file.number())});
}

}  // namespace rockdove::daemon
