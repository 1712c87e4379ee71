#include "mta/base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace rockdove::base {

void assertion_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "rockdove: internal error at %s:%d: %s does not hold; the process ends\n",
               file, line, condition);
  std::abort();
}

}  // namespace rockdove::base
