// dkim-verify: each signature of the message in the file `msg`, with the keys of the case.
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "policy/dkim_verifier.h"
#include "tests/probe/text_zone.h"

namespace rockdove::probe {
namespace {

using nlohmann::json;

std::string read_message(const json& test_case, const Options& options) {
  const std::string path = options.root + "/" + test_case.at("msg").get<std::string>();
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw std::runtime_error("there is no " + path);
  std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  if (text.find("\r\n") != std::string::npos) return text;
  std::string lines;  // a file with the line ends of files
  for (const char c : text) lines.append(c == '\n' ? "\r\n" : std::string_view(&c, 1));
  return lines;
}

}  // namespace

json answer_dkim_verify(const json& test_case, const Options& options) {
  const Message message = split_message(read_message(test_case, options));
  policy::DkimVerifier verifier(message.header, clock_of(test_case, options));
  const auto results = judge_message(verifier, message, test_case.at("keys"));
  json signatures = json::array();
  for (const policy::DkimSignature& signature : results) {
    signatures.push_back({{"domain", signature.domain},
                          {"selector", signature.selector},
                          {"algorithm", signature.algorithm},
                          {"result", policy::name_of(signature.result)},
                          {"reason", signature.reason},
                          {"covers_body", signature.covers_body},
                          {"key_bits", signature.key_bits}});
  }
  return {{"verdict", policy::name_of(policy::verdict_of(results))}, {"signatures", signatures}};
}

}  // namespace rockdove::probe
