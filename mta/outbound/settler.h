// What follows from the results of an attempt: the changes that make it true, the log lines, the
// reports, and, once all that is durable, the word to the directory. Works on whatever loop the
// results are known on.
#pragma once

#include <vector>

#include "mta/outbound/activity.h"
#include "mta/outbound/delay_notices.h"
#include "mta/outbound/environment.h"
#include "mta/outbound/release.h"
#include "mta/outbound/report_desk.h"
#include "mta/outbound/session.h"

namespace rockdove::outbound {

class Settler {
 public:
  explicit Settler(const Environment& environment)
      : env_(environment), reports_(environment), delays_(environment) {}

  // Takes an attempt's results. What is to be tried again now is returned, and is still out.
  // `retry`: the waits between attempts, as queue::QueueSettings::retry.
  [[nodiscard]] std::vector<queue::Delivery> settle(JobReport report,
                                                    const std::vector<base::Duration>& retry);

  // A route says discard. No report follows, whatever was asked for: the sender was not to know.
  void discard(const queue::Job& job);

  // Releases once durable.
  void commit(queue::Change change, queue::QueueName queue, std::vector<Release> releases);

  [[nodiscard]] ReportDesk& reports() { return reports_; }

  [[nodiscard]] DelayNotices& delays() { return delays_; }

  // What attempts came to of late.
  [[nodiscard]] const Activity& activity() const { return activity_; }

 private:
  struct Settlement;

  void settle_delivered(Settlement& settlement, DeliveryResult result);
  void settle_undelivered(Settlement& settlement, DeliveryResult result);
  // How long what was deferred waits.
  [[nodiscard]] base::Duration wait_of(const DeliveryResult& result, queue::Delivery& after,
                                       const std::vector<base::Duration>& retry) const;
  void note(const Settlement& settlement);

  const Environment& env_;
  ReportDesk reports_;
  DelayNotices delays_;
  Activity activity_;
};

}  // namespace rockdove::outbound
