// What a Receiver does with policy: whose mail is judged and whose is signed, and what comes of it.
#include <algorithm>
#include <utility>

#include "mta/base/counters.h"
#include "mta/base/text.h"
#include "mta/inbound/receiver.h"
#include "policy/authentication_results.h"
#include "queue/quarantine.h"

namespace rockdove::inbound {
namespace {

// The value of the field, as it was folded.
std::string value_of(const std::string& field) {
  std::string_view value(field);
  value.remove_prefix(value.find(':') + 1);
  return std::string(base::trimmed(value));
}

smtp::Reply reply_of(const policy::Refusal& refusal) {
  return smtp::make_reply(refusal.code, refusal.enhanced, refusal.text);
}

}  // namespace

std::unique_ptr<Inspection> Receiver::make_inspection(base::Now now) const {
  if (reception_.workers == nullptr) return nullptr;
  InspectionRules rules;
  if (client_may_relay()) {
    if (settings_.signing == nullptr) return nullptr;
    rules.signing = settings_.signing;
  } else {
    if (settings_.judging == nullptr) return nullptr;
    rules.judging = settings_.judging;
    rules.clients = reception_.client_policy;
    rules.checks = policy::checks_for(*settings_.judging, listener_.settings->name, info_.peer.ip);
    rules.arc = settings_.arc;
  }
  const InspectionServices services{reception_.loop, *reception_.workers, *reception_.resolver,
                                    *reception_.random, reception_.memory};
  auto inspection = std::make_unique<Inspection>(
      services, std::move(rules),
      InspectedEnvelope{info_.peer.ip, helo_, mail::format_address(incoming_->sender()), user(),
                        listener_.settings->name, settings_.hostname, /*tenant=*/""},
      now);
  inspection->when_there_is_room([wire = wire_] { wire->want_turn(); });
  return inspection;
}

void Receiver::judge_recipient(const smtp::RecipientOffered& event) {
  inspection_->when_envelope_is_judged(
      [this, event](const std::optional<policy::Refusal>& refusal) {
        const base::Now now = reception_.loop.now();
        log_list_errors(inspection_->list_errors(), now.instant);
        if (refusal) {
          refuse(reply_of(*refusal), "recipient", mail::format_address(event.recipient), now);
        } else {
          take_offered(event, now);
        }
        wire_->want_turn();
      });
}

void Receiver::log_judgement(const Inspected& inspected) const {
  base::LogLine line = reception_.log.line(base::Level::Info, "judged");
  line.id(id_)
      .path("from", mail::format_address(incoming_->sender()))
      .field("client", client_text())
      .field("helo", helo_);
  for (const auto& [check, words] : inspected.verdicts) line.field(check, words);
  line.field("disposition", name_of(inspected.judgement.disposition));
  if (!inspected.judgement.why.empty()) line.field("reason", inspected.judgement.why);
  if (inspected.is_exempt) line.field("exempt", "yes");
  line.detail("session", number_).detail("questions", inspected.questions);
}

// They would be the same for each message, and it is the operator who must do something.
void Receiver::log_list_errors(const std::vector<std::string>& errors, base::Instant now) {
  constexpr base::Duration kEach = std::chrono::minutes(10);
  if (errors.empty() || now < reception_.list_errors_at) return;
  reception_.list_errors_at = now + kEach;
  for (const std::string& error : errors)
    reception_.log.line(base::Level::Warning, "a DNS list cannot be used").field("error", error);
}

void Receiver::log_not_signed(const std::string& why) const {
  reception_.log.line(base::Level::Warning, client_may_relay() ? "not signed" : "not sealed")
      .id(id_)
      .field("client", client_text())
      .field("reason", why);
}

void Receiver::judged(const Inspected& inspected) {
  const base::Now now = reception_.loop.now();
  wire_->want_turn();
  if (inspected.is_overloaded) {
    refuse(smtp::make_reply(451, "4.3.2",
                            "too much mail is being checked at once; try again in a minute"),
           "content", "", now);
    return drop_message();
  }
  if (!client_may_relay()) {
    base::count_nth(base::Counter::JudgedAccepted,
                    static_cast<unsigned>(inspected.judgement.disposition));
    log_judgement(inspected);
    log_list_errors(inspected.list_errors, now.instant);
  }
  const policy::Judgement& judgement = inspected.judgement;
  const bool is_deferred = judgement.disposition == policy::Disposition::Defer;
  if (is_deferred || judgement.disposition == policy::Disposition::Refuse) {
    constexpr int kDeferred = 451;
    constexpr int kRefused = 550;
    const std::string contact =
        reception_.client_policy == nullptr ? "" : reception_.client_policy->contact;
    refuse(reply_of(policy::make_refusal(is_deferred ? kDeferred : kRefused,
                                         judgement.enhanced_code, judgement.why, contact)),
           "content", "", now);
    return drop_message();
  }
  // A seal wants them even where nothing was looked at: then they say "none".
  std::string results;
  if (!client_may_relay()) {
    results = policy::format_authentication_results(
        settings_.hostname, inspected.results,
        incoming_->needs_utf8() ? policy::FieldText::Utf8 : policy::FieldText::Ascii);
  }
  std::shared_ptr<queue::Message> message =
      make_message(inspected.results.empty() ? "" : results, now);
  const bool is_quarantined = judgement.disposition == policy::Disposition::Quarantine;
  const std::string quarantined = is_quarantined ? judgement.why : "";
  // Its fields go on behind what is known of the header, so that nothing would verify.
  if (inspection_->wants_to_sign() && incoming_->separator().empty()) {
    return signed_and_judged(message, SignedFields{"", "its header is too large"}, quarantined);
  }
  std::string header = message->header_block;
  inspection_->sign(std::move(header), value_of(results),
                    [this, message, quarantined](const base::Result<SignedFields>& fields) {
                      signed_and_judged(message, fields, quarantined);
                    });
}

void Receiver::signed_and_judged(const std::shared_ptr<queue::Message>& message,
                                 const base::Result<SignedFields>& fields,
                                 const std::string& quarantined) {
  const base::Now now = reception_.loop.now();
  wire_->want_turn();
  if (!fields) {
    refuse(smtp::make_reply(451, "4.3.2", fields.error().text() + "; try again in a minute"),
           "content", "", now);
    return drop_message();
  }
  std::string& header = message->header_block;
  const std::string_view separator = incoming_->separator();
  const std::string& added = fields->fields;
  if (!fields->left_out.empty()) {
    log_not_signed(fields->left_out);
  } else if (header.size() + added.size() + separator.size() > queue::kHeaderBlockOctetsMax) {
    log_not_signed("its header is too large");
  } else if (!added.empty()) {
    header.insert(0, added);
    base::count(base::Counter::Signed);
  }
  header += separator;
  std::vector<queue::Delivery> deliveries = make_deliveries(now.wall);
  if (!quarantined.empty()) {
    queue::quarantine(deliveries, quarantined, now.wall, settings_.judging->quarantine);
  }
  commit(message, std::move(deliveries));
}

void Receiver::append_received_header(std::string& header) const {
  // Only of those who are known by their address may the results be ours: a filter that mail has
  // come to from here, and comes back from (RFC 8601 §5).
  const bool may_be_ours = may_relay_ && !is_local_user() && session_.user().empty();
  if (!may_be_ours) {
    const std::string own[] = {settings_.hostname};
    if (std::optional<policy::ScrubbedHeader> scrubbed =
            policy::remove_forged_results(incoming_->header(), own)) {
      reception_.log.line(base::Level::Info, "results removed")
          .id(id_)
          .field("client", client_text())
          .field("count", scrubbed->removed)
          .field("reason", scrubbed->why);
      header += without_wishes(scrubbed->header).value_or(scrubbed->header);
      return;
    }
  }
  const std::string_view received = incoming_->header();
  if (const std::optional<std::string> kept = without_wishes(received)) {
    header += *kept;
  } else {
    header += received;
  }
}

}  // namespace rockdove::inbound
