// Takes in what `sendmail` left in STATE_DIR/incoming while nobody answered at submit.sock: looks
// there at the start and then every few seconds, hands each whole message to inbound::Submission,
// and removes its file once it is durable in the queue.
//
// No message is taken twice: the commit that accepts it notes the file's name (queue::noted, kind
// "incoming"), and the note goes when the file is durably gone. A file whose name is noted is only
// removed. So a process that is killed anywhere between leaves file and note, or neither.
//
// Belongs to its loop; the disk is touched by one thread of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_set>
#include <vector>

#include "mta/base/log.h"
#include "mta/base/loop.h"
#include "mta/base/workers.h"
#include "mta/daemon/drop_scan.h"
#include "mta/inbound/submission.h"
#include "queue/store.h"

namespace rockdove::daemon {

class DropFolder {
 public:
  static constexpr base::Duration kLookEach = std::chrono::seconds(5);

  struct Parts {
    base::Loop& loop;
    queue::Store& store;
    base::Log& log;
    // Makes the way in under the settings that are in use now.
    std::function<std::unique_ptr<inbound::Submission>(inbound::SubmittedFile file,
                                                       inbound::Submission::Handlers handlers)>
        submit;
    // Octets of a message at most, likewise.
    std::function<std::uint64_t()> content_octets_max;
    // One thread, which ends before the loop's last turn; tests may have one that waits for them.
    base::Workers& disk;
  };

  DropFolder(Parts parts, const std::string& state_dir);
  ~DropFolder();
  DropFolder(const DropFolder&) = delete;
  DropFolder& operator=(const DropFolder&) = delete;

  // These on the loop's thread.
  void start();
  // What is under way comes to its end, nothing new begins.
  void stop();
  // What was refused is tried again under new settings.
  void settings_replaced();

  [[nodiscard]] bool is_idle() const { return taking_.empty(); }

 private:
  static constexpr std::size_t kAtOnceMax = 8;
  static constexpr std::size_t kOddNamesMax = 10'000;
  static constexpr std::size_t kOddLinesMax = 20;  // in the log, of one look
  static constexpr std::size_t kPieceOctets = 64 * 1024;

  struct Taking;

  void look();
  void looked(base::Result<DropLook> found);
  void notes_read(base::Result<std::vector<queue::NotedRow>> rows);
  void go_on();
  void take(DroppedMail mail);
  void read_piece(const std::string& name);
  void piece_read(const std::string& name, base::Result<std::string> piece);
  void taken(const std::string& name, const inbound::SubmissionResult& result);
  void remove_noted(const std::string& name);
  void removed(const std::string& name, const base::Result<void>& result);
  void end_of(const std::string& name);
  void stays(const OddFile& file);
  void set_timer();

  Parts parts_;
  const std::shared_ptr<DropScan> scan_;  // used by the disk's thread alone
  std::shared_ptr<DropFolder*> self_;     // emptied when it is gone
  std::unique_ptr<base::Timer> timer_;
  bool stopping_ = false;
  bool looking_ = false;
  bool has_more_ = false;        // the last look did not reach the end
  bool has_progressed_ = false;  // something was taken since
  bool has_cleaned_ = false;     // what an earlier process noted has been removed
  std::vector<DroppedMail> ready_;
  std::map<std::string, std::unique_ptr<Taking>> taking_;
  std::set<std::string> removing_;
  std::unordered_set<std::uint32_t> not_now_;  // users, until the next look
  // Files that stay, named in the log once: those that are not looked at again, and the others.
  std::set<std::string> odd_;
  std::set<std::string> odd_for_now_;
  std::size_t odd_lines_ = 0;   // of this look
  std::size_t odd_silent_ = 0;  // likewise, without a line
  base::Instant silent_told_ = base::Instant::min();
};

}  // namespace rockdove::daemon
