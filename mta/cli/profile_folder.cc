#include "mta/cli/profile_folder.h"

namespace rockdove::cli {

const char* profile_folder() {
  return ROCKDOVE_PROFILE_FOLDER;
}

}  // namespace rockdove::cli
