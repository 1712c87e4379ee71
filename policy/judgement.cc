#include "policy/judgement.h"

#include <algorithm>
#include <string>

#include "mta/base/assert.h"
#include "mta/base/text.h"
#include "mta/mail/idna.h"
#include "policy/shown_text.h"

namespace rockdove::policy {
namespace {

constexpr std::string_view kRefusedByPolicy = "5.7.1";
constexpr std::string_view kDnsFailed = "4.4.3";   // RFC 3463 §3.5
constexpr std::string_view kSpfFailed = "5.7.23";  // RFC 7372 §3.2

MethodResult spf_result(const SpfOutcome& outcome, std::string_view property,
                        const std::string& value) {
  return {"spf",
          std::string(name_of(outcome.result)),
          "",
          outcome.reason,
          {{"smtp", std::string(property), value}}};
}

// A pass that does not reach over the whole body vouches for too little: RFC 8601 §2.7.1 calls
// that "policy".
MethodResult dkim_result(const DkimSignature& signature) {
  MethodResult result{"dkim", std::string(name_of(signature.result)), "", signature.reason, {}};
  if (signature.result == DkimResult::Pass && !signature.covers_body) {
    result.result = "policy";
    result.reason = "there is text behind what the signature covers (l=)";
  }
  const auto add = [&result](std::string_view name, const std::string& value) {
    if (!value.empty()) result.properties.push_back({"header", std::string(name), value});
  };
  add("d", signature.domain);
  add("s", signature.selector);
  add("a", signature.algorithm);
  add("b", signature.b_start);
  if (signature.key_bits > 0) result.comment += std::to_string(signature.key_bits) + "-bit key";
  return result;
}

MethodResult arc_result(const ArcVerdict& verdict) {
  MethodResult result{"arc", std::string(name_of(verdict.status)), "", verdict.reason, {}};
  if (verdict.status != ArcStatus::Pass) return result;
  result.properties.push_back({"header", "oldest-pass", std::to_string(verdict.oldest_pass)});
  if (!verdict.handlers.empty()) {
    result.comment = std::to_string(verdict.handlers.size()) + " sets, the last by " +
                     shown_text(verdict.handlers.back().domain);
  }
  return result;
}

bool is_trusted(const std::string& domain, const std::vector<std::string>& trusted) {
  const base::Result<std::string> ascii = mail::to_ascii_domain(domain);
  return ascii &&
         std::find(trusted.begin(), trusted.end(), base::lower_case(*ascii)) != trusted.end();
}

bool says_that_dmarc_passed(const ArcHandler& handler, std::string_view author_domain) {
  const base::Result<AuthenticationResults> results = parse_authentication_results(handler.results);
  if (!results) return false;
  return std::any_of(
      results->results.begin(), results->results.end(), [&](const MethodResult& result) {
        if (result.method != "dmarc" || result.result != "pass") return false;
        return std::any_of(result.properties.begin(), result.properties.end(),
                           [&](const ResultProperty& property) {
                             return property.type == "header" && property.name == "from" &&
                                    base::equals_ignoring_case(property.value, author_domain);
                           });
      });
}

// The trusted sealer that saw DMARC pass for this author; "": there is none. All who sealed after
// it must be trusted, too, since each of them could have changed what it says.
std::string trusted_witness(const Findings& findings, const std::vector<std::string>& trusted) {
  // A sealed message may be sent again by anybody, with what its seal does not cover changed.
  if (!findings.arc || findings.arc->status != ArcStatus::Pass || !findings.arc->covers_from ||
      !findings.arc->covers_body) {
    return "";
  }
  const std::vector<ArcHandler>& handlers = findings.arc->handlers;
  for (auto handler = handlers.rbegin(); handler != handlers.rend(); ++handler) {
    if (!is_trusted(handler->domain, trusted)) return "";
    if (says_that_dmarc_passed(*handler, findings.dmarc->author_domain)) return handler->domain;
  }
  return "";
}

// Forms of the From field by which a message shows its reader what DMARC cannot judge. RFC 5322
// §3.6 wants exactly one, with an address in it.
bool is_refused_form(const Authors& authors, bool is_null_sender) {
  switch (authors.form) {
    case Authors::Form::Single:
    case Authors::Form::NoDomain:
    case Authors::Form::SeveralDomains:  // each of them is judged
      return false;
    case Authors::Form::NoAddress:
      return !is_null_sender;  // reports of old systems are "from" their mailer's name alone
    case Authors::Form::Missing:
    case Authors::Form::SeveralFields:
    case Authors::Form::Unreadable:
    case Authors::Form::TooMany:
      return true;
  }
  MTA_ASSERT(false);
}

Judgement refuse(std::string_view code, std::string why) {
  return {Disposition::Refuse, std::string(code), std::move(why)};
}

Judgement judge_dmarc(const Findings& findings, const JudgingSettings& settings) {
  const DmarcVerdict& verdict = *findings.dmarc;
  // Whoever forges may be able to make some of the look-ups fail, and must not get past a policy by
  // that. Where the policy itself cannot be had, its domain's servers fail, and that is not his
  // doing.
  if (verdict.result == DmarcResult::TemporaryError &&
      verdict.policy.value_or(DmarcPolicy::None) != DmarcPolicy::None) {
    return {Disposition::Defer, std::string(kDnsFailed),
            "whether the DMARC policy of " + shown_text(verdict.policy_domain) +
                " lets this mail pass cannot be told now: " + verdict.why};
  }
  if (verdict.result != DmarcResult::Fail || verdict.disposition == DmarcPolicy::None) return {};
  if (const std::string witness = trusted_witness(findings, settings.trusted_sealers);
      !witness.empty()) {
    return {
        Disposition::Accept, "",
        "DMARC fails here, but passed at " + shown_text(witness) + ", whose ARC seal is trusted"};
  }
  const std::string policy = "DMARC policy of " + shown_text(verdict.policy_domain) +
                             " (p=" + std::string(name_of(*verdict.policy)) + "): " + verdict.why;
  if (verdict.disposition == DmarcPolicy::Quarantine) {
    return {Disposition::Quarantine, "", policy};
  }
  return refuse(kRefusedByPolicy, "this mail is refused by the " + policy);
}

}  // namespace

std::vector<AuthenticatedDomain> authenticated_domains(const Findings& findings) {
  using Method = AuthenticatedDomain::Method;
  using Result = AuthenticatedDomain::Result;
  std::vector<AuthenticatedDomain> domains;
  if (findings.spf_mail_from) {
    const SpfResult result = findings.spf_mail_from->result;
    domains.push_back({Method::Spf,
                       result == SpfResult::Pass        ? Result::Pass
                       : result == SpfResult::TempError ? Result::TemporaryError
                                                        : Result::Other,
                       findings.spf_mail_from->domain});
  }
  if (!findings.dkim) return domains;
  for (const DkimSignature& signature : *findings.dkim) {
    const bool passes = signature.result == DkimResult::Pass && signature.covers_body;
    domains.push_back({Method::Dkim,
                       passes                                           ? Result::Pass
                       : signature.result == DkimResult::TemporaryError ? Result::TemporaryError
                                                                        : Result::Other,
                       signature.domain});
  }
  return domains;
}

std::vector<MethodResult> results_of(const Findings& findings) {
  std::vector<MethodResult> results = findings.client;
  if (findings.spf_helo) {
    results.push_back(spf_result(*findings.spf_helo, "helo", findings.helo));
  }
  if (findings.spf_mail_from && !findings.sender.empty()) {
    results.push_back(spf_result(*findings.spf_mail_from, "mailfrom", findings.sender));
  }
  if (findings.dkim) {
    if (findings.dkim->empty()) {
      results.push_back({"dkim", "none", "", "the message is not signed", {}});
    }
    for (const DkimSignature& signature : *findings.dkim) results.push_back(dkim_result(signature));
  }
  if (findings.arc && findings.arc->status != ArcStatus::None) {
    results.push_back(arc_result(*findings.arc));
  }
  if (findings.dmarc) results.push_back(as_method_result(*findings.dmarc));
  return results;
}

std::string_view name_of(Disposition disposition) {
  switch (disposition) {
    case Disposition::Accept:
      return "accept";
    case Disposition::Quarantine:
      return "quarantine";
    case Disposition::Defer:
      return "defer";
    case Disposition::Refuse:
      return "refuse";
  }
  MTA_ASSERT(false);
}

std::optional<Judgement> judge_envelope(const Findings& findings, const Checks& checks) {
  if (checks.spf != CheckMode::Enforce) return std::nullopt;
  for (const std::optional<SpfOutcome>* outcome : {&findings.spf_mail_from, &findings.spf_helo}) {
    if (!outcome->has_value() || (*outcome)->result != SpfResult::Fail) continue;
    std::string why = "SPF: " + (*outcome)->reason;
    if ((*outcome)->explanation) {
      // A stranger's words: RFC 7208 §6.2 wants it said whose they are.
      why += "; " + shown_text((*outcome)->domain) +
             " explains: " + shown_text(*(*outcome)->explanation, 300);
    }
    return refuse(kSpfFailed, std::move(why));
  }
  return std::nullopt;
}

Judgement judge_message(const Findings& findings, const Checks& checks,
                        const JudgingSettings& settings, bool is_exempt) {
  if (checks.dmarc != CheckMode::Enforce || is_exempt) return {};
  if (findings.authors && is_refused_form(*findings.authors, findings.sender.empty())) {
    return refuse(kRefusedByPolicy, "its author cannot be told: " + findings.authors->why);
  }
  if (!findings.dmarc) return {};
  return judge_dmarc(findings, settings);
}

}  // namespace rockdove::policy
