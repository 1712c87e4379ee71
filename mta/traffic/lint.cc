#include "mta/traffic/lint.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "mta/base/spelling.h"
#include "mta/base/text.h"
#include "mta/traffic/lint_rates.h"

namespace rockdove::traffic {
namespace {

std::string in_ticks(std::string_view text) {
  return "`" + base::printable(text, 120) + "`";
}

std::string place(const Origin& origin) {
  return " (" + format_origin(origin) + ")";
}

// A host that a pattern of hosts is for: something short for each "*".
std::string plausible_name(std::string_view pattern) {
  std::string name;
  for (const char c : pattern) {
    if (c == '*') {
      name += "mx1";
    } else {
      name += c;
    }
  }
  return name;
}

bool has_impossible_character(std::string_view pattern) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789-._*";
  return pattern.empty() || pattern.find_first_not_of(kAllowed) != std::string_view::npos ||
         pattern.find("..") != std::string_view::npos;
}

// Whether an odd number of backslashes stands before `at`.
bool is_escaped(std::string_view pattern, std::size_t at) {
  std::size_t backslashes = 0;
  while (at > backslashes && pattern[at - backslashes - 1] == '\\') ++backslashes;
  return backslashes % 2 == 1;
}

class Linter {
 public:
  explicit Linter(const Profiles& profiles) : profiles_(profiles) {}

  std::vector<Finding> run();

 private:
  void add(const Origin& at, Fault fault, std::string text) {
    findings_.push_back({at, fault, std::move(text)});
  }

  void look_at_provider(const Provider& provider);
  enum class Names : std::uint8_t { Hosts, Domains };
  void look_at_names(const Provider& provider, Names names);
  bool is_wrong_name_pattern(const PlacedText& pattern);
  void look_at_hosts(const Provider& provider);
  void look_at_rules(const Section& section, std::string_view domain, const Provider* provider);
  void look_at_pattern(const Rule& rule);
  void look_at_sample(const Rule& rule, const PlacedText& sample, std::string_view domain,
                      const Provider* provider);
  void look_at_copies(const Section& section);

  const Profiles& profiles_;
  std::vector<Finding> findings_;
};

std::vector<Finding> Linter::run() {
  for (const Provider& provider : profiles_.providers()) look_at_provider(provider);
  look_at_rules(profiles_.defaults(), "", nullptr);
  for (const Provider& provider : profiles_.providers()) look_at_rules(provider, "", &provider);
  for (const DomainSection& section : profiles_.domains()) {
    const std::string domain = plausible_name(section.pattern);
    if (PlacedText pattern{section.pattern, section.origin}; is_wrong_name_pattern(pattern))
      continue;
    look_at_rules(section, domain, nullptr);
  }
  for (const ContradictingRates& found : contradicting_rates(profiles_)) {
    add(found.at, Fault::RatesContradict, found.text);
  }
  for (const PlacedText& name : profiles_.useless_unsets()) {
    add(name.origin, Fault::UselessUnset,
        in_ticks(name.text) +
            " is unset, but no earlier file sets it here; take it out, or name "
            "that file before this one");
  }
  std::stable_sort(findings_.begin(), findings_.end(), [](const Finding& a, const Finding& b) {
    return std::tie(a.at.file, a.at.line, a.at.column) <
           std::tie(b.at.file, b.at.line, b.at.column);
  });
  return std::move(findings_);
}

void Linter::look_at_provider(const Provider& provider) {
  const bool has_mx = provider.mx.value && !provider.mx.value->empty();
  const bool has_domains = provider.domains.value && !provider.domains.value->empty();
  if (!has_mx && !has_domains) {
    std::vector<std::string_view> names;
    for (const Provider& other : profiles_.providers()) {
      if (&other != &provider && (other.mx.value || other.domains.value))
        names.push_back(other.name);
    }
    return add(provider.origin, Fault::UnknownProvider,
               "no file says which hosts or domains the provider " + in_ticks(provider.name) +
                   " has: write mx = [...], or put the name right" +
                   base::did_you_mean(provider.name, names));
  }
  look_at_names(provider, Names::Hosts);
  look_at_names(provider, Names::Domains);
  look_at_hosts(provider);
}

bool Linter::is_wrong_name_pattern(const PlacedText& pattern) {
  if (pattern.text.ends_with('.')) {
    add(pattern.origin, Fault::EndsInDot,
        in_ticks(pattern.text) +
            " ends in a dot, but names are compared without their final dot; take it off");
    return true;
  }
  if (!has_impossible_character(pattern.text)) return false;
  add(pattern.origin, Fault::BadPattern,
      in_ticks(pattern.text) +
          " matches no name: a pattern is a name in which `*` stands for any run of characters, no "
          "regular expression");
  return true;
}

void Linter::look_at_names(const Provider& provider, Names names) {
  const bool is_mx = names == Names::Hosts;
  const Knob<std::vector<PlacedText>>& patterns = is_mx ? provider.mx : provider.domains;
  if (!patterns.value) return;
  std::set<std::string_view> seen;
  for (const PlacedText& pattern : *patterns.value) {
    if (is_wrong_name_pattern(pattern)) continue;
    if (!seen.insert(pattern.text).second) {
      add(pattern.origin, Fault::Shadowed, in_ticks(pattern.text) + " stands here twice");
      continue;
    }
    const std::string name = plausible_name(pattern.text);
    const MxHost host{name, 10};
    const Provider* const found = is_mx ? profiles_.provider_of("recipient.invalid", {&host, 1})
                                        : profiles_.provider_of(name, {});
    if (found == &provider) continue;
    add(pattern.origin, Fault::Shadowed,
        in_ticks(pattern.text) + " is shadowed: " + name + " belongs to the provider " +
            in_ticks(found == nullptr ? "" : found->name) +
            (found == nullptr ? "" : place(found->origin)) +
            ", whose pattern says as much or more; take one of the two out");
  }
}

void Linter::look_at_hosts(const Provider& provider) {
  if (!provider.samples.value) return;
  for (const PlacedText& sample : *provider.samples.value) {
    const MxHost host{sample.text, 10};
    const Provider* const found = profiles_.provider_of("recipient.invalid", {&host, 1});
    if (found == &provider) continue;
    add(sample.origin, Fault::Unreachable,
        "mail to the host " + in_ticks(sample.text) + " belongs to " +
            (found == nullptr ? std::string("no provider")
                              : "the provider " + in_ticks(found->name) + place(found->origin)) +
            ", not to " + in_ticks(provider.name) + "; its mx patterns do not match it");
  }
  if (!provider.mx.value) return;
  for (const PlacedText& pattern : *provider.mx.value) {
    const auto& samples = *provider.samples.value;
    const bool is_shown = std::any_of(
        samples.begin(), samples.end(),
        [&](const PlacedText& sample) { return base::matches_pattern(pattern.text, sample.text); });
    if (!is_shown && !pattern.text.ends_with('.') && !has_impossible_character(pattern.text)) {
      add(pattern.origin, Fault::Unreachable,
          "none of the hosts in `samples` matches " + in_ticks(pattern.text) +
              "; add one that does, or take the pattern out");
    }
  }
}

void Linter::look_at_rules(const Section& section, std::string_view domain,
                           const Provider* provider) {
  look_at_copies(section);
  for (const Rule& rule : section.rules) {
    look_at_pattern(rule);
    if (rule.samples.empty()) {
      add(rule.origin, Fault::NoSample,
          "the rule has no samples; write a reply that it is for into samples = [...], as a log "
          "shows it");
    }
    for (const PlacedText& sample : rule.samples) look_at_sample(rule, sample, domain, provider);
  }
}

void Linter::look_at_copies(const Section& section) {
  for (auto rule = section.rules.begin(); rule != section.rules.end(); ++rule) {
    const auto same = std::find_if(section.rules.begin(), rule, [&](const Rule& earlier) {
      return earlier.reply->text() == rule->reply->text() &&
             (earlier.stages.empty() || earlier.stages == rule->stages);
    });
    if (same == rule) continue;
    add(rule->origin, Fault::Shadowed,
        "the rule never acts: that at " + format_origin(same->origin) +
            " has the same pattern and is asked first; take one of the two out");
  }
}

void Linter::look_at_pattern(const Rule& rule) {
  const std::string& pattern = rule.reply->text();
  if (pattern.ends_with('.') && !is_escaped(pattern, pattern.size() - 1)) {
    add(rule.reply_at, Fault::EndsInDot,
        in_ticks(pattern) +
            " ends in a dot, which stands for any character, and so for one that must be there; "
            "write \\. for a full stop, or take it off");
  }
  if (pattern.find("\\\\") != std::string::npos) {
    add(rule.reply_at, Fault::EscapedTwice,
        in_ticks(pattern) +
            " is escaped twice: \\\\ stands for a backslash, which no reply holds; write a single "
            "one in '...', or a doubled one in \"...\"");
  }
}

void Linter::look_at_sample(const Rule& rule, const PlacedText& sample, std::string_view domain,
                            const Provider* provider) {
  const base::Result<smtp::Reply> reply = parse_refusal(sample.text);
  if (!reply) {
    return add(sample.origin, Fault::BadSample,
               "the sample " + in_ticks(sample.text) + " is no reply: " + reply.error().text());
  }
  const smtp::Stage stage = rule.stages.empty() ? smtp::Stage::FinalDot : rule.stages.front();
  const std::string line = line_of(*reply);
  if (!rule.matches(line, stage)) {
    return add(sample.origin, Fault::DoesNotFire,
               "the rule does not fire on its sample " + in_ticks(line) + ": its pattern is " +
                   in_ticks(rule.reply->text()) + place(rule.reply_at));
  }
  const Rule* const first = profiles_.match(*reply, stage, domain, provider);
  if (first == &rule) return;
  add(sample.origin, Fault::OtherFires,
      "on the sample " + in_ticks(line) + " the rule at " +
          format_origin(first == nullptr ? Origin{} : first->origin) +
          " fires first; put this one before it, or make the other's pattern say more");
}

}  // namespace

std::string_view name_of(Fault fault) {
  switch (fault) {
    case Fault::UnknownProvider:
      return "unknown-provider";
    case Fault::Unreachable:
      return "unreachable";
    case Fault::Shadowed:
      return "shadowed";
    case Fault::BadPattern:
      return "bad-pattern";
    case Fault::EndsInDot:
      return "ends-in-dot";
    case Fault::EscapedTwice:
      return "escaped-twice";
    case Fault::NoSample:
      return "no-sample";
    case Fault::BadSample:
      return "bad-sample";
    case Fault::DoesNotFire:
      return "does-not-fire";
    case Fault::OtherFires:
      return "other-fires";
    case Fault::RatesContradict:
      return "rates-contradict";
    case Fault::UselessUnset:
      return "useless-unset";
  }
  return "";
}

std::vector<Finding> lint(const Profiles& profiles) {
  return Linter(profiles).run();
}

}  // namespace rockdove::traffic
