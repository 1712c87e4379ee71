#include "mta/daemon/notify.h"

#include <ctime>
#include <string>

#include <systemd/sd-daemon.h>

namespace rockdove::daemon {

// The result says only whether there is a service manager, and without one nobody needs to know.
void notify_ready() {
  static_cast<void>(sd_notify(0, "READY=1"));
}

void notify_reloading() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);  // the service manager orders messages by this clock
  const long long microseconds = time.tv_sec * 1'000'000LL + time.tv_nsec / 1000;
  const std::string text = "RELOADING=1\nMONOTONIC_USEC=" + std::to_string(microseconds);
  static_cast<void>(sd_notify(0, text.c_str()));
}

void notify_stopping() {
  static_cast<void>(sd_notify(0, "STOPPING=1"));
}

void notify_status(std::string_view sentence) {
  const std::string text = "STATUS=" + std::string(sentence.substr(0, sentence.find('\n')));
  static_cast<void>(sd_notify(0, text.c_str()));
}

}  // namespace rockdove::daemon
