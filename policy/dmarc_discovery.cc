#include "policy/dmarc_discovery.h"

#include <algorithm>
#include <utility>

namespace rockdove::policy {
namespace {

constexpr std::size_t kLabelsAfterJump = 7;  // RFC 9989 §4.10 step 4

std::string name_of_record(std::string_view domain) {
  return "_dmarc." + std::string(domain);
}

// Without the first label; empty: there was only one.
std::string_view parent_of(std::string_view domain) {
  const std::size_t dot = domain.find('.');
  return dot == std::string_view::npos ? std::string_view() : domain.substr(dot + 1);
}

std::size_t count_labels(std::string_view domain) {
  return static_cast<std::size_t>(std::count(domain.begin(), domain.end(), '.')) + 1;
}

// One label more than `parent`, on the way to `domain`, which is below it.
std::string one_below(std::string_view parent, std::string_view domain) {
  std::string_view name = domain;
  while (parent_of(name).size() > parent.size()) name = parent_of(name);
  return std::string(name);
}

// RFC 9989 §4.10.2. `walk` found all that it could.
void choose_organisation(std::string_view start, TreeWalk& walk) {
  walk.organisation = start;
  for (const DmarcLookup& step : walk.steps) {
    if (step.state != DmarcLookup::State::Found) continue;
    // The later the step, the fewer its labels: the last one stays, unless a psd tag ends it.
    walk.organisation = step.domain;
    if (step.record.public_suffix == PublicSuffixFlag::No) return;
    if (step.record.public_suffix == PublicSuffixFlag::Yes && step.domain != start) {
      walk.organisation = one_below(step.domain, start);
      walk.public_suffix = step.domain;
      return;
    }
  }
}

PolicyDiscovery found(DmarcLookup lookup, std::string why) {
  return {PolicyDiscovery::State::Found, std::move(lookup), std::move(why)};
}

PolicyDiscovery failed(const std::string& detail) {
  return {PolicyDiscovery::State::Failed, {}, "the DNS did not answer: " + detail};
}

PolicyDiscovery none(std::string why) {
  return {PolicyDiscovery::State::None, {}, std::move(why)};
}

// The author's domain has no record of its own (RFC 9989 §4.10.1).
PolicyDiscovery discover_above(std::string_view author_domain, RecordedDns& dns) {
  const TreeWalk walk = walk_dns_tree(author_domain, dns);
  if (walk.state == TreeWalk::State::Unfinished)
    return {PolicyDiscovery::State::Unfinished, {}, {}};
  if (walk.state == TreeWalk::State::Failed) return failed(walk.steps.back().detail);
  const std::string author(author_domain);
  if (const DmarcLookup* record = walk.record_at(walk.organisation)) {
    return found(*record, author + " has no DMARC record, so that of its organisation " +
                              walk.organisation + " applies");
  }
  if (const DmarcLookup* record = walk.record_at(walk.public_suffix)) {
    return found(*record, "neither " + author +
                              " nor its organisation has a DMARC record, so that " +
                              "of the public suffix " + walk.public_suffix + " applies");
  }
  const auto several = std::find_if(walk.steps.begin(), walk.steps.end(), [](const auto& step) {
    return step.state == DmarcLookup::State::Several;
  });
  if (several != walk.steps.end()) {
    return none(several->domain + " has more than one DMARC record, which counts as none");
  }
  return none("neither " + author + " nor a name above it has a DMARC record");
}

// RFC 7489 §6.6.3: the domain itself, then its organisation.
PolicyDiscovery discover_by_list(std::string_view author_domain,
                                 const dns::PublicSuffixes& suffixes, RecordedDns& dns) {
  const std::string author(author_domain);
  const std::string organisation = suffixes.registrable_domain(author).value_or(author);
  std::string domain = author;
  while (true) {
    DmarcLookup lookup = look_up_dmarc(domain, dns);
    switch (lookup.state) {
      case DmarcLookup::State::Unasked:
        static_cast<void>(look_up_dmarc(organisation, dns));  // perhaps needed: asked together
        return {PolicyDiscovery::State::Unfinished, {}, {}};
      case DmarcLookup::State::Failed:
        return failed(lookup.detail);
      case DmarcLookup::State::Several:
        return none(domain + " has more than one DMARC record, which counts as none");
      case DmarcLookup::State::Found:
        if (domain == author) return found(std::move(lookup), author + " has a DMARC record");
        return found(std::move(lookup), author + " has no DMARC record, so that of its " +
                                            "organisation " + domain + " applies");
      case DmarcLookup::State::None:
        break;
    }
    if (domain == organisation) break;
    domain = organisation;
  }
  if (author == organisation) return none(author + " has no DMARC record");
  return none("neither " + author + " nor its organisation " + organisation +
              " has a DMARC record");
}

}  // namespace

DmarcLookup look_up_dmarc(std::string_view domain, RecordedDns& dns) {
  DmarcLookup lookup;
  lookup.domain = domain;
  const dns::Answer* answer = dns.find(name_of_record(domain), dns::RecordType::TXT);
  if (answer == nullptr) {
    lookup.state = DmarcLookup::State::Unasked;
    return lookup;
  }
  if (dns::is_temporary(answer->status)) {
    lookup.state = DmarcLookup::State::Failed;
    lookup.detail = answer->detail.empty()
                        ? name_of_record(domain) + ": " + std::string(name_of(answer->status))
                        : answer->detail;
    return lookup;
  }
  for (const std::string& text : answer->texts) {
    std::optional<DmarcRecord> record = parse_dmarc_record(text);
    if (!record) continue;
    if (lookup.state == DmarcLookup::State::Found) {
      lookup.state = DmarcLookup::State::Several;
      lookup.record = {};
      lookup.text.clear();
      return lookup;
    }
    lookup.state = DmarcLookup::State::Found;
    lookup.record = *std::move(record);
    lookup.text = text;
  }
  return lookup;
}

std::vector<std::string> tree_walk_domains(std::string_view domain) {
  std::vector<std::string> domains;
  if (domain.empty()) return domains;
  domains.emplace_back(domain);
  std::string_view next = parent_of(domain);
  while (count_labels(next) > kLabelsAfterJump) next = parent_of(next);
  for (; !next.empty(); next = parent_of(next)) domains.emplace_back(next);
  return domains;
}

const DmarcLookup* TreeWalk::record_at(std::string_view domain) const {
  const auto step = std::find_if(steps.begin(), steps.end(), [&](const DmarcLookup& one) {
    return one.state == DmarcLookup::State::Found && one.domain == domain;
  });
  return step == steps.end() ? nullptr : &*step;
}

TreeWalk walk_dns_tree(std::string_view domain, RecordedDns& dns) {
  TreeWalk walk;
  for (const std::string& name : tree_walk_domains(domain)) {
    DmarcLookup step = look_up_dmarc(name, dns);
    const DmarcLookup::State state = step.state;
    // All names are asked for at once; only answers that are needed are waited for.
    if (state == DmarcLookup::State::Unasked) walk.state = TreeWalk::State::Unfinished;
    const bool is_end = state == DmarcLookup::State::Failed ||
                        step.record.public_suffix != PublicSuffixFlag::Unsaid;
    walk.steps.push_back(std::move(step));
    if (!is_end) continue;
    if (state == DmarcLookup::State::Failed && walk.state == TreeWalk::State::Done) {
      walk.state = TreeWalk::State::Failed;
    }
    break;
  }
  if (walk.state == TreeWalk::State::Done) choose_organisation(domain, walk);
  return walk;
}

Organisation find_organisation(std::string_view domain, const OrganisationRule& rule,
                               RecordedDns& dns) {
  if (rule.suffixes != nullptr) {
    return {Organisation::State::Known,
            rule.suffixes->registrable_domain(domain).value_or(std::string(domain)), ""};
  }
  TreeWalk walk = walk_dns_tree(domain, dns);
  switch (walk.state) {
    case TreeWalk::State::Unfinished:
      return {Organisation::State::Unfinished, "", ""};
    case TreeWalk::State::Failed:
      return {Organisation::State::Failed, "", walk.steps.back().detail};
    case TreeWalk::State::Done:
      break;
  }
  return {Organisation::State::Known, std::move(walk.organisation), ""};
}

PolicyDiscovery discover_policy(std::string_view author_domain, const OrganisationRule& rule,
                                RecordedDns& dns) {
  if (rule.suffixes != nullptr) return discover_by_list(author_domain, *rule.suffixes, dns);
  // Most mail has a record at its author's domain, and asks for no other.
  DmarcLookup lookup = look_up_dmarc(author_domain, dns);
  switch (lookup.state) {
    case DmarcLookup::State::Unasked:
      return {PolicyDiscovery::State::Unfinished, {}, {}};
    case DmarcLookup::State::Failed:
      return failed(lookup.detail);
    case DmarcLookup::State::Found:
      return found(std::move(lookup), std::string(author_domain) + " has a DMARC record");
    case DmarcLookup::State::None:
    case DmarcLookup::State::Several:
      break;
  }
  return discover_above(author_domain, dns);
}

}  // namespace rockdove::policy
