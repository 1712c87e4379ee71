// smtp-command: is this line a command as we take it apart? null: a verb or a parameter that is not
// offered here. Whether it is obeyed is the session's affair: it refuses RCPT TO:<> and mechanisms
// of AUTH that it does not have.
#include "mta/smtp/command.h"
#include "tests/probe/area.h"

namespace rockdove::probe {

nlohmann::json answer_smtp_command(const nlohmann::json& test_case, const Options& /*options*/) {
  const std::string line = test_case.at("line").get<std::string>();
  const smtp::Command command = smtp::parse_command(line);
  const auto* refusal = std::get_if<smtp::Refusal>(&command);
  if (refusal == nullptr) return {{"ok", true}};
  switch (refusal->why) {
    case smtp::Refusal::Why::NotOffered:
    case smtp::Refusal::Why::ParameterNotOffered:
      return {{"ok", nullptr}};
    case smtp::Refusal::Why::UnknownVerb:
    case smtp::Refusal::Why::Syntax:
      return {{"ok", false}};
  }
  return {{"ok", false}};
}

}  // namespace rockdove::probe
