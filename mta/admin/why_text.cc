// Explanations as JSON: of what waits, and of what has left the queue.
#include <nlohmann/json.hpp>

#include "mta/admin/queue_text.h"
#include "mta/admin/why.h"
#include "mta/admin/why_words.h"

namespace rockdove::admin {

using Json = nlohmann::ordered_json;

namespace {

void add_text(Json& json, const char* name, const std::string& text) {
  if (!text.empty()) json[name] = text;
}

void add_time(Json& json, const char* name, const std::optional<base::WallTime>& time) {
  if (time) json[name] = base::format_timestamp(*time);
}

// What follows the names of the delivery.
std::string to_line(Json json, const Why& why) {
  json["cause"] = why.cause;
  json["text"] = why.text;
  add_time(json, "since", why.since);
  add_time(json, "next", why.next);
  add_text(json, "estimate", why.estimate);
  add_time(json, "about", why.about);
  add_time(json, "latest", why.latest);
  add_time(json, "ends", why.ends);
  add_text(json, "ends_how", why.ends_how);
  add_text(json, "host", why.host);
  add_text(json, "reply", why.reply);
  json["settings"] = Json::array();
  for (const auto& [name, value] : why.settings) {
    json["settings"].push_back(Json{{"name", name}, {"value", value}});
  }
  json["advice"] = Json::array();
  for (const WhyAdvice& advice : why.advice) {
    Json one{{"text", advice.text}};
    add_text(one, "command", advice.command);
    json["advice"].push_back(std::move(one));
  }
  return json.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

// As queue::outcome_name() has it.
std::string how_it_ended(const queue::HistoryStep& step) {
  const std::string said = step.reply.empty() && step.host.empty()
                               ? ""
                               : ": " + last_words({step.at, step.host, step.reply});
  if (step.what == "delivered") {
    return "it was delivered, and " + (step.host.empty() ? "the next hop" : step.host) +
           " answered \"" + step.reply + '"';
  }
  if (step.what == "bounced") return "it failed for good and was returned to its sender" + said;
  if (step.what == "unreturnable") {
    return "it failed for good, and there was nobody to return it to" + said;
  }
  if (step.what == "unreported") {
    return "it failed for good, and its sender had asked not to be told" + said;
  }
  if (step.what == "deleted") return "it was deleted by a person, and cannot be brought back";
  if (step.what == "quarantine-expired") {
    return "nobody released it from quarantine in time, so it was discarded" + said;
  }
  if (step.what == "discarded") return "it was discarded, as its route says";
  if (step.what == "expanded") {
    return "it went to an alias, whose addresses have got deliveries of their own";
  }
  return "it is " + step.what;
}

}  // namespace

std::string format_why(const queue::Message& message, const queue::Delivery& delivery,
                       const Why& why) {
  return to_line({{"id", base::format_id(queue::DeliveryId{message.id, delivery.number})},
                  {"recipient", delivery.recipient},
                  {"sender", message.sender},
                  {"destination", delivery.destination},
                  {"state", state_name(delivery.state)},
                  {"accepted", base::format_timestamp(message.accepted)},
                  {"attempts", delivery.attempts}},
                 why);
}

std::vector<std::string> explain_gone(const std::vector<queue::HistoryStep>& history,
                                      std::uint32_t number) {
  std::vector<std::string> lines;
  for (const queue::HistoryStep& step : history) {
    const bool is_closing = !step.recipient.empty();
    if (!is_closing || (number != 0 && step.delivery.number != number)) continue;
    const std::string id = base::format_id(step.delivery);
    Why why;
    why.cause = "gone";
    why.text = "It does not wait any more: " + how_it_ended(step) + ".";
    why.since = step.at;
    why.host = step.host;
    why.reply = step.reply;
    why.advice.push_back({"see all that happened to it", "rockdove trace " + id});
    lines.push_back(to_line(
        {{"id", id}, {"recipient", step.recipient}, {"sender", step.sender}, {"state", "gone"}},
        why));
  }
  return lines;
}

}  // namespace rockdove::admin
