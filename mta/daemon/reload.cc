#include "mta/daemon/reload.h"

namespace rockdove::daemon {
namespace {

template <typename T>
void keep(const char* key, const T& in_use, T& next, std::vector<std::string>& kept) {
  if (next == in_use) return;
  next = in_use;
  kept.emplace_back(key);
}

}  // namespace

std::vector<std::string> keep_what_needs_a_restart(const Configuration& in_use,
                                                   Configuration& next) {
  std::vector<std::string> kept;
  keep("state_dir", in_use.state_dir, next.state_dir, kept);
  keep("runtime_dir", in_use.runtime_dir, next.runtime_dir, kept);
  keep("user", in_use.user, next.user, kept);
  keep("threads", in_use.threads, next.threads, kept);
  keep("dns.servers", in_use.dns_servers, next.dns_servers, kept);
  return kept;
}

}  // namespace rockdove::daemon
