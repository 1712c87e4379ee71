// Whether whoever is to get a domain's DMARC reports wants them: a record at
// DOMAIN._report._dmarc.HOST says so (RFC 9990 §4, before it RFC 7489 §7.1). Without it a record
// could have reports about anything sent to anybody.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "policy/dmarc_discovery.h"
#include "policy/dmarc_record.h"
#include "policy/recorded_dns.h"

namespace rockdove::policy {

struct ReportAuthorisation {
  enum class State : std::uint8_t {
    Unfinished,  // answers are missing, and noted
    Wanted,      // by a record, or because both are of one organisation
    Unwanted,
    Failed,  // the DNS failed for now
  };

  State state = State::Unwanted;
  // Where they are to go instead (the record's own rua), all at the same host; empty: where they
  // were to go.
  std::vector<ReportUri> instead;
  std::string why;  // a plain sentence without a full stop
};

// `policy_domain` is where the record was found, `host` what takes the reports (ReportUri::host).
[[nodiscard]] ReportAuthorisation authorise_reports(std::string_view policy_domain,
                                                    std::string_view host,
                                                    const OrganisationRule& rule, RecordedDns& dns);

}  // namespace rockdove::policy
