// A directory below $TMPDIR that goes away with its object.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include "mta/base/assert.h"

namespace rockdove::tests {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    path_ = (std::filesystem::temp_directory_path() / "rockdove-test-XXXXXX").string();
    MTA_ASSERT(mkdtemp(path_.data()) != nullptr);
  }

  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace rockdove::tests
