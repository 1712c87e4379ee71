// Reads files of traffic profiles (TOML; contrib/doc/traffic.md says what may stand in them) into
// values of mta/traffic. Unknown keys, wrong types and impossible values are errors with a place;
// what can be read but makes no sense is for traffic/lint.h.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mta/daemon/config_problem.h"
#include "mta/traffic/profiles.h"

namespace rockdove::daemon {

inline constexpr std::size_t kProfileFilesMax = 100;
inline constexpr std::size_t kProvidersMax = 500;        // of a file
inline constexpr std::size_t kDomainSectionsMax = 5000;  // of a file
inline constexpr std::size_t kSourceSectionsMax = 1000;  // of a file
inline constexpr std::size_t kRulesMax = 200;            // of a section
inline constexpr std::size_t kNamePatternsMax = 500;     // of a provider
inline constexpr std::size_t kSamplesMax = 50;           // of a rule or provider

// `path` is what origins and problems name. With errors among the problems, what could be read.
[[nodiscard]] traffic::ProfileFile parse_profile_file(std::string_view text,
                                                      const std::string& path, Problems& problems);

struct ReadProfiles {
  std::shared_ptr<const traffic::Profiles> profiles;  // null: a problem is an error
  std::vector<std::string> files;                     // that were read, in order
  std::vector<Problem> problems;
};

// Files in order; a folder stands for the files in it that end in ".toml", in the order of their
// names.
[[nodiscard]] ReadProfiles load_profiles(const std::vector<std::string>& paths);

}  // namespace rockdove::daemon
