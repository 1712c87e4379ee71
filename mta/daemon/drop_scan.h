// The files of STATE_DIR/incoming as the disk has them: which are whole messages, which are odd,
// and their removal. All of it waits for the disk: on a thread of its own, never on a loop.
//
// Every user of the machine may write there, so nothing is believed: no link is followed, only
// regular files with one name are opened, their owner is whom fstat() names, and one look is
// bounded in names, files, and octets, of each user besides. A look goes on where the last one
// ended, so that 100,000 files of one user delay the others' but do not hide them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <dirent.h>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "mta/base/result.h"
#include "mta/base/time.h"
#include "mta/daemon/drop_file.h"
#include "mta/net/file_descriptor.h"

namespace rockdove::daemon {

// Makes the folder: 1733, and the way there at least 0711. To be called as the user who serves.
[[nodiscard]] base::Result<void> make_drop_folder(const std::string& state_dir);

struct DropLimits {
  std::size_t names_max = 5'000;  // looked at
  std::size_t ready_max = 64;     // opened
  std::size_t ready_of_user_max = 16;
  std::size_t envelope_octets_max = 8 * 1024 * 1024;  // of all that are ready
  std::uint64_t content_octets_max = 50'000'000;
  // Not complete for so long: nobody writes it any more.
  base::Duration unfinished_max = std::chrono::hours(1);
};

// A whole message.
struct DroppedMail {
  std::string name;
  std::uint32_t user = 0;
  std::uint32_t group = 0;
  net::FileDescriptor file;
  DropEnvelope envelope;  // with the octets of the content
};

// A file that stays, and why.
struct OddFile {
  // Whether it is worth another look as it is: it may still be completed, or could not be opened
  // because the process had no descriptor left.
  enum class Stays : std::uint8_t { ForNow, ForGood };

  std::string name;
  std::uint32_t user = 0;
  std::string why;
  Stays stays = Stays::ForNow;
};

struct DropLook {
  std::vector<DroppedMail> ready;
  std::vector<OddFile> odd;
  bool is_whole = false;  // the end of the folder was reached
};

class DropScan {
 public:
  explicit DropScan(std::string folder) : folder_(std::move(folder)) {}

  ~DropScan();
  DropScan(const DropScan&) = delete;
  DropScan& operator=(const DropScan&) = delete;

  // The next files. `is_known`: leave these alone. `now` is the wall clock.
  [[nodiscard]] base::Result<DropLook> look(
      const DropLimits& limits, base::WallTime now,
      const std::function<bool(const std::string&)>& is_known);

  // Durably. A file that is not there is a success.
  [[nodiscard]] base::Result<void> remove(const std::string& name);

 private:
  [[nodiscard]] base::Result<void> open();
  void close();

  const std::string folder_;
  DIR* stream_ = nullptr;  // where the last look ended
};

}  // namespace rockdove::daemon
