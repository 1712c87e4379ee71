#include "tests/probe/zone.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "mta/base/text.h"

namespace rockdove::probe {
namespace {

// "SERVFAIL", "TIMEOUT", or as some cases have it {"error": "ETIMEOUT"}.
bool is_failure(const nlohmann::json& records) {
  return records.is_string() || (records.is_object() && records.contains("error"));
}

// A case made from a resolver that throws for every type has {"error": …} for each of them but TXT,
// where only the key of that object is left: ["error"].
bool fails(const nlohmann::json& types, const std::string& type) {
  const auto records = types.find(type);
  if (records != types.end() && is_failure(*records)) return true;
  const bool is_key_only = records != types.end() && *records == nlohmann::json::array({"error"});
  return is_key_only && std::any_of(types.begin(), types.end(), is_failure);
}

// One record's text; some cases have it in its strings.
std::string text_of(const nlohmann::json& record) {
  if (!record.is_array()) return record.get<std::string>();
  std::string text;
  for (const nlohmann::json& part : record) text += part.get<std::string>();
  return text;
}

}  // namespace

Zone::Zone(const nlohmann::json& zone) {
  for (const auto& [name, types] : zone.items()) {
    std::string key = base::lower_case(name);
    if (key.ends_with('.')) key.pop_back();
    names_.emplace(std::move(key), types);
  }
}

bool Zone::exists(const std::string& name) const {
  return std::any_of(names_.begin(), names_.end(), [&](const auto& entry) {
    return entry.first == name || entry.first.ends_with("." + name);
  });
}

dns::Answer Zone::answer(const policy::Question& question) const {
  dns::Answer answer;
  answer.status = exists(question.name) ? dns::Status::NoData : dns::Status::NxDomain;
  const auto types = names_.find(question.name);
  if (types == names_.end()) return answer;
  const std::string type(dns::name_of(question.type));
  if (fails(types->second, type)) {
    answer.status = dns::Status::ServerFailure;
    answer.detail = "asking for " + type + " of " + question.name + ": server failure";
    return answer;
  }
  const auto records = types->second.find(type);
  if (records == types->second.end() || records->empty()) return answer;
  answer.status = dns::Status::Ok;  // for other types only whether there is an answer matters
  if (question.type != dns::RecordType::TXT) return answer;
  for (const nlohmann::json& record : *records) answer.texts.push_back(text_of(record));
  return answer;
}

bool Zone::answer_missing(policy::RecordedDns& dns) const {
  std::vector<policy::Question> missing = dns.take_missing();
  for (policy::Question& question : missing) {
    auto answered = std::make_shared<const dns::Answer>(answer(question));
    dns.add(std::move(question), std::move(answered));
  }
  return !missing.empty();
}

}  // namespace rockdove::probe
