#include "mta/cli/dkim_survey.h"

#include <algorithm>
#include <utility>

#include "mta/cli/safe_text.h"
#include "policy/dkim_key.h"
#include "policy/txt_strings.h"

namespace rockdove::cli {
namespace {

using crypto::KeyKind;
using policy::SigningRule;

constexpr std::size_t kRsaBitsWanted = 2048;  // RFC 8301 §3.2

// Whether another rule signs the same mail in the place of this one.
bool has_follower(const std::vector<SigningRule>& rules, const SigningRule& rule,
                  base::WallTime now) {
  return std::any_of(rules.begin(), rules.end(), [&](const SigningRule& other) {
    return other.active_from > rule.active_from && other.active_from <= now &&
           policy::exclude_each_other(other, rule);
  });
}

bool signs_with_rsa(const std::vector<SigningRule>& rules, const std::string& domain) {
  return std::any_of(rules.begin(), rules.end(), [&domain](const SigningRule& rule) {
    return rule.identity->domain == domain && rule.identity->key->kind() == KeyKind::Rsa;
  });
}

// "RSA, 2048 bits".
std::string describe_key(KeyKind kind, std::size_t bits) {
  return kind == KeyKind::Ed25519 ? "Ed25519" : "RSA, " + std::to_string(bits) + " bits";
}

void judge_key(DkimSurvey& survey, const policy::DkimKey& published,
               const policy::SigningKey& key) {
  if (published.key.kind() != key.kind() || published.key.octets() != key.public_octets()) {
    survey.wrong.push_back("another key is published there (" +
                           describe_key(published.key.kind(), published.key.bits()) +
                           "), so what this one signs does not verify");
  }
  if (published.is_testing)
    survey.advice.emplace_back("t=y says that the domain is only testing: leave it out");
}

void judge_records(DkimSurvey& survey, const policy::SigningKey& key) {
  if (survey.found.size() > 1) {
    survey.wrong.push_back("there are " + std::to_string(survey.found.size()) +
                           " records at that name; receivers take any of them, or none");
  }
  for (const std::string& record : survey.found) {
    const auto published = policy::parse_dkim_key(record);
    if (published) return judge_key(survey, *published, key);
    survey.wrong.push_back("the record cannot be used: " + published.error().text());
  }
}

void judge_answer(DkimSurvey& survey, const dns::Answer& answer, const policy::SigningKey& key) {
  switch (answer.status) {
    case dns::Status::Ok:
      survey.found = answer.texts;
      return judge_records(survey, key);
    case dns::Status::NoData:
    case dns::Status::NxDomain:
      survey.wrong.emplace_back("the key is not published: there is no TXT record");
      return;
    case dns::Status::ServerFailure:
    case dns::Status::TimedOut:
    case dns::Status::BadName:
      survey.wrong.push_back(
          "the DNS does not say what is there: " + std::string(dns::name_of(answer.status)) +
          (answer.detail.empty() ? "" : " (" + answer.detail + ")"));
      return;
  }
}

DkimSurvey survey_of(const SigningRule& rule, const std::vector<SigningRule>& rules,
                     base::WallTime now) {
  const policy::DkimIdentity& identity = *rule.identity;
  DkimSurvey survey;
  survey.domain = identity.domain;
  survey.selector = identity.selector;
  survey.kind = identity.key->kind();
  if (survey.kind == KeyKind::Rsa) survey.bits = identity.key->bits();
  survey.active_from = rule.active_from;
  survey.is_active = rule.active_from <= now;
  survey.is_followed = has_follower(rules, rule, now);
  survey.publish = identity.key->key_record();
  if (survey.kind == KeyKind::Rsa && survey.bits < kRsaBitsWanted)
    survey.advice.emplace_back("the key is weak; make one of 2048 bits (RFC 8301)");
  if (survey.kind == KeyKind::Ed25519 && !signs_with_rsa(rules, survey.domain)) {
    survey.advice.emplace_back(
        "many receivers cannot verify Ed25519 yet; let an RSA key sign beside it");
  }
  return survey;
}

std::string state_of(const DkimSurvey& survey) {
  if (survey.is_followed) return "has been followed by another key";
  if (survey.is_active) return "signs";
  return "signs from " + base::format_timestamp(survey.active_from) + " on";
}

}  // namespace

std::optional<std::vector<DkimSurvey>> survey_dkim(const std::vector<SigningRule>& rules,
                                                   base::WallTime now, policy::RecordedDns& dns) {
  std::vector<DkimSurvey> surveys;
  bool is_whole = true;
  for (const SigningRule& rule : rules) {
    DkimSurvey survey = survey_of(rule, rules, now);
    const auto name = policy::dkim_key_name(survey.selector, survey.domain);
    if (!name) {
      survey.wrong.push_back(name.error().text());
    } else {
      survey.name = *name;
      const dns::Answer* const answer = dns.find(*name, dns::RecordType::TXT);
      is_whole = is_whole && answer != nullptr;
      if (answer != nullptr) judge_answer(survey, *answer, *rule.identity->key);
    }
    // A key that signs no more is needed as long as mail is on its way, and not longer.
    if (survey.is_followed && !survey.wrong.empty()) {
      survey.advice.insert(survey.advice.end(), survey.wrong.begin(), survey.wrong.end());
      survey.wrong.clear();
    }
    surveys.push_back(std::move(survey));
  }
  if (!is_whole) return std::nullopt;
  return surveys;
}

bool is_in_order(const std::vector<DkimSurvey>& surveys) {
  return std::all_of(surveys.begin(), surveys.end(),
                     [](const DkimSurvey& survey) { return survey.wrong.empty(); });
}

std::string format_zone_line(const std::string& name, const std::string& record) {
  return name + ". IN TXT " + policy::format_txt_strings(record);
}

std::string format_surveys(const std::vector<DkimSurvey>& surveys) {
  std::string text;
  for (const DkimSurvey& survey : surveys) {
    text += survey.domain + ", selector " + survey.selector + " (" +
            describe_key(survey.kind, survey.bits) +
            "): " + (survey.wrong.empty() ? "in order" : "wrong") + '\n';
    text += "  it " + state_of(survey) + '\n';
    if (survey.wrong.empty() && !survey.is_followed)
      text += "  " + survey.name + " publishes this key\n";
    for (const std::string& sentence : survey.wrong)
      text += "  wrong at " + survey.name + ": " + safe_text(sentence) + '\n';
    for (const std::string& sentence : survey.advice)
      text += "  better: " + safe_text(sentence) + '\n';
    if (survey.wrong.empty()) continue;
    for (const std::string& record : survey.found) text += "  found: " + safe_text(record) + '\n';
    text += "  to publish:\n" + format_zone_line(survey.name, survey.publish) + '\n';
  }
  return text;
}

nlohmann::ordered_json surveys_as_json(const std::vector<DkimSurvey>& surveys) {
  auto keys = nlohmann::ordered_json::array();
  for (const DkimSurvey& survey : surveys) {
    keys.push_back(
        {{"domain", survey.domain},
         {"selector", survey.selector},
         {"name", survey.name},
         {"type", survey.kind == KeyKind::Rsa ? "rsa" : "ed25519"},
         {"bits", survey.bits},
         {"active_from",
          survey.active_from == base::WallTime() ? "" : base::format_timestamp(survey.active_from)},
         {"signs", survey.is_active && !survey.is_followed},
         {"in_order", survey.wrong.empty()},
         {"wrong", survey.wrong},
         {"advice", survey.advice},
         {"found", survey.found},
         {"publish", survey.publish}});
  }
  return {{"in_order", is_in_order(surveys)}, {"keys", std::move(keys)}};
}

}  // namespace rockdove::cli
