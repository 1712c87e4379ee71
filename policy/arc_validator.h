// Judges a message's chain of ARC sets (RFC 8617 §5.2), as a check that never waits: give it the
// header, ask with want_keys() for what it will need of the DNS, feed it the body, and call judge()
// until it has an answer. It keeps nothing of the body. Its work is that of up to 100 RSA
// signatures: for a worker.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "mta/base/time.h"
#include "policy/arc_fields.h"
#include "policy/body_digest.h"
#include "policy/dkim_key.h"
#include "policy/recorded_dns.h"
#include "policy/signed_fields.h"

namespace rockdove::policy {

// Who has sealed, by what its seal says, and what it says it found.
struct ArcHandler {
  std::string domain;
  std::string selector;
  std::string results;  // the text of its ARC-Authentication-Results behind the instance
};

struct ArcVerdict {
  ArcStatus status = ArcStatus::None;
  // Why, in a sentence for a person, without a final full stop; for None "the message has no ARC
  // sets".
  std::string reason;
  std::size_t highest = 0;  // the highest instance number on the message, also of a broken chain
  // With Pass: the lowest instance whose signature of the message still verifies, as those of all
  // after it do; 0: all do (RFC 8617 §5.2 step 5).
  std::size_t oldest_pass = 0;
  // With Fail: a seal says cv=fail. Whoever set it has told it already, and nobody need seal the
  // message again (RFC 8617 §5.1).
  bool is_ended = false;
  // With Fail: only because a key could not be had now. RFC 8617 §5.2.1 calls that failed all the
  // same.
  bool is_temporary = false;
  // With Pass: whether the newest message signature covers From and leaves no room for a second
  // Subject or the like (fault_in_names), and covers all of the body. A chain that does not is
  // good, and says nothing about who wrote what.
  bool covers_from = false;
  bool covers_body = false;
  std::vector<ArcHandler> handlers;  // with Pass: by instance - 1
};

class ArcValidator {
 public:
  // `header` is a block as mail/headers.h has it, and must outlive the validator. `now` is for x=.
  ArcValidator(std::string_view header, base::WallTime now);

  // Has the questions for keys that are not known yet noted in `dns`, so that they can be asked
  // while the body comes in.
  void want_keys(RecordedDns& dns) const;

  // False when the verdict is certain without the body.
  [[nodiscard]] bool wants_body() const { return !verdict_.has_value(); }

  void take_body(std::string_view octets);
  void body_ended();

  // After body_ended(). nullopt: keys are missing and have been noted in `dns`; call again.
  [[nodiscard]] std::optional<ArcVerdict> judge(RecordedDns& dns);

 private:
  using KeyAnswer = std::variant<DkimKey, NoDkimKey>;
  using KeyName = std::pair<std::string_view, std::string_view>;  // selector and domain
  using Keys = std::map<KeyName, KeyAnswer>;

  // Why something does not verify.
  struct Fault {
    std::string reason;
    bool is_temporary = false;
  };

  void fail(std::string reason);
  void parse_chain();
  [[nodiscard]] std::vector<KeyName> key_names() const;
  [[nodiscard]] std::optional<Keys> find_keys(RecordedDns& dns) const;
  [[nodiscard]] static std::optional<Fault> verify(const Keys& keys, const ArcSignature& signature,
                                                   const crypto::Sha256& hash);
  [[nodiscard]] std::optional<Fault> judge_forms(const Keys& keys,
                                                 const ArcMessageSignature& signature,
                                                 const ArcForms& forms) const;
  // The forms under which the message signature of that instance verifies.
  [[nodiscard]] std::variant<ArcForms, Fault> judge_message_signature(const Keys& keys,
                                                                      std::size_t instance) const;
  [[nodiscard]] std::optional<Fault> judge_seals(const Keys& keys) const;
  [[nodiscard]] std::size_t oldest_pass(const Keys& keys) const;
  [[nodiscard]] ArcVerdict passed(const Keys& keys, const ArcForms& forms) const;

  base::WallTime now_;
  ArcFields fields_;
  HeaderIndex index_;
  std::vector<base::Result<ArcMessageSignature>> signatures_;  // by instance - 1
  std::vector<ArcSeal> seals_;
  BodyDigests body_;
  std::optional<ArcVerdict> verdict_;
};

}  // namespace rockdove::policy
