// rfc2047: the text of a header field, decoded.
#include "mta/mail/encoded_word.h"
#include "tests/probe/area.h"

namespace rockdove::probe {

nlohmann::json answer_rfc2047(const nlohmann::json& test_case, const Options& /*options*/) {
  return {{"decoded", mail::decode_encoded_words(test_case.at("encoded").get<std::string>())}};
}

}  // namespace rockdove::probe
