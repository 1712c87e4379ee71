#include "mta/admin/act_jobs.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "mta/admin/bulk_act.h"
#include "mta/admin/control_server.h"
#include "mta/admin/queue_jobs.h"
#include "mta/admin/queue_text.h"
#include "mta/admin/user_name.h"
#include "mta/base/text.h"

namespace rockdove::admin {

using Json = nlohmann::ordered_json;
using base::DeliveryId;
using base::Error;
using base::Result;

std::string_view word_of(Act act) {
  if (act == Act::Hold) return "because";
  if (act == Act::Bounce) return "text";
  return act == Act::Reroute ? "to" : "";
}

namespace {

constexpr base::Duration kProgressEvery = std::chrono::seconds(1);

struct ActRequest {
  std::vector<DeliveryId> ids;               // number 0: all of the message
  std::optional<queue::QueueFilter> filter;  // instead of ids
  queue::Order order;
  bool is_dry_run = false;
  std::string selection;  // for the log
};

// What people write for other people: one line, of a length that fits everywhere.
Result<std::string> parse_words(const Json& json, std::string_view name) {
  if (!json.is_string()) return Error(std::string(name) + " must be a string");
  auto text = json.get<std::string>();
  if (text.size() > queue::kOrderTextOctetsMax) {
    return Error(std::string(name) + " may have " + std::to_string(queue::kOrderTextOctetsMax) +
                 " octets");
  }
  const bool has_controls = std::any_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
  });
  if (has_controls)
    return Error(std::string(name) + " must be one line without control characters");
  return text;
}

Result<void> parse_ids(const Json& json, ActRequest& request) {
  if (!json.is_array() || json.size() > kIdsMax) {
    return Error("ids must be a list of at most " + std::to_string(kIdsMax) + " ids");
  }
  for (const Json& entry : json) {
    const std::string text = entry.is_string() ? entry.get<std::string>() : std::string();
    if (const auto message = base::parse_message_id(text)) {
      request.ids.push_back({*message, 0});
    } else if (const auto delivery = base::parse_delivery_id(text)) {
      request.ids.push_back(*delivery);
    } else {
      return Error("\"" + base::printable(text, 40) + "\" is no id of a message or delivery");
    }
  }
  request.selection =
      json.size() == 1 ? json[0].get<std::string>() : std::to_string(json.size()) + " ids";
  return {};
}

Result<void> parse_selection(const Json& json, base::WallTime now, ActRequest& request) {
  if (!json.is_object()) return Error("filter must be an object");
  Parameters parameters;
  for (const auto& [name, value] : json.items()) {
    if (!value.is_string()) {
      return Error("filter." + base::printable(name, 40) + " must be a string");
    }
    parameters.emplace_back(name, value.get<std::string>());
    request.selection +=
        (request.selection.empty() ? "" : ", ") + name + "=" + parameters.back().second;
  }
  if (parameters.empty()) return Error("a filter without a condition would meet everything");
  Result<queue::QueueFilter> filter = parse_filter(parameters, now);
  if (!filter) return filter.error();
  request.filter = *std::move(filter);
  return {};
}

Result<void> parse_word(const Json& json, const QueueActs& acts, queue::Order& order) {
  const std::string name(word_of(order.act));
  if (!json.contains(name)) {
    if (order.act == Act::Reroute) return Error("a reroute needs to, as in \"smtp://host:25\"");
    return {};
  }
  Result<std::string> words = parse_words(json[name], name);
  if (!words) return words.error();
  if (order.act != Act::Reroute) {
    order.text = *std::move(words);
    return {};
  }
  Result<std::string> target = acts.check_target(*words);
  if (!target) return target.error();
  order.target = *std::move(target);
  return {};
}

Result<ActRequest> parse_act_request(const std::string& body, const QueueActs& acts, Act act,
                                     base::WallTime now) {
  const Json json = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Error("the body must be a JSON object with ids or filter");
  for (const auto& [name, value] : json.items()) {
    if (name != "ids" && name != "filter" && name != "dry_run" && name != word_of(act)) {
      return Error("there is no " + base::printable(name, 40) + " here");
    }
  }
  if (json.contains("ids") == json.contains("filter")) {
    return Error("the body must have either ids or filter");
  }
  ActRequest request;
  request.order.act = act;
  if (json.contains("dry_run")) {
    if (!json["dry_run"].is_boolean()) return Error("dry_run must be true or false");
    request.is_dry_run = json["dry_run"].get<bool>();
  }
  Result<void> parsed = json.contains("ids") ? parse_ids(json["ids"], request)
                                             : parse_selection(json["filter"], now, request);
  if (parsed && !word_of(act).empty()) parsed = parse_word(json, acts, request.order);
  if (!parsed) return parsed.error();
  return request;
}

void describe_peer(base::LogLine& line, const Exchange& exchange) {
  if (!exchange.peer()) return;
  line.field("uid", exchange.peer()->user);
  const std::string name = name_of_user(exchange.peer()->user);
  if (!name.empty()) line.field("user", name);
  line.field("pid", exchange.peer()->process);
}

// Lives as long as its client waits for it: the exchange keeps it.
class ActJob : public std::enable_shared_from_this<ActJob> {
 public:
  ActJob(const ActServices& services, std::shared_ptr<Exchange> exchange, ActRequest request)
      : services_(services), exchange_(std::move(exchange)), request_(std::move(request)) {}

  ~ActJob() {
    if (bulk_ != nullptr) bulk_->stop();
    if (!ended_) end("the client has gone");
  }

  ActJob(const ActJob&) = delete;
  ActJob& operator=(const ActJob&) = delete;

  void start() {
    request_.order.by = describe_user(exchange_->peer());
    {
      base::LogLine line = services_.log.line(base::Level::Info, "act");
      describe(line);
    }
    exchange_->start();
    told_ = services_.loop.now().instant;
    bulk_ = std::make_shared<BulkAct>(
        BulkAct::Services{services_.loop, services_.store, services_.acts}, request_.order,
        [weak = weak_from_this()](const queue::ActAnswer& answer) {
          if (const auto self = weak.lock()) self->acted(answer);
        },
        [weak = weak_from_this()](const std::optional<Error>& error) {
          if (const auto self = weak.lock()) self->finish(error);
        });
    if (request_.filter) {
      bulk_->start(*request_.filter);
    } else {
      bulk_->start(std::move(request_.ids));
    }
  }

 private:
  void acted(const queue::ActAnswer& answer) {
    for (const auto& [id, outcome] : answer.others) exchange_->line(format_act(id, outcome));
    for (const DeliveryId id : answer.failed) exchange_->line(format_act(id, *answer.error));
    for (std::size_t outcome = 0; outcome < queue::kActOutcomes; ++outcome) {
      counts_[outcome] += answer.counts[outcome];
    }
    failed_ += answer.failed.size();
    const base::Instant now = services_.loop.now().instant;
    if (now - told_ < kProgressEvery) return;
    told_ = now;
    exchange_->line(Json{{"so_far", count(ActOutcome::Done)}}.dump());
  }

  [[nodiscard]] std::uint64_t count(ActOutcome outcome) const {
    return counts_[static_cast<std::size_t>(outcome)];
  }

  void finish(const std::optional<Error>& error) {
    const auto self = shared_from_this();  // the exchange lets us go
    end(error ? error->text() : "");
    if (error) {
      exchange_->line(format_error(error->text()));
      exchange_->break_off();
      return;
    }
    exchange_->line(Json{
        {"done", count(ActOutcome::Done)},
        {"unchanged", count(ActOutcome::Unchanged)},
        {"being_sent", count(ActOutcome::BeingSent)},
        {"not_found", count(ActOutcome::NotFound)},
        {"failed",
         failed_}}.dump());
    exchange_->end();
  }

  void describe(base::LogLine& line) const {
    line.field("act", queue::act_name(request_.order.act));
    describe_peer(line, *exchange_);
    line.field("selection", request_.selection);
    if (!request_.order.text.empty()) line.field("text", request_.order.text);
    if (!request_.order.target.empty()) line.field("target", request_.order.target);
  }

  void end(std::string_view error) {
    ended_ = true;
    base::LogLine line = services_.log.line(base::Level::Info, "act ended");
    describe(line);
    line.field("done", count(ActOutcome::Done))
        .field("unchanged", count(ActOutcome::Unchanged))
        .field("being_sent", count(ActOutcome::BeingSent))
        .field("not_found", count(ActOutcome::NotFound))
        .field("failed", failed_);
    if (!error.empty()) line.field("error", error);
  }

  const ActServices services_;
  const std::shared_ptr<Exchange> exchange_;
  ActRequest request_;
  std::shared_ptr<BulkAct> bulk_;
  std::array<std::uint64_t, queue::kActOutcomes> counts_{};
  std::uint64_t failed_ = 0;
  base::Instant told_{};  // the client, how far it has come
  bool ended_ = false;
};

// Counts what the filter means, in the states in which the act has a meaning.
class Counting : public std::enable_shared_from_this<Counting> {
 public:
  Counting(const ActServices& services, std::shared_ptr<Exchange> exchange,
           const queue::QueueFilter& filter, Act act)
      : services_(services), exchange_(std::move(exchange)) {
    for (const queue::DeliveryState state : queue::states_of(act)) {
      if (filter.state && *filter.state != state) continue;
      filters_.push_back(filter);
      filters_.back().state = state;
    }
  }

  void next_page() {
    if (exchange_->is_gone()) return;
    if (filters_.empty()) {
      exchange_->answer(200, Json{{"deliveries", deliveries_}}.dump());
      return;
    }
    queue::SelectRequest request;
    request.filter = filters_.back();
    request.after = after_;
    request.deliveries_max = 10'000;
    services_.store.select(services_.loop, std::move(request),
                           [self = shared_from_this()](Result<queue::SelectedPage> page) {
                             if (!page) return self->exchange_->refuse(500, page.error().text());
                             self->deliveries_ += page->deliveries.size();
                             self->after_ = std::move(page->more_after);
                             if (self->after_.empty()) self->filters_.pop_back();
                             self->next_page();
                           });
  }

 private:
  const ActServices services_;
  const std::shared_ptr<Exchange> exchange_;
  std::vector<queue::QueueFilter> filters_;
  std::string after_;
  std::uint64_t deliveries_ = 0;
};

constexpr const char* kPauseKindWanted =
    "kind is destination, site, provider, source, user, tenant, campaign or everything";

Result<queue::Pause> parse_pause_request(const std::string& body, base::WallTime now,
                                         const Exchange& exchange) {
  const Json json = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Error("the body must be a JSON object with kind");
  queue::Pause pause;
  pause.since = now;
  pause.by = describe_user(exchange.peer());
  std::optional<queue::PauseKind> kind;
  for (const auto& [name, value] : json.items()) {
    Result<std::string> text = parse_words(value, name);
    if (!text) return text.error();
    if (name == "kind") {
      kind = queue::parse_pause_kind(*text);
      if (!kind) return Error(kPauseKindWanted);
    } else if (name == "name") {
      pause.pattern = *std::move(text);
    } else if (name == "reason") {
      pause.reason = *std::move(text);
    } else if (name == "for") {
      const Result<base::Duration> time = base::parse_duration(*text);
      if (!time) return time.error().in("for");
      if (*time <= base::Duration::zero()) return Error("for must be longer than nothing");
      pause.until = now + *time;
    } else {
      return Error("there is no " + base::printable(name, 40) + " here");
    }
  }
  if (!kind) return Error(kPauseKindWanted);
  pause.kind = *kind;
  const bool needs_name = pause.kind != queue::PauseKind::Everything;
  if (needs_name == pause.pattern.empty()) {
    return Error(needs_name ? "name is missing: what is to be paused"
                            : "everything has no name; leave it out");
  }
  if (pause.pattern.size() > queue::kPausePatternOctetsMax) return Error("name is too long");
  // Patterns match in any case, and a pause must end however it is written then.
  pause.pattern = base::lower_case(pause.pattern);
  if (pause.kind == queue::PauseKind::Source) {
    Result<std::string> source = parse_source_pattern(pause.pattern);
    if (!source) return source.error().in("name");
    pause.pattern = *std::move(source);
  }
  return pause;
}

void run_act(const ActServices& services, const std::shared_ptr<Exchange>& exchange,
             ActRequest request) {
  const auto job = std::make_shared<ActJob>(services, exchange, std::move(request));
  exchange->keep(job);
  job->start();
}

}  // namespace

void start_act(const ActServices& services, std::shared_ptr<Exchange> exchange, Act act) {
  Result<ActRequest> request =
      parse_act_request(exchange->request().body, services.acts, act, services.loop.now().wall);
  if (!request) return exchange->refuse(400, request.error().text());
  if (!request->filter && request->is_dry_run)
    return exchange->refuse(400, "dry_run goes with a filter");
  if (!request->filter) return run_act(services, exchange, *std::move(request));
  queue::QueueFilter filter = *request->filter;
  with_provider(
      services.loop, services.store, services.explainer, exchange, std::move(filter),
      [services, exchange, act, whole = *std::move(request)](queue::QueueFilter found) mutable {
        whole.filter = std::move(found);
        if (!whole.is_dry_run) return run_act(services, exchange, std::move(whole));
        std::make_shared<Counting>(services, exchange, *whole.filter, act)->next_page();
      });
}

namespace {

std::string words_of(const queue::Pause& pause) {
  std::string words(queue::kind_name(pause.kind));
  if (!pause.pattern.empty()) words.append(" ").append(base::printable(pause.pattern));
  return words;
}

std::string no_such_pause(const queue::Pause& wanted, const PauseControl& pauses) {
  constexpr std::size_t kNamed = 5;
  std::string text = "there is no pause of " + words_of(wanted);
  const std::vector<queue::Pause> all = pauses.pauses();
  if (all.empty()) return text + "; nothing is paused";
  text += "; paused is ";
  for (std::size_t i = 0; i < std::min(all.size(), kNamed); ++i)
    text += (i == 0 ? "" : ", ") + words_of(all[i]);
  if (all.size() > kNamed) text += " and more, see `rockdove pause`";
  return text;
}

}  // namespace

void list_pauses(const PauseControl& pauses, const std::shared_ptr<Exchange>& exchange,
                 base::WallTime now) {
  exchange->start();
  for (const queue::Pause& pause : pauses.pauses()) exchange->line(format_pause(pause, now));
  exchange->end();
}

void start_pause(const PauseServices& services, const std::shared_ptr<Exchange>& exchange) {
  const base::WallTime now = services.loop.now().wall;
  Result<queue::Pause> pause = parse_pause_request(exchange->request().body, now, *exchange);
  if (!pause) return exchange->refuse(400, pause.error().text());
  if (pause->kind == queue::PauseKind::Provider && services.explainer != nullptr) {
    const Result<void> is_known = check_provider(pause->pattern, *services.explainer);
    if (!is_known) return exchange->refuse(400, is_known.error().text());
  }
  {
    base::LogLine line = services.log.line(base::Level::Info, "pause");
    describe_peer(line, *exchange);
    line.field("what", queue::pause_name(*pause));
    if (pause->until) line.field("until", *pause->until);
    if (!pause->reason.empty()) line.field("reason", pause->reason);
  }
  const std::string text = format_pause(*pause, now);
  services.pauses.pause(*std::move(pause), [exchange, text](const Result<void>& done) {
    if (!done) return exchange->refuse(500, done.error().text());
    exchange->answer(200, text);
  });
}

void start_resume(const PauseServices& services, const std::shared_ptr<Exchange>& exchange) {
  const base::WallTime now = services.loop.now().wall;
  const Result<queue::Pause> wanted = parse_pause_request(exchange->request().body, now, *exchange);
  if (!wanted) return exchange->refuse(400, wanted.error().text());
  if (wanted->until || !wanted->reason.empty()) {
    return exchange->refuse(400, "a resume has kind and name, nothing else");
  }
  {
    base::LogLine line = services.log.line(base::Level::Info, "resume");
    describe_peer(line, *exchange);
    line.field("what", queue::pause_name(*wanted));
  }
  services.pauses.resume(wanted->kind, wanted->pattern, wanted->by,
                         [exchange, now, none = no_such_pause(*wanted, services.pauses)](
                             const Result<std::optional<queue::Pause>>& ended) {
                           if (!ended) return exchange->refuse(500, ended.error().text());
                           if (!*ended) return exchange->refuse(404, none);
                           exchange->answer(200, format_pause(**ended, now));
                         });
}

}  // namespace rockdove::admin
