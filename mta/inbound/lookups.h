// Asks the DNS what the checks of one message lack (policy/recorded_dns.h), in parallel and within
// bounds: one deadline, and one number of questions for all checks of the message together. What
// is over a bound is answered at once as a time-out, so that a check always comes to an end, with
// a temporary error where it could not find out more.
//
// Belongs to one loop.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "dns/resolver.h"
#include "mta/base/loop.h"
#include "mta/base/unique_function.h"
#include "policy/recorded_dns.h"

namespace rockdove::inbound {

// RFC 7208 §4.6.4 wants at least 20 s for a check of SPF.
inline constexpr base::Duration kLookupTimeMax = std::chrono::seconds(20);

// The lists, HELO and reverse DNS have half of it, so that a list that is dead leaves the other half
// for keys and DMARC.
inline constexpr base::Duration kClientTimeMax = kLookupTimeMax / 2;

// Where a recipient's answer waits for SPF, it has less, so that a forger with slow servers cannot
// use up the time in which the DMARC policy of the domain that he forges is found.
inline constexpr base::Duration kLookupTimeAtRecipient = kLookupTimeMax * 3 / 4;

// Of one message: two checks of SPF with what the RFC lets each ask (policy/spf.h), the lists that
// an operator has named, ten signatures, fifty sets of ARC with two keys each, and the walks of
// DMARC come to less.
inline constexpr std::size_t kLookupQuestionsMax = 600;

class Lookups {
 public:
  using Answers = std::vector<std::pair<policy::Question, dns::AnswerPointer>>;

  // Both outlive this object. Its time begins with the first question.
  Lookups(base::Loop& loop, dns::Resolver& resolver);
  ~Lookups();
  Lookups(const Lookups&) = delete;
  Lookups& operator=(const Lookups&) = delete;

  // Asks all of them at once. `done` runs once with an answer for each, never within this call;
  // not at all when this object is destroyed before. An empty list is answered, too.
  void ask(std::vector<policy::Question> questions, base::UniqueFunction<void(Answers)> done);

  // From now on it has this time, whatever has passed before: a slow client's body may take longer
  // than all questions.
  void restart_time(base::Duration left);

  // Asked of the resolver so far.
  [[nodiscard]] std::size_t asked() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// Runs a check until it is done: `step` runs it and says whether it came to its end; what `dns`
// lacks is asked in between. `done` hears whether it ended; a check that is not done and asks for
// nothing never will. All that is given lives until then, or until `lookups` is destroyed. The
// first step runs within this call, and so does `done` where nothing is to be asked.
void run_check(Lookups& lookups, policy::RecordedDns& dns, base::UniqueFunction<bool()> step,
               base::UniqueFunction<void(bool ended)> done);

}  // namespace rockdove::inbound
