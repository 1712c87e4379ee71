#include "mta/admin/queue_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>
#include <limits>
#include <set>

#include <nlohmann/json.hpp>

#include "mta/admin/summary_json.h"
#include "mta/base/assert.h"
#include "mta/base/quantity.h"
#include "mta/base/text.h"
#include "mta/mail/idna.h"
#include "mta/mail/shown_header.h"
#include "queue/quarantine.h"

namespace rockdove::admin {

using Json = nlohmann::ordered_json;
using base::Error;
using base::Result;
using base::WallTime;
using queue::Delivery;
using queue::DeliveryState;

namespace {

// Strangers' octets that are no UTF-8 become U+FFFD; JSON has no place for them.
std::string to_line(const Json& json) {
  return json.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

// "21:15", or "2026-11-22 21:15" when that is not within the next 20 hours.
std::string local_time(WallTime time, WallTime now) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(
      std::chrono::time_point_cast<std::chrono::system_clock::duration>(time));
  std::tm parts{};
  localtime_r(&seconds, &parts);
  const bool is_near = time >= now && time - now < std::chrono::hours(20);
  std::array<char, 32> text{};
  const std::size_t octets =
      std::strftime(text.data(), text.size(), is_near ? "%H:%M" : "%Y-%m-%d %H:%M", &parts);
  return {text.data(), octets};
}

// What the last attempt came to, in words; "" when there was none.
std::string last_attempt(const Delivery& delivery) {
  if (delivery.last.reply.empty() && delivery.last.host.empty()) return {};
  const std::string reply =
      '"' + base::printable(delivery.last.reply, queue::kReplyOctetsKept) + '"';
  const std::string host = base::printable(delivery.last.host);
  std::string text = host.empty()                  ? "of " + reply
                     : delivery.last.reply.empty() ? "of " + host
                                                   : host + " answered " + reply;
  if (delivery.attempts > 0) text += ", attempt " + std::to_string(delivery.attempts);
  return text;
}

std::string explain_waiting(const Delivery& delivery, WallTime now) {
  const std::string reason = last_attempt(delivery);
  const std::string because = reason.empty() ? "" : " because " + reason;
  if (!delivery.final_status.empty() && delivery.ending != queue::Ending::Failed) {
    return "has come to its end (" + delivery.final_status +
           ") and waits for the report it shares with others of its message" + because;
  }
  if (!delivery.final_status.empty()) {
    return "has failed for good (" + delivery.final_status +
           ") and waits for the report it shares with others of its message" + because;
  }
  if (queue::is_scheduled(delivery, now)) {
    return "is scheduled for " + local_time(delivery.due, now) + " (in " +
           base::format_duration(delivery.due - now) + ")";
  }
  std::string text;
  if (delivery.due > now) {
    text = "waits until " + local_time(delivery.due, now) + " (in " +
           base::format_duration(delivery.due - now) + ")" + because;
  } else if (reason.empty()) {
    text = "waits for its first attempt, which is due";
  } else {
    text = "is due for another attempt; the last one failed" + because;
  }
  if (delivery.uncertain > 0) {
    text += "; a connection was lost behind the final dot, so it may have arrived";
  }
  return text;
}

std::string_view queue_name(const std::vector<Delivery>& deliveries) {
  bool all_held = true;
  bool all_deleted = true;
  bool tried = false;
  for (const Delivery& delivery : deliveries) {
    all_held = all_held && delivery.state == DeliveryState::Held;
    all_deleted = all_deleted && delivery.state == DeliveryState::Deleted;
    tried = tried || !delivery.last.reply.empty() || delivery.attempts > 0;
  }
  if (all_deleted) return "deleted";
  if (all_held) return "hold";
  return tried ? "deferred" : "active";
}

Json recipient_json(const queue::Message& message, const Delivery& delivery, WallTime now) {
  Json json;
  json["address"] = delivery.recipient;
  if (!delivery.last.reply.empty()) {
    json["delay_reason"] = delivery.last.host.empty()
                               ? delivery.last.reply
                               : "host " + delivery.last.host + " said: " + delivery.last.reply;
  } else if (queue::is_quarantined(delivery)) {
    json["delay_reason"] = "in quarantine: " + delivery.hold_detail;
  }
  if (!delivery.last.provider.empty()) json["provider"] = delivery.last.provider;
  if (!delivery.last.source.empty()) json["source"] = delivery.last.source;
  json["id"] = base::format_id(queue::DeliveryId{message.id, delivery.number});
  json["state"] = state_name(delivery.state);
  json["destination"] = delivery.destination;
  json["attempts"] = delivery.attempts;
  if (delivery.uncertain > 0) json["uncertain"] = delivery.uncertain;
  json["due"] = base::format_timestamp(delivery.due);
  if (queue::is_scheduled(delivery, now)) json["scheduled"] = true;
  if (delivery.priority != 0) json["priority"] = queue::priority_of(delivery.priority);
  if (!delivery.route_to.empty()) json["route_to"] = delivery.route_to;
  if (delivery.is_expired) json["expired"] = true;
  if (!delivery.hold_reason.empty()) json["hold_reason"] = delivery.hold_reason;
  if (!delivery.hold_detail.empty()) json["hold_detail"] = delivery.hold_detail;
  if (queue::is_quarantined(delivery)) json["expires"] = base::format_timestamp(delivery.expires);
  json["why"] = explain(delivery, now);
  return json;
}

Json listed_json(const queue::Message& message, const std::vector<Delivery>& deliveries,
                 WallTime now) {
  Json json;
  json["queue_name"] = queue_name(deliveries);
  json["queue_id"] = base::format_id(message.id);
  json["arrival_time"] = base::to_unix_milliseconds(message.accepted) / 1000;
  json["message_size"] = message.header_block.size() + message.body_octets;
  json["forced_expire"] = std::any_of(deliveries.begin(), deliveries.end(),
                                      [](const Delivery& delivery) { return delivery.is_expired; });
  // What Postfix prints for the null sender.
  json["sender"] = message.sender.empty() ? std::string("MAILER-DAEMON") : message.sender;
  json["recipients"] = Json::array();
  for (const Delivery& delivery : deliveries) {
    json["recipients"].push_back(recipient_json(message, delivery, now));
  }
  json["kind"] = kind_name(message.kind);
  json["recipients_at_acceptance"] = message.recipients;
  if (!message.client.listener.empty()) {
    // Users of this machine have no address; `user` says who it was.
    json["client"] = message.client.address.is_unspecified()
                         ? "local"
                         : base::format_ip_address(message.client.address);
    json["helo"] = message.client.helo;
    json["listener"] = message.client.listener;
  }
  if (!message.tenant.empty()) json["tenant"] = message.tenant;
  if (!message.campaign.empty()) json["campaign"] = message.campaign;
  return json;
}

// For people: decoded. The octets are GET /v1/queue/content's.
Json header_json(const queue::Message& message) {
  Json json = Json::array();
  for (mail::ShownField& field : mail::shown_fields(message.header_block)) {
    json.push_back(Json{{"name", std::move(field.name)}, {"value", std::move(field.value)}});
  }
  return json;
}

Json pairs_json(const std::vector<std::pair<std::string, std::string>>& pairs,
                const char* first_name, const char* second_name) {
  Json json = Json::array();
  for (const auto& [first, second] : pairs) {
    json.push_back(Json{{first_name, first}, {second_name, second}});
  }
  return json;
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

Result<DeliveryState> parse_state(std::string_view text) {
  for (const DeliveryState state :
       {DeliveryState::Waiting, DeliveryState::Held, DeliveryState::Deleted}) {
    if (text == state_name(state)) return state;
  }
  return Error("waiting, held or deleted, not " + base::printable(text, 40));
}

Result<void> take_pattern(std::string& pattern, const std::string& value) {
  Result<std::string> ascii = mail::to_ascii_pattern(value);
  if (!ascii) return ascii.error();
  pattern = *std::move(ascii);
  return {};
}

Result<void> take_destination(queue::QueueFilter& filter, const std::string& value, WallTime) {
  // Behind a domain there may be a port or a route's name, which are ASCII.
  const std::size_t end = std::min(value.find_first_of(":/"), value.size());
  Result<std::string> ascii = mail::to_ascii_pattern(value.substr(0, end));
  if (!ascii) return ascii.error();
  filter.destination = base::lower_case(ascii->append(value.substr(end)));
  return {};
}

Result<void> take_client(queue::QueueFilter& filter, const std::string& value, WallTime) {
  Result<base::IpNetwork> network = base::parse_ip_network(value);
  if (!network) return network.error();
  filter.client = *std::move(network);
  return {};
}

Result<void> take_source(queue::QueueFilter& filter, const std::string& value, WallTime) {
  Result<std::string> source = parse_source_pattern(value);
  if (!source) return source.error();
  filter.source = *std::move(source);
  return {};
}

Result<WallTime> before_now(const std::string& value, WallTime now) {
  const Result<base::Duration> age = base::parse_duration(value);
  if (!age) return age.error();
  return now - *age;
}

template <std::string queue::QueueFilter::*kMember>
Result<void> take_text(queue::QueueFilter& filter, const std::string& value, WallTime) {
  filter.*kMember = value;
  return {};
}

struct FilterKey {
  FilterName name;
  Result<void> (*take)(queue::QueueFilter&, const std::string&, WallTime);
};

constexpr FilterKey kFilterKeys[] = {
    {{"sender", "The envelope sender, as \"*@example.com\"; \"<>\" is the null sender"},
     [](queue::QueueFilter& filter, const std::string& value, WallTime) {
       return take_pattern(filter.sender, value);
     }},
    {{"recipient", "A recipient, as \"*@example.com\""},
     [](queue::QueueFilter& filter, const std::string& value, WallTime) {
       return take_pattern(filter.recipient, value);
     }},
    {{"destination", "A domain, or route:NAME"}, take_destination},
    {{"site", "The host of the last attempt, as \"*.protection.outlook.com*\""},
     take_text<&queue::QueueFilter::site>},
    {{"provider",
      "That it was tried at last, or whose destination the running relay knows to be there, as "
      "\"yahoo\""},
     take_text<&queue::QueueFilter::provider>},
    {{"source", "Our address that the last attempt left from; \"*\" is any that is configured"},
     take_source},
    {{"user", "The account that handed it in"}, take_text<&queue::QueueFilter::user>},
    {{"tenant", "Whose mail it is; \"*\" is any run of characters, as in all texts"},
     take_text<&queue::QueueFilter::tenant>},
    {{"campaign", "The mailing that it belongs to, as \"spring-*\""},
     take_text<&queue::QueueFilter::campaign>},
    {{"client", "The address, or network, that handed it in"}, take_client},
    {{"reason", "Part of the last reply, or of why it is on hold"},
     take_text<&queue::QueueFilter::reason>},
    {{"state", "waiting, held or deleted"},
     [](queue::QueueFilter& filter, const std::string& value, WallTime) -> Result<void> {
       const Result<DeliveryState> state = parse_state(value);
       if (!state) return state.error();
       filter.state = *state;
       return {};
     }},
    {{"older_than", "Accepted longer ago than this, as 4h or 2d"},
     [](queue::QueueFilter& filter, const std::string& value, WallTime now) -> Result<void> {
       const Result<WallTime> time = before_now(value, now);
       if (!time) return time.error();
       filter.accepted_before = *time;
       return {};
     }},
    {{"younger_than", "Accepted within this time"},
     [](queue::QueueFilter& filter, const std::string& value, WallTime now) -> Result<void> {
       const Result<WallTime> time = before_now(value, now);
       if (!time) return time.error();
       filter.accepted_after = *time;
       return {};
     }},
    {{"larger_than", "Messages of more than this, as 1M"},
     [](queue::QueueFilter& filter, const std::string& value, WallTime) -> Result<void> {
       const Result<std::uint64_t> octets = base::parse_size(value);
       if (!octets) return octets.error();
       filter.larger_than = *octets;
       return {};
     }},
    {{"subject", "Part of the Subject, decoded"}, take_text<&queue::QueueFilter::subject>},
    {{"message_id", "The Message-ID"}, take_text<&queue::QueueFilter::message_id>},
    {{"attempts", "Tried at least so often"},
     [](queue::QueueFilter& filter, const std::string& value, WallTime) -> Result<void> {
       const std::optional<std::uint64_t> number = parse_number(value);
       if (!number || *number > std::numeric_limits<std::uint32_t>::max()) {
         return Error("a number of attempts, as 3, not " + base::printable(value, 40));
       }
       filter.attempts_min = static_cast<std::uint32_t>(*number);
       return {};
     }},
};

constexpr std::uint32_t kSummaryLines = 100;

struct SummaryName {
  std::string_view name;
  queue::SummaryBy by;
};

constexpr SummaryName kSummaryNames[] = {{"destination", queue::SummaryBy::Destination},
                                         {"sender", queue::SummaryBy::Sender},
                                         {"user", queue::SummaryBy::User},
                                         {"reason", queue::SummaryBy::Reason},
                                         {"tenant", queue::SummaryBy::Tenant},
                                         {"campaign", queue::SummaryBy::Campaign},
                                         {"provider", queue::SummaryBy::Provider}};

// Takes `limit` out; 0: there is none.
Result<std::uint64_t> take_limit(Parameters& parameters) {
  const auto given = std::find_if(parameters.begin(), parameters.end(),
                                  [](const auto& one) { return one.first == "limit"; });
  if (given == parameters.end()) return std::uint64_t{0};
  const std::optional<std::uint64_t> number = parse_number(given->second);
  if (!number || *number == 0 || *number > std::numeric_limits<std::uint32_t>::max()) {
    return Error("limit must be a number from 1, not " + base::printable(given->second, 40));
  }
  parameters.erase(given);
  return *number;
}

Json pause_json(const queue::Pause& pause, WallTime now) {
  Json json{{"kind", queue::kind_name(pause.kind)}};
  if (!pause.pattern.empty()) json["name"] = pause.pattern;
  json["since"] = base::format_timestamp(pause.since);
  if (pause.until) {
    json["until"] = base::format_timestamp(*pause.until);
    json["left"] =
        base::format_duration(std::max<base::Duration>(*pause.until - now, base::Duration::zero()));
  }
  json["by"] = pause.by;
  if (!pause.reason.empty()) json["reason"] = pause.reason;
  if (pause.is_ending) json["is_ending"] = true;
  return json;
}

}  // namespace

std::string_view kind_name(queue::MessageKind kind) {
  switch (kind) {
    case queue::MessageKind::Ordinary:
      return "ordinary";
    case queue::MessageKind::Report:
      return "report";
    case queue::MessageKind::PostmasterReport:
      return "postmaster-report";
  }
  return "";
}

std::string_view state_name(DeliveryState state) {
  switch (state) {
    case DeliveryState::Waiting:
      return "waiting";
    case DeliveryState::Held:
      return "held";
    case DeliveryState::Deleted:
      return "deleted";
  }
  return "";
}

std::string explain(const Delivery& delivery, WallTime now) {
  switch (delivery.state) {
    case DeliveryState::Waiting:
      return explain_waiting(delivery, now);
    case DeliveryState::Held: {
      if (queue::is_quarantined(delivery)) {
        return "is in quarantine since " + local_time(delivery.due, now) + ": " +
               base::printable(delivery.hold_detail) + "; unless somebody releases it, it is " +
               "discarded " + local_time(delivery.expires, now);
      }
      std::string text = "is on hold since " + local_time(delivery.due, now);
      if (delivery.hold_reason == "crash") {
        return text + " because rockdove itself failed " + std::to_string(delivery.crashes) +
               " times while working on it; `rockdove queue retry` tries again";
      }
      if (!delivery.hold_reason.empty()) {
        text += ", reason: " + base::printable(delivery.hold_reason);
      }
      return text;
    }
    case DeliveryState::Deleted:
      return "was deleted by a person; `rockdove queue undelete` brings it back until " +
             local_time(delivery.due, now);
  }
  return {};
}

std::vector<FilterName> filter_names() {
  std::vector<FilterName> names;
  for (const FilterKey& key : kFilterKeys) names.push_back(key.name);
  return names;
}

Result<std::string> parse_source_pattern(const std::string& text) {
  if (text.find('*') != std::string::npos) return base::lower_case(text);
  const std::optional<base::IpAddress> address = base::parse_ip_address(text);
  if (!address) {
    return Error("an address of ours, as 192.0.2.10, or a pattern, as 192.0.2.*, not " +
                 base::printable(text, 40));
  }
  return base::format_ip_address(*address);
}

Result<queue::QueueFilter> parse_filter(const Parameters& parameters, WallTime now) {
  queue::QueueFilter filter;
  std::set<std::string_view> seen;
  for (const auto& [name, value] : parameters) {
    if (!seen.insert(name).second) return Error(base::printable(name, 40) + " is given twice");
    const auto known =
        std::find_if(std::begin(kFilterKeys), std::end(kFilterKeys),
                     [&name = name](const auto& key) { return key.name.name == name; });
    if (known == std::end(kFilterKeys)) {
      return Error("there is no filter " + base::printable(name, 40));
    }
    if (value.empty()) return Error(name + " is empty");
    const Result<void> taken = known->take(filter, value, now);
    if (!taken) return taken.error().in(name);
  }
  return filter;
}

Result<ListQuery> parse_list(Parameters parameters, WallTime now) {
  ListQuery query;
  const Result<std::uint64_t> limit = take_limit(parameters);
  if (!limit) return limit.error();
  query.limit = *limit;
  Result<queue::QueueFilter> filter = parse_filter(parameters, now);
  if (!filter) return filter.error();
  query.filter = *std::move(filter);
  return query;
}

Result<queue::SummaryRequest> parse_summary(const Parameters& parameters, WallTime now) {
  Parameters rest = parameters;
  const Result<std::uint64_t> limit = take_limit(rest);
  if (!limit) return limit.error();
  queue::SummaryRequest request;
  request.now = now;
  for (const auto& [name, value] : rest) {
    if (name != "by") return Error("a summary has no " + base::printable(name, 40));
    const auto known = std::find_if(std::begin(kSummaryNames), std::end(kSummaryNames),
                                    [&value = value](const auto& by) { return by.name == value; });
    if (known == std::end(kSummaryNames)) {
      return Error("by is destination, sender, user, reason, tenant, campaign or provider, not " +
                   base::printable(value, 40));
    }
    request.by = known->by;
  }
  if (request.by != queue::SummaryBy::Destination) request.lines_max = kSummaryLines;
  if (*limit > 0) request.lines_max = static_cast<std::uint32_t>(*limit);
  return request;
}

std::string format_listed(const queue::MessageWithDeliveries& message, WallTime now) {
  return to_line(listed_json(*message.message, message.deliveries, now));
}

Json summary_json(const queue::QueueSummary::Line& line, std::string_view name) {
  Json json{{"state", state_name(line.state)}};
  json[std::string(name)] = line.name;
  json["deliveries"] = line.deliveries;
  json["octets"] = line.octets;
  json["earliest_due"] = base::format_timestamp(line.earliest_due);
  json["oldest"] = base::format_timestamp(line.oldest);
  json["by_age"] = line.by_age;
  return json;
}

std::vector<std::string> format_summary(const queue::QueueSummary& summary, queue::SummaryBy by) {
  const auto name =
      std::find_if(std::begin(kSummaryNames), std::end(kSummaryNames), [by](const auto& known) {
        return known.by == by;
      })->name;
  std::vector<std::string> lines;
  lines.reserve(summary.lines.size() + 1);
  for (const queue::QueueSummary::Line& line : summary.lines)
    lines.push_back(to_line(summary_json(line, name)));
  if (summary.lines_left_out > 0) {
    lines.push_back(to_line(Json{{"lines_left_out", summary.lines_left_out},
                                 {"deliveries_in_all", summary.deliveries}}));
  }
  return lines;
}

std::string format_view(const queue::MessageView& view, WallTime now) {
  Json json;
  json["message"] = nullptr;
  if (view.message != nullptr) {
    json["message"] = listed_json(*view.message, view.deliveries, now);
    json["message"]["body_size"] = view.message->body_octets;
    json["message"]["header"] = header_json(*view.message);
  }
  json["history"] = Json::array();
  for (const queue::HistoryStep& step : view.history) {
    Json one{{"id", base::format_id(step.delivery)},
             {"at", base::format_timestamp(step.at)},
             {"what", step.what}};
    if (!step.host.empty()) one["host"] = step.host;
    if (!step.reply.empty()) one["reply"] = step.reply;
    if (!step.sender.empty()) one["sender"] = step.sender;
    if (!step.recipient.empty()) one["recipient"] = step.recipient;
    if (!step.source.empty()) one["source"] = step.source;
    if (!step.tls.empty()) one["tls"] = step.tls;
    if (!step.client_user.empty()) one["client_user"] = step.client_user;
    if (!step.client_tls.empty()) one["client_tls"] = step.client_tls;
    if (!step.tenant.empty()) one["tenant"] = step.tenant;
    if (!step.campaign.empty()) one["campaign"] = step.campaign;
    if (step.priority != 0) one["priority"] = queue::priority_of(step.priority);
    json["history"].push_back(std::move(one));
  }
  return to_line(json);
}

std::string format_act(base::DeliveryId id, const Result<ActOutcome>& outcome) {
  // Without a number where a message was named that has no deliveries here.
  Json json{{"id", id.number == 0 ? base::format_id(id.message) : base::format_id(id)}};
  if (outcome) {
    json["outcome"] = queue::outcome_name(*outcome);
  } else {
    json["outcome"] = "failed";
    json["error"] = outcome.error().text();
  }
  return to_line(json);
}

std::string format_route(const RouteExplanation& route, WallTime now) {
  Json json{{"address", route.address}, {"destination", route.destination}, {"rule", route.rule}};
  json["settings"] = pairs_json(route.settings, "name", "value");
  json["dns"] = pairs_json(route.answers, "question", "answer");
  json["hosts"] = Json::array();
  for (const RouteHost& host : route.hosts) {
    Json one{{"name", host.name}, {"preference", host.preference}, {"addresses", host.addresses}};
    if (!host.notes.empty()) one["notes"] = host.notes;
    json["hosts"].push_back(std::move(one));
  }
  json["site"] = route.site;
  json["account"] = route.account;
  json["limits"] = pairs_json(route.limits, "name", "value");
  json["taught"] = route.taught;
  json["pauses"] = Json::array();
  for (const queue::Pause& pause : route.pauses) json["pauses"].push_back(pause_json(pause, now));
  json["conclusion"] = route.conclusion;
  return to_line(json);
}

std::string format_pause(const queue::Pause& pause, WallTime now) {
  return to_line(pause_json(pause, now));
}

std::string format_error(std::string_view text) {
  return to_line(Json{{"error", std::string(text)}});
}

}  // namespace rockdove::admin
