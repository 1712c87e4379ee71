// Why a delivery waits: the cause in plain words, since when, when it goes or is given up, which
// setting or remote reply that comes from, and what a person can do. Made from the delivery's row,
// its history and where it stands in the daemon (queue_explainer.h). Pure.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mta/admin/exchange.h"
#include "mta/admin/queue_explainer.h"
#include "mta/base/loop.h"
#include "queue/store.h"

namespace rockdove::admin {

// Where neither the queue nor its history knows of a delivery.
inline constexpr std::string_view kNothingToExplain =
    "there is no such delivery in the queue, and its history knows of none";

struct WhyAdvice {
  std::string text;     // "to try it now"
  std::string command;  // "rockdove queue retry 3ZzBCDFGHJKL-1"; "" where there is none
};

struct Why {
  // For scripts: "held", "quarantine", "crash", "deleted", "report", "being-sent", "no-daemon",
  // "stopping", "store", "paused", "site-paused", "tenant-paused", "sender-rate", "budget",
  // "rate", "no-connection-left", "site-busy", "account-busy", "memory", "resolving", "due",
  // "silent", "gone", or what left it waiting, as queue::reason_name().
  std::string cause;
  std::string text;                      // one to three sentences, without moments
  std::optional<base::WallTime> since;   // of this cause; none: nobody knows
  std::optional<base::WallTime> next;    // when it goes, if nothing changes; none: nobody can say
  std::string estimate;                  // in words, where there is no moment
  std::optional<base::WallTime> about;   // an estimate, where `next` is not known: about then,
  std::optional<base::WallTime> latest;  // or at the latest then
  // When its time here is over, and what follows: it goes back to its sender with the first failure
  // behind that, or, deleted, is gone for good. none: nothing ends it.
  std::optional<base::WallTime> ends;
  std::string ends_how;
  std::string host;  // of the last attempt
  std::string reply;
  std::vector<std::pair<std::string, std::string>> settings;  // "[queue] retry", "5m, 15m, …"
  std::vector<WhyAdvice> advice;
};

// Without settings (no daemon, and no configuration either) those are left out.
[[nodiscard]] Why explain_why(const queue::Message& message, const queue::Delivery& delivery,
                              const std::vector<queue::HistoryStep>& history,
                              const Whereabouts& where, const std::optional<WhySettings>& settings,
                              base::WallTime now);

// {"id":…, "recipient":…, "sender":…, "destination":…, "state":…, "accepted":…, "attempts":…,
// "cause":…, "text":…, "since":…, "next":…, "estimate":…, "about":…, "latest":…, "ends":…,
// "ends_how":…, "host":…, "reply":…, "settings":[{"name":…, "value":…}], "advice":[{"text":…,
// "command":…}]}; what is empty is left out.
[[nodiscard]] std::string format_why(const queue::Message& message, const queue::Delivery& delivery,
                                     const Why& why);

// Of deliveries that have left the queue: how they ended, as history has it. A line each, as
// format_why() makes it, without what only the queue knew; with "state" and "cause" "gone".
// `number` names one delivery; 0: all of them.
[[nodiscard]] std::vector<std::string> explain_gone(const std::vector<queue::HistoryStep>& history,
                                                    std::uint32_t number);

// GET /v1/queue/why?id=ID: a line for each delivery of the message, or for the one that is named.
void start_why(base::Loop& loop, queue::Store& store, QueueExplainer& explainer,
               std::shared_ptr<Exchange> exchange);

}  // namespace rockdove::admin
