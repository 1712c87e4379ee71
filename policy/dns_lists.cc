#include "policy/dns_lists.h"

#include <algorithm>

#include "dns/answers.h"
#include "mta/mail/address.h"
#include "mta/mail/idna.h"
#include "policy/shown_text.h"

namespace rockdove::policy {
namespace {

using base::IpAddress;
using base::IpNetwork;

constexpr std::size_t kListTextOctetsMax = 200;  // shown of a list's own words

const IpNetwork kAnyAnswer{IpAddress::v4({127, 0, 0, 0}), 8};
// What lists answer to those whom they do not serve (Spamhaus' names them; others took it up).
const IpNetwork kRefusingAnswers{IpAddress::v4({127, 255, 255, 0}), 24};
// The same of dnswl.org, which an answer of a DNSBL would not be.
const IpAddress kRefusingWhitelist = IpAddress::v4({127, 0, 0, 255});

// What a list was asked for.
struct Asked {
  const DnsList* list = nullptr;
  std::string subject;  // the address or domain
  std::string name;     // of the question
};

// "4.3.2.1", or nibbles.
std::string reversed(const IpAddress& address) {
  std::string name = dns::reverse_name(address);
  const std::string_view suffix = address.is_v4() ? ".in-addr.arpa" : ".ip6.arpa";
  name.resize(name.size() - suffix.size());
  return name;
}

std::string domain_of(std::string_view sender) {
  const std::size_t at = sender.rfind('@');
  return at == std::string_view::npos ? "" : std::string(sender.substr(at + 1));
}

// nullopt: the list has nothing to look at, as for the null sender.
std::optional<Asked> question_to(const DnsList& list, const ClientFacts& facts) {
  if (list.of == DnsList::Of::Client) {
    return Asked{&list, base::format_ip_address(facts.client),
                 reversed(facts.client) + "." + list.zone};
  }
  const base::Result<std::string> domain =
      mail::to_ascii_domain(list.of == DnsList::Of::Sender ? domain_of(facts.sender) : facts.helo);
  // RFC 5782 §2.4 wants names, and an address literal is none.
  if (!domain || base::parse_ip_address(*domain)) return std::nullopt;
  return Asked{&list, *domain, *domain + "." + list.zone};
}

bool counts(const DnsList& list, const IpAddress& answer) {
  if (list.answers.empty()) return true;
  return std::any_of(list.answers.begin(), list.answers.end(),
                     [&answer](const IpNetwork& network) { return network.contains(answer); });
}

bool is_refusing(const DnsList& list, const IpAddress& answer) {
  return kRefusingAnswers.contains(answer) || (list.weight < 0 && answer == kRefusingWhitelist);
}

// Gathers what the answers say.
class Tally {
 public:
  Tally(const ClientPolicy& policy, const ClientFacts& facts) : policy_(policy), facts_(facts) {}

  void add(const Asked& asked, const dns::Answer& answer);

  // Whether it refuses, for certain.
  [[nodiscard]] bool refuses() const {
    return !listings_.empty() && weight_ - undecided_ >= policy_.refuse_at;
  }

  // nullopt: a list's own words are missing.
  [[nodiscard]] std::optional<std::string> refusal(RecordedDns& dns) const;

  [[nodiscard]] DnsListsFinding finish();

 private:
  void add_listing(const Asked& asked, const IpAddress& answer);
  void add_failure(const Asked& asked, std::string_view words);
  [[nodiscard]] std::optional<std::string> words_of(const Asked& asked, RecordedDns& dns) const;

  const ClientPolicy& policy_;
  const ClientFacts& facts_;
  int weight_ = 0;
  int undecided_ = 0;            // what lists that do not answer might take away
  std::vector<Asked> listings_;  // with weights above zero
  DnsListsFinding finding_;
};

void Tally::add_failure(const Asked& asked, std::string_view words) {
  undecided_ += std::max(0, -asked.list->weight);
  finding_.words.append(finding_.words.empty() ? "" : ", ")
      .append(asked.list->zone)
      .append(" ")
      .append(words);
  if (asked.list->weight < 0) {
    finding_.results.push_back(
        {"dnswl", "temperror", "", std::string(words), {{"dns", "zone", asked.list->zone}}});
  }
}

void Tally::add_listing(const Asked& asked, const IpAddress& answer) {
  const DnsList& list = *asked.list;
  weight_ += list.weight;
  finding_.words.append(finding_.words.empty() ? "" : ", ")
      .append(list.zone)
      .append(list.weight < 0 ? " " : " +")
      .append(std::to_string(list.weight))
      .append(" (")
      .append(base::format_ip_address(answer))
      .append(")");
  if (list.weight > 0) return listings_.push_back(asked);
  finding_.results.push_back(
      {"dnswl",
       "pass",
       "",
       "",
       {{"dns", "zone", list.zone}, {"policy", "ip", base::format_ip_address(answer)}}});
}

void Tally::add(const Asked& asked, const dns::Answer& answer) {
  const DnsList& list = *asked.list;
  if (dns::is_temporary(answer.status)) return add_failure(asked, dns::name_of(answer.status));
  for (const IpAddress& address : answer.addresses) {
    if (is_refusing(list, address) || !kAnyAnswer.contains(address)) continue;
    if (counts(list, address)) return add_listing(asked, address);
  }
  for (const IpAddress& address : answer.addresses) {
    const std::string text = base::format_ip_address(address);
    if (is_refusing(list, address)) {
      finding_.list_errors.push_back(list.zone + " refuses to answer us (" + text +
                                     "): ask it through a resolver of your own, or ask those who "
                                     "run it");
      return add_failure(asked, "refuses to answer us");
    }
    if (!kAnyAnswer.contains(address)) {
      finding_.list_errors.push_back(list.zone + " answers " + text + " for " +
                                     shown_text(asked.subject) +
                                     ", which is no list's answer (RFC 5782 has 127.0.0.0/8): it "
                                     "may have ended, or your resolver changes answers");
      return add_failure(asked, "answers nonsense");
    }
  }
}

std::optional<std::string> Tally::words_of(const Asked& asked, RecordedDns& dns) const {
  const DnsList& list = *asked.list;
  if (!list.text.empty()) {
    const bool is_domain = list.of != DnsList::Of::Client;
    return shown_text(
        expand_list_text(list.text, base::format_ip_address(facts_.client),
                         is_domain ? asked.subject : domain_of(facts_.sender), list.zone)
            .value_or(list.text),
        kListTextOctetsMax);
  }
  const dns::Answer* answer = dns.find(asked.name, dns::RecordType::TXT);
  if (answer == nullptr) return std::nullopt;
  if (answer->texts.empty()) return "";
  return shown_text(answer->texts.front(), kListTextOctetsMax);
}

std::optional<std::string> Tally::refusal(RecordedDns& dns) const {
  bool is_missing = false;
  std::string text;
  for (std::size_t i = 0; i < std::min(listings_.size(), kListingsShownMax); ++i) {
    const Asked& asked = listings_[i];
    const std::optional<std::string> words = words_of(asked, dns);
    if (!words) {
      is_missing = true;
      continue;
    }
    text.append(text.empty() ? "" : "; ").append(shown_text(asked.subject));
    if (asked.list->of == DnsList::Of::Sender) text.append(", the domain of the sender,");
    if (asked.list->of == DnsList::Of::Helo) text.append(", the name of your server,");
    text.append(" is listed by ").append(asked.list->zone);
    if (!words->empty()) text.append(": ").append(*words);
  }
  if (is_missing) return std::nullopt;
  if (listings_.size() > kListingsShownMax) {
    const std::size_t others = listings_.size() - kListingsShownMax;
    text.append("; and by ")
        .append(std::to_string(others))
        .append(others == 1 ? " other" : " others");
  }
  return text;
}

DnsListsFinding Tally::finish() {
  finding_.weight = weight_;
  finding_.refuses = refuses();
  if (finding_.words.empty()) finding_.words = "not listed";
  if (weight_ != 0) {
    finding_.words.append("; together ")
        .append(std::to_string(weight_))
        .append(" of ")
        .append(std::to_string(policy_.refuse_at));
  }
  return std::move(finding_);
}

}  // namespace

std::optional<DnsListsFinding> check_dns_lists(const ClientPolicy& policy, CheckMode mode,
                                               const ClientFacts& facts, RecordedDns& dns) {
  Tally tally(policy, facts);
  bool is_missing = false;
  for (std::size_t i = 0; i < std::min(policy.dns_lists.size(), kDnsListsMax); ++i) {
    const std::optional<Asked> asked = question_to(policy.dns_lists[i], facts);
    if (!asked) continue;
    const dns::Answer* answer = dns.find(asked->name, dns::RecordType::A);
    if (answer == nullptr) {
      is_missing = true;
    } else {
      tally.add(*asked, *answer);
    }
  }
  if (is_missing) return std::nullopt;
  std::optional<std::string> refusal("");
  if (tally.refuses() && mode == CheckMode::Enforce) refusal = tally.refusal(dns);
  if (!refusal) return std::nullopt;
  DnsListsFinding finding = tally.finish();
  finding.refusal = *std::move(refusal);
  return finding;
}

std::optional<std::string> expand_list_text(std::string_view text, std::string_view address,
                                            std::string_view domain, std::string_view zone) {
  std::string expanded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      expanded += text[i];
      continue;
    }
    const char letter = ++i < text.size() ? text[i] : '\0';
    if (letter == 'a') {
      expanded += address;
    } else if (letter == 'd') {
      expanded += domain;
    } else if (letter == 'z') {
      expanded += zone;
    } else if (letter == '%') {
      expanded += '%';
    } else {
      return std::nullopt;
    }
  }
  return expanded;
}

}  // namespace rockdove::policy
