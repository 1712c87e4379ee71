// arc-validate: what RFC 8617 §5.2 says of a message's chain. arc-seal: the fields that seal a
// message; a case has message, txt and now as for arc-validate, domain, selector, key (PEM) and
// results.
#include "policy/arc_sealer.h"
#include "policy/arc_validator.h"
#include "tests/probe/text_zone.h"

namespace rockdove::probe {
namespace {

using nlohmann::json;

policy::ArcVerdict judge(const Message& message, const json& zone, base::WallTime now) {
  policy::ArcValidator validator(message.header, now);
  return judge_message(validator, message, zone);
}

}  // namespace

// The suite has no status for a chain that one of its own seals has declared broken (""), which
// reads as none; contrib/doc/conformance.md. `status` is what the RFC calls it, and what we report:
// fail.
json answer_arc_validate(const json& test_case, const Options& options) {
  const Message message = split_message(test_case.at("message").get<std::string>());
  const policy::ArcVerdict verdict =
      judge(message, test_case.at("txt"), clock_of(test_case, options));
  return {{"cv", verdict.is_ended ? "none" : policy::name_of(verdict.status)},
          {"status", policy::name_of(verdict.status)},
          {"reason", verdict.reason},
          {"highest", verdict.highest},
          {"oldest_pass", verdict.oldest_pass},
          {"covers_from", verdict.covers_from},
          {"covers_body", verdict.covers_body}};
}

json answer_arc_seal(const json& test_case, const Options& options) {
  const auto key = policy::SigningKey::from_pem(test_case.at("key").get<std::string>());
  if (!key) return {{"error", key.error().text()}};
  const Message message = split_message(test_case.at("message").get<std::string>());
  const base::WallTime now = clock_of(test_case, options);
  policy::ArcSealer sealer(policy::ArcIdentity{test_case.at("domain").get<std::string>(),
                                               test_case.at("selector").get<std::string>(), *key});
  sealer.take_body(message.body);
  sealer.body_ended();
  const auto fields = sealer.seal(message.header, judge(message, test_case.at("txt"), now),
                                  test_case.at("results").get<std::string>(), now);
  if (!fields) return {{"error", fields.error().text()}};
  return {{"fields", *fields}};
}

}  // namespace rockdove::probe
