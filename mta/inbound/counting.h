// How a refusal counts for the metrics: by the class and subject of its enhanced code (RFC 3463).
#pragma once

#include "mta/base/counters.h"
#include "mta/smtp/reply.h"

namespace rockdove::inbound {

inline void count_refusal(const smtp::Reply& reply) {
  constexpr unsigned kSubjects = 8;  // 0 is "other"
  const unsigned subject = reply.enhanced ? reply.enhanced->subject : 0;
  base::count_nth(
      reply.is_permanent() ? base::Counter::RefusedPermanent : base::Counter::RefusedTemporary,
      subject < kSubjects ? subject : 0);
}

}  // namespace rockdove::inbound
