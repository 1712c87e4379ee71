// What cases about signatures share: a message taken apart, a zone of TXT records, and the clock.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "mta/base/text.h"
#include "mta/base/time.h"
#include "mta/mail/headers.h"
#include "policy/recorded_dns.h"
#include "tests/probe/area.h"

namespace rockdove::probe {

struct Message {
  std::string header;
  std::string body;
};

inline Message split_message(const std::string& text) {
  mail::HeaderSplitter splitter;
  const std::size_t taken = splitter.receive(text);
  splitter.finish();
  std::string body = std::string(splitter.body_start()) + text.substr(taken);
  return {splitter.take_header(), std::move(body)};
}

// The case's `now`, else --now, else this machine's.
inline base::WallTime clock_of(const nlohmann::json& test_case, const Options& options) {
  const auto now = test_case.find("now");
  if (now != test_case.end() && now->is_number()) {
    return base::WallTime(std::chrono::seconds(now->get<std::int64_t>()));
  }
  return options.now ? base::WallTime(std::chrono::seconds(*options.now))
                     : base::read_clocks().wall;
}

// Of a zone that has nothing but TXT records {name: text}; "TIMEOUT" stands for no answer.
inline dns::AnswerPointer look_up_text(const nlohmann::json& zone,
                                       const policy::Question& question) {
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

// Runs a validator, which never waits, to its end.
template <typename Validator>
auto judge_message(Validator& validator, const Message& message, const nlohmann::json& zone) {
  policy::RecordedDns dns;
  validator.want_keys(dns);
  validator.take_body(message.body);
  validator.body_ended();
  for (;;) {
    for (policy::Question& question : dns.take_missing()) {
      dns::AnswerPointer answer = look_up_text(zone, question);
      dns.add(std::move(question), std::move(answer));
    }
    if (auto verdict = validator.judge(dns)) return *std::move(verdict);
  }
}

}  // namespace rockdove::probe
