// A report about deliveries as a message of our own, ready for the queue (RFC 3464, RFC 5321 §6.1).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mta/base/log.h"
#include "mta/outbound/settings.h"
#include "queue/settings.h"
#include "queue/types.h"

namespace rockdove::outbound {

struct ReportRequest {
  const queue::Message& original;
  // At least one. Their `last` says what the remote server said, `final_status` and `ending` what
  // they came to; without a final_status they still wait, and the report is about the delay.
  std::vector<queue::Delivery> about;
  std::string_view body;                // of the original, as far as it is at hand; may be empty
  std::string to;                       // the original's sender, or the postmaster
  std::vector<std::string> recipients;  // the addresses behind `to`, at least one
  queue::MessageKind kind = queue::MessageKind::Report;
  base::MessageId id;  // of the report
  base::WallTime now;
};

struct ReportMail {
  std::shared_ptr<queue::Message> message;
  std::vector<queue::Delivery> deliveries;
};

[[nodiscard]] ReportMail make_report_mail(const queue::QueueSettings& settings,
                                          const OutboundSettings& outbound,
                                          const ReportRequest& request);

// One line for a report, whatever number of deliveries it names: "sender non-delivery", "sender
// delay", "sender delivery status" or "postmaster non-delivery". Text and JSON have it at level
// debug, because the lines of the deliveries name it, too.
void log_report(base::Log& log, base::MessageId about, const ReportMail& report,
                std::string_view what);

}  // namespace rockdove::outbound
