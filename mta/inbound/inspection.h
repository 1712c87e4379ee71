// What is found out about one message while it comes in (policy/), and what is put on top of it:
// asks the DNS (lookups.h), has signatures verified and made on a worker, and comes to a judgement.
//
// Strangers' mail is judged. From MAIL on, the client and SPF are looked at in the background. The
// body goes to a strand of its own, where DKIM and ARC read it piece by piece; behind the final dot
// keys are asked for, then DMARC is judged. Mail of those who may relay is not judged, but signed.
//
// Belongs to its message, and its callbacks are not called any more once it is destroyed. On the
// loop's thread; `Content` alone is touched by workers.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dns/resolver.h"
#include "mta/base/loop.h"
#include "mta/base/random.h"
#include "mta/base/result.h"
#include "mta/base/strand.h"
#include "mta/base/unique_function.h"
#include "mta/inbound/lookups.h"
#include "policy/arc_sealer.h"
#include "policy/checks.h"
#include "policy/client_check.h"
#include "policy/judgement.h"
#include "policy/signing_table.h"
#include "policy/spf_evaluation.h"
#include "queue/budget.h"

namespace rockdove::inbound {

struct InspectionServices {
  base::Loop& loop;
  base::Workers& workers;
  dns::Resolver& resolver;
  base::Random& random;
  queue::MemoryBudget& memory;
};

// Under which rules a message is looked at; what is null is not done.
struct InspectionRules {
  std::shared_ptr<const policy::JudgingSettings> judging;  // of strangers' mail
  policy::ClientPolicyPointer clients;                     // likewise
  policy::Checks checks;                                   // likewise
  std::shared_ptr<const policy::SigningTable> signing;     // of mail of those who may relay
  std::shared_ptr<const policy::ArcIdentity> arc;          // who seals strangers' mail
};

struct InspectedEnvelope {
  base::IpAddress client;
  std::string helo;
  std::string sender;  // without brackets
  std::string user;    // "": nobody has logged in
  std::string listener;
  std::string hostname;  // ours
  std::string tenant{};  // as queue::Message has it
};

// What was found out, when all of the message is there.
struct Inspected {
  policy::Judgement judgement;
  // Of the whole in their order, for the log: "spf", "pass example.org".
  std::vector<std::pair<std::string_view, std::string>> verdicts;
  std::vector<policy::MethodResult> results;  // for Authentication-Results; empty: nothing was done
  // DNS lists that cannot be used as they are: for the operator.
  std::vector<std::string> list_errors;
  bool is_exempt = false;      // by a list
  bool is_overloaded = false;  // nothing could be found out, because too much waits for the workers
  std::size_t questions = 0;   // that were asked
};

// What is to be put on top of a message.
struct SignedFields {
  std::string fields;  // with their CRLFs; "": none
  std::string
      left_out;  // why there is no seal although one is wanted; "": there is one, or none is
};

class Inspection {
 public:
  Inspection(const InspectionServices& services, InspectionRules rules, InspectedEnvelope envelope,
             base::Now now);
  ~Inspection();
  Inspection(const Inspection&) = delete;
  Inspection& operator=(const Inspection&) = delete;

  // Whether what is known of the envelope may refuse this mail; else nobody need wait for it.
  [[nodiscard]] bool may_refuse_envelope() const;
  // Calls `known` when the client and SPF have been judged, within this call when they are already.
  // One at a time.
  void when_envelope_is_judged(
      base::UniqueFunction<void(const std::optional<policy::Refusal>&)> known);
  // After that: DNS lists that cannot be used as they are, as in Inspected.
  [[nodiscard]] std::vector<std::string> list_errors() const;

  // Whose mail it is, where the header has said it. Before the first piece of the content.
  void set_tenant(std::string tenant) { envelope_.tenant = std::move(tenant); }

  // A piece of the body. `header` is the message's, whole, as it was received; only the first call
  // looks at it.
  void take_body(std::string_view header, std::shared_ptr<const std::string> octets);

  // Less than a MiB of the body waits for the workers.
  [[nodiscard]] bool has_room() const { return pieces_ahead_ < kPiecesAheadMax; }

  // Runs when has_room() may have become true.
  void when_there_is_room(base::UniqueFunction<void()> wake) { wake_ = std::move(wake); }

  // All of the body has come. `header` as above; for a message that is one piece it is the first
  // call. `done` may run within this call.
  void judge(std::string_view header, std::shared_ptr<const std::string> rest,
             base::UniqueFunction<void(Inspected)> done);

  // After judge(): whether sign() has anything to do.
  [[nodiscard]] bool wants_to_sign() const {
    return content_ != nullptr && (!is_judged() || rules_.arc != nullptr);
  }

  // After judge(): the fields to be put in front of `header`, which is as it will be sent but for
  // them. `results` is the value of Authentication-Results that a seal repeats. The error says why
  // the message could not be signed for now. `done` may run within this call.
  void sign(std::string header, std::string results,
            base::UniqueFunction<void(base::Result<SignedFields>)> done);

 private:
  static constexpr unsigned kPiecesAheadMax = 4;  // of 256 KiB
  // What a worker reads of a piece at a time, so that small mail does not wait behind whole pieces
  // of all the large.
  static constexpr std::size_t kSlice = 32UL * 1024;

  struct Content;

  // One identity's check of SPF, and what it lives by.
  struct SpfRun {
    policy::SpfRequest request;
    policy::RecordedDns dns;
    std::optional<policy::SpfEvaluation> evaluation;
  };

  [[nodiscard]] bool is_judged() const { return rules_.judging != nullptr; }

  void start_envelope(base::Now now);
  void start_spf(policy::SpfIdentity identity, base::Now now);
  void start_client_check();
  void envelope_part_done();
  [[nodiscard]] std::optional<policy::Refusal> envelope_refusal() const;
  void begin_content(std::string_view header);
  [[nodiscard]] bool post(base::UniqueFunction<void(Content&)> work);
  void content_begun(std::vector<policy::Question> missing);
  [[nodiscard]] bool post_slice(const std::shared_ptr<const std::string>& octets, std::size_t from,
                                bool is_last);
  void piece_ended(std::size_t octets);
  void ask_for_keys(std::vector<policy::Question> questions);
  void judge_content();
  void content_judged(std::vector<policy::Question> missing);
  [[nodiscard]] bool wants_dmarc() const;
  void find_policies();
  void judge_dmarc();
  void finish();
  void count_results() const;
  [[nodiscard]] bool is_exempt() const;
  [[nodiscard]] std::vector<std::pair<std::string_view, std::string>> verdicts() const;

  InspectionServices services_;
  InspectionRules rules_;
  InspectedEnvelope envelope_;
  base::WallTime began_;
  Lookups lookups_;
  Lookups client_lookups_;  // of the client check
  std::vector<std::unique_ptr<SpfRun>> spf_runs_;
  policy::RecordedDns client_dns_;
  policy::ClientFacts client_facts_;
  std::optional<policy::ClientVerdict> client_;
  base::Duration waited_{};      // that the client was kept waiting at RCPT
  unsigned envelope_parts_ = 0;  // that are not judged yet
  base::UniqueFunction<void(const std::optional<policy::Refusal>&)> envelope_known_;

  base::Strand strand_;
  std::shared_ptr<Content> content_;  // null: nothing is to be done with it
  std::size_t header_octets_ = 0;     // that content_ holds
  bool has_content_begun_ = false;
  bool is_content_begun_ = false;  // on the strand
  bool is_overloaded_ = false;
  unsigned pieces_ahead_ = 0;
  std::size_t octets_ahead_ = 0;  // of these
  bool is_asking_for_keys_ = false;
  Lookups::Answers key_answers_;  // not handed to the strand yet
  std::shared_ptr<const std::string> rest_;
  bool is_judging_ = false;
  bool is_round_open_ = false;
  policy::RecordedDns dmarc_dns_;
  bool is_finding_policies_ = false;
  bool is_dmarc_waiting_ = false;  // for them
  policy::Findings findings_;
  base::UniqueFunction<void()> wake_;
  base::UniqueFunction<void(Inspected)> done_;
  std::shared_ptr<Inspection*> self_;
};

}  // namespace rockdove::inbound
