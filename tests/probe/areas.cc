#include "tests/probe/area.h"
#include "tests/probe/dkim_sign.h"

namespace rockdove::probe {

std::span<const Area> areas() {
  static constexpr Area kAreas[] = {
      {"arc-seal", answer_arc_seal},
      {"arc-validate", answer_arc_validate},
      {"dkim-canon", answer_dkim_canon},
      {"dkim-sign", answer_dkim_sign},
      {"dkim-verify", answer_dkim_verify},
      {"dmarc", answer_dmarc},
      {"dmarc-record", answer_dmarc_record},
      {"proxy", answer_proxy},
      {"psl", answer_psl, CaseForm::Text},
      {"rfc2047", answer_rfc2047},
      {"smtp-address", answer_smtp_address},
      {"smtp-command", answer_smtp_command},
      {"spf", answer_spf},
  };
  return kAreas;
}

}  // namespace rockdove::probe
