#include "mta/daemon/working.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

#include <sys/mman.h>
#include <sys/stat.h>

#include "mta/base/assert.h"

namespace rockdove::daemon {

using base::Error;
using base::Result;
using base::WorkingSlot;

namespace {

constexpr std::array<char, 8> kMagic = {'R', 'D', 'w', 'o', 'r', 'k', '0', '1'};
constexpr std::size_t kHandlerStackOctets = 64 * 1024;
constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGABRT};

// The kernel found the fault in this thread, or the thread raised the signal itself, as abort()
// does.
bool is_own_failure(const siginfo_t& info) {
  return info.si_code > 0 || (info.si_code == SI_TKILL && info.si_pid == ::getpid());
}

void on_crash(int number, siginfo_t* info, void*) {
  const int saved = errno;
  const base::WorkingThread& thread = base::working_thread;
  if (is_own_failure(*info) && thread.slots != nullptr) {
    for (unsigned level = 0; level < base::kWorkingLevels; ++level) {
      if (thread.slots[level].kind != WorkingSlot::Nothing) thread.slots[level].crashed = 1;
    }
  }

  struct sigaction fallback {};

  fallback.sa_handler = SIG_DFL;
  ::sigaction(number, &fallback, nullptr);
  // A fault happens again when we return, at the very instruction, which is what a core dump should
  // show. A signal that was sent does not, and is sent again; it arrives when we return.
  if (info->si_code <= 0) ::raise(number);
  errno = saved;
}

}  // namespace

struct WorkingTable::File {
  std::array<char, 8> magic;
  alignas(64) WorkingSlot slots[kWorkingThreadsMax * base::kWorkingLevels];
};

struct WorkingTable::Attachment::PreviousStack {
  stack_t stack;
};

Result<std::unique_ptr<WorkingTable>> WorkingTable::open(const std::string& state_dir) {
  const std::string path = state_dir + "/working";
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0) return Error::system("opening " + path, errno);

  struct stat status {};

  int code = ::fstat(file, &status) == 0 ? 0 : errno;
  if (code == 0 && status.st_size != sizeof(File) && ::ftruncate(file, 0) != 0) code = errno;
  // The blocks are taken now: a store into a hole of a full disk would be a SIGBUS.
  if (code == 0) code = ::posix_fallocate(file, 0, sizeof(File));
  void* mapped = MAP_FAILED;
  if (code == 0) {
    mapped = ::mmap(nullptr, sizeof(File), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED) code = errno;
  }
  ::close(file);
  if (code != 0) return Error::system("preparing " + path, code);
  std::unique_ptr<WorkingTable> table(new WorkingTable(static_cast<File*>(mapped)));
  table->read();
  return table;
}

WorkingTable::~WorkingTable() {
  ::munmap(file_, sizeof(File));
}

void WorkingTable::read() {
  if (file_->magic != kMagic) return;
  for (const WorkingSlot& slot : file_->slots) {
    WorkedOn entry;
    if (slot.kind == WorkingSlot::Delivery) {
      entry.what = base::DeliveryId{{slot.message}, slot.number};
    } else if (slot.kind == WorkingSlot::Client) {
      std::array<std::uint8_t, 16> octets{};
      std::memcpy(octets.data(), slot.address, octets.size());
      entry.what = slot.number == 4
                       ? base::IpAddress::v4({octets[0], octets[1], octets[2], octets[3]})
                       : base::IpAddress::v6(octets);
    } else {
      continue;
    }
    entry.crashed = slot.crashed == 1;
    const auto same = std::find_if(found_.begin(), found_.end(),
                                   [&](const WorkedOn& one) { return one.what == entry.what; });
    if (same == found_.end()) {
      found_.push_back(entry);
    } else {
      same->crashed = same->crashed || entry.crashed;
    }
  }
}

void WorkingTable::reset() {
  file_->magic = {};
  std::fill(std::begin(file_->slots), std::end(file_->slots), WorkingSlot());
  file_->magic = kMagic;
  is_reset_ = true;
}

std::unique_ptr<WorkingTable::Attachment> WorkingTable::attach(unsigned thread) {
  MTA_ASSERT(is_reset_ && thread < kWorkingThreadsMax);
  MTA_ASSERT(base::working_thread.slots == nullptr && base::working_thread.depth == 0);
  return std::unique_ptr<Attachment>(
      new Attachment(file_->slots + std::size_t{thread} * base::kWorkingLevels));
}

WorkingTable::Attachment::Attachment(WorkingSlot* slots)
    : previous_(std::make_unique<PreviousStack>()) {
  // The handler needs a stack of its own, because an overflow of the thread's stack is a SIGSEGV,
  // too.
  stack_ = ::mmap(nullptr, kHandlerStackOctets, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  MTA_ASSERT(stack_ != MAP_FAILED);
  stack_t stack{};
  stack.ss_sp = stack_;
  stack.ss_size = kHandlerStackOctets;
  MTA_ASSERT(::sigaltstack(&stack, &previous_->stack) == 0);
  base::working_thread.slots = slots;
}

WorkingTable::Attachment::~Attachment() {
  MTA_ASSERT(base::working_thread.depth == 0);
  base::working_thread.slots = nullptr;
  ::sigaltstack(&previous_->stack, nullptr);
  ::munmap(stack_, kHandlerStackOctets);
}

Result<void> install_crash_handlers() {
  struct sigaction action {};

  action.sa_sigaction = on_crash;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  ::sigemptyset(&action.sa_mask);
  for (const int number : kSignals) {
    if (::sigaction(number, &action, nullptr) != 0) {
      return Error::system("installing a signal handler", errno);
    }
  }
  return {};
}

}  // namespace rockdove::daemon
