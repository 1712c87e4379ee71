#include "mta/daemon/read_file.h"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

#include <sys/stat.h>

#include "mta/base/quantity.h"

namespace rockdove::daemon {

using base::Error;
using base::Result;

Result<std::optional<std::string>> read_file(const std::string& path, std::size_t octets_max) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0 && errno == ENOENT) return std::optional<std::string>();
  if (file < 0) return Error::system("opening " + path, errno);
  struct stat status = {};
  std::string text;
  int failed = ::fstat(file, &status) == 0 ? 0 : errno;
  const bool is_directory = S_ISDIR(status.st_mode);
  std::array<char, 65536> part{};
  while (failed == 0 && !is_directory && text.size() <= octets_max) {
    const ssize_t octets = ::read(file, part.data(), part.size());
    if (octets < 0 && errno == EINTR) continue;
    if (octets < 0) failed = errno;
    if (octets <= 0) break;
    text.append(part.data(), static_cast<std::size_t>(octets));
  }
  ::close(file);
  if (is_directory) return Error(path + " is a directory");
  if (failed != 0) return Error::system("reading " + path, failed);
  if (text.size() > octets_max)
    return Error(path + " is larger than " + base::format_size(octets_max));
  return std::optional<std::string>(std::move(text));
}

}  // namespace rockdove::daemon
