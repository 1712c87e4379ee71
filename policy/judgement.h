// What the checks of a message came to, and what is done with it therefore. The order in which
// verdicts are written down is fixed: what the lists and the client's names say, SPF of HELO and of
// MAIL FROM, each DKIM signature, ARC, DMARC.
//
// A pure function of its arguments, so that what happens to a message can be seen from what the log
// says of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/arc_validator.h"
#include "policy/authentication_results.h"
#include "policy/author_domains.h"
#include "policy/checks.h"
#include "policy/dkim_verifier.h"
#include "policy/dmarc.h"
#include "policy/spf.h"

namespace rockdove::policy {

// What is not set was not looked at.
struct Findings {
  std::vector<MethodResult> client;  // what lists and names of the client came to
  std::optional<SpfOutcome> spf_helo;
  std::optional<SpfOutcome> spf_mail_from;
  std::string helo;    // as the client said it
  std::string sender;  // MAIL FROM without its brackets; "": the null sender
  std::optional<std::vector<DkimSignature>> dkim;
  std::optional<ArcVerdict> arc;
  std::optional<Authors> authors;
  std::optional<DmarcVerdict> dmarc;
};

// The domains that DMARC may rest on (RFC 9989 §3.2): of signatures that cover the whole body, and
// of the identity that SPF has checked: MAIL FROM, or HELO where that is empty.
[[nodiscard]] std::vector<AuthenticatedDomain> authenticated_domains(const Findings& findings);

// In the fixed order.
[[nodiscard]] std::vector<MethodResult> results_of(const Findings& findings);

enum class Disposition : std::uint8_t {
  Accept,
  Quarantine,
  Defer,   // it cannot be told now, and whoever forges could have brought that about
  Refuse,
};

// "accept", "quarantine", "defer", "refuse".
[[nodiscard]] std::string_view name_of(Disposition disposition);

struct Judgement {
  Disposition disposition = Disposition::Accept;
  // Of a refusal, after the code 550, or 451 of Defer: "5.7.1" and the like (RFC 3463, RFC 7372).
  std::string enhanced_code;
  // Why, for the sender of refused mail and for whoever finds the quarantined one; of accepted mail
  // why it was accepted although DMARC failed, else "".
  std::string why;
};

// `is_exempt`: by a list of the operator's, nothing is enforced.
[[nodiscard]] Judgement judge_message(const Findings& findings, const Checks& checks,
                                      const JudgingSettings& settings, bool is_exempt);

// What SPF alone asks for, before there is any content; nullopt: nothing.
[[nodiscard]] std::optional<Judgement> judge_envelope(const Findings& findings,
                                                      const Checks& checks);

}  // namespace rockdove::policy
