#include "policy/txt_strings.h"

#include <catch2/catch.hpp>

namespace rockdove::policy {
namespace {

TEST_CASE("records are shown in quoted strings of 255 octets") {
  CHECK(format_txt_strings("v=spf1 \"x\\") == R"("v=spf1 \"x\\")");
  const std::string long_text(300, 'a');
  CHECK(format_txt_strings(long_text) ==
        "\"" + std::string(255, 'a') + "\" \"" + std::string(45, 'a') + "\"");
  CHECK(format_txt_strings("") == "\"\"");
}

}  // namespace
}  // namespace rockdove::policy
