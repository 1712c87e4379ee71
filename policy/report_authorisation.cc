#include "policy/report_authorisation.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "mta/base/text.h"

namespace rockdove::policy {
namespace {

using State = ReportAuthorisation::State;

// RFC 9990 §4 steps 6 to 9. Several records are no fault here.
ReportAuthorisation read_answer(const dns::Answer& answer, const std::string& name,
                                std::string_view host) {
  ReportAuthorisation authorisation;
  for (const std::string& text : answer.texts) {
    const std::optional<DmarcRecord> record = parse_dmarc_record(text);
    if (!record || !record->is_tag_list) continue;
    authorisation.state = State::Wanted;
    authorisation.why = name + " says that it wants them";
    const std::vector<ReportUri>& uris = record->aggregate_reports;
    if (uris.empty()) continue;
    // To prevent loops, reports that are sent on to yet another host are not sent at all.
    if (std::any_of(uris.begin(), uris.end(),
                    [&](const ReportUri& uri) { return uri.host != host; })) {
      return {State::Unwanted, {}, name + " sends them on to another host, which is not allowed"};
    }
    authorisation.instead = uris;
  }
  if (authorisation.state == State::Unwanted) {
    authorisation.why = "there is no DMARC record at " + name + " that says it wants them";
  }
  return authorisation;
}

}  // namespace

ReportAuthorisation authorise_reports(std::string_view policy_domain, std::string_view host,
                                      const OrganisationRule& rule, RecordedDns& dns) {
  const std::string target = base::lower_case(host);
  if (target.empty()) return {State::Unwanted, {}, "the address for them names no host"};
  if (target == policy_domain) return {State::Wanted, {}, "they stay in the domain"};
  // All at once, so that at most one round of questions is needed.
  const std::string name = std::string(policy_domain) + "._report._dmarc." + target;
  const dns::Answer* answer = dns.find(name, dns::RecordType::TXT);
  const Organisation owner = find_organisation(policy_domain, rule, dns);
  const Organisation reader = find_organisation(target, rule, dns);
  if (owner.state == Organisation::State::Known && reader.state == Organisation::State::Known &&
      owner.domain == reader.domain) {
    return {State::Wanted, {}, "both are of the organisation " + owner.domain};
  }
  if (owner.state == Organisation::State::Unfinished ||
      reader.state == Organisation::State::Unfinished || answer == nullptr) {
    return {State::Unfinished, {}, ""};
  }
  // A record is an answer whatever the organisations are.
  ReportAuthorisation authorisation = read_answer(*answer, name, target);
  if (authorisation.state == State::Wanted) return authorisation;
  if (dns::is_temporary(answer->status) || owner.state == Organisation::State::Failed ||
      reader.state == Organisation::State::Failed) {
    return {State::Failed, {}, "the DNS did not answer whether " + target + " wants them"};
  }
  return authorisation;
}

}  // namespace rockdove::policy
