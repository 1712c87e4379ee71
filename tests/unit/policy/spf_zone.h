// A DNS for checks of policy/: a table, and a count of what was asked of it. ask() runs a check
// until it decides, as the engine does: all that is missing is answered at once, round by round.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "policy/spf.h"
#include "policy/spf_evaluation.h"

namespace rockdove::policy {

class SpfZone {
 public:
  void text(const std::string& name, const std::string& text) {
    ok(name, dns::RecordType::TXT).texts.push_back(text);
  }

  // Of either family.
  void address(const std::string& name, std::string_view text) {
    const base::IpAddress ip = *base::parse_ip_address(text);
    ok(name, ip.is_v4() ? dns::RecordType::A : dns::RecordType::AAAA).addresses.push_back(ip);
  }

  void mx(const std::string& name, const std::string& host) {
    ok(name, dns::RecordType::MX).exchanges.push_back({10, host});
  }

  void ptr(std::string_view address, const std::string& name) {
    ok(dns::reverse_name(*base::parse_ip_address(address)), dns::RecordType::PTR)
        .names.push_back(name);
  }

  void fails(const std::string& name, dns::RecordType type) {
    answers_[{name, type}].status = dns::Status::TimedOut;
    names_.insert(name);
  }

  [[nodiscard]] dns::Answer answer(const Question& question) const {
    if (const auto found = answers_.find(question); found != answers_.end()) return found->second;
    dns::Answer answer;
    answer.status = names_.contains(question.name) ? dns::Status::NoData : dns::Status::NxDomain;
    return answer;
  }

  // The check's verdict; what it asked is in `asked`, and how often it was run in `rounds`. Going
  // on where it was and beginning anew must come to the same, round by round.
  SpfOutcome check(const SpfRequest& request) {
    RecordedDns known;
    SpfEvaluation evaluation(request, known);
    asked.clear();
    for (rounds = 1;; ++rounds) {
      const std::optional<SpfOutcome> anew = check_spf(request, known);
      const std::vector<Question> missing_anew = known.take_missing();
      const std::optional<SpfOutcome> outcome = evaluation.run();
      if (anew != outcome) throw std::runtime_error("going on comes to something else");
      if (outcome) {
        left_over = known.take_missing().size();
        return *outcome;
      }
      std::vector<Question> missing = known.take_missing();
      if (missing != missing_anew) throw std::runtime_error("going on asks something else");
      if (missing.empty() || rounds == 1000) throw std::runtime_error("the check does not end");
      for (Question& question : missing) {
        asked.push_back(question.name);
        auto reply = std::make_shared<const dns::Answer>(answer(question));
        known.add(std::move(question), std::move(reply));
      }
    }
  }

  // The result only, for mail from a@example.com.
  SpfResult result(std::string_view client) { return check(request(client)).result; }

  static SpfRequest request(std::string_view client, const std::string& sender = "a@example.com") {
    SpfRequest request;
    request.client = *base::parse_ip_address(client);
    request.helo = "mail.example.net";
    request.sender = sender;
    request.receiver = "mx.example.org";
    return request;
  }

  std::vector<std::string> asked;
  unsigned rounds = 0;
  std::size_t left_over = 0;  // noted as missing by the run that decided

 private:
  dns::Answer& ok(const std::string& name, dns::RecordType type) {
    names_.insert(name);
    dns::Answer& answer = answers_[{name, type}];
    answer.status = dns::Status::Ok;
    return answer;
  }

  std::map<Question, dns::Answer> answers_;
  std::set<std::string> names_;
};

}  // namespace rockdove::policy
