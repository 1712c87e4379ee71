#include "queue/salvage_octets.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

#include <sys/stat.h>

namespace rockdove::queue {

using base::Error;
using base::Result;

namespace {

constexpr std::size_t kLargePiece = 1024 * 1024;
// What a disk gives or does not give as one.
constexpr std::size_t kSmallPiece = 4096;

class OpenFile {
 public:
  explicit OpenFile(const std::string& path)
      : number_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)) {}

  ~OpenFile() {
    if (number_ >= 0) ::close(number_);
  }

  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  [[nodiscard]] int number() const { return number_; }

 private:
  const int number_;
};

// False: the disk does not give it. Fewer octets than `wanted`: the file ended.
bool read_at(int file, std::uint64_t offset, char* octets, std::size_t wanted, std::size_t& got) {
  got = 0;
  while (got < wanted) {
    const ssize_t count =
        ::pread(file, octets + got, wanted - got, static_cast<off_t>(offset + got));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    if (count == 0) return true;
    got += static_cast<std::size_t>(count);
  }
  return true;
}

}  // namespace

Result<std::string> read_damaged(const std::string& path, std::uint64_t offset,
                                 std::uint64_t octets_max, const HoleSink& hole) {
  const OpenFile file(path);
  if (file.number() < 0) return Error::system("opening " + path, errno);

  struct stat found {};

  if (::fstat(file.number(), &found) != 0) return Error::system("asking about " + path, errno);
  if (!S_ISREG(found.st_mode)) return Error(path + " is no regular file");
  const auto size = static_cast<std::uint64_t>(found.st_size);
  const std::uint64_t left = size > offset ? size - offset : 0;
  std::string octets(static_cast<std::size_t>(std::min(left, octets_max)), '\0');
  for (std::size_t at = 0; at < octets.size();) {
    std::size_t wanted = std::min(octets.size() - at, kLargePiece);
    std::size_t got = 0;
    if (!read_at(file.number(), offset + at, octets.data() + at, wanted, got)) {
      const int code = errno;
      wanted = std::min(octets.size() - at, kSmallPiece);
      if (!read_at(file.number(), offset + at, octets.data() + at, wanted, got)) {
        std::fill_n(octets.data() + at, wanted, '\0');
        hole({offset + at, wanted, Error::system("reading", code).text()});
        got = wanted;
      }
    }
    if (got == 0) {
      octets.resize(at);  // it has become shorter
      break;
    }
    at += got;
  }
  return octets;
}

std::optional<std::uint64_t> take_varint(std::string_view& octets, unsigned bits) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < octets.size() && i * 7 < bits; ++i) {
    const auto octet = static_cast<unsigned char>(octets[i]);
    number |= std::uint64_t{octet & 0x7FU} << (i * 7);
    if ((octet & 0x80) != 0) continue;
    if (bits < 64 && number >> bits != 0) return std::nullopt;
    octets.remove_prefix(i + 1);
    return number;
  }
  return std::nullopt;
}

std::optional<std::string_view> take_prefixed(std::string_view& octets) {
  std::string_view rest = octets;
  const std::optional<std::uint64_t> size = take_varint(rest, 32);
  if (!size || *size > rest.size()) return std::nullopt;
  const std::string_view text = rest.substr(0, static_cast<std::size_t>(*size));
  octets = rest.substr(text.size());
  return text;
}

}  // namespace rockdove::queue
