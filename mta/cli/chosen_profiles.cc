#include "mta/cli/chosen_profiles.h"

#include <cstdio>

#include "mta/cli/safe_text.h"
#include "mta/daemon/configuration.h"
#include "mta/daemon/profile_folder.h"

namespace rockdove::cli {

daemon::ReadProfiles choose_profiles(const std::vector<std::string>& named,
                                     const std::string& config) {
  if (!named.empty()) return daemon::load_profiles(named);
  const daemon::ParsedConfiguration parsed =
      daemon::load_configuration_keys(daemon::configuration_path(config));
  if (parsed.configuration && parsed.configuration->traffic_profiles)
    return daemon::load_profiles(*parsed.configuration->traffic_profiles);
  if (const std::vector<std::string> installed = daemon::installed_profiles(); !installed.empty())
    return daemon::load_profiles(installed);
  daemon::ReadProfiles none;
  none.problems.push_back(
      {daemon::Severity::Error,
       daemon::profile_folder(),
       {},
       "the profiles that come with Rockdove are not installed here; name files or "
       "a folder, as contrib/traffic of its sources"});
  return none;
}

std::shared_ptr<const traffic::Profiles> readable_profiles(const std::vector<std::string>& named,
                                                           const std::string& config) {
  const daemon::ReadProfiles read = choose_profiles(named, config);
  for (const daemon::Problem& problem : read.problems)
    std::fprintf(stderr, "%s\n", safe_text(daemon::format_problem(problem)).c_str());
  return read.profiles;
}

}  // namespace rockdove::cli
