// The files that lists of the policy name, looked at again and again: which have changed, and what
// they hold now. A file is read when two looks in a row find it the same, so that one that is being
// written is not read by half; one that is replaced by a rename is another inode, and a change too.
// What cannot be read or has a bad line changes nothing, and is told once.
//
// It reads from disks, so it belongs to one thread that may wait.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mta/base/log.h"
#include "mta/base/time.h"
#include "policy/address_lists.h"

namespace rockdove::daemon {

// What changes with a file's content.
struct FileStamp {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t octets = 0;
  std::int64_t modified = 0;  // nanoseconds since 1970
  std::int64_t changed = 0;   // likewise; a rename changes it, and whoever sets `modified` back

  bool operator==(const FileStamp&) const = default;
};

class ListFiles {
 public:
  // What was in use before is what the files held when their configuration was read: a file that
  // has not changed since `before` is not read again.
  ListFiles(std::vector<std::string> paths, base::WallTime before);

  struct Line {
    base::Level level = base::Level::Info;
    std::string path;
    std::string text;
  };

  struct Found {
    std::vector<policy::AddressLists::File> lists;  // that are new
    std::vector<Line> lines;                        // for the log
  };

  [[nodiscard]] Found look();

 private:
  struct Watched {
    std::string path;
    std::optional<FileStamp> in_use;
    std::optional<FileStamp> seen;     // at the last look, and not read yet
    std::optional<FileStamp> refused;  // it was read, and is bad
    bool is_gone = false;
  };

  void look_at(Watched& file, Found& found);
  void read(Watched& file, const FileStamp& stamp, Found& found);

  std::vector<Watched> files_;
  base::WallTime before_;
  bool is_first_ = true;
};

}  // namespace rockdove::daemon
