// Asks the DNS. CaresResolver asks real servers, CachingResolver remembers what another one said,
// and tests have one that answers from a table.
//
// A resolver belongs to one loop and is used from its thread only.
#pragma once

#include <string>

#include "dns/answers.h"
#include "mta/base/time.h"
#include "mta/base/unique_function.h"

namespace rockdove::dns {

// Every question ends within this time, as Status::TimedOut at the latest.
inline constexpr base::Duration kQuestionTimeMax = std::chrono::seconds(30);

class Resolver {
 public:
  // The pointer is never null.
  using Done = base::UniqueFunction<void(AnswerPointer)>;

  virtual ~Resolver() = default;

  // Asks for the records of `type` at `name`, which may be anything that a stranger wrote: what is
  // no name gets Status::BadName, and nobody is asked. Letter case and a final dot do not matter.
  // `done` runs exactly once, never within this call; destroying the resolver drops those that have
  // not run yet.
  virtual void query(std::string name, RecordType type, Done done) = 0;
};

}  // namespace rockdove::dns
