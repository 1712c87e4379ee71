#include "mta/daemon/config_judging.h"

#include <algorithm>
#include <array>
#include <utility>

#include "mta/base/text.h"
#include "mta/daemon/config_dkim.h"
#include "mta/mail/idna.h"
#include "policy/dkim_key.h"

namespace rockdove::daemon {
namespace {

using policy::CheckMode;
using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)

constexpr std::size_t kOverridesMax = 1000;

constexpr std::array<std::pair<std::string_view, CheckMode>, 3> kModes = {
    {{"off", CheckMode::Off}, {"check", CheckMode::Check}, {"enforce", CheckMode::Enforce}}};
// Of what by itself says nothing about a message: it only serves DMARC.
constexpr std::array<std::pair<std::string_view, CheckMode>, 2> kModesOfServants = {
    {{"off", CheckMode::Off}, {"check", CheckMode::Check}}};
constexpr std::array<std::pair<std::string_view, bool>, 2> kOrganisations = {
    {{"tree-walk", false}, {"psl", true}}};

policy::Checks& checks(Draft& draft) {
  return draft.judging.settings.checks;
}

policy::ChecksFor& last(Draft& draft) {
  return draft.judging.overrides.back().rule;
}

void begin_override(Draft& draft, Position at) {
  draft.judging.overrides.emplace_back().at = at;
}

// A key of [[policy.for]].
template <std::optional<CheckMode> policy::ChecksFor::*mode>
void read_override(Value& value, Draft& draft) {
  CheckMode read = CheckMode::Off;
  const bool is_servant = mode == &policy::ChecksFor::dkim || mode == &policy::ChecksFor::arc;
  if (is_servant ? value.choice<CheckMode>(read, kModesOfServants)
                 : value.choice<CheckMode>(read, kModes)) {
    last(draft).*mode = read;
  }
}

void read_trusted_sealers(Value& value, Draft& draft) {
  for (Value& item : value.texts()) {
    std::string domain;
    if (item.domain(domain, "no domain")) {
      draft.judging.settings.trusted_sealers.push_back(domain);
    }
  }
}

void read_quarantine(Value& value, Draft& draft) {
  base::Duration time{};
  if (!value.duration(time, {1s, 365 * 24h})) return;
  draft.judging.settings.quarantine = time;
  draft.configuration.queue.quarantine = time;
}

void read_arc_selector(Value& value, Draft& draft) {
  std::string selector;
  if (!value.text(selector)) return;
  if (!policy::dkim_key_name(selector, "example")) {
    return value.error("\"" + base::printable(selector, 80) +
                       "\" is no selector; it is a part of a name in the DNS");
  }
  draft.judging.arc.selector = base::lower_case(selector);
}

constexpr std::array kSections = {
    Section{"policy.for", SectionKind::List,
            "For some clients, other modes than those of `[policy]`; the first section that fits "
            "holds.",
            begin_override},
    Section{
        "arc", SectionKind::Table,
        "Seals mail of strangers that goes on from here (RFC 8617), so that whoever gets it can "
        "see what was found out here. Without it nothing is sealed. `rockdove dkim new` makes "
        "the key."},
};

constexpr std::array kKeys = {
    Key{"policy", "spf", "off, check or enforce", "\"check\"",
        "SPF (RFC 7208). `enforce`: mail that fails is refused at RCPT with 550 5.7.23.",
        [](Value& value, Draft& draft) { value.choice<CheckMode>(checks(draft).spf, kModes); }},
    Key{"policy", "dkim", "off or check", "\"check\"",
        "DKIM signatures (RFC 6376). A failure by itself refuses nothing: DMARC goes by it.",
        [](Value& value, Draft& draft) {
          value.choice<CheckMode>(checks(draft).dkim, kModesOfServants);
        }},
    Key{"policy", "arc", "off or check", "\"check\"",
        "ARC chains (RFC 8617), which `trusted_sealers` may make count.",
        [](Value& value, Draft& draft) {
          value.choice<CheckMode>(checks(draft).arc, kModesOfServants);
        }},
    Key{"policy", "dmarc", "off, check or enforce", "\"enforce\"",
        "DMARC (RFC 9989). `enforce`: what the domain of From asks for is done with mail that "
        "fails "
        "(550 5.7.1, or quarantine), and mail without one readable From field is refused.",
        [](Value& value, Draft& draft) { value.choice<CheckMode>(checks(draft).dmarc, kModes); }},
    Key{"policy", "dmarc_organisation", "tree-walk or psl", "\"tree-walk\"",
        "Which domains belong together: by walking up the DNS (RFC 9989), or by the public suffix "
        "list, the old way (RFC 7489).",
        [](Value& value, Draft& draft) {
          if (value.choice<bool>(draft.judging.is_by_suffixes, kOrganisations))
            draft.judging.organisation_at = value.at();
        }},
    Key{"policy", "trusted_sealers", "list of domains", "[]",
        "Who may vouch by an ARC seal that DMARC passed there: mail that fails here is then "
        "accepted.",
        read_trusted_sealers},
    Key{"policy", "quarantine", "time", "\"30d\"",
        "How long quarantined mail waits for a person; then it is discarded, and nobody is told. A "
        "change holds for new mail.",
        read_quarantine},
    Key{"policy.for", "listener", "name", "", "Condition: the listener that it came in by.",
        [](Value& value, Draft& draft) {
          if (value.name(last(draft).listener)) {
            draft.judging.overrides.back().listener_at = value.at();
          }
        }},
    Key{"policy.for", "client", "list of networks", "", "Condition: the client's address.",
        [](Value& value, Draft& draft) { value.networks(last(draft).clients); }},
    Key{"policy.for", "spf", "off, check or enforce", "", "In the place of `policy.spf`.",
        read_override<&policy::ChecksFor::spf>},
    Key{"policy.for", "dkim", "off or check", "", "In the place of `policy.dkim`.",
        read_override<&policy::ChecksFor::dkim>},
    Key{"policy.for", "arc", "off or check", "", "In the place of `policy.arc`.",
        read_override<&policy::ChecksFor::arc>},
    Key{"policy.for", "dmarc", "off, check or enforce", "", "In the place of `policy.dmarc`.",
        read_override<&policy::ChecksFor::dmarc>},
    Key{"policy.for", "helo", "off, check or enforce", "", "In the place of `policy.helo`.",
        read_override<&policy::ChecksFor::helo>},
    Key{"policy.for", "iprev", "off, check or enforce", "", "In the place of `policy.iprev`.",
        read_override<&policy::ChecksFor::iprev>},
    Key{"policy.for", "dnsbl", "off, check or enforce", "",
        "Of `[[policy.dnsbl]]` and `[[policy.dnswl]]` alike; without this key `enforce`.",
        read_override<&policy::ChecksFor::dnsbl>},
    Key{"arc", "domain", "domain", "", "Needed. Who seals (`d=`).",
        [](Value& value, Draft& draft) { value.domain(draft.judging.arc.domain, "no domain"); }},
    Key{"arc", "selector", "name", "",
        "Needed. The key is published at SELECTOR._domainkey.DOMAIN.", read_arc_selector},
    Key{"arc", "key", "path", "", "Needed. PEM: the private key, as that of `[[dkim]]`.",
        [](Value& value, Draft& draft) {
          std::string path;
          if (value.absolute_path(path)) draft.judging.arc.key = {path, value.at()};
        }},
};

void finish_arc(Draft& draft, NamedFiles& files, Problems& problems) {
  const ArcDraft& arc = draft.judging.arc;
  const std::array<std::pair<std::string_view, bool>, 3> needed = {
      {{"domain", !arc.domain.empty()},
       {"selector", !arc.selector.empty()},
       {"key", !arc.key.path.empty()}}};
  const auto is_there = [](const auto& key) { return key.second; };
  if (std::none_of(needed.begin(), needed.end(), is_there)) return;
  for (const auto& [name, there] : needed) {
    if (!there) problems.error({}, "[arc] has no `" + std::string(name) + "`");
  }
  if (!std::all_of(needed.begin(), needed.end(), is_there)) return;
  const auto key = read_signing_key(arc.key, "`arc.key`", files, problems);
  if (key == nullptr) return;
  if (key->kind() != crypto::KeyKind::Rsa) {
    // RFC 8617 §4.1.2 takes over DKIM's algorithms, but those who validate chains know RSA only.
    problems.warning(arc.key.at, "`arc.key` is no RSA key: few who read seals can verify it");
  }
  draft.configuration.inbound.arc = std::make_shared<const policy::ArcIdentity>(
      policy::ArcIdentity{arc.domain, arc.selector, key});
}

void warn_of_dmarc_alone(const Draft& draft, Problems& problems) {
  const policy::Checks& checks = draft.judging.settings.checks;
  if (checks.dmarc != CheckMode::Enforce) return;
  if (checks.spf != CheckMode::Off && checks.dkim != CheckMode::Off) return;
  problems.warning({},
                   "`policy.dmarc` is enforced, and SPF or DKIM is off: good mail that only the "
                   "other one vouches for will be refused");
}

}  // namespace

std::span<const Section> judging_sections() {
  return kSections;
}

std::span<const Key> judging_keys() {
  return kKeys;
}

void finish_judging(Draft& draft, NamedFiles& files, Problems& problems) {
  JudgingDraft& judging = draft.judging;
  if (judging.overrides.size() > kOverridesMax) {
    return problems.error(judging.overrides.back().at,
                          "there are at most 1,000 sections [[policy.for]]");
  }
  for (OverrideDraft& one : judging.overrides) {
    check_listener_name(one.rule.listener, one.listener_at, draft, problems);
    judging.settings.overrides.push_back(std::move(one.rule));
  }
  if (judging.is_by_suffixes) {
    base::Result<std::shared_ptr<const dns::PublicSuffixes>> suffixes =
        dns::PublicSuffixes::load(dns::kPublicSuffixFile);
    if (!suffixes) {
      return problems.error(
          judging.organisation_at,
          suffixes.error().text() + "; install the package publicsuffix, or use \"tree-walk\"");
    }
    judging.settings.suffixes = *std::move(suffixes);
  }
  warn_of_dmarc_alone(draft, problems);
  finish_arc(draft, files, problems);
  draft.configuration.inbound.judging =
      std::make_shared<const policy::JudgingSettings>(std::move(judging.settings));
}

}  // namespace rockdove::daemon
