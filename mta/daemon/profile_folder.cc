#include "mta/daemon/profile_folder.h"

#include <filesystem>
#include <system_error>

namespace rockdove::daemon {

const char* profile_folder() {
  return ROCKDOVE_PROFILE_FOLDER;
}

std::vector<std::string> installed_profiles() {
  std::error_code failed;
  if (!std::filesystem::is_directory(profile_folder(), failed)) return {};
  return {profile_folder()};
}

}  // namespace rockdove::daemon
