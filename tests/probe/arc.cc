// arc-validate: what RFC 8617 §5.2 says of a message's chain. arc-seal: the fields that seal a
// message; a case has message, txt and now as for arc-validate, domain, selector, key (PEM) and
// results.
#include <memory>
#include <utility>

#include "mta/base/text.h"
#include "mta/mail/headers.h"
#include "policy/arc_sealer.h"
#include "policy/arc_validator.h"
#include "tests/probe/area.h"

namespace rockdove::probe {
namespace {

using nlohmann::json;

struct Message {
  std::string header;
  std::string body;
};

Message split(const std::string& text) {
  mail::HeaderSplitter splitter;
  const std::size_t taken = splitter.receive(text);
  splitter.finish();
  std::string body = std::string(splitter.body_start()) + text.substr(taken);
  return {splitter.take_header(), std::move(body)};
}

base::WallTime clock_of(const json& test_case, const Options& options) {
  const auto seconds =
      test_case.contains("now") ? test_case.at("now").get<std::int64_t>() : options.now.value_or(0);
  return base::WallTime(std::chrono::seconds(seconds));
}

// A zone that has nothing but the case's TXT records; "TIMEOUT" stands for no answer.
dns::AnswerPointer look_up(const json& zone, const policy::Question& question) {
  dns::Answer answer;
  answer.status = dns::Status::NxDomain;
  for (const auto& [name, text] : zone.items()) {
    if (!base::equals_ignoring_case(name, question.name)) continue;
    const auto value = text.get<std::string>();
    answer.status = value == "TIMEOUT" ? dns::Status::TimedOut : dns::Status::Ok;
    if (answer.status == dns::Status::Ok) answer.texts.push_back(value);
  }
  return std::make_shared<const dns::Answer>(std::move(answer));
}

policy::ArcVerdict judge(const Message& message, const json& zone, base::WallTime now) {
  policy::ArcValidator validator(message.header, now);
  policy::RecordedDns dns;
  validator.want_keys(dns);
  validator.take_body(message.body);
  validator.body_ended();
  for (;;) {
    for (policy::Question& question : dns.take_missing()) {
      dns::AnswerPointer answer = look_up(zone, question);
      dns.add(std::move(question), std::move(answer));
    }
    if (auto verdict = validator.judge(dns)) return *std::move(verdict);
  }
}

}  // namespace

// The suite has no status for a chain that one of its own seals has declared broken (""), which
// reads as none; contrib/doc/conformance.md. `status` is what the RFC calls it, and what we report:
// fail.
json answer_arc_validate(const json& test_case, const Options& options) {
  const Message message = split(test_case.at("message").get<std::string>());
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
  const auto key = crypto::PrivateKey::from_pem(test_case.at("key").get<std::string>());
  if (!key) return {{"error", key.error().text()}};
  const Message message = split(test_case.at("message").get<std::string>());
  const base::WallTime now = clock_of(test_case, options);
  policy::ArcSealer sealer(policy::ArcIdentity{test_case.at("domain").get<std::string>(),
                                               test_case.at("selector").get<std::string>(), &*key});
  sealer.take_body(message.body);
  sealer.body_ended();
  const auto fields = sealer.seal(message.header, judge(message, test_case.at("txt"), now),
                                  test_case.at("results").get<std::string>(), now);
  if (!fields) return {{"error", fields.error().text()}};
  return {{"fields", *fields}};
}

}  // namespace rockdove::probe
