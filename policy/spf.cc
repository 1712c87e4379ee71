#include "policy/spf.h"

#include "policy/spf_evaluation.h"

namespace rockdove::policy {

std::string_view name_of(SpfResult result) {
  switch (result) {
    case SpfResult::None:
      return "none";
    case SpfResult::Neutral:
      return "neutral";
    case SpfResult::Pass:
      return "pass";
    case SpfResult::Fail:
      return "fail";
    case SpfResult::SoftFail:
      return "softfail";
    case SpfResult::TempError:
      return "temperror";
    case SpfResult::PermError:
      return "permerror";
  }
  return "";
}

std::optional<SpfOutcome> check_spf(const SpfRequest& request, RecordedDns& dns) {
  return SpfEvaluation(request, dns).run();
}

}  // namespace rockdove::policy
