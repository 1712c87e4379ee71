// dmarc-record: whether a record is one that RFC 7489 §6.4 allows, which is the stricter edition; a
// case may name the other ("edition": "rfc9989").
#include "policy/dmarc_record.h"

#include "tests/probe/area.h"

namespace rockdove::probe {

nlohmann::json answer_dmarc_record(const nlohmann::json& test_case, const Options& /*options*/) {
  const auto record = policy::parse_dmarc_record(test_case.at("record").get<std::string>());
  const bool is_new = test_case.value("edition", "rfc7489") == "rfc9989";
  const auto edition = is_new ? policy::DmarcEdition::Rfc9989 : policy::DmarcEdition::Rfc7489;
  nlohmann::json problems = nlohmann::json::array();
  if (record) {
    for (const policy::DmarcProblem& problem : record->problems) problems.push_back(problem.text);
  }
  return {{"valid", record && policy::is_valid(*record, edition)}, {"problems", problems}};
}

}  // namespace rockdove::probe
