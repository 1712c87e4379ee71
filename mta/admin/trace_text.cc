#include "mta/admin/trace_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>
#include <limits>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "mta/base/text.h"
#include "mta/mail/idna.h"
#include "queue/codec.h"
#include "queue/index.h"
#include "queue/quarantine.h"

namespace rockdove::admin {

using Json = nlohmann::ordered_json;
using base::Error;
using base::MessageId;
using base::Result;
using base::WallTime;

namespace {

constexpr std::array<std::pair<std::string_view, queue::TallyBy>, 7> kTallies = {
    {{"hour", queue::TallyBy::Hour},
     {"day", queue::TallyBy::Day},
     {"destination", queue::TallyBy::Destination},
     {"sender", queue::TallyBy::Sender},
     {"client", queue::TallyBy::Client},
     {"tenant", queue::TallyBy::Tenant},
     {"campaign", queue::TallyBy::Campaign}}};

// Of replies: a page of some megabytes, and of one message so many steps.
constexpr std::uint64_t kRepliesWorkMax = 10'000;
constexpr std::uint32_t kRepliesStepsMax = 20'000;

constexpr std::size_t kToldRecipientsMax = 1000;  // of one message; the rest is counted

// Users of this machine have no address; `user` says who it was.
constexpr std::string_view kLocalClient = "local";

std::string to_line(const Json& json) {
  return json.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

std::tm local_parts(WallTime time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(
      std::chrono::time_point_cast<std::chrono::system_clock::duration>(time));
  std::tm parts{};
  localtime_r(&seconds, &parts);
  return parts;
}

Result<void> set_limit(std::uint32_t& limit, std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool is_number = error == std::errc() && end == text.data() + text.size();
  if (!is_number || number == 0 || number > kTracedMax) {
    return Error("limit is a number from 1 to " + std::to_string(kTracedMax));
  }
  limit = number;
  return {};
}

// An address as it stands in the index: whole, with A-labels.
Result<std::string> parse_whole_address(std::string_view text) {
  if (text == "<>") return std::string();
  if (text.size() > 2 && text.front() == '<' && text.back() == '>') {
    text = text.substr(1, text.size() - 2);
  }
  if (text.find('*') != std::string_view::npos) {
    return Error(
        "history is looked up by whole addresses, not by patterns; `domain` asks for all "
        "recipients of one");
  }
  return mail::to_ascii_pattern(text);
}

Result<std::string> parse_whole_domain(std::string_view text) {
  if (text.starts_with("*@")) text.remove_prefix(2);
  if (text.starts_with("@")) text.remove_prefix(1);
  if (text.find_first_of("*@") != std::string_view::npos) {
    return Error("a domain is asked for whole, as example.com");
  }
  return mail::to_ascii_pattern(text);
}

Result<MessageId> parse_any_id(std::string_view text) {
  if (const auto message = base::parse_message_id(text)) return *message;
  if (const auto delivery = base::parse_delivery_id(text)) return delivery->message;
  return Error("\"" + base::printable(text, 40) + "\" is no id of a message or delivery");
}

template <typename T>
Result<void> set(std::optional<T>& target, Result<T> value, std::string_view name) {
  if (!value) return value.error().in(name);
  target = *std::move(value);
  return {};
}

Result<void> set_condition(queue::TraceQuery& query, const std::string& name,
                           const std::string& value, WallTime now) {
  if (name == "id") return set(query.message, parse_any_id(value), name);
  if (name == "message_id") return set(query.message_id, Result<std::string>(value), name);
  if (name == "sender") return set(query.sender, parse_whole_address(value), name);
  if (name == "recipient") return set(query.recipient, parse_whole_address(value), name);
  if (name == "domain") return set(query.domain, parse_whole_domain(value), name);
  if (name == "tenant") return set(query.tenant, Result<std::string>(value), name);
  if (name == "campaign") return set(query.campaign, Result<std::string>(value), name);
  if (name == "since") return set(query.since, parse_moment(value, now), name);
  if (name == "until") return set(query.until, parse_moment(value, now), name);
  if (name == "client") {
    query.client = value == kLocalClient ? base::IpAddress() : base::parse_ip_address(value);
    if (!query.client) return Error(base::printable(value, 60) + " is no address").in("client");
    return {};
  }
  return Error("there is no condition " + base::printable(name, 40));
}

Result<void> set_tally(queue::TallyBy& by, const std::string& value) {
  const auto found = std::find_if(kTallies.begin(), kTallies.end(),
                                  [&](const auto& one) { return one.first == value; });
  if (found == kTallies.end()) {
    return Error("by is hour, day, destination, sender, client, tenant or campaign, not " +
                 base::printable(value, 40));
  }
  by = found->second;
  return {};
}

// Each at most once; `take(name, value)` gets all but the limit.
template <typename Take>
Result<void> read_parameters(const Parameters& parameters, std::uint32_t& limit, Take take) {
  std::set<std::string_view> seen;
  for (const auto& [name, value] : parameters) {
    if (!seen.insert(name).second) return Error(base::printable(name, 40) + " is given twice");
    const Result<void> taken =
        name == "limit" ? set_limit(limit, value) : Result<void>(take(name, value));
    if (!taken) return taken;
  }
  return {};
}

std::string state_of(const queue::TracedDelivery& delivery) {
  if (delivery.outcome) return std::string(queue::outcome_name(*delivery.outcome));
  if (delivery.waiting) return std::string(state_name(delivery.waiting->state));
  return "unknown";
}

Json step_json(const queue::HistoryStep& step) {
  Json json{{"at", base::format_timestamp(step.at)}, {"what", step.what}};
  if (!step.host.empty()) json["host"] = step.host;
  if (!step.source.empty()) json["source"] = step.source;
  if (!step.tls.empty()) json["tls"] = step.tls;
  if (!step.reply.empty()) json["reply"] = step.reply;
  if (!step.status.empty()) json["status"] = step.status;
  if (!step.rule.empty()) json["rule"] = step.rule;
  if (step.took.count() > 0 || !step.host.empty()) {
    json["seconds"] = static_cast<double>(step.took.count()) / 1000;
  }
  if (step.attempts > 0) json["attempts"] = step.attempts;
  if (step.report.value != 0) json["report"] = base::format_id(step.report);
  return json;
}

Json delivery_json(MessageId id, const queue::TracedDelivery& delivery) {
  Json json{{"id", base::format_id(base::DeliveryId{id, delivery.number})},
            {"address", delivery.recipient},
            {"state", state_of(delivery)}};
  if (!delivery.original_recipient.empty()) {
    json["original_recipient"] = delivery.original_recipient;
  }
  if (!delivery.alias.empty()) json["alias"] = delivery.alias;
  if (delivery.waiting) {
    json["attempts"] = delivery.waiting->attempts;
    json["due"] = base::format_timestamp(delivery.waiting->due);
    if (!delivery.waiting->hold_reason.empty()) {
      json["hold_reason"] = delivery.waiting->hold_reason;
    }
    if (queue::is_quarantined(*delivery.waiting)) {
      json["expires"] = base::format_timestamp(delivery.waiting->expires);
    }
  }
  json["steps"] = Json::array();
  for (const queue::HistoryStep& step : delivery.steps) json["steps"].push_back(step_json(step));
  return json;
}

// `left_out`: recipients that are not in `message` any more.
Json traced_json(const queue::TracedMessage& message, std::size_t left_out = 0) {
  Json json{{"queue_id", base::format_id(message.id)},
            {"kind", kind_name(message.kind)},
            {"accepted", base::format_timestamp(message.accepted)}};
  if (message.about.value != 0) json["about"] = base::format_id(message.about);
  json["sender"] = message.sender;
  json["message_size"] = message.octets;
  if (!message.message_id_field.empty()) json["message_id"] = message.message_id_field;
  if (!message.client.listener.empty()) {
    json["client"] = message.client.address.is_unspecified()
                         ? std::string(kLocalClient)
                         : base::format_ip_address(message.client.address);
    json["helo"] = message.client.helo;
    json["listener"] = message.client.listener;
    if (!message.client.user.empty()) json["user"] = message.client.user;
    if (!message.client.tls.empty()) json["tls"] = message.client.tls;
  }
  if (!message.tenant.empty()) json["tenant"] = message.tenant;
  if (!message.campaign.empty()) json["campaign"] = message.campaign;
  if (!message.is_whole) json["is_whole"] = false;
  json["recipients"] = Json::array();
  for (const queue::TracedDelivery& delivery : message.deliveries) {
    if (json["recipients"].size() == kToldRecipientsMax) break;
    json["recipients"].push_back(delivery_json(message.id, delivery));
  }
  left_out += message.deliveries.size() - json["recipients"].size();
  if (left_out > 0) json["recipients_left_out"] = left_out;
  if (message.steps_left_out > 0) json["steps_left_out"] = message.steps_left_out;
  if (!message.reports.empty()) {
    json["reports"] = Json::array();
    for (const queue::TracedMessage& report : message.reports) {
      json["reports"].push_back(traced_json(report));
    }
  }
  return json;
}

void add_delay(Json& json, const char* name, const queue::DelayCounts& delays, unsigned percent) {
  if (const auto delay = delays.percentile(percent)) {
    json[name] = static_cast<double>(delay->count()) / 1000;
  }
}

// To the messages that may have been accepted then.
void set_bounds(queue::WalkRequest& request, WallTime since, std::optional<WallTime> until) {
  request.from = queue::first_id_accepted_at(since);
  // Ids are ahead of a clock that was set back.
  request.until =
      until ? queue::first_id_at(*until) : MessageId{std::numeric_limits<std::uint64_t>::max()};
}

// Whether a server's refusal is what it tells of: one that left the mail waiting or ended it.
bool is_refusal(const queue::HistoryStep& step) {
  const bool is_failure = step.outcome ? *step.outcome == queue::Outcome::Bounced ||
                                             *step.outcome == queue::Outcome::Unreturnable ||
                                             *step.outcome == queue::Outcome::Unreported
                                       : step.what == "deferred";
  return is_failure && !step.host.empty() && !step.reply.empty();
}

Json tally_json(const queue::TallyLine& line) {
  Json json{{"name", line.name},           {"accepted", line.messages},
            {"octets", line.octets},       {"recipients", line.recipients},
            {"delivered", line.delivered}, {"deferred", line.deferrals},
            {"bounced", line.bounced},     {"discarded", line.discarded},
            {"deleted", line.deleted},     {"waiting", line.waiting}};
  add_delay(json, "delay_median", line.delays, 50);
  add_delay(json, "delay_p95", line.delays, 95);
  add_delay(json, "delay_p99", line.delays, 99);
  return json;
}

}  // namespace

Result<WallTime> parse_moment(std::string_view text, WallTime now) {
  if (const Result<base::Duration> ago = base::parse_duration(text)) return now - *ago;
  const bool is_utc = text.ends_with('Z');
  std::string plain(is_utc ? text.substr(0, text.size() - 1) : text);
  std::replace(plain.begin(), plain.end(), 'T', ' ');
  for (const char* format : {"%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"}) {
    std::tm parts{};
    const char* end = ::strptime(plain.c_str(), format, &parts);
    if (end == nullptr || *end != '\0') continue;
    parts.tm_isdst = -1;  // whichever counts then
    const std::time_t seconds = is_utc ? ::timegm(&parts) : ::mktime(&parts);
    if (seconds < 0) break;
    return base::from_unix_milliseconds(static_cast<std::uint64_t>(seconds) * 1000);
  }
  return Error("\"" + base::printable(text, 40) +
               "\" is no time; write 3d or 4h (so long ago), 2026-11-22 or \"2026-11-22 14:05\"");
}

Result<TraceRun> TraceRun::parse(const Parameters& parameters, WallTime now) {
  TraceRun run;
  std::size_t conditions = 0;
  const Result<void> read = read_parameters(
      parameters, run.left_, [&](const std::string& name, const std::string& value) {
        ++conditions;
        return set_condition(run.request_->query, name, value, now);
      });
  if (!read) return read.error();
  if (conditions == 0) {
    return Error(
        "say which messages: by id, message_id, sender, recipient, domain, client, tenant, "
        "campaign, since or until");
  }
  run.request_->now = now;
  return run;
}

void TraceRun::take(queue::TracedPage page, const std::function<void(std::string_view)>& line) {
  for (queue::TracedMessage& message : page.messages) {
    if (left_ == 0) {
      line(R"({"more": true})");
      return request_.reset();
    }
    --left_;
    const std::size_t left_out = queue::keep_asked_for(request_->query, message);
    line(to_line(traced_json(message, left_out)));
  }
  if (!page.more_before) return request_.reset();
  // Behind the limit as well, because what is left to look through may have nothing.
  request_->before = page.more_before;
}

std::string format_traced(const queue::TracedMessage& message) {
  return to_line(traced_json(message));
}

Result<StatsRun> StatsRun::parse(const Parameters& parameters, WallTime now) {
  StatsRun run;
  std::optional<WallTime> since;
  std::optional<WallTime> until;
  const Result<void> read =
      read_parameters(parameters, run.lines_max_,
                      [&](const std::string& name, const std::string& value) -> Result<void> {
                        if (name == "since") return set(since, parse_moment(value, now), name);
                        if (name == "until") return set(until, parse_moment(value, now), name);
                        if (name == "by") return set_tally(run.by_, value);
                        return Error("there is no parameter " + base::printable(name, 40));
                      });
  if (!read) return read.error();
  const std::chrono::hours usual(run.by_ == queue::TallyBy::Day ? 24 * 30 : 24);
  run.since_ = since.value_or(now - usual);
  run.until_ = until.value_or(base::kNeverWall);
  set_bounds(*run.request_, run.since_, until);
  run.tally_ = std::make_shared<queue::Tally>(run.by_, local_parts);
  return run;
}

void StatsRun::count(const queue::TracedMessage& message) {
  if (message.accepted >= since_ && message.accepted < until_) tally_->add(message);
}

void StatsRun::counted(std::optional<MessageId> from) {
  if (!from) return request_.reset();
  request_->from = *from;
}

void StatsRun::tell(const std::function<void(std::string_view)>& line) const {
  const std::vector<queue::TallyLine> lines = tally_->lines();
  const bool is_by_time = by_ == queue::TallyBy::Hour || by_ == queue::TallyBy::Day;
  const std::size_t shown =
      is_by_time ? lines.size() : std::min<std::size_t>(lines.size(), lines_max_);
  queue::TallyLine rest = tally_->others();
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i < shown) {
      line(to_line(tally_json(lines[i])));
    } else {
      rest.add(lines[i]);
    }
  }
  const std::uint64_t names = lines.size() - shown + tally_->names_left_out();
  if (names > 0) {
    Json json = tally_json(rest);
    json["name"] = "";
    json["names"] = names;
    // These were too many to keep, so that a name above may lack what it had early.
    if (tally_->names_left_out() > 0) json["is_exact"] = false;
    line(to_line(json));
  }
  Json json = tally_json(tally_->total());
  json["name"] = "";
  json["total"] = true;
  line(to_line(json));
}

Result<RepliesRun> RepliesRun::parse(const Parameters& parameters, WallTime now) {
  RepliesRun run;
  std::optional<WallTime> since;
  std::optional<WallTime> until;
  std::uint32_t no_limit = 0;
  const Result<void> read = read_parameters(
      parameters, no_limit, [&](const std::string& name, const std::string& value) -> Result<void> {
        if (name == "since") return set(since, parse_moment(value, now), name);
        if (name == "until") return set(until, parse_moment(value, now), name);
        return Error("there is no parameter " + base::printable(name, 40));
      });
  if (!read) return read.error();
  if (no_limit > 0) return Error("there is no parameter limit");
  run.since_ = since.value_or(WallTime{} + queue::kContentTakes);
  run.until_ = until.value_or(base::kNeverWall);
  set_bounds(*run.request_, run.since_, until);
  run.request_->work_max = kRepliesWorkMax;
  run.request_->depth = queue::Depth::Steps;
  run.request_->steps_max = kRepliesStepsMax;
  return run;
}

void RepliesRun::look_at(const queue::TracedMessage& message) {
  if (message.accepted < since_ || message.accepted >= until_) return;
  ++messages_;
  left_out_ += message.steps_left_out;
  for (const queue::TracedDelivery& delivery : message.deliveries) {
    const std::string domain = base::lower_case(queue::domain_of(delivery.recipient));
    for (const queue::HistoryStep& step : delivery.steps) {
      if (!is_refusal(step)) continue;
      ++replies_;
      lines_.push_back(to_line({{"id", base::format_id(step.delivery)},
                                {"at", base::format_timestamp(step.at)},
                                {"domain", domain},
                                {"host", step.host},
                                {"reply", step.reply},
                                {"ended", step.outcome.has_value()}}));
    }
  }
}

void RepliesRun::looked(std::optional<MessageId> from,
                        const std::function<void(std::string_view)>& line) {
  for (const std::string& each : lines_) line(each);
  lines_.clear();
  if (from) {
    request_->from = *from;
    return;
  }
  request_.reset();
  line(to_line({{"total", true},
                {"messages", messages_},
                {"replies", replies_},
                {"replies_left_out", left_out_}}));
}

}  // namespace rockdove::admin
