#include "tests/probe/area.h"

namespace rockdove::probe {

std::span<const Area> areas() {
  static constexpr Area kAreas[] = {
      {"proxy", answer_proxy},
      {"rfc2047", answer_rfc2047},
      {"smtp-address", answer_smtp_address},
      {"smtp-command", answer_smtp_command},
  };
  return kAreas;
}

}  // namespace rockdove::probe
