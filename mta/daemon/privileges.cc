#include "mta/daemon/privileges.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <unistd.h>
#include <vector>

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

namespace rockdove::daemon {

using base::Error;
using base::Result;

namespace {

struct Account {
  uid_t user = 0;
  gid_t group = 0;
};

Result<Account> find_account(const std::string& name) {
  std::vector<char> memory(16 * 1024);
  passwd entry{};
  passwd* found = nullptr;
  const int code = ::getpwnam_r(name.c_str(), &entry, memory.data(), memory.size(), &found);
  if (code != 0) return Error::system("looking up the user " + name, code);
  if (found == nullptr) {
    return Error("there is no user \"" + name +
                 "\": make it with `useradd --system`, or set `user` in the configuration");
  }
  return Account{entry.pw_uid, entry.pw_gid};
}

// Without a library: one call, and one capability.
Result<void> keep_only(int capability) {
  __user_cap_header_struct header{};
  header.version = _LINUX_CAPABILITY_VERSION_3;
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {};
  static_assert(CAP_NET_BIND_SERVICE < 32 && CAP_DAC_READ_SEARCH < 32);
  sets[0].permitted = 1U << capability;
  sets[0].effective = sets[0].permitted;
  if (::syscall(SYS_capset, &header, sets) != 0) {
    return Error::system("keeping one capability", errno);
  }
  return {};
}

}  // namespace

Result<void> become_user(const std::string& user) {
  if (::geteuid() != 0) return {};
  const Result<Account> account = find_account(user);
  if (!account) return account.error();
  if (account->user == 0) return Error("`user` must not be root");
  // What is not in the bounding set can never come back. Numbers that the kernel does not know
  // fail.
  for (int capability = 0; capability <= CAP_LAST_CAP; ++capability) {
    if (capability != CAP_NET_BIND_SERVICE) ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  }
  if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 ||
      ::initgroups(user.c_str(), account->group) != 0 ||
      ::setresgid(account->group, account->group, account->group) != 0 ||
      ::setresuid(account->user, account->user, account->user) != 0) {
    return Error::system("becoming the user " + user, errno);
  }
  if (Result<void> kept = keep_only(CAP_NET_BIND_SERVICE); !kept) return kept;
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return Error::system("giving up new privileges", errno);
  }
  ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);  // a change of user forbids core dumps
  return {};
}

Result<void> become_owner_of(const std::string& path) {
  if (::geteuid() != 0) return {};

  struct stat found {};

  if (::stat(path.c_str(), &found) != 0)
    return Error::system("asking whose " + path + " is", errno);
  if (found.st_uid == 0) return {};
  if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 || ::setgroups(0, nullptr) != 0 ||
      ::setresgid(found.st_gid, found.st_gid, found.st_gid) != 0 ||
      ::setresuid(found.st_uid, found.st_uid, found.st_uid) != 0) {
    return Error::system("becoming the owner of " + path, errno);
  }
  return keep_only(CAP_DAC_READ_SEARCH);
}

Result<void> give_to_user(const std::string& path, const std::string& user) {
  if (::geteuid() != 0) return {};
  const Result<Account> account = find_account(user);
  if (!account) return account.error();
  if (::lchown(path.c_str(), account->user, account->group) != 0) {
    return Error::system("giving " + path + " to the user " + user, errno);
  }
  return {};
}

Result<void> check_readable_as(const std::string& user, const std::string& path) {
  const Result<Account> account = find_account(user);
  if (!account) return {};  // who starts the daemon is told that there is no such user
  const pid_t child = ::fork();
  if (child < 0) return Error::system("starting a process", errno);
  if (child == 0) {
    if (::initgroups(user.c_str(), account->group) != 0 || ::setgid(account->group) != 0 ||
        ::setuid(account->user) != 0) {
      ::_exit(EPERM);
    }
    ::_exit(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK) < 0 ? errno : 0);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : EPERM;
  if (code == 0) return {};
  return Error::system("the user " + user + ", who the daemon becomes, cannot read " + path, code);
}

Result<std::uint64_t> raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return Error::system("asking for the limit of open files", errno);
  }
  if (limit.rlim_cur != limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) {
      return Error::system("raising the limit of open files", errno);
    }
  }
  return limit.rlim_cur;
}

}  // namespace rockdove::daemon
