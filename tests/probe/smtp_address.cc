// smtp-address: would RCPT TO:<address> be accepted, without SMTPUTF8?
#include "mta/base/utf8.h"
#include "mta/mail/address.h"
#include "tests/probe/area.h"

namespace rockdove::probe {

nlohmann::json answer_smtp_address(const nlohmann::json& test_case, const Options& /*options*/) {
  const std::string path = "<" + test_case.at("address").get<std::string>() + ">";
  const auto parsed = mail::parse_path(path, mail::PathKind::Forward);
  return {{"accept", parsed && parsed->rest.empty() && base::is_ascii(path)}};
}

}  // namespace rockdove::probe
