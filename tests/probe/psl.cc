// psl: a line is a name and, behind a blank, what the case expects, which is not looked at.
#include <stdexcept>

#include "tests/probe/lists.h"

namespace rockdove::probe {

const dns::PublicSuffixes& suffixes_of(const Options& options) {
  static const auto kSuffixes =
      dns::PublicSuffixes::load(options.psl.empty() ? dns::kPublicSuffixFile : options.psl);
  if (!kSuffixes) throw std::runtime_error(kSuffixes.error().text());
  return **kSuffixes;
}

nlohmann::json answer_psl(const nlohmann::json& test_case, const Options& options) {
  const auto line = test_case.get<std::string>();
  const auto domain =
      suffixes_of(options).registrable_domain(line.substr(0, line.find_first_of(" \t")));
  nlohmann::json result = {{"domain", nullptr}};
  if (domain) result["domain"] = *domain;
  return result;
}

}  // namespace rockdove::probe
