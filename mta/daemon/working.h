// The crash table: STATE_DIR/working, a small file that is mapped shared. Each thread notes there
// what it works on (base/working.h). A handler for SIGSEGV, SIGBUS, SIGFPE and SIGABRT marks the
// slots of the thread that failed, then lets the signal end the process as it would have without
// us, so that core dumps work. Nothing is synced: a process that ends leaves the page cache as it
// is.
//
// SIGKILL, power loss, a stop, and a signal that somebody sent from outside mark nothing. Who
// counts crashes is not here; this only says what a crash happened at.
#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "mta/base/ids.h"
#include "mta/base/ip_address.h"
#include "mta/base/result.h"
#include "mta/base/working.h"

namespace rockdove::daemon {

inline constexpr unsigned kWorkingThreadsMax = 256;

struct WorkedOn {
  std::variant<base::DeliveryId, base::IpAddress> what;
  bool crashed = false;  // false: the process ended otherwise, on something else or from outside

  bool operator==(const WorkedOn&) const = default;
};

class WorkingTable {
 public:
  // A thread's place in the table, for the thread that made it, and its own stack for the handler.
  class Attachment {
   public:
    ~Attachment();  // on the same thread; nothing may be noted any more
    Attachment(const Attachment&) = delete;
    Attachment& operator=(const Attachment&) = delete;

   private:
    friend class WorkingTable;
    explicit Attachment(base::WorkingSlot* slots);

    void* stack_ = nullptr;
    struct PreviousStack;
    std::unique_ptr<PreviousStack> previous_;
  };

  // Opens STATE_DIR/working, or makes it with mode 0600, and reads what the last run left. A file
  // of another layout, as one cut short, is as good as none. Only who holds STATE_DIR/lock may call
  // it.
  [[nodiscard]] static base::Result<std::unique_ptr<WorkingTable>> open(
      const std::string& state_dir);

  ~WorkingTable();
  WorkingTable(const WorkingTable&) = delete;
  WorkingTable& operator=(const WorkingTable&) = delete;

  // What was noted when the last run ended; of one delivery or client at most one entry.
  [[nodiscard]] const std::vector<WorkedOn>& found() const { return found_; }

  // Clears the file. Once what was found has been counted, and before the first attach().
  void reset();

  // Gives the calling thread slot `thread`, from 0, below kWorkingThreadsMax; one thread each.
  [[nodiscard]] std::unique_ptr<Attachment> attach(unsigned thread);

 private:
  struct File;

  explicit WorkingTable(File* file) : file_(file) {}

  void read();

  File* file_;
  std::vector<WorkedOn> found_;
  bool is_reset_ = false;
};

// For the whole process, once.
[[nodiscard]] base::Result<void> install_crash_handlers();

}  // namespace rockdove::daemon
