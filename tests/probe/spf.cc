// spf: is this client allowed to send for this sender? The DNS is the case's zone, and `questions`
// counts what was asked of it. `reason` and `rounds` are for whoever reads the answers.
#include "policy/spf.h"

#include <algorithm>
#include <memory>

#include "mta/base/text.h"
#include "policy/spf_evaluation.h"
#include "tests/probe/area.h"

namespace rockdove::probe {
namespace {

using nlohmann::json;

constexpr unsigned kRoundsMax = 100;
constexpr unsigned kAliasesMax = 9;

// Characters U+0080 to U+00FF stand for single octets; others stay as they are.
std::string octets_of(const std::string& text) {
  std::string octets;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto first = static_cast<unsigned char>(text[i]);
    if ((first == 0xc2 || first == 0xc3) && i + 1 < text.size()) {
      const auto second = static_cast<unsigned char>(text[++i]);
      octets += static_cast<char>(((first & 3U) << 6) | (second & 0x3fU));
    } else {
      octets += text[i];
    }
  }
  return octets;
}

std::string name_of(const std::string& text) {
  std::string name = base::lower_case(octets_of(text));
  if (name.ends_with('.')) name.pop_back();
  return name;
}

class Zone {
 public:
  explicit Zone(const json& zone) {
    for (const auto& [name, records] : zone.items()) {
      json& known = names_[name_of(name)];
      for (const json& record : records) known.push_back(record);
    }
  }

  [[nodiscard]] dns::Answer answer(const policy::Question& question) const {
    dns::Answer answer;
    answer.status = dns::Status::NxDomain;
    std::string name = question.name;
    for (unsigned hop = 0; hop < kAliasesMax; ++hop) {
      const auto found = names_.find(name);
      if (found == names_.end()) {
        if (name.starts_with("error.")) answer.status = dns::Status::TimedOut;
        return answer;
      }
      answer.status = dns::Status::NoData;
      const json* alias = nullptr;
      bool times_out = false;
      for (const json& record : found->second) {
        const std::string type = record.at(0);
        times_out = times_out || type == "TIMEOUT";
        if (type == "CNAME") alias = &record.at(1);
        if (type == dns::name_of(question.type)) add(record.at(1), question.type, answer);
      }
      if (answer.status == dns::Status::NoData && times_out) answer.status = dns::Status::TimedOut;
      if (answer.status != dns::Status::NoData || alias == nullptr) return answer;
      name = name_of(alias->get<std::string>());
    }
    return answer;
  }

 private:
  static void add(const json& data, dns::RecordType type, dns::Answer& answer) {
    if (data == "TIMEOUT" || data == json::array({"TIMEOUT"})) {
      answer.status = dns::Status::TimedOut;
      return;
    }
    switch (type) {
      case dns::RecordType::A:
      case dns::RecordType::AAAA: {
        const auto address = base::parse_ip_address(data.get<std::string>());
        if (!address) throw std::runtime_error("the zone has a bad address: " + data.dump());
        answer.addresses.push_back(*address);
        break;
      }
      case dns::RecordType::MX:
        answer.exchanges.push_back(
            {data.at(0).get<std::uint16_t>(), name_of(data.at(1).get<std::string>())});
        break;
      case dns::RecordType::TXT: {
        std::string text;
        if (data.is_string()) text = data;
        if (data.is_array()) {
          for (const json& part : data) text += part.get<std::string>();
        }
        answer.texts.push_back(octets_of(text));
        break;
      }
      case dns::RecordType::PTR:
        answer.names.push_back(name_of(data.get<std::string>()));
        break;
    }
    answer.status = dns::Status::Ok;
  }

  std::map<std::string, json> names_;
};

std::string text_of(const json& test_case, const char* member) {
  const auto found = test_case.find(member);
  return found == test_case.end() || found->is_null() ? "" : octets_of(found->get<std::string>());
}

}  // namespace

json answer_spf(const json& test_case, const Options& options) {
  const Zone zone(test_case.at("zone"));
  policy::SpfRequest request;
  const auto client = base::parse_ip_address(test_case.at("ip").get<std::string>());
  if (!client) throw std::runtime_error("bad ip");
  request.client = *client;
  request.helo = text_of(test_case, "helo");
  request.sender = text_of(test_case, "mail_from");
  request.receiver = "receiver.invalid";
  const std::int64_t now = test_case.value("now", options.now.value_or(0));
  request.now = base::WallTime(std::chrono::seconds(now));
  request.explaining = policy::SpfExplaining::Yes;

  policy::RecordedDns dns;
  policy::SpfEvaluation evaluation(request, dns);
  std::size_t questions = 0;
  for (unsigned round = 1; round <= kRoundsMax; ++round) {
    if (const auto outcome = evaluation.run()) {
      json answer = {{"result", policy::name_of(outcome->result)},
                     {"explanation", nullptr},
                     {"questions", questions},
                     {"rounds", round},
                     {"reason", outcome->reason}};
      if (outcome->result == policy::SpfResult::Fail) {
        if (outcome->explanation) {
          answer["explanation"] = *outcome->explanation;
        } else if (const auto text = test_case.find("default_explanation");
                   text != test_case.end()) {
          answer["explanation"] = *text;
        }
      }
      return answer;
    }
    for (policy::Question& question : dns.take_missing()) {
      ++questions;
      auto reply = std::make_shared<const dns::Answer>(zone.answer(question));
      dns.add(std::move(question), std::move(reply));
    }
  }
  throw std::runtime_error("no verdict after 100 rounds");
}

}  // namespace rockdove::probe
