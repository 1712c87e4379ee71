#include "mta/base/result.h"

#include <system_error>

namespace rockdove::base {

Error Error::system(std::string_view what, int code) {
  return Error(std::string(what) + ": " + std::generic_category().message(code));
}

}  // namespace rockdove::base
