// The area dkim-sign (dkim_sign.cc).
#pragma once

#include "tests/probe/area.h"

namespace rockdove::probe {

nlohmann::json answer_dkim_sign(const nlohmann::json& test_case, const Options& options);

}  // namespace rockdove::probe
