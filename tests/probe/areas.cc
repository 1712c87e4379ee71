#include "tests/probe/area.h"

namespace rockdove::probe {

std::span<const Area> areas() {
  static constexpr Area kAreas[] = {
      {"arc-seal", answer_arc_seal},  // one on a line
      {"arc-validate", answer_arc_validate}, {"dkim-canon", answer_dkim_canon},
      {"dkim-verify", answer_dkim_verify},   {"proxy", answer_proxy},
      {"rfc2047", answer_rfc2047},           {"smtp-address", answer_smtp_address},
      {"smtp-command", answer_smtp_command},
      {"spf", answer_spf},
  };
  return kAreas;
}

}  // namespace rockdove::probe
