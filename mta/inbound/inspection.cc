#include "mta/inbound/inspection.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "mta/base/counters.h"
#include "mta/base/working.h"
#include "mta/mail/headers.h"
#include "policy/author_domains.h"
#include "policy/shown_text.h"

namespace rockdove::inbound {
namespace {

using policy::CheckMode;

constexpr std::uint64_t kPercent = 100;

bool has_field(std::string_view header, std::string_view name) {
  return mail::find_field(header, name).has_value();
}

}  // namespace

// What workers do with the content: on the strand only, one step after the other.
struct Inspection::Content {
  Content(std::string_view its_header, base::WallTime its_now) : header(its_header), now(its_now) {}

  void begin() {
    if (is_verified) dkim.emplace(header, now);
    if (is_chain_judged) arc.emplace(header, now);
    if (!identities.empty()) signer.emplace(identities);
    if (sealer_identity != nullptr) sealer.emplace(*sealer_identity);
    if (dkim) dkim->want_keys(keys);
    if (arc) arc->want_keys(keys);
  }

  void take(std::string_view octets) {
    if (dkim && dkim->wants_body()) dkim->take_body(octets);
    if (arc && arc->wants_body()) arc->take_body(octets);
    if (signer) signer->take_body(octets);
    if (sealer) sealer->take_body(octets);
  }

  void end() {
    if (dkim) dkim->body_ended();
    if (arc) arc->body_ended();
    if (signer) signer->body_ended();
    if (sealer) sealer->body_ended();
  }

  // False: keys are missing.
  [[nodiscard]] bool judge() {
    if (dkim && !signatures) signatures = dkim->judge(keys);
    if (arc && !chain) chain = arc->judge(keys);
    return (!dkim || signatures) && (!arc || chain);
  }

  // What cannot be sealed, as a message with as many sets as there may be, goes on without a seal:
  // that will not be otherwise when it comes again.
  [[nodiscard]] SignedFields sign(const std::string& to_sign, const std::string& results) {
    if (signer) return {signer->sign(to_sign, now), ""};
    if (!sealer) return {};
    base::Result<std::string> sealed = sealer->seal(to_sign, *chain, results, now);
    if (!sealed) return {"", sealed.error().text()};
    return {*std::move(sealed), ""};
  }

  const std::string header;  // as it was received
  const base::WallTime now;
  std::atomic<bool> is_given_up = false;  // the inspection is gone
  bool is_verified = false;
  bool is_chain_judged = false;
  std::vector<std::shared_ptr<const policy::DkimIdentity>> identities;
  std::shared_ptr<const policy::ArcIdentity> sealer_identity;
  std::optional<policy::DkimVerifier> dkim;
  std::optional<policy::ArcValidator> arc;
  std::optional<policy::DkimSigner> signer;
  std::optional<policy::ArcSealer> sealer;
  policy::RecordedDns keys;
  std::optional<std::vector<policy::DkimSignature>> signatures;
  std::optional<policy::ArcVerdict> chain;
};

Inspection::Inspection(const InspectionServices& services, InspectionRules rules,
                       InspectedEnvelope envelope, base::Now now)
    : services_(services),
      rules_(std::move(rules)),
      envelope_(std::move(envelope)),
      began_(now.wall),
      lookups_(services.loop, services.resolver),
      client_lookups_(services.loop, services.resolver),
      strand_(services.workers),
      self_(std::make_shared<Inspection*>(this)) {
  findings_.helo = envelope_.helo;
  findings_.sender = envelope_.sender;
  if (is_judged()) start_envelope(now);
}

Inspection::~Inspection() {
  *self_ = nullptr;
  // What still waits for the workers is not worked on, so that clients that begin and go away
  // cannot fill the memory with it.
  if (content_ != nullptr) content_->is_given_up = true;
  services_.memory.give_back(header_octets_ + octets_ahead_);
}

// The envelope.

void Inspection::start_envelope(base::Now now) {
  envelope_parts_ = 1;  // this function, so that nothing is told before all has begun
  lookups_.restart_time(may_refuse_envelope() ? kLookupTimeAtRecipient : kLookupTimeMax);
  if (rules_.clients != nullptr) start_client_check();
  if (rules_.checks.spf != CheckMode::Off) {
    start_spf(policy::SpfIdentity::MailFrom, now);
    // Without a sender, MAIL FROM is judged by the name of HELO (RFC 7208 §2.4).
    if (!envelope_.sender.empty()) start_spf(policy::SpfIdentity::Helo, now);
  }
  envelope_part_done();
}

void Inspection::start_client_check() {
  ++envelope_parts_;
  client_facts_ = {envelope_.client, envelope_.helo, envelope_.sender};
  client_lookups_.restart_time(kClientTimeMax);
  run_check(
      client_lookups_, client_dns_,
      [this] {
        client_ =
            policy::check_client(*rules_.clients, rules_.checks.client, client_facts_, client_dns_);
        return client_.has_value();
      },
      [this](bool) {
        if (client_) findings_.client = client_->results;
        envelope_part_done();
      });
}

void Inspection::start_spf(policy::SpfIdentity identity, base::Now now) {
  ++envelope_parts_;
  SpfRun& run = *spf_runs_.emplace_back(std::make_unique<SpfRun>());
  run.request.identity = identity;
  run.request.client = envelope_.client;
  run.request.helo = envelope_.helo;
  run.request.sender = identity == policy::SpfIdentity::Helo ? "" : envelope_.sender;
  run.request.receiver = envelope_.hostname;
  run.request.now = now.wall;
  // Only who refuses shows the domain's own words, and they cost questions.
  run.request.explaining = rules_.checks.spf == CheckMode::Enforce ? policy::SpfExplaining::Yes
                                                                   : policy::SpfExplaining::No;
  run.evaluation.emplace(run.request, run.dns);
  const bool is_helo = identity == policy::SpfIdentity::Helo;
  run_check(
      lookups_, run.dns,
      [this, &run, is_helo] {
        std::optional<policy::SpfOutcome> outcome = run.evaluation->run();
        if (!outcome) return false;
        if (!is_helo && envelope_.sender.empty()) findings_.spf_helo = outcome;
        (is_helo ? findings_.spf_helo : findings_.spf_mail_from) = std::move(outcome);
        return true;
      },
      [this](bool) { envelope_part_done(); });
}

void Inspection::envelope_part_done() {
  if (--envelope_parts_ > 0) return;
  if (auto known = std::exchange(envelope_known_, {})) known(envelope_refusal());
}

bool Inspection::may_refuse_envelope() const {
  if (!is_judged()) return false;
  const policy::Checks& checks = rules_.checks;
  if (checks.spf == CheckMode::Enforce) return true;
  if (rules_.clients == nullptr) return false;
  return !rules_.clients->block.is_empty() || checks.client.helo == CheckMode::Enforce ||
         checks.client.iprev == CheckMode::Enforce ||
         (checks.client.dnsbl == CheckMode::Enforce && !rules_.clients->dns_lists.empty());
}

void Inspection::when_envelope_is_judged(
    base::UniqueFunction<void(const std::optional<policy::Refusal>&)> known) {
  if (envelope_parts_ == 0) return known(envelope_refusal());
  envelope_known_ = [this, since = services_.loop.now().instant, known = std::move(known)](
                        const std::optional<policy::Refusal>& refusal) mutable {
    const auto waited = services_.loop.now().instant - since;
    waited_ += std::min(kLookupTimeMax - waited_, std::chrono::ceil<base::Duration>(waited));
    known(refusal);
  };
}

std::vector<std::string> Inspection::list_errors() const {
  return client_ ? client_->list_errors : std::vector<std::string>();
}

std::optional<policy::Refusal> Inspection::envelope_refusal() const {
  if (client_ && client_->is_allowed) return std::nullopt;
  if (client_ && client_->refusal) return client_->refusal;
  const std::optional<policy::Judgement> judgement =
      policy::judge_envelope(findings_, rules_.checks);
  if (!judgement) return std::nullopt;
  constexpr int kRefused = 550;
  return policy::make_refusal(kRefused, judgement->enhanced_code, judgement->why,
                              rules_.clients == nullptr ? "" : rules_.clients->contact);
}

// The content.

void Inspection::begin_content(std::string_view header) {
  has_content_begun_ = true;
  auto content = std::make_shared<Content>(header, began_);
  if (is_judged()) {
    content->is_verified =
        rules_.checks.dkim != CheckMode::Off && has_field(header, "DKIM-Signature");
    const bool is_chain_wanted = rules_.checks.arc != CheckMode::Off || rules_.arc != nullptr;
    content->is_chain_judged =
        is_chain_wanted && (rules_.arc != nullptr || has_field(header, "ARC-Seal") ||
                            has_field(header, "ARC-Message-Signature") ||
                            has_field(header, "ARC-Authentication-Results"));
    content->sealer_identity = rules_.arc;
    findings_.authors = policy::find_authors(header);
    if (rules_.checks.dkim != CheckMode::Off) findings_.dkim.emplace();
  } else if (rules_.signing != nullptr) {
    const policy::Authors authors = policy::find_authors(header);
    content->identities =
        rules_.signing->choose({authors, envelope_.sender, envelope_.user, envelope_.listener,
                                envelope_.client, envelope_.tenant},
                               began_);
  }
  const bool is_wanted = content->is_verified || content->is_chain_judged ||
                         content->sealer_identity != nullptr || !content->identities.empty();
  if (!is_wanted) return;
  content_ = std::move(content);
  header_octets_ = header.size();
  services_.memory.take(header_octets_);
  const bool is_posted = post([self = self_, &loop = services_.loop](Content& its) {
    its.begin();
    loop.post([self, missing = its.keys.take_missing()]() mutable {
      if (*self != nullptr) (*self)->content_begun(std::move(missing));
    });
  });
  if (!is_posted) is_overloaded_ = true;
}

void Inspection::content_begun(std::vector<policy::Question> missing) {
  is_content_begun_ = true;
  if (!missing.empty()) ask_for_keys(std::move(missing));
  judge_content();
}

bool Inspection::post(base::UniqueFunction<void(Content&)> work) {
  return strand_.post(
      [content = content_, client = envelope_.client, work = std::move(work)]() mutable {
        if (content->is_given_up) return;
        const base::WorkingOn working(client);
        work(*content);
      });
}

void Inspection::take_body(std::string_view header, std::shared_ptr<const std::string> octets) {
  if (!has_content_begun_) begin_content(header);
  if (content_ == nullptr || is_overloaded_) return;
  const std::size_t size = octets->size();
  ++pieces_ahead_;
  octets_ahead_ += size;
  services_.memory.take(size);
  for (std::size_t from = 0; from < size; from += kSlice) {
    const bool is_last = size - from <= kSlice;
    if (post_slice(octets, from, is_last)) continue;
    piece_ended(size);
    is_overloaded_ = true;
    return;
  }
}

bool Inspection::post_slice(const std::shared_ptr<const std::string>& octets, std::size_t from,
                            bool is_last) {
  return post([octets, from, is_last, self = self_, &loop = services_.loop](Content& content) {
    content.take(std::string_view(*octets).substr(from, kSlice));
    if (!is_last) return;
    loop.post([self, size = octets->size()] {
      Inspection* inspection = *self;
      if (inspection == nullptr) return;
      inspection->piece_ended(size);
      if (inspection->wake_) inspection->wake_();
    });
  });
}

void Inspection::piece_ended(std::size_t octets) {
  --pieces_ahead_;
  octets_ahead_ -= octets;
  services_.memory.give_back(octets);
}

void Inspection::ask_for_keys(std::vector<policy::Question> questions) {
  is_asking_for_keys_ = true;
  lookups_.ask(std::move(questions), [this](Lookups::Answers answers) {
    is_asking_for_keys_ = false;
    key_answers_ = std::move(answers);
    judge_content();
  });
}

void Inspection::judge(std::string_view header, std::shared_ptr<const std::string> rest,
                       base::UniqueFunction<void(Inspected)> done) {
  if (!has_content_begun_) begin_content(header);
  done_ = std::move(done);
  rest_ = std::move(rest);
  lookups_.restart_time(kLookupTimeMax - waited_);
  find_policies();
  if (content_ == nullptr || is_overloaded_ || !is_judged()) {
    return judge_dmarc();
  }
  is_judging_ = true;
  const bool is_posted = post([rest = std::exchange(rest_, nullptr)](Content& content) {
    if (rest != nullptr) content.take(*rest);
    content.end();
  });
  if (!is_posted) {
    is_overloaded_ = true;
    return judge_dmarc();
  }
  judge_content();
}

// One round, when it can be made: what is known of the keys goes to the strand, which says what it
// lacks.
void Inspection::judge_content() {
  if (!is_judging_ || !is_content_begun_ || is_asking_for_keys_ || is_round_open_) return;
  is_round_open_ = true;
  const bool is_posted = post([answers = std::exchange(key_answers_, {}), self = self_,
                               &loop = services_.loop](Content& content) mutable {
    for (auto& [question, answer] : answers) {
      content.keys.add(std::move(question), std::move(answer));
    }
    std::vector<policy::Question> missing;
    if (!content.judge()) missing = content.keys.take_missing();
    loop.post([self, missing = std::move(missing)]() mutable {
      if (*self != nullptr) (*self)->content_judged(std::move(missing));
    });
  });
  if (is_posted) return;
  is_overloaded_ = true;
  judge_dmarc();
}

void Inspection::content_judged(std::vector<policy::Question> missing) {
  is_round_open_ = false;
  if (!missing.empty()) return ask_for_keys(std::move(missing));
  // The strand has nothing more to do before sign(), so its results may be read here.
  if (content_->signatures) findings_.dkim = content_->signatures;
  if (content_->chain) findings_.arc = content_->chain;
  judge_dmarc();
}

bool Inspection::wants_dmarc() const {
  return is_judged() && rules_.checks.dmarc != CheckMode::Off && findings_.authors.has_value() &&
         !is_overloaded_;
}

// The authors' policies are asked for beside the keys, so that slow keys of a forger's leave the
// time for them.
void Inspection::find_policies() {
  if (!wants_dmarc()) return;
  is_finding_policies_ = true;
  run_check(
      lookups_, dmarc_dns_,
      [this] {
        bool is_done = true;
        for (const std::string& domain : findings_.authors->domains) {
          const policy::PolicyDiscovery found =
              policy::discover_policy(domain, rules_.judging->organisation_rule(), dmarc_dns_);
          if (found.state == policy::PolicyDiscovery::State::Unfinished) is_done = false;
        }
        return is_done;
      },
      [this](bool) {
        is_finding_policies_ = false;
        if (std::exchange(is_dmarc_waiting_, false)) judge_dmarc();
      });
}

void Inspection::judge_dmarc() {
  if (is_finding_policies_) {
    is_dmarc_waiting_ = true;
    return;
  }
  if (envelope_parts_ > 0) {
    // SPF is what DMARC stands on, and is written down in any case.
    envelope_known_ = [this](const std::optional<policy::Refusal>&) { judge_dmarc(); };
    return;
  }
  if (!wants_dmarc()) return finish();
  auto question = std::make_shared<policy::DmarcQuestion>();
  question->identifiers = policy::authenticated_domains(findings_);
  question->rule = rules_.judging->organisation_rule();
  question->sample = static_cast<unsigned>(services_.random.below(kPercent));
  run_check(
      lookups_, dmarc_dns_,
      [this, question] {
        findings_.dmarc = policy::evaluate_dmarc(*findings_.authors, *question, dmarc_dns_);
        return findings_.dmarc.has_value();
      },
      [this](bool) { finish(); });
}

void Inspection::finish() {
  Inspected inspected;
  inspected.is_overloaded = is_overloaded_;
  inspected.questions = lookups_.asked() + client_lookups_.asked();
  if (is_judged() && !is_overloaded_) {
    inspected.is_exempt = is_exempt();
    inspected.judgement =
        policy::judge_message(findings_, rules_.checks, *rules_.judging, inspected.is_exempt);
    inspected.results = policy::results_of(findings_);
    inspected.verdicts = verdicts();
    inspected.list_errors = list_errors();
    count_results();
  }
  std::exchange(done_, {})(std::move(inspected));
}

void Inspection::count_results() const {
  using base::Counter;
  const auto count = [](Counter first, auto result) {
    base::count_nth(first, static_cast<unsigned>(result));
  };
  if (findings_.spf_mail_from) count(Counter::SpfNone, findings_.spf_mail_from->result);
  if (findings_.dkim) count(Counter::DkimNone, policy::verdict_of(*findings_.dkim));
  if (findings_.arc) count(Counter::ArcNone, findings_.arc->status);
  if (findings_.dmarc) count(Counter::DmarcNone, findings_.dmarc->result);
}

bool Inspection::is_exempt() const {
  if (client_ && client_->is_allowed) return true;
  if (rules_.clients == nullptr) return false;
  const policy::AddressLists& lists = rules_.clients->dmarc_exempt;
  if (lists.is_empty()) return false;
  if (lists.find_client(envelope_.client) || lists.find_sender(envelope_.sender)) return true;
  // All of the authors: one that nobody exempts is judged.
  return findings_.authors && !findings_.authors->domains.empty() &&
         std::all_of(
             findings_.authors->domains.begin(), findings_.authors->domains.end(),
             [&lists](const std::string& domain) { return lists.find_domain(domain).has_value(); });
}

std::vector<std::pair<std::string_view, std::string>> Inspection::verdicts() const {
  std::vector<std::pair<std::string_view, std::string>> verdicts;
  if (client_) {
    for (const policy::ClientNote& note : client_->notes) {
      verdicts.emplace_back(note.check, note.words);
    }
  }
  const auto add = [&verdicts](std::string_view name, std::string_view result,
                               std::string_view of) {
    std::string text(result);
    if (!of.empty()) text.append(" ").append(policy::shown_text(of));
    verdicts.emplace_back(name, std::move(text));
  };
  if (findings_.spf_helo) {
    add("spf_helo", name_of(findings_.spf_helo->result), findings_.spf_helo->domain);
  }
  if (findings_.spf_mail_from) {
    add("spf", name_of(findings_.spf_mail_from->result), findings_.spf_mail_from->domain);
  }
  if (findings_.dkim && findings_.dkim->empty()) add("dkim", "none", "");
  if (findings_.dkim) {
    for (const policy::DkimSignature& signature : *findings_.dkim) {
      add("dkim", name_of(signature.result), signature.domain);
    }
  }
  if (findings_.arc) add("arc", name_of(findings_.arc->status), "");
  if (findings_.dmarc) {
    add("dmarc", name_of(findings_.dmarc->result), findings_.dmarc->author_domain);
  }
  return verdicts;
}

void Inspection::sign(std::string header, std::string results,
                      base::UniqueFunction<void(base::Result<SignedFields>)> done) {
  if (!wants_to_sign()) return done(SignedFields());
  auto told =
      std::make_shared<base::UniqueFunction<void(base::Result<SignedFields>)>>(std::move(done));
  const bool is_posted =
      !is_overloaded_ &&
      post([header = std::move(header), results = std::move(results), told, self = self_,
            rest = std::exchange(rest_, nullptr), has_ended = is_judged(),
            &loop = services_.loop](Content& content) mutable {
        if (!has_ended) {
          if (rest != nullptr) content.take(*rest);
          content.end();
        }
        loop.post([self, told, fields = content.sign(header, results)]() mutable {
          if (*self != nullptr) (*told)(std::move(fields));
        });
      });
  if (!is_posted) (*told)(base::Error("too much mail is waiting for its signature"));
}

}  // namespace rockdove::inbound
