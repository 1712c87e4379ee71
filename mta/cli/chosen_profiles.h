// Which traffic profiles a command works on.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "mta/daemon/traffic_file.h"

namespace rockdove::cli {

// Those that were named; else those of the configuration (`config` as configuration_path() takes
// it); else those that came with the program. Where no configuration can be read there is none that
// says otherwise: these commands serve people who only look at profiles, too.
[[nodiscard]] daemon::ReadProfiles choose_profiles(const std::vector<std::string>& named,
                                                   const std::string& config);

// The same for commands that do not tell about the files; null, and said on stderr why: they cannot
// be read.
[[nodiscard]] std::shared_ptr<const traffic::Profiles> readable_profiles(
    const std::vector<std::string>& named, const std::string& config);

}  // namespace rockdove::cli
