// Where meson installs the traffic profiles that come with the program (contrib/traffic).
#pragma once

#include <string>
#include <vector>

namespace rockdove::daemon {

[[nodiscard]] const char* profile_folder();

// That folder; empty where it is not there, because nothing was installed.
[[nodiscard]] std::vector<std::string> installed_profiles();

}  // namespace rockdove::daemon
