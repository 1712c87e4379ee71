#include "policy/recorded_dns.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

namespace rockdove::policy {

const dns::Answer* RecordedDns::find(std::string_view name, dns::RecordType type) {
  std::optional<std::string> normalised = dns::question_name(name);
  if (!normalised) {
    const auto [known, is_new] = answers_.try_emplace({std::string(name), type});
    if (is_new) {
      dns::Answer no_name;
      no_name.status = dns::Status::BadName;
      known->second = std::make_shared<const dns::Answer>(std::move(no_name));
    }
    return known->second.get();
  }
  Question question{*std::move(normalised), type};
  const auto known = answers_.find(question);
  if (known != answers_.end()) return known->second.get();
  if (std::find(missing_.begin(), missing_.end(), question) == missing_.end()) {
    missing_.push_back(std::move(question));
  }
  return nullptr;
}

std::vector<Question> RecordedDns::take_missing() {
  return std::exchange(missing_, {});
}

void RecordedDns::add(Question question, dns::AnswerPointer answer) {
  answers_.try_emplace(std::move(question), std::move(answer));
}

}  // namespace rockdove::policy
