// What the daemon tells systemd about itself (sd_notify(3), Type=notify). Does nothing when it was
// not started by a service manager.
#pragma once

#include <string_view>

namespace rockdove::daemon {

// Listening, with the queue open.
void notify_ready();
// A reload has begun; notify_ready() ends it.
void notify_reloading();
// Draining; what comes now is no failure.
void notify_stopping();
// One line for people, shown by `systemctl status`.
void notify_status(std::string_view sentence);

}  // namespace rockdove::daemon
