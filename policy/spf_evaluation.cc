#include "policy/spf_evaluation.h"

#include <algorithm>
#include <utility>

#include "mta/base/text.h"
#include "mta/base/utf8.h"
#include "mta/mail/idna.h"
#include "policy/shown_text.h"

namespace rockdove::policy {
namespace {

using dns::RecordType;

// RFC 5321 §4.5.3.1 allows 64 and 255. What is longer is cut before macros can multiply it.
constexpr std::size_t kIdentityOctetsMax = 256;

SpfResult result_of(SpfQualifier qualifier) {
  switch (qualifier) {
    case SpfQualifier::Pass:
      return SpfResult::Pass;
    case SpfQualifier::Fail:
      return SpfResult::Fail;
    case SpfQualifier::SoftFail:
      return SpfResult::SoftFail;
    case SpfQualifier::Neutral:
      return SpfResult::Neutral;
  }
  return SpfResult::Neutral;
}

std::string meaning_of(SpfResult result, const std::string& domain) {
  switch (result) {
    case SpfResult::Pass:
      return "it may send mail for " + domain;
    case SpfResult::Fail:
      return "it may not send mail for " + domain;
    case SpfResult::SoftFail:
      return "it should not send mail for " + domain;
    case SpfResult::Neutral:
    case SpfResult::None:
    case SpfResult::TempError:
    case SpfResult::PermError:
      return domain + " does not say whether it may send";
  }
  return "";
}

// RFC 7208 §4.3: a name of several labels; one whose last label is a number is an address.
bool is_mail_domain(const std::string& domain) {
  if (!dns::normalised_name(domain)) return false;
  const std::size_t dot = domain.rfind('.');
  if (dot == std::string::npos) return false;
  return !std::all_of(domain.begin() + static_cast<std::ptrdiff_t>(dot) + 1, domain.end(),
                      [](char c) { return c >= '0' && c <= '9'; });
}

std::string redirect_of(const SpfRecordModifiers& modifiers) {
  return "redirect=" + std::string(modifiers.redirect);
}

bool is_void(const dns::Answer& answer) {
  return answer.status == dns::Status::NoData || answer.status == dns::Status::NxDomain;
}

bool is_within(std::string_view name, std::string_view domain) {
  if (name.size() == domain.size()) return name == domain;
  return name.size() > domain.size() && name.ends_with(domain) &&
         name[name.size() - domain.size() - 1] == '.';
}

}  // namespace

SpfEvaluation::SpfEvaluation(const SpfRequest& request, RecordedDns& dns)
    : request_(request),
      dns_(dns),
      address_type_(request.client.is_v4() ? RecordType::A : RecordType::AAAA),
      client_(base::format_ip_address(request.client)) {
  frames_.reserve(kSpfTermsMax + 1);  // so that a frame stays where it is
  find_identity();
}

std::optional<SpfOutcome> SpfEvaluation::run() {
  is_missing_ = false;
  if (frames_.empty() && !is_over_) begin();
  while (!is_missing_ && !is_over_) read_on();
  if (!is_missing_ && outcome_.result == SpfResult::Fail) explain();
  if (is_missing_) return std::nullopt;
  return outcome_;
}

void SpfEvaluation::begin() {
  Frame first;
  first.domain = domain_;
  std::string absence;
  const Opened opened = open(first, absence);
  if (opened == Opened::Absent) end(SpfResult::None, shown_text(domain_) + " " + absence);
  if (opened == Opened::Yes) frames_.push_back(std::move(first));
}

// Which domain is asked, and what the macros of the sender mean (RFC 7208 §2.4, §4.3).
void SpfEvaluation::find_identity() {
  const std::string_view sender = request_.sender;
  if (request_.identity == SpfIdentity::Helo || sender.empty()) {
    domain_ = request_.helo;
  } else {
    const std::size_t at = sender.rfind('@');  // npos + 1 is 0: all of it is the domain
    domain_ = sender.substr(at + 1);
    if (at != std::string_view::npos) sender_local_ = sender.substr(0, at);
  }
  if (sender_local_.empty()) sender_local_ = "postmaster";
  if (sender_local_.size() > kIdentityOctetsMax) sender_local_.resize(kIdentityOctetsMax);
  if (domain_.ends_with('.')) domain_.pop_back();
  outcome_.domain = domain_;
  if (!base::is_ascii(domain_)) {  // RFC 7208 §4.3: A-labels
    if (base::Result<std::string> ascii = mail::to_ascii_domain(domain_)) domain_ = *ascii;
  }
  sender_ = sender_local_ + "@" + domain_;
  if (is_mail_domain(domain_)) return;
  end(SpfResult::None,
      "\"" + shown_text(domain_) + "\" is no domain that could have an SPF record");
}

// Finds the record of frame.domain (RFC 7208 §4.4, §4.5) and sets the frame to its beginning.
SpfEvaluation::Opened SpfEvaluation::open(Frame& frame, std::string& absence) {
  absence = "is no domain that could have an SPF record";
  if (frame.domain.find('.') == std::string::npos) return Opened::Absent;
  const dns::Answer* answer = find(frame.domain, RecordType::TXT);
  if (answer == nullptr) return Opened::Stop;
  if (answer->status == dns::Status::BadName) return Opened::Absent;
  if (dns::is_temporary(answer->status)) {
    static_cast<void>(fail_for_now(frame, frame.domain, RecordType::TXT, *answer));
    return Opened::Stop;
  }
  absence = answer->status == dns::Status::NxDomain ? "does not exist" : "has no SPF record";
  std::optional<std::string_view> record;
  for (const std::string& text : answer->texts) {
    if (!is_spf_record(text)) continue;
    if (record) {
      end(SpfResult::PermError,
          shown_text(frame.domain) + " has several SPF records; one is allowed");
      return Opened::Stop;
    }
    record = text;
  }
  if (!record) return Opened::Absent;
  auto checked = check_spf_record(*record);
  if (const auto* problem = std::get_if<SpfProblem>(&checked)) {
    outcome_.term = shown_text(problem->term);
    end(SpfResult::PermError, "the SPF record of " + shown_text(frame.domain) +
                                  " is wrong at octet " + std::to_string(problem->position + 1) +
                                  ", in \"" + shown_text(problem->term) + "\": " + problem->what);
    return Opened::Stop;
  }
  frame.modifiers = std::get<SpfRecordModifiers>(checked);
  frame.reader = SpfRecordReader(*record);
  return Opened::Yes;
}

// Goes on in a record that `what`, a term of the last frame, names. Where there is none, that is an
// error (RFC 7208 §5.2, §6.1).
void SpfEvaluation::open_other(Frame frame, const std::string& what) {
  std::string absence;
  const Opened opened = open(frame, absence);
  const Frame& last = frames_.back();
  if (opened == Opened::Absent) {
    end(SpfResult::PermError, shown_text(what) + " of " + shown_text(last.domain) + " names \"" +
                                  shown_text(frame.domain) + "\", which " + absence);
  }
  if (opened != Opened::Yes) return;
  if (!frame.redirected_from.empty()) frames_.pop_back();
  frames_.push_back(std::move(frame));
}

// Looks at one term of the last record; again, if an answer was missing for it.
void SpfEvaluation::read_on() {
  Frame& frame = frames_.back();
  if (!frame.is_pending && !read_term(frame)) return;
  if (frame.is_at_end) return on_end(frame);
  if (frame.term.kind == SpfTermKind::Include) return on_include(frame);
  const Match matched = match(frame);
  if (matched == Match::No) frame.is_pending = false;
  if (matched != Match::Yes) return;
  chain_ = client_ + " matches " + shown_text(frame.term.text) + " of " + shown_text(frame.domain);
  if (!frame.redirected_from.empty())
    chain_ += " (" + shown_text(frame.redirected_from) + " redirects there)";
  decide(result_of(frame.term.qualifier));
}

// False: the term asks for nothing, or is one too many.
bool SpfEvaluation::read_term(Frame& frame) {
  const auto next = frame.reader.next();
  const auto* term = std::get_if<SpfTerm>(&next);
  frame.is_at_end = term == nullptr;
  frame.term = term == nullptr ? SpfTerm() : *term;
  const SpfTermKind kind = frame.term.kind;
  if (frame.is_at_end) {
    if (!frame.modifiers.redirect.empty() && !count_term(frame, redirect_of(frame.modifiers)))
      return false;
  } else if (kind == SpfTermKind::Redirect || kind == SpfTermKind::Explanation ||
             kind == SpfTermKind::UnknownModifier ||
             (causes_lookup(kind) && !count_term(frame, frame.term.text))) {
    return false;
  }
  frame.is_pending = true;
  return true;
}

void SpfEvaluation::on_include(const Frame& frame) {
  std::optional<std::string> target = expand(frame, frame.term.domain);
  if (!target) return;
  Frame included;
  included.domain = *std::move(target);
  open_other(std::move(included), std::string(frame.term.text));
}

// Nothing has matched: the redirect decides, else nothing does (RFC 7208 §4.7, §6.1).
void SpfEvaluation::on_end(const Frame& frame) {
  if (frame.modifiers.redirect.empty()) {
    chain_ = "nothing in the SPF record of " + shown_text(frame.domain) + " matches " + client_;
    return decide(SpfResult::Neutral);
  }
  std::optional<std::string> target = expand(frame, frame.modifiers.redirect);
  if (!target) return;
  Frame other;
  other.domain = *std::move(target);
  other.redirected_from = frame.domain;
  open_other(std::move(other), redirect_of(frame.modifiers));
}

// The last record comes to `result`. An include matches if that is a pass, and then its own
// qualifier counts; else the record goes on behind it (RFC 7208 §5.2).
void SpfEvaluation::decide(SpfResult result) {
  while (frames_.size() > 1) {
    frames_.pop_back();
    Frame& frame = frames_.back();
    frame.is_pending = false;
    if (result != SpfResult::Pass) return;
    result = result_of(frame.term.qualifier);
    chain_ += ", and so " + shown_text(frame.term.text) + " of " + shown_text(frame.domain);
  }
  outcome_.term = shown_text(frames_.back().term.text);
  end(result, chain_ + ": " + meaning_of(result, shown_text(domain_)));
}

// RFC 7208 §6.2. Whatever goes wrong here, there is just no explanation.
void SpfEvaluation::explain() {
  if (request_.explaining == SpfExplaining::No || frames_.empty()) return;
  const Frame& frame = frames_.back();
  if (frame.modifiers.explanation.empty()) return;
  has_counted_pointer_ = true;  // what is asked for an explanation counts for nothing
  const std::optional<std::string> name = expand(frame, frame.modifiers.explanation);
  if (!name) return;
  const dns::Answer* answer = find(*name, RecordType::TXT);
  if (answer == nullptr || answer->status != dns::Status::Ok || answer->texts.size() != 1) return;
  const std::string& text = answer->texts.front();
  if (check_macro_string(text, SpfMacroPlace::Explanation)) return;
  std::string validated;
  const std::optional<SpfMacroValues> values = macro_values(frame, text, validated);
  if (values) outcome_.explanation = expand_explanation(text, *values);
}

SpfEvaluation::Match SpfEvaluation::match(const Frame& frame) {
  const SpfTerm& term = frame.term;
  const auto in_network = [&](base::IpAddress::Family family, unsigned bits) {
    return is_in_network(request_.client, family, term.network, bits) ? Match::Yes : Match::No;
  };
  switch (term.kind) {
    case SpfTermKind::All:
      return Match::Yes;
    case SpfTermKind::Ip4:
      return in_network(base::IpAddress::Family::V4, term.bits4);
    case SpfTermKind::Ip6:
      return in_network(base::IpAddress::Family::V6, term.bits6);
    case SpfTermKind::A:
      return match_a(frame);
    case SpfTermKind::Mx:
      return match_mx(frame);
    case SpfTermKind::Ptr:
      return match_ptr(frame);
    case SpfTermKind::Exists:
      return match_exists(frame);
    case SpfTermKind::Include:
    case SpfTermKind::Redirect:
    case SpfTermKind::Explanation:
    case SpfTermKind::UnknownModifier:
      break;
  }
  return Match::No;
}

// RFC 7208 §5.3.
SpfEvaluation::Match SpfEvaluation::match_a(const Frame& frame) {
  const std::optional<std::string> target = expand(frame, frame.term.domain);
  if (!target) return Match::Stop;
  const dns::Answer* answer = find(*target, address_type_);
  if (answer == nullptr) return Match::Stop;
  if (dns::is_temporary(answer->status))
    return fail_for_now(frame, *target, address_type_, *answer);
  if (is_void(*answer)) return void_term(frame);
  return has_client(*answer, frame.term) ? Match::Yes : Match::No;
}

// RFC 7208 §5.4. Whatever the DNS said of the hosts, the term counts once among the void ones.
SpfEvaluation::Match SpfEvaluation::match_mx(const Frame& frame) {
  const std::optional<std::string> target = expand(frame, frame.term.domain);
  if (!target) return Match::Stop;
  const dns::Answer* answer = find(*target, RecordType::MX);
  if (answer == nullptr) return Match::Stop;
  if (dns::is_temporary(answer->status))
    return fail_for_now(frame, *target, RecordType::MX, *answer);
  if (is_void(*answer)) return void_term(frame);
  if (answer->exchanges.size() > kSpfNamesMax) {  // RFC 7208 §4.6.4
    end(SpfResult::PermError, shown_text(frame.term.text) + " of " + shown_text(frame.domain) +
                                  ": " + shown_text(*target) + " has more than " +
                                  std::to_string(kSpfNamesMax) + " mail hosts");
    return Match::Stop;
  }
  bool has_void = false;
  for (std::size_t i = 0; i < answer->exchanges.size(); ++i) {
    const std::string& host = answer->exchanges[i].exchange;
    const dns::Answer* addresses = find(host, address_type_);
    if (addresses == nullptr) {  // ask for all of the others at the same time
      for (++i; i < answer->exchanges.size(); ++i)
        static_cast<void>(find(answer->exchanges[i].exchange, address_type_));
      return Match::Stop;
    }
    if (dns::is_temporary(addresses->status))
      return fail_for_now(frame, host, address_type_, *addresses);
    if (has_client(*addresses, frame.term)) return Match::Yes;
    has_void = has_void || is_void(*addresses);
  }
  return has_void ? void_term(frame) : Match::No;
}

// RFC 7208 §5.5: errors only make names useless. The names are the client's, not the record's, so
// they are not counted as void.
SpfEvaluation::Match SpfEvaluation::match_ptr(const Frame& frame) {
  has_counted_pointer_ = true;
  const std::optional<std::string> target = expand(frame, frame.term.domain);
  if (!target) return Match::Stop;
  const dns::Answer* pointers = find(dns::reverse_name(request_.client), RecordType::PTR);
  if (pointers == nullptr) return Match::Stop;
  if (is_void(*pointers)) return void_term(frame);
  const std::string domain = base::lower_case(*target);
  const auto names =
      client_names(*pointers, [&domain](std::string_view name) { return is_within(name, domain); });
  if (!names) return Match::Stop;
  return names->empty() ? Match::No : Match::Yes;
}

// RFC 7208 §5.7: always A.
SpfEvaluation::Match SpfEvaluation::match_exists(const Frame& frame) {
  const std::optional<std::string> target = expand(frame, frame.term.domain);
  if (!target) return Match::Stop;
  const dns::Answer* answer = find(*target, RecordType::A);
  if (answer == nullptr) return Match::Stop;
  if (dns::is_temporary(answer->status))
    return fail_for_now(frame, *target, RecordType::A, *answer);
  if (is_void(*answer)) return void_term(frame);
  return answer->status == dns::Status::Ok ? Match::Yes : Match::No;
}

// RFC 7208 §4.6.4.
SpfEvaluation::Match SpfEvaluation::void_term(const Frame& frame) {
  if (++outcome_.void_terms <= kSpfVoidTermsMax) return Match::No;
  end(SpfResult::PermError, "more than " + std::to_string(kSpfVoidTermsMax) +
                                " terms lead to nothing in the DNS; one more is " +
                                shown_text(frame.term.text) + " of " + shown_text(frame.domain));
  return Match::Stop;
}

bool SpfEvaluation::has_client(const dns::Answer& answer, const SpfTerm& term) const {
  const base::IpAddress& client = request_.client;
  const unsigned bits = client.is_v4() ? term.bits4 : term.bits6;
  return std::any_of(answer.addresses.begin(), answer.addresses.end(),
                     [&](const base::IpAddress& address) {
                       return is_in_network(client, address.family(), address.octets(), bits);
                     });
}

const dns::Answer* SpfEvaluation::find(std::string_view name, RecordType type) {
  // RFC 8616 §4: a name with octets beyond ASCII matches nothing; question_name() refuses it.
  const dns::Answer* answer = dns_.find(name, type);
  if (answer == nullptr) is_missing_ = true;
  return answer;
}

// Those of the client's first ten names that are wanted and lead back to it (RFC 7208 §5.5).
template <typename IsWanted>
std::optional<std::vector<std::string_view>> SpfEvaluation::client_names(
    const dns::Answer& pointers, IsWanted is_wanted) {
  std::vector<std::string_view> names;
  bool is_complete = true;
  for (std::size_t i = 0; i < std::min(pointers.names.size(), kSpfNamesMax); ++i) {
    const std::string& name = pointers.names[i];
    if (!is_wanted(name)) continue;
    const dns::Answer* addresses = find(name, address_type_);
    if (addresses == nullptr) {
      is_complete = false;
    } else if (has_client(*addresses, SpfTerm())) {
      names.push_back(name);
    }
  }
  if (!is_complete) return std::nullopt;
  return names;
}

// What %{p} means (RFC 7208 §7.3): the domain itself, else a name below it, else any.
std::optional<std::string> SpfEvaluation::validated_name(const std::string& domain) {
  const dns::Answer* pointers = find(dns::reverse_name(request_.client), RecordType::PTR);
  if (pointers == nullptr) return std::nullopt;
  const auto names = client_names(*pointers, [](std::string_view) { return true; });
  if (!names) return std::nullopt;
  if (names->empty()) return "unknown";
  const std::string lower = base::lower_case(domain);
  if (std::find(names->begin(), names->end(), lower) != names->end()) return lower;
  const auto below = std::find_if(names->begin(), names->end(), [&lower](std::string_view name) {
    return is_within(name, lower);
  });
  return std::string(below != names->end() ? *below : names->front());
}

// The name that a term means; without a domain-spec that is the record's own.
std::optional<std::string> SpfEvaluation::expand(const Frame& frame, std::string_view spec) {
  if (spec.empty()) return frame.domain;
  if (spec.find('%') == std::string_view::npos && spec.size() <= dns::kNameOctetsMax)
    return std::string(spec.ends_with('.') ? spec.substr(0, spec.size() - 1) : spec);
  std::string validated;
  const std::optional<SpfMacroValues> values = macro_values(frame, spec, validated);
  if (!values) return std::nullopt;
  return expand_domain_spec(spec, *values);
}

// For `text`, in the record of `frame`; `validated` keeps what %{p} views.
std::optional<SpfMacroValues> SpfEvaluation::macro_values(const Frame& frame, std::string_view text,
                                                          std::string& validated) {
  SpfMacroValues values;
  values.sender = sender_;
  values.sender_local = sender_local_;
  values.sender_domain = domain_;
  values.domain = frame.domain;
  values.helo = std::string_view(request_.helo).substr(0, kIdentityOctetsMax);
  values.receiver = request_.receiver;
  values.client = request_.client;
  values.now = request_.now;
  if (!uses_spf_macro(text, 'p')) return values;
  // RFC 7208 §4.6.4 counts its PTR question among the ten; it is asked once.
  if (!std::exchange(has_counted_pointer_, true) && !count_term(frame, text)) return std::nullopt;
  std::optional<std::string> name = validated_name(frame.domain);
  if (!name) return std::nullopt;
  validated = *std::move(name);
  values.validated = validated;
  return values;
}

bool SpfEvaluation::count_term(const Frame& frame, std::string_view text) {
  if (outcome_.terms < kSpfTermsMax) {
    ++outcome_.terms;
    return true;
  }
  end(SpfResult::PermError, "more than " + std::to_string(kSpfTermsMax) +
                                " terms cause look-ups; one more is " + shown_text(text) + " of " +
                                shown_text(frame.domain));
  return false;
}

void SpfEvaluation::end(SpfResult result, std::string reason) {
  if (!frames_.empty() && outcome_.term.empty())
    outcome_.term = shown_text(frames_.back().term.text);
  outcome_.result = result;
  outcome_.reason = std::move(reason);
  is_over_ = true;
}

// RFC 7208 §5: a question that failed for now ends the check.
SpfEvaluation::Match SpfEvaluation::fail_for_now(const Frame& frame, std::string_view name,
                                                 RecordType type, const dns::Answer& answer) {
  std::string reason = answer.detail;
  if (reason.empty()) {
    reason.append("asking for ").append(dns::name_of(type)).append(" of ").append(shown_text(name));
    reason.append(": ").append(dns::name_of(answer.status));
  }
  if (!frame.term.text.empty())
    reason += ", for " + shown_text(frame.term.text) + " of " + shown_text(frame.domain);
  end(SpfResult::TempError, shown_text(reason, 3 * kShownOctetsMax));
  return Match::Stop;
}

}  // namespace rockdove::policy
