// How much a check of the policy engine may do: nothing, look and say what it found, or refuse mail
// for it. A value, shared by the settings of all checks.
#pragma once

#include <cstdint>
#include <string_view>

namespace rockdove::policy {

enum class CheckMode : std::uint8_t {
  Off,      // asks nothing, says nothing
  Check,    // looked at and noted
  Enforce,  // and mail that fails is refused
};

// "off", "check", "enforce".
[[nodiscard]] constexpr std::string_view name_of(CheckMode mode) {
  switch (mode) {
    case CheckMode::Off:
      return "off";
    case CheckMode::Check:
      return "check";
    case CheckMode::Enforce:
      return "enforce";
  }
  return "";
}

}  // namespace rockdove::policy
