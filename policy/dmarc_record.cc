#include "policy/dmarc_record.h"

#include <algorithm>
#include <utility>

#include "mta/base/text.h"
#include "policy/report_uri.h"
#include "policy/shown_text.h"

namespace rockdove::policy {
namespace {

using Against = DmarcProblem::Against;

constexpr std::size_t kShownOctets = 60;
constexpr std::size_t kProblemsMax = 50;

bool is_letter(char c) {
  const char lowered = base::to_lower(c);
  return lowered >= 'a' && lowered <= 'z';
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Letters, and behind the first also digits and underscores, as DKIM has them (RFC 6376 §3.2).
bool is_tag_name(std::string_view name) {
  if (name.empty() || !is_letter(name.front())) return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return is_letter(c) || is_digit(c) || c == '_'; });
}

std::optional<DmarcPolicy> parse_policy(std::string_view value) {
  for (const auto policy : {DmarcPolicy::None, DmarcPolicy::Quarantine, DmarcPolicy::Reject}) {
    if (base::equals_ignoring_case(value, name_of(policy))) return policy;
  }
  return std::nullopt;
}

// Of a value that is one letter; 0: it is not.
char single_letter(std::string_view value) {
  return value.size() == 1 ? base::to_lower(value.front()) : '\0';
}

// What stands before the next separator, without blanks around it; takes the separator, too.
std::string_view take_part(std::string_view& rest, char separator) {
  const std::size_t end = rest.find(separator);
  const std::string_view part = base::trimmed(rest.substr(0, end));
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  return part;
}

class RecordReader {
 public:
  // `rest` is what follows the version.
  DmarcRecord read(std::string_view rest);

 private:
  struct Tag {
    std::string_view name;   // lower case
    std::string_view value;  // without blanks around it
    std::size_t number = 0;  // the version is 1
  };

  void read_tag(std::string_view text, std::size_t number);
  void read_value(const Tag& tag);
  void read_policy(const Tag& tag);
  void read_alignment(const Tag& tag, DmarcAlignment& alignment);
  void read_public_suffix(const Tag& tag);
  void read_test(const Tag& tag);
  void read_percent(const Tag& tag);
  void read_interval(const Tag& tag);
  void read_formats(const Tag& tag);
  void read_failure_options(const Tag& tag);
  void read_uris(const Tag& tag, std::vector<ReportUri>& uris);
  void forget(std::string_view name);
  void judge_policies();
  void add(Against against, std::string text);
  void bad_value(const Tag& tag, Against against, std::string_view expected);

  DmarcRecord record_;
  std::vector<std::string> names_;              // of the tags so far
  std::size_t policy_number_ = 0;               // where p stands; 0: nowhere
  std::optional<std::string_view> bad_policy_;  // what p says, where that is no policy
};

void RecordReader::add(Against against, std::string text) {
  if (record_.problems.size() < kProblemsMax) {
    record_.problems.push_back({against, std::move(text)});
  }
}

void RecordReader::bad_value(const Tag& tag, Against against, std::string_view expected) {
  add(against, std::string(tag.name) + "=" + shown_text(tag.value, kShownOctets) + ": " +
                   std::string(expected));
}

DmarcRecord RecordReader::read(std::string_view rest) {
  // RFC 7489 §6.4 has a separator behind the version, RFC 9989 §4.8 does not need one.
  if (rest.empty()) add(Against::Rfc7489, "there is no semicolon behind v=DMARC1");
  std::size_t number = 1;
  while (!rest.empty()) {
    const bool is_last = rest.find(';') == std::string_view::npos;
    const std::string_view text = take_part(rest, ';');
    if (text.empty() && is_last) break;  // only blanks behind the last semicolon
    if (++number > kDmarcTagsMax) {
      add(Against::Both, "there are more than " + std::to_string(kDmarcTagsMax) + " tags");
      break;
    }
    read_tag(text, number);
  }
  judge_policies();
  return std::move(record_);
}

void RecordReader::read_tag(std::string_view text, std::size_t number) {
  if (text.empty()) {
    add(Against::Both, "there is nothing between two semicolons");
    return;
  }
  const std::size_t equals = text.find('=');
  const std::string name = base::lower_case(base::trimmed(text.substr(0, equals)));
  if (equals == std::string_view::npos || !is_tag_name(name)) {
    record_.is_tag_list = false;
    add(Against::Both, "\"" + shown_text(text, kShownOctets) + "\" is not a tag=value");
    return;
  }
  if (name == "v" || std::find(names_.begin(), names_.end(), name) != names_.end()) {
    // RFC 6376 §3.2 voids the whole list; RFC 9989 §4.8 has errors ignored. Neither allows to
    // choose one of two values.
    record_.is_tag_list = false;
    add(Against::Both, "the tag " + shown_text(name, kShownOctets) + " is there twice");
    forget(name);
    return;
  }
  names_.push_back(name);
  const std::string_view value = base::trimmed(text.substr(equals + 1));
  const bool is_printable =
      std::all_of(value.begin(), value.end(), [](char c) { return c >= ' ' && c <= '~'; });
  const Tag tag{names_.back(), value, number};
  if (!is_printable && name != "rua" && name != "ruf") {
    bad_value(tag, Against::Both, "a value has printable ASCII characters only");
    if (name == "sp") record_.has_bad_subdomain_policy = true;
    if (name == "np") record_.has_bad_nonexistent_policy = true;
    return;
  }
  read_value(tag);
}

void RecordReader::read_value(const Tag& tag) {
  const std::string_view name = tag.name;
  if (name == "p" || name == "sp" || name == "np") return read_policy(tag);
  if (name == "adkim") return read_alignment(tag, record_.dkim_alignment);
  if (name == "aspf") return read_alignment(tag, record_.spf_alignment);
  if (name == "psd") return read_public_suffix(tag);
  if (name == "t") return read_test(tag);
  if (name == "rua") return read_uris(tag, record_.aggregate_reports);
  if (name == "ruf") return read_uris(tag, record_.failure_reports);
  if (name == "fo") return read_failure_options(tag);
  if (name == "pct") return read_percent(tag);
  if (name == "ri") return read_interval(tag);
  if (name == "rf") return read_formats(tag);
  // Unknown tags MUST be ignored (RFC 9989 §4.7).
}

void RecordReader::read_policy(const Tag& tag) {
  const std::optional<DmarcPolicy> policy = parse_policy(tag.value);
  if (tag.name == "p") {
    policy_number_ = tag.number;
    record_.policy = policy;
    if (!policy) bad_policy_ = tag.value;
  } else if (tag.name == "sp") {
    record_.subdomain_policy = policy;
    record_.has_bad_subdomain_policy = !policy;
  } else {
    record_.nonexistent_policy = policy;
    record_.has_bad_nonexistent_policy = !policy;
  }
}

void RecordReader::read_alignment(const Tag& tag, DmarcAlignment& alignment) {
  const char letter = single_letter(tag.value);
  if (letter == 's') {
    alignment = DmarcAlignment::Strict;
  } else if (letter != 'r') {
    bad_value(tag, Against::Both, "it is r (relaxed) or s (strict); r is assumed");
  }
}

void RecordReader::read_public_suffix(const Tag& tag) {
  const char letter = single_letter(tag.value);
  if (letter == 'y') {
    record_.public_suffix = PublicSuffixFlag::Yes;
  } else if (letter == 'n') {
    record_.public_suffix = PublicSuffixFlag::No;
  } else if (letter != 'u') {
    bad_value(tag, Against::Rfc9989, "it is y, n or u; u is assumed");
  }
}

void RecordReader::read_test(const Tag& tag) {
  const char letter = single_letter(tag.value);
  if (letter == 'y') {
    record_.is_test = true;
  } else if (letter != 'n') {
    bad_value(tag, Against::Rfc9989, "it is y or n; n is assumed");
  }
}

void RecordReader::read_percent(const Tag& tag) {
  unsigned number = 0;
  const std::string_view digits = tag.value;
  const bool is_number =
      !digits.empty() && digits.size() <= 3 && std::all_of(digits.begin(), digits.end(), is_digit);
  if (is_number) {
    for (const char c : digits) number = number * 10 + static_cast<unsigned>(c - '0');
  }
  if (!is_number || number > 100) {
    bad_value(tag, Against::Rfc7489, "it is a number from 0 to 100; 100 is assumed");
    return;
  }
  record_.percent = number;
}

void RecordReader::read_interval(const Tag& tag) {
  constexpr std::size_t kDigitsMax = 10;  // of 32 bits (RFC 7489 §6.3)
  const std::string_view digits = tag.value;
  if (digits.empty() || digits.size() > kDigitsMax ||
      !std::all_of(digits.begin(), digits.end(), is_digit)) {
    bad_value(tag, Against::Rfc7489, "it is a number of seconds");
  }
}

void RecordReader::read_formats(const Tag& tag) {
  std::string_view rest = tag.value;
  do {
    const std::string_view keyword = take_part(rest, ':');
    // Keyword is Ldh-str of RFC 5321 §4.1.2.
    const bool is_keyword = !keyword.empty() && keyword.back() != '-' &&
                            std::all_of(keyword.begin(), keyword.end(), [](char c) {
                              return is_letter(c) || is_digit(c) || c == '-';
                            });
    if (!is_keyword) {
      bad_value(tag, Against::Rfc7489, "it is a list of keywords, mostly afrf");
      return;
    }
  } while (!rest.empty());
}

void RecordReader::read_failure_options(const Tag& tag) {
  FailureReporting wanted;
  wanted.when_all_fail = false;
  std::string_view rest = tag.value;
  const bool ends_in_colon = rest.ends_with(':');
  do {
    const char letter = single_letter(take_part(rest, ':'));
    bool* const flag = letter == '0'   ? &wanted.when_all_fail
                       : letter == '1' ? &wanted.when_any_fails
                       : letter == 'd' ? &wanted.of_dkim
                       : letter == 's' ? &wanted.of_spf
                                       : nullptr;
    if (flag == nullptr || ends_in_colon) {
      bad_value(tag, Against::Both, "it is a list of 0, 1, d and s with colons; 0 is assumed");
      return;
    }
    if (*flag) bad_value(tag, Against::Rfc9989, "an option is there twice");
    *flag = true;
  } while (!rest.empty());
  if (wanted.when_all_fail && wanted.when_any_fails) {
    bad_value(tag, Against::Rfc9989, "0 and 1 exclude one another");
  }
  record_.failure_reporting = wanted;
}

void RecordReader::read_uris(const Tag& tag, std::vector<ReportUri>& uris) {
  std::string_view rest = tag.value;
  if (rest.ends_with(',')) add(Against::Both, std::string(tag.name) + " ends in a comma");
  do {
    const std::string_view text = take_part(rest, ',');
    base::Result<ReportUri> uri = parse_report_uri(text);
    if (!uri) {
      add(Against::Both, std::string(tag.name) + " has \"" + shown_text(text, kShownOctets) +
                             "\": " + uri.error().text());
      continue;
    }
    if (uri->has_absurd_limit) {
      bad_value(tag, Against::Rfc7489, "the limit is over 64 bits");
    }
    if (uris.size() == kDmarcReportUrisMax) {
      add(Against::Both, std::string(tag.name) + " has more than " +
                             std::to_string(kDmarcReportUrisMax) + " addresses");
      return;
    }
    uris.push_back(*std::move(uri));
  } while (!rest.empty());
}

// A tag that is there twice has no value.
void RecordReader::forget(std::string_view name) {
  if (name == "p") record_.policy.reset();
  if (name == "sp" || name == "np") {
    const bool is_sp = name == "sp";
    (is_sp ? record_.subdomain_policy : record_.nonexistent_policy).reset();
    (is_sp ? record_.has_bad_subdomain_policy : record_.has_bad_nonexistent_policy) = true;
  }
  if (name == "adkim") record_.dkim_alignment = DmarcAlignment::Relaxed;
  if (name == "aspf") record_.spf_alignment = DmarcAlignment::Relaxed;
  if (name == "psd") record_.public_suffix = PublicSuffixFlag::Unsaid;
  if (name == "t") record_.is_test = false;
  if (name == "pct") record_.percent = 100;
  if (name == "rua") record_.aggregate_reports.clear();
  if (name == "ruf") record_.failure_reports.clear();
  if (name == "fo") record_.failure_reporting = {};
}

bool has_report_address(const DmarcRecord& record, DmarcEdition edition) {
  return std::any_of(record.aggregate_reports.begin(), record.aggregate_reports.end(),
                     [&](const ReportUri& uri) {
                       return edition == DmarcEdition::Rfc9989 || !uri.has_absurd_limit;
                     });
}

// Of p, sp and np, at the end: what is wrong with them does not count against a record that names
// an address for reports, which both editions then read as p=none.
void RecordReader::judge_policies() {
  const bool is_saved = has_report_address(record_, DmarcEdition::Rfc7489);
  const auto judge = [&](Against against, std::string text) {
    if (is_saved) text += "; the record counts as p=none";
    add(is_saved ? Against::Nobody : against, std::move(text));
  };
  constexpr std::string_view kPolicies = " is not none, quarantine or reject";
  // RFC 7489 §6.3: "v" and "p" in this order; §6.4: all others may come in any.
  if (policy_number_ > 2) add(Against::Rfc7489, "p=… does not stand directly behind v=DMARC1");
  if (policy_number_ == 0) {
    judge(Against::Both, is_saved ? "there is no p=…"
                                  : "there is no p=…, nor a valid address for reports (rua=…)");
  } else if (bad_policy_) {
    const std::string shown = shown_text(*bad_policy_, kShownOctets);
    judge(Against::Both, "p=" + shown + std::string(kPolicies));
  }
  if (record_.has_bad_subdomain_policy) judge(Against::Both, "sp" + std::string(kPolicies));
  if (record_.has_bad_nonexistent_policy) judge(Against::Rfc9989, "np" + std::string(kPolicies));
}

}  // namespace

std::string_view name_of(DmarcPolicy policy) {
  switch (policy) {
    case DmarcPolicy::None:
      return "none";
    case DmarcPolicy::Quarantine:
      return "quarantine";
    case DmarcPolicy::Reject:
      return "reject";
  }
  return "";
}

std::optional<DmarcRecord> parse_dmarc_record(std::string_view text) {
  const std::size_t end = text.find(';');
  const std::string_view version = text.substr(0, end);
  const std::size_t equals = version.find('=');
  if (equals == std::string_view::npos) return std::nullopt;
  // The tag's name is without regard to case, its value is not (RFC 9989 §4.7, §4.8). Nothing may
  // stand in front of it.
  const bool is_first = base::to_lower(text.front()) == 'v';
  if (!is_first || base::trimmed(version.substr(1, equals - 1)) != "" ||
      base::trimmed(version.substr(equals + 1)) != "DMARC1")
    return std::nullopt;
  RecordReader reader;
  if (end == std::string_view::npos) return reader.read("");
  // A semicolon that is the last octet stands for itself: nothing is missing.
  return reader.read(end + 1 == text.size() ? " " : text.substr(end + 1));
}

bool is_valid(const DmarcRecord& record, DmarcEdition edition) {
  const Against other = edition == DmarcEdition::Rfc7489 ? Against::Rfc9989 : Against::Rfc7489;
  return std::all_of(record.problems.begin(), record.problems.end(),
                     [&](const DmarcProblem& problem) {
                       return problem.against == other || problem.against == Against::Nobody;
                     });
}

std::optional<DmarcPolicies> requested_policies(const DmarcRecord& record, DmarcEdition edition) {
  const bool is_new = edition == DmarcEdition::Rfc9989;
  if (record.policy && !record.has_bad_subdomain_policy &&
      !(is_new && record.has_bad_nonexistent_policy)) {
    DmarcPolicies policies;
    policies.domain = *record.policy;
    policies.subdomains = record.subdomain_policy.value_or(policies.domain);
    policies.nonexistent = policies.subdomains;
    if (is_new) policies.nonexistent = record.nonexistent_policy.value_or(policies.subdomains);
    return policies;
  }
  if (has_report_address(record, edition)) return DmarcPolicies();
  return std::nullopt;
}

}  // namespace rockdove::policy
