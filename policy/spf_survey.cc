#include "policy/spf_survey.h"

#include <algorithm>
#include <set>
#include <utility>

#include "mta/base/text.h"
#include "policy/shown_text.h"
#include "policy/spf.h"
#include "policy/spf_macro.h"
#include "policy/spf_record.h"

namespace rockdove::policy {
namespace {

using dns::RecordType;

constexpr std::size_t kSurveyShownOctetsMax = 200;
constexpr std::size_t kRecordShownOctetsMax = 4096;
constexpr std::size_t kShownAddressesMax = 4;
constexpr std::size_t kAdviceMax = 30;
constexpr std::size_t kGoodOctetsMax = 450;  // so that the answer fits 512 octets (RFC 7208 §3.4)

std::string shown(std::string_view text) {
  return shown_text(text, kSurveyShownOctetsMax);
}

std::string_view verb_of(SpfQualifier qualifier) {
  switch (qualifier) {
    case SpfQualifier::Pass:
      return "pass";
    case SpfQualifier::Fail:
      return "fail";
    case SpfQualifier::SoftFail:
      return "softfail";
    case SpfQualifier::Neutral:
      return "neutral";
  }
  return "";
}

// The network that a term means, without the bits that its mask takes away.
std::string network_of(const SpfTerm& term) {
  const bool is_v4 = term.kind == SpfTermKind::Ip4;
  base::IpNetwork network;
  network.prefix_bits = is_v4 ? term.bits4 : term.bits6;
  std::array<std::uint8_t, 16> octets = term.network;
  for (unsigned bit = network.prefix_bits; bit < (is_v4 ? 32U : 128U); ++bit)
    octets[bit / 8] &= static_cast<std::uint8_t>(~(0x80U >> bit % 8));
  network.base = is_v4 ? base::IpAddress::v4({octets[0], octets[1], octets[2], octets[3]})
                       : base::IpAddress::v6(octets);
  // ::ffff:192.0.2.1 is an address of IPv4, and never a client of IPv6.
  if (network.base.is_v4() != is_v4) return "nobody";
  return base::format_ip_network(network);
}

std::string masks_of(const SpfTerm& term) {
  std::string text;
  if (term.bits4 != 32) text += ", and their /" + std::to_string(term.bits4) + " networks";
  if (term.bits6 != 128) text += ", in IPv6 their /" + std::to_string(term.bits6) + " networks";
  return text;
}

// repaired_spf_record(); `left_out` gets the terms that could not be understood.
std::string repair(std::string_view record, std::vector<std::string>& left_out);

class Survey {
 public:
  explicit Survey(RecordedDns& dns) : dns_(dns) {}

  std::optional<SpfSurvey> run(std::string_view domain, std::optional<std::string_view> record) {
    if (!record) record = find_own_record(domain);
    if (record) {
      result_.record = shown_text(*record, kRecordShownOctetsMax);
      check_length(*record);
      push(std::string(domain), *record);
    }
    while (!frames_.empty()) read_on();
    if (is_missing_) return std::nullopt;
    if (record) conclude(*record);
    return std::move(result_);
  }

 private:
  enum class Within : std::uint8_t { Include, Redirect };

  struct Frame {
    std::string domain;  // empty: not known
    SpfRecordReader reader;
    SpfRecordModifiers modifiers;
    bool has_all = false;
  };

  // Null: not known yet, or more than may be asked.
  const dns::Answer* find(std::string_view name, RecordType type) {
    if (asked_.insert({base::lower_case(name), type}).second &&
        asked_.size() > kSpfSurveyQuestionsMax) {
      note_wrong("this leads to more than " + std::to_string(kSpfSurveyQuestionsMax) +
                 " questions; not all were asked");
    }
    if (asked_.size() > kSpfSurveyQuestionsMax) {
      is_unknown_ = true;
      return nullptr;
    }
    const dns::Answer* answer = dns_.find(name, type);
    if (answer == nullptr) is_missing_ = true;
    if (answer != nullptr && dns::is_temporary(answer->status)) {
      is_unknown_ = true;
      note_wrong(answer->detail.empty()
                     ? shown(name) + ": " + std::string(dns::name_of(answer->status))
                     : shown(answer->detail));
    }
    return answer;
  }

  void note_wrong(std::string text) {
    auto& wrong = result_.wrong;
    if (std::find(wrong.begin(), wrong.end(), text) == wrong.end())
      wrong.push_back(std::move(text));
  }

  void advise(std::string text) {
    auto& advice = result_.advice;
    if (advice.size() < kAdviceMax && std::find(advice.begin(), advice.end(), text) == advice.end())
      advice.push_back(std::move(text));
  }

  void line(const std::string& term, std::string meaning) {
    if (result_.lines.size() >= kSpfSurveyLinesMax) return;
    const auto depth = static_cast<unsigned>(frames_.empty() ? 0 : frames_.size() - 1);
    result_.lines.push_back({depth, term, std::move(meaning)});
  }

  // Says what is wrong where there is not exactly one record.
  std::optional<std::string_view> find_record(std::string_view domain) {
    const dns::Answer* answer = find(domain, RecordType::TXT);
    if (answer == nullptr) return std::nullopt;
    std::optional<std::string_view> record;
    for (const std::string& text : answer->texts) {
      if (!is_spf_record(text)) continue;
      if (record) {
        note_wrong(shown(domain) + " has several SPF records; receivers take that for an error");
        return std::nullopt;
      }
      record = text;
    }
    if (record) return record;
    if (dns::is_temporary(answer->status)) return std::nullopt;
    note_wrong(shown(domain) + (answer->status == dns::Status::NxDomain ? " does not exist"
                                                                        : " has no SPF record"));
    return std::nullopt;
  }

  std::optional<std::string_view> find_own_record(std::string_view domain) {
    const std::optional<std::string_view> record = find_record(domain);
    if (record || is_missing_ || is_unknown_) return record;
    if (const dns::Answer* answer = find(domain, RecordType::TXT); answer != nullptr) {
      if (std::any_of(answer->texts.begin(), answer->texts.end(), is_spf_record)) {
        advise(
            "make one of them: \"v=spf1\", what each has in front of its \"all\", and \"all\" "
            "once");
        return record;
      }
      for (const std::string& text : answer->texts) {
        const std::string word = base::lower_case(base::trimmed(text).substr(0, 16));
        if (word.find("spf") == std::string::npos || is_spf_record(text)) continue;
        note_wrong("\"" + shown(text) + "\" is no SPF record: one begins with \"v=spf1 \"");
      }
    }
    result_.better = "v=spf1 mx -all";
    advise(
        "\"v=spf1 mx -all\" lets the hosts of its MX send; \"v=spf1 -all\" is for a domain that "
        "sends no mail");
    return std::nullopt;
  }

  void check_length(std::string_view record) {
    if (record.size() <= kGoodOctetsMax) return;
    advise("the record has " + std::to_string(record.size()) + " octets; more than " +
           std::to_string(kGoodOctetsMax) +
           " need TCP, which not every network lets through (RFC 7208 3.4)");
  }

  // Goes into a record, unless it is wrong or open already.
  void push(std::string domain, std::string_view record) {
    const auto is_same = [&domain](const Frame& frame) {
      return base::equals_ignoring_case(frame.domain, domain);
    };
    if (!domain.empty() && std::any_of(frames_.begin(), frames_.end(), is_same)) {
      note_wrong(shown(domain) + " leads back to itself");
      return;
    }
    if (++records_ > kSpfSurveyRecordsMax || frames_.size() > kSpfTermsMax) {
      note_wrong("more than " + std::to_string(kSpfSurveyRecordsMax) +
                 " records, or more than ten within one another; not all were looked at");
      return;
    }
    auto checked = check_spf_record(record);
    Frame frame{std::move(domain), SpfRecordReader(record), {}};
    if (const auto* problem = std::get_if<SpfProblem>(&checked)) {
      note_wrong("the SPF record" + (frame.domain.empty() ? "" : " of " + shown(frame.domain)) +
                 " is wrong at octet " + std::to_string(problem->position + 1) + ", in \"" +
                 shown(problem->term) + "\": " + problem->what);
    } else {
      frame.modifiers = std::get<SpfRecordModifiers>(checked);
    }
    frames_.push_back(std::move(frame));
  }

  void read_on() {
    Frame& frame = frames_.back();
    const auto next = frame.reader.next();
    if (const auto* term = std::get_if<SpfTerm>(&next)) {
      if (causes_lookup(term->kind) && term->kind != SpfTermKind::Redirect) ++result_.terms;
      return describe(frame, *term);
    }
    if (const auto* problem = std::get_if<SpfProblem>(&next)) {
      line(shown(problem->term), "wrong: " + problem->what);
      frames_.pop_back();
      return;
    }
    finish(frame);
  }

  // At the end of a record: its redirect, or what holds when nothing has matched.
  void finish(Frame& frame) {
    const bool is_first = frames_.size() == 1;
    if (!frame.modifiers.redirect.empty() && !frame.has_all) {
      ++result_.terms;
      const std::string_view target = std::exchange(frame.modifiers.redirect, {});
      frame.has_all = true;  // so that its end, the next time, is the end
      return enter(target, Within::Redirect, "redirect=" + shown(target));
    }
    if (is_first && !frame.has_all) {
      advise("nothing is said of everybody else, so that they are neutral: end with -all or ~all");
    }
    frames_.pop_back();
  }

  void enter(std::string_view spec, Within within, const std::string& term) {
    const bool is_include = within == Within::Include;
    const std::string what = is_include ? "whoever passes there" : "that record decides";
    if (spec.find('%') != std::string_view::npos) {
      return line(term, what + "; which one depends on the message");
    }
    std::string domain(spec.ends_with('.') ? spec.substr(0, spec.size() - 1) : spec);
    is_unknown_ = false;
    const std::optional<std::string_view> record = find_record(domain);
    if (!record) return line(term, not_known().value_or("wrong: there is no such record to use"));
    line(term, what + ": " + shown(*record));
    push(std::move(domain), *record);
  }

  void describe(Frame& frame, const SpfTerm& term) {
    const std::string text = shown(term.text);
    const std::string verb = std::string(verb_of(term.qualifier)) + ": ";
    // Modifiers may stand anywhere (RFC 7208 §6).
    const bool is_modifier = term.kind == SpfTermKind::Redirect ||
                             term.kind == SpfTermKind::Explanation ||
                             term.kind == SpfTermKind::UnknownModifier;
    if (frame.has_all && !is_modifier)
      return line(text, "without effect, because it stands behind \"all\"");
    switch (term.kind) {
      case SpfTermKind::All:
        return describe_all(frame, term);
      case SpfTermKind::Ip4:
      case SpfTermKind::Ip6:
        return line(text, verb + network_of(term));
      case SpfTermKind::A:
        return line(text, verb + describe_a(frame, term));
      case SpfTermKind::Mx:
        return line(text, verb + describe_mx(frame, term));
      case SpfTermKind::Ptr:
        advise(text +
               " is slow and unreliable: name the hosts by ip4:, ip6:, a: or mx "
               "instead (RFC 7208 5.5)");
        return line(text,
                    verb + "hosts whose reverse name is " + target_of(frame, term) + " or below");
      case SpfTermKind::Exists:
        return line(text, verb + describe_exists(frame, term));
      case SpfTermKind::Include:
        return enter(term.domain, Within::Include, text);
      case SpfTermKind::Redirect:
        return;
      case SpfTermKind::Explanation:
        return line(text, "the words for senders that fail are the TXT record there");
      case SpfTermKind::UnknownModifier:
        return describe_modifier(term);
    }
  }

  void describe_all(Frame& frame, const SpfTerm& term) {
    frame.has_all = true;
    line(shown(term.text), "everybody else: " + std::string(verb_of(term.qualifier)));
    if (term.qualifier == SpfQualifier::Pass) {
      advise((frame.domain.empty() ? "this" : "the record of " + shown(frame.domain)) +
             " lets everybody send; end it with -all or ~all");
    }
    if (!frame.modifiers.redirect.empty())
      advise("redirect= has no effect beside \"all\" (RFC 7208 6.1)");
  }

  void describe_modifier(const SpfTerm& term) {
    const std::string name = base::lower_case(term.text.substr(0, term.text.find('=')));
    constexpr std::string_view kMechanisms[] = {"a",       "mx",     "ip4", "ip6",
                                                "include", "exists", "ptr"};
    if (std::find(std::begin(kMechanisms), std::end(kMechanisms), name) != std::end(kMechanisms)) {
      advise(shown(term.text) + " is a modifier that nobody knows; " + name +
             ": is meant, with a colon");
    }
    if (name == "v") advise("\"v=spf1\" stands twice; two records have become one");
    line(shown(term.text), "ignored: a modifier that nobody knows");
  }

  static std::string target_of(const Frame& frame, const SpfTerm& term) {
    if (!term.domain.empty()) return shown(term.domain);
    return frame.domain.empty() ? "the domain itself" : shown(frame.domain);
  }

  // The name that a term is about, when that does not depend on the message.
  static std::optional<std::string> fixed_name(const Frame& frame, const SpfTerm& term) {
    if (term.domain.find('%') != std::string_view::npos) return std::nullopt;
    std::string name = term.domain.empty() ? frame.domain : std::string(term.domain);
    if (name.ends_with('.')) name.pop_back();
    if (name.empty()) return std::nullopt;
    return name;
  }

  // "192.0.2.1, 2001:db8::1"; empty: there is none. Asks for both families.
  std::string addresses_of(const std::string& name) {
    std::vector<base::IpAddress> addresses;
    for (const RecordType type : {RecordType::A, RecordType::AAAA}) {
      const dns::Answer* answer = find(name, type);
      if (answer == nullptr) continue;
      addresses.insert(addresses.end(), answer->addresses.begin(), answer->addresses.end());
    }
    std::string text;
    for (std::size_t i = 0; i < std::min(addresses.size(), kShownAddressesMax); ++i)
      text += (i > 0 ? ", " : "") + base::format_ip_address(addresses[i]);
    if (addresses.size() > kShownAddressesMax)
      text += " and " + std::to_string(addresses.size() - kShownAddressesMax) + " more";
    return text;
  }

  // What is said where an answer has failed to come; nullopt: none has.
  [[nodiscard]] std::optional<std::string> not_known() const {
    if (is_missing_) return "";
    if (is_unknown_) return "not to be found out just now";
    return std::nullopt;
  }

  std::string lead_to_nothing(const SpfTerm& term) {
    if (std::optional<std::string> text = not_known()) return *std::move(text);
    ++result_.void_terms;
    advise(shown(term.text) + " leads to nothing in the DNS");
    return "nobody, for there is no such thing in the DNS";
  }

  std::string describe_a(const Frame& frame, const SpfTerm& term) {
    const std::optional<std::string> name = fixed_name(frame, term);
    if (!name) return "the addresses of " + target_of(frame, term) + masks_of(term);
    is_unknown_ = false;
    const std::string addresses = addresses_of(*name);
    if (addresses.empty()) return lead_to_nothing(term);
    return "the addresses of " + shown(*name) + " (" + addresses + ")" + masks_of(term);
  }

  std::string describe_mx(const Frame& frame, const SpfTerm& term) {
    const std::optional<std::string> name = fixed_name(frame, term);
    if (!name) return "the mail hosts of " + target_of(frame, term) + masks_of(term);
    is_unknown_ = false;
    const dns::Answer* answer = find(*name, RecordType::MX);
    if (answer == nullptr || answer->exchanges.empty()) return lead_to_nothing(term);
    const std::vector<dns::MailExchange>& exchanges = answer->exchanges;
    if (exchanges.size() > kSpfNamesMax) {
      note_wrong(shown(*name) + " has more than " + std::to_string(kSpfNamesMax) +
                 " mail hosts, which is an error (RFC 7208 4.6.4)");
      return "more hosts than are allowed";
    }
    if (exchanges.size() == 1 && exchanges.front().exchange.empty())
      return "nobody, for " + shown(*name) + " takes no mail (RFC 7505)";
    std::string hosts;
    bool has_void = false;
    for (const dns::MailExchange& host : exchanges) {
      is_unknown_ = false;
      std::string addresses = addresses_of(host.exchange);
      if (addresses.empty()) addresses = not_known().value_or("no address");
      has_void = has_void || addresses == "no address";
      if (!hosts.empty()) hosts += "; ";
      hosts += shown(host.exchange) + " (" + addresses + ")";
    }
    if (has_void) {  // as check_spf() counts them
      ++result_.void_terms;
      advise("of the mail hosts of " + shown(*name) + " not every one has an address");
    }
    return "the mail hosts of " + shown(*name) + ": " + hosts + masks_of(term);
  }

  std::string describe_exists(const Frame& frame, const SpfTerm& term) {
    const std::optional<std::string> name = fixed_name(frame, term);
    if (!name) return "whenever " + shown(term.domain) + " exists, which depends on the message";
    is_unknown_ = false;
    const dns::Answer* answer = find(*name, RecordType::A);
    if (answer == nullptr || answer->addresses.empty()) return lead_to_nothing(term);
    return "everybody, because " + shown(*name) + " exists";
  }

  void conclude(std::string_view record) {
    if (result_.terms > kSpfTermsMax) {
      note_wrong("if nothing matches before, " + std::to_string(result_.terms) +
                 " terms cause look-ups, and " + std::to_string(kSpfTermsMax) +
                 " are allowed (RFC 7208 4.6.4)");
    }
    if (result_.void_terms > kSpfVoidTermsMax) {
      note_wrong(std::to_string(result_.void_terms) + " terms lead to nothing in the DNS, and " +
                 std::to_string(kSpfVoidTermsMax) + " are allowed (RFC 7208 4.6.4)");
    }
    std::vector<std::string> left_out;
    const std::string repaired = repair(record, left_out);
    if (repaired != record) result_.better = repaired;
    for (const std::string& term : left_out) {
      advise("the record to publish is without " + shown(term) +
             ", which nobody understands: put in what was meant");
    }
  }

  RecordedDns& dns_;
  SpfSurvey result_;
  std::vector<Frame> frames_;
  std::set<Question> asked_;
  std::size_t records_ = 0;
  bool is_missing_ = false;
  bool is_unknown_ = false;  // of what was asked last, the DNS has not said or was not asked
};

// A term as it was plainly meant, without a "+"; it may still be wrong.
std::string meant_term(std::string_view word) {
  constexpr std::pair<std::string_view, std::string_view> kMistakes[] = {
      {"ipv4:", "ip4:"},
      {"ipv6:", "ip6:"},
      {"ip4=", "ip4:"},
      {"ip6=", "ip6:"},
      {"redirect:", "redirect="},
      {"exp:", "exp="},
      {"include=", "include:"},
      {"a=", "a:"},
      {"mx=", "mx:"},
      {"exists=", "exists:"},
  };
  std::string qualifier;
  if (std::string_view("+-~?").find(word.front()) != std::string_view::npos) {
    if (word.front() != '+') qualifier = word.substr(0, 1);
    word.remove_prefix(1);
  }
  for (const auto& [wrong, right] : kMistakes) {
    if (!base::starts_with_ignoring_case(word, wrong)) continue;
    if (right.ends_with('=')) qualifier.clear();  // a modifier has none
    return qualifier + std::string(right) + std::string(word.substr(wrong.size()));
  }
  return qualifier + std::string(word);
}

// nullopt: the term is wrong.
std::optional<SpfTermKind> kind_of(const std::string& term) {
  const std::string record = "v=spf1 " + term;
  SpfRecordReader reader(record);
  const auto next = reader.next();
  const auto* read = std::get_if<SpfTerm>(&next);
  return read == nullptr ? std::nullopt : std::optional(read->kind);
}

std::vector<std::string_view> words_of(std::string_view record) {
  std::vector<std::string_view> words;
  for (std::size_t at = record.find(' '); at != std::string_view::npos;) {
    const std::size_t start = record.find_first_not_of(' ', at);
    if (start == std::string_view::npos) break;
    at = record.find(' ', start);
    words.push_back(record.substr(start, at == std::string_view::npos ? at : at - start));
  }
  return words;
}

bool is_modifier(SpfTermKind kind) {
  return kind == SpfTermKind::Redirect || kind == SpfTermKind::Explanation ||
         kind == SpfTermKind::UnknownModifier;
}

std::string repair(std::string_view record, std::vector<std::string>& left_out) {
  std::string repaired = "v=spf1";
  std::set<std::string> known;
  std::set<SpfTermKind> once;
  bool has_changed = false;
  for (const std::string_view word : words_of(record)) {
    std::string term = meant_term(word);
    const std::optional<SpfTermKind> kind = kind_of(term);
    const bool is_second_version = base::equals_ignoring_case(term, "v=spf1");
    if (!kind && !is_second_version) left_out.push_back(term);
    const bool is_useless = !kind || is_second_version ||
                            !known.insert(base::lower_case(term)).second ||
                            (once.contains(SpfTermKind::All) &&
                             (!is_modifier(*kind) || *kind == SpfTermKind::Redirect));
    const bool is_single = kind == SpfTermKind::All || kind == SpfTermKind::Redirect ||
                           kind == SpfTermKind::Explanation;
    if (is_useless || (is_single && !once.insert(*kind).second)) {
      has_changed = true;
      continue;
    }
    has_changed = has_changed || (term != word && "+" + term != word);
    repaired += " " + term;
  }
  if (once.contains(SpfTermKind::All) || once.contains(SpfTermKind::Redirect))
    return has_changed ? repaired : std::string(record);
  return repaired + " ~all";
}

}  // namespace

std::optional<SpfSurvey> survey_spf(std::string_view domain, std::optional<std::string_view> record,
                                    RecordedDns& dns) {
  return Survey(dns).run(domain, record);
}

std::string repaired_spf_record(std::string_view record) {
  std::vector<std::string> left_out;
  return repair(record, left_out);
}

}  // namespace rockdove::policy
