// Where meson installs the traffic profiles that come with the program (contrib/traffic).
#pragma once

namespace rockdove::cli {

[[nodiscard]] const char* profile_folder();

}  // namespace rockdove::cli
