// "Does the next hop know this recipient?", asked before 250 to RCPT, so that mail for nobody is
// refused to the one who brings it, instead of bounced to somebody who never sent it.
#pragma once

#include <string>

#include "mta/base/unique_function.h"
#include "mta/smtp/reply.h"

namespace rockdove::smtp {

class RecipientProbe {
 public:
  // A 2yz: it does. A 5yz: it does not, in its words. A 4yz: it could not be asked, or cannot tell.
  using Done = base::UniqueFunction<void(const Reply&)>;

  virtual ~RecipientProbe() = default;
  // `done` runs once, never within this call.
  virtual void ask(std::string address, Done done) = 0;

  // The settings have changed: answers that were kept may come from hosts that are not asked now.
  virtual void forget_answers() {}
};

}  // namespace rockdove::smtp
