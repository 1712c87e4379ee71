#include "policy/dmarc.h"

#include <algorithm>
#include <utility>

#include "mta/base/text.h"
#include "mta/mail/idna.h"
#include "policy/shown_text.h"

namespace rockdove::policy {
namespace {

using Method = AuthenticatedDomain::Method;

constexpr std::size_t kShownOctets = 100;
constexpr std::size_t kWhyOctetsMax = 2000;

// In A-labels, lower case, without a final dot; what cannot be so is only lower-cased.
std::string normalised(std::string_view domain) {
  if (domain.ends_with('.')) domain.remove_suffix(1);
  const base::Result<std::string> ascii = mail::to_ascii_domain(domain);
  return ascii ? *ascii : base::lower_case(domain);
}

bool is_at_or_below(std::string_view domain, std::string_view parent) {
  if (domain == parent) return true;
  return domain.size() > parent.size() && domain.ends_with(parent) &&
         domain[domain.size() - parent.size() - 1] == '.';
}

std::string_view name_of(Method method) {
  return method == Method::Dkim ? "DKIM" : "SPF";
}

DmarcPolicy one_milder(DmarcPolicy policy) {
  return policy == DmarcPolicy::Reject ? DmarcPolicy::Quarantine : DmarcPolicy::None;
}

// Names come from strangers, and need not be ones that the DNS could have.
std::string printable_only(std::string why) {
  const auto is_printable = [](char c) { return c >= ' ' && c <= '~'; };
  if (why.size() <= kWhyOctetsMax && std::all_of(why.begin(), why.end(), is_printable)) return why;
  return shown_text(why, kWhyOctetsMax);
}

enum class Aligned : std::uint8_t { No, Yes, Unfinished, Unknown };

// Judges one author's domain whose record is known.
class Evaluation {
 public:
  Evaluation(std::string author, const DmarcQuestion& question, RecordedDns& dns,
             const DmarcLookup& lookup)
      : author_(std::move(author)), question_(question), dns_(dns), lookup_(lookup) {}

  // nullopt: answers are missing.
  [[nodiscard]] std::optional<DmarcVerdict> judge(const std::string& found);

 private:
  // What came of all identifiers that had one result.
  struct Tally {
    std::vector<std::string> aligned;
    bool is_unfinished = false;
    std::string unknown;  // why one is neither aligned nor not
  };

  [[nodiscard]] Tally align_all(AuthenticatedDomain::Result result);
  [[nodiscard]] Aligned align(const std::string& domain, Method method, std::string& why);
  [[nodiscard]] bool is_strict(Method method) const;
  // The policy for the author's domain; nullopt: it depends on an answer that is missing.
  [[nodiscard]] std::optional<DmarcPolicy> choose_policy(const DmarcPolicies& policies);
  void pass(Tally tally);
  // Whether anything that failed for now might have passed; with `why` then.
  [[nodiscard]] std::optional<DmarcVerdict> fail(const DmarcPolicies& policies,
                                                 const std::string& found);
  void sample();
  [[nodiscard]] std::string explain_failure() const;
  [[nodiscard]] std::string explain_policy() const;
  void fail_for_now(const std::string& why);

  const std::string author_;
  const DmarcQuestion& question_;
  RecordedDns& dns_;
  const DmarcLookup& lookup_;
  DmarcVerdict verdict_;
  bool is_existence_unknown_ = false;
  bool are_left_out_ = false;  // more identifiers than are looked at
};

bool Evaluation::is_strict(Method method) const {
  const DmarcRecord& record = lookup_.record;
  return (method == Method::Dkim ? record.dkim_alignment : record.spf_alignment) ==
         DmarcAlignment::Strict;
}

// RFC 9989 §4.10.2, RFC 7489 §3.1. `why` is filled for Unknown.
Aligned Evaluation::align(const std::string& domain, Method method, std::string& why) {
  if (domain == author_) return Aligned::Yes;
  if (is_strict(method)) return Aligned::No;
  const Organisation authors = find_organisation(author_, question_.rule, dns_);
  if (authors.state == Organisation::State::Unfinished) return Aligned::Unfinished;
  if (authors.state == Organisation::State::Failed) {
    why = authors.detail;
    return Aligned::Unknown;
  }
  // An organisation is its members' own name or one above it, so that nothing has to be asked about
  // strangers.
  if (!is_at_or_below(domain, authors.domain)) return Aligned::No;
  const Organisation theirs = find_organisation(domain, question_.rule, dns_);
  switch (theirs.state) {
    case Organisation::State::Unfinished:
      return Aligned::Unfinished;
    case Organisation::State::Failed:
      why = theirs.detail;
      return Aligned::Unknown;
    case Organisation::State::Known:
      break;
  }
  return theirs.domain == authors.domain ? Aligned::Yes : Aligned::No;
}

Evaluation::Tally Evaluation::align_all(AuthenticatedDomain::Result result) {
  Tally tally;
  std::vector<std::pair<Method, std::string>> seen;
  for (const AuthenticatedDomain& identifier : question_.identifiers) {
    if (identifier.result != result || identifier.domain.empty()) continue;
    std::pair<Method, std::string> key(identifier.method, normalised(identifier.domain));
    if (std::find(seen.begin(), seen.end(), key) != seen.end()) continue;
    if (seen.size() == kIdentifiersMax) {
      are_left_out_ = true;
      break;
    }
    std::string why;
    switch (align(key.second, key.first, why)) {
      case Aligned::Yes:
        tally.aligned.push_back(std::string(name_of(key.first)) + " " +
                                shown_text(key.second, kShownOctets));
        break;
      case Aligned::Unfinished:
        tally.is_unfinished = true;
        break;
      case Aligned::Unknown:
        tally.unknown = why;
        break;
      case Aligned::No:
        break;
    }
    seen.push_back(std::move(key));
  }
  return tally;
}

// RFC 9989 §4.10.1, §3.2.13: np for a name that the DNS does not have.
std::optional<DmarcPolicy> Evaluation::choose_policy(const DmarcPolicies& policies) {
  if (author_ == lookup_.domain) return policies.domain;
  if (policies.subdomains == policies.nonexistent) return policies.subdomains;
  // SPF asks the same of most messages.
  const dns::Answer* answer = dns_.find(author_, dns::RecordType::TXT);
  if (answer == nullptr) return std::nullopt;
  is_existence_unknown_ = dns::is_temporary(answer->status);
  if (is_existence_unknown_) return std::min(policies.subdomains, policies.nonexistent);
  const bool exists =
      answer->status != dns::Status::NxDomain && answer->status != dns::Status::BadName;
  return exists ? policies.subdomains : policies.nonexistent;
}

std::optional<DmarcVerdict> Evaluation::judge(const std::string& found) {
  const DmarcEdition edition = question_.rule.edition();
  verdict_.author_domain = author_;
  verdict_.policy_domain = lookup_.domain;
  verdict_.record = lookup_.text;
  if (edition == DmarcEdition::Rfc7489 && !lookup_.record.is_tag_list) {
    verdict_.result = DmarcResult::PermanentError;
    verdict_.why = "the DMARC record of " + lookup_.domain + " is not a list of tags";
    return std::move(verdict_);
  }
  const std::optional<DmarcPolicies> policies = requested_policies(lookup_.record, edition);
  if (!policies) {
    verdict_.why = "the DMARC record of " + lookup_.domain +
                   " has neither a valid policy nor an address for reports";
    return std::move(verdict_);
  }
  verdict_.aggregate_reports = lookup_.record.aggregate_reports;
  Tally passed = align_all(AuthenticatedDomain::Result::Pass);
  if (passed.aligned.empty()) {
    if (passed.is_unfinished) return std::nullopt;
    if (passed.unknown.empty()) return fail(*policies, found);
  }
  // The policy only matters for mail that fails, so nothing is asked for it: it is the milder one
  // of those that might apply.
  const bool is_own = author_ == lookup_.domain;
  const DmarcPolicy policy =
      is_own ? policies->domain : std::min(policies->subdomains, policies->nonexistent);
  const bool is_test = edition == DmarcEdition::Rfc9989 && lookup_.record.is_test;
  verdict_.policy = is_test ? one_milder(policy) : policy;
  if (passed.aligned.empty()) {
    fail_for_now(passed.unknown);
  } else {
    pass(std::move(passed));
  }
  return std::move(verdict_);
}

void Evaluation::pass(Tally tally) {
  verdict_.result = DmarcResult::Pass;
  verdict_.why = tally.aligned.front() + " passed and is aligned with " + author_;
  verdict_.aligned = std::move(tally.aligned);
}

// RFC 9989 §5.3.6: it can neither pass nor fail.
void Evaluation::fail_for_now(const std::string& why) {
  verdict_.result = DmarcResult::TemporaryError;
  verdict_.why = "nothing that passed is aligned with " + author_ + ", but " + why;
}

std::optional<DmarcVerdict> Evaluation::fail(const DmarcPolicies& policies,
                                             const std::string& found) {
  const Tally failed = align_all(AuthenticatedDomain::Result::TemporaryError);
  const std::optional<DmarcPolicy> policy = choose_policy(policies);
  if (failed.is_unfinished || !policy) return std::nullopt;
  // RFC 9989 §4.7, t: one level below.
  const bool is_new = question_.rule.edition() == DmarcEdition::Rfc9989;
  const bool is_test = is_new && lookup_.record.is_test;
  verdict_.policy = is_test ? one_milder(*policy) : *policy;
  if (!failed.aligned.empty()) {
    fail_for_now(failed.aligned.front() + ", which is, could not be checked for now");
    return std::move(verdict_);
  }
  if (!failed.unknown.empty() || is_existence_unknown_) {
    fail_for_now(is_existence_unknown_ ? "whether " + author_ + " exists is not known for now"
                                       : failed.unknown);
    return std::move(verdict_);
  }
  verdict_.result = DmarcResult::Fail;
  sample();
  verdict_.why = explain_failure() + "; " + found + explain_policy();
  return std::move(verdict_);
}

// RFC 7489 §6.6.4: what is not sampled gets the next milder treatment.
void Evaluation::sample() {
  verdict_.disposition = *verdict_.policy;
  if (question_.rule.edition() == DmarcEdition::Rfc9989) return;
  if (question_.sample >= lookup_.record.percent) {
    verdict_.disposition = one_milder(verdict_.disposition);
  }
}

// "neither SPF (passed for bounce.example) nor DKIM (passed for list.example) is aligned with …".
std::string Evaluation::explain_failure() const {
  std::string passed;
  for (const AuthenticatedDomain& identifier : question_.identifiers) {
    if (identifier.result != AuthenticatedDomain::Result::Pass) continue;
    if (passed.size() > 2 * kShownOctets) {
      passed += " and others";
      break;
    }
    if (!passed.empty()) passed += ", ";
    passed += std::string(name_of(identifier.method)) + " " +
              shown_text(normalised(identifier.domain), kShownOctets);
  }
  if (passed.empty()) return "neither SPF nor DKIM passed";
  const DmarcRecord& record = lookup_.record;
  const bool is_strict = record.dkim_alignment == DmarcAlignment::Strict ||
                         record.spf_alignment == DmarcAlignment::Strict;
  return "what passed (" + passed + ") is not " + (is_strict ? "strictly " : "") + "aligned with " +
         author_ + (are_left_out_ ? ", and not all of it was looked at" : "");
}

std::string Evaluation::explain_policy() const {
  const DmarcRecord& record = lookup_.record;
  std::string text = " and asks for " + std::string(name_of(*verdict_.policy));
  if (question_.rule.edition() == DmarcEdition::Rfc9989) {
    if (record.is_test && requested_policies(record, DmarcEdition::Rfc9989) != DmarcPolicies()) {
      text += ", one level below what it says, because it is being tested (t=y)";
    }
  } else if (verdict_.disposition != *verdict_.policy) {
    text += " of " + std::to_string(record.percent) + " % of such mail, of which this is not";
  }
  return text;
}

// How much a verdict matters when a message has several authors; the largest is the message's.
int weight(const DmarcVerdict& verdict) {
  switch (verdict.result) {
    case DmarcResult::Pass:
      return 0;
    case DmarcResult::None:
      return 1;
    case DmarcResult::PermanentError:
      return 2;
    case DmarcResult::TemporaryError:
      return 4;
    case DmarcResult::Fail:
      break;
  }
  switch (verdict.disposition) {
    case DmarcPolicy::None:
      return 3;
    case DmarcPolicy::Quarantine:
      return 5;
    case DmarcPolicy::Reject:
      break;
  }
  return 6;
}

}  // namespace

std::string_view name_of(DmarcResult result) {
  switch (result) {
    case DmarcResult::None:
      return "none";
    case DmarcResult::Pass:
      return "pass";
    case DmarcResult::Fail:
      return "fail";
    case DmarcResult::TemporaryError:
      return "temperror";
    case DmarcResult::PermanentError:
      return "permerror";
  }
  return "";
}

MethodResult as_method_result(const DmarcVerdict& verdict) {
  MethodResult result{"dmarc", std::string(name_of(verdict.result)), "", verdict.why, {}};
  if (!verdict.author_domain.empty()) {
    result.properties.push_back({"header", "from", verdict.author_domain});
  }
  if (verdict.policy) {
    const bool has_failed = verdict.result == DmarcResult::Fail;
    const DmarcPolicy policy = has_failed ? verdict.disposition : *verdict.policy;
    result.properties.push_back({"policy", "dmarc", std::string(name_of(policy))});
  }
  return result;
}

std::optional<DmarcVerdict> evaluate_dmarc(std::string_view author_domain,
                                           const DmarcQuestion& question, RecordedDns& dns) {
  std::string author = normalised(author_domain);
  const PolicyDiscovery discovery = discover_policy(author, question.rule, dns);
  DmarcVerdict verdict;
  verdict.author_domain = author;
  verdict.why = printable_only(discovery.why);
  switch (discovery.state) {
    case PolicyDiscovery::State::Unfinished:
      return std::nullopt;
    case PolicyDiscovery::State::None:
      return verdict;
    case PolicyDiscovery::State::Failed:
      verdict.result = DmarcResult::TemporaryError;
      return verdict;
    case PolicyDiscovery::State::Found:
      break;
  }
  std::optional<DmarcVerdict> judged =
      Evaluation(std::move(author), question, dns, discovery.lookup).judge(discovery.why);
  if (judged) judged->why = printable_only(std::move(judged->why));
  return judged;
}

std::optional<DmarcVerdict> evaluate_dmarc(const Authors& authors, const DmarcQuestion& question,
                                           RecordedDns& dns) {
  if (authors.domains.empty()) {
    DmarcVerdict verdict;
    verdict.why = authors.why;
    return verdict;
  }
  std::optional<DmarcVerdict> strictest;
  bool is_unfinished = false;
  for (const std::string& domain : authors.domains) {
    std::optional<DmarcVerdict> verdict = evaluate_dmarc(domain, question, dns);
    if (!verdict) {
      is_unfinished = true;  // the others' questions are asked together with these
    } else if (!strictest || weight(*verdict) > weight(*strictest)) {
      strictest = std::move(verdict);
    }
  }
  if (is_unfinished) return std::nullopt;
  if (!authors.why.empty()) strictest->why += " (" + authors.why + ")";
  return strictest;
}

}  // namespace rockdove::policy
