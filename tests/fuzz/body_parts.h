// What the fuzz targets of signatures have in common: a check of policy/ that reads a body cut at
// places that the input names, and that is run until it has an answer.
#pragma once

#include <string_view>
#include <utility>

#include "policy/recorded_dns.h"
#include "tests/fuzz/fuzz.h"

namespace rockdove::fuzz {

// What `check` comes to. `answer` gives the DNS's answer to a policy::Question.
template <typename Check, typename Answer>
auto judge_in_parts(Check& check, std::string_view body, Choices parts, Answer answer) {
  policy::RecordedDns dns;
  if (parts.next(2) == 0) check.want_keys(dns);
  while (!body.empty()) {
    const std::string_view part = body.substr(0, parts.is_empty() ? body.size() : parts.next(40));
    check.take_body(part);
    body.remove_prefix(part.size());
  }
  check.body_ended();
  for (int round = 0; round < 3; ++round) {
    if (auto verdict = check.judge(dns)) return *std::move(verdict);
    for (policy::Question& question : dns.take_missing()) {
      auto found = answer(question);
      dns.add(std::move(question), std::move(found));
    }
  }
  FUZZ_CHECK(!"asked for the same again");
  return *check.judge(dns);
}

}  // namespace rockdove::fuzz
