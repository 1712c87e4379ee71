#include "mta/cli/queue_source.h"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

#include "mta/admin/act_jobs.h"
#include "mta/admin/envelope_text.h"
#include "mta/admin/forecast_text.h"
#include "mta/admin/learned_text.h"
#include "mta/admin/trace_text.h"
#include "mta/admin/why.h"
#include "mta/daemon/lock.h"
#include "mta/http/target.h"
#include "queue/reading.h"

namespace rockdove::cli {

using Json = nlohmann::ordered_json;
using base::Error;
using base::Result;

namespace {

// A route's answer waits for DNS.
constexpr base::Duration kRouteWithin = std::chrono::seconds(60);
// A summary or a filter's count goes over the whole queue before its first line.
constexpr base::Duration kCountWithin = std::chrono::seconds(60);
// Counting goes over all history of some time before its first line.
constexpr base::Duration kStatsWithin = std::chrono::minutes(30);

// Of a message, or of a delivery of it.
std::optional<base::MessageId> parse_either_id(const std::string& text) {
  if (const auto delivery = base::parse_delivery_id(text)) return delivery->message;
  return base::parse_message_id(text);
}

Error needs_daemon() {
  return Error("the daemon is not running, and without it the queue can only be looked at");
}

class DaemonSource : public QueueSource {
 public:
  DaemonSource(std::unique_ptr<ControlClient> client, std::string state_dir)
      : client_(std::move(client)), state_dir_(std::move(state_dir)) {}

  Result<void> list(const admin::Parameters& query, const LineSink& sink) override {
    return get({"/v1/queue", query}, sink, kCountWithin);
  }

  Result<void> count(const admin::Parameters& filter, const LineSink& sink) override {
    return get({"/v1/queue/count", filter}, sink, kCountWithin);
  }

  Result<void> summarise(const admin::Parameters& query, const LineSink& sink) override {
    return get({"/v1/queue/summary", query}, sink, kCountWithin);
  }

  Result<void> show(const std::string& id, const LineSink& sink) override {
    return get({"/v1/queue/message", {{"id", id}}}, sink, kAnswerWithin);
  }

  Result<void> why(const std::string& id, const LineSink& sink) override {
    return get({"/v1/queue/why", {{"id", id}}}, sink, kAnswerWithin);
  }

  Result<void> content(const ContentWanted& wanted, const OctetSink& sink) override {
    http::Target target{"/v1/queue/content", {{"id", wanted.id}}};
    if (wanted.part != ContentWanted::Part::All) {
      const bool is_header = wanted.part == ContentWanted::Part::Header;
      target.parameters.emplace_back("part", is_header ? "header" : "body");
    }
    if (wanted.body_octets_max != std::numeric_limits<std::uint64_t>::max()) {
      target.parameters.emplace_back("octets", std::to_string(wanted.body_octets_max));
    }
    if (const Result<void> alive = look_for_life(); !alive) return explained(alive);
    return explained(client_->fetch({"GET", http::format_target(target), {}, ""}, sink));
  }

  Result<void> envelope(const std::string& id, const LineSink& sink) override {
    return get({"/v1/queue/envelope", {{"id", id}}}, sink, kAnswerWithin);
  }

  Result<void> count(const ActCall& call, const admin::Parameters& filter,
                     const LineSink& sink) override {
    return send_act(call, {{"filter", filter_json(filter)}, {"dry_run", true}}, sink);
  }

  Result<void> act(const ActCall& call, const admin::Parameters& filter,
                   const LineSink& sink) override {
    return send_act(call, {{"filter", filter_json(filter)}}, sink);
  }

  Result<void> act(const ActCall& call, const std::vector<std::string>& ids,
                   const LineSink& sink) override {
    return send_act(call, {{"ids", ids}}, sink);
  }

  Result<void> list_pauses(const LineSink& sink) override {
    return get({"/v1/pauses", {}}, sink, kAnswerWithin);
  }

  Result<void> pause(const PauseCall& call, const LineSink& sink) override {
    return post("/v1/pause", pause_json(call), sink);
  }

  Result<void> resume(const PauseCall& call, const LineSink& sink) override {
    return post("/v1/resume", pause_json(call), sink);
  }

  Result<void> trace(const admin::Parameters& parameters, const LineSink& sink) override {
    return get({"/v1/trace", parameters}, sink, kCountWithin);
  }

  Result<void> stats(const admin::Parameters& parameters, const LineSink& sink) override {
    return get({"/v1/stats", parameters}, sink, kStatsWithin);
  }

  Result<void> replies(const admin::Parameters& parameters, const LineSink& sink) override {
    return get({"/v1/replies", parameters}, sink, kStatsWithin);
  }

  Result<void> learned(const LineSink& sink) override {
    return get({"/v1/learned", {}}, sink, kAnswerWithin);
  }

  Result<void> explain_route(const std::string& address, const LineSink& sink) override {
    return get({"/v1/route", {{"address", address}}}, sink, kRouteWithin);
  }

 private:
  static Json filter_json(const admin::Parameters& filter) {
    Json json = Json::object();
    for (const auto& [name, value] : filter) json[name] = value;
    return json;
  }

  // What may take long is asked only of a daemon that is known to answer at all.
  Result<void> look_for_life() {
    return client_->ask({"GET", "/v1/alive", {}, ""}, [](std::string_view) {});
  }

  Result<void> get(const http::Target& target, const LineSink& sink, base::Duration patience) {
    if (const Result<void> alive = look_for_life(); !alive) return explained(alive);
    return explained(client_->ask({"GET", http::format_target(target), {}, ""}, sink, patience));
  }

  Result<void> send_act(const ActCall& call, Json body, const LineSink& sink) {
    if (!call.word.empty()) body[std::string(admin::word_of(call.act))] = call.word;
    return post("/v1/queue/" + std::string(queue::act_name(call.act)), body, sink);
  }

  static Json pause_json(const PauseCall& call) {
    Json json{{"kind", queue::kind_name(call.kind)}};
    if (!call.name.empty()) json["name"] = call.name;
    if (!call.time.empty()) json["for"] = call.time;
    if (!call.reason.empty()) json["reason"] = call.reason;
    return json;
  }

  Result<void> post(const std::string& path, const Json& body, const LineSink& sink) {
    const std::string text =
        body.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
    if (const Result<void> alive = look_for_life(); !alive) return explained(alive);
    return explained(client_->ask({"POST", path, {{"Content-Type", "application/json"}}, text},
                                  sink, kCountWithin));
  }

  // Whose answer it is that failed or is missing.
  Result<void> explained(Result<void> asked) const {
    if (asked) return asked;
    const auto found = daemon::find_daemon(state_dir_);
    const auto* holder = found ? std::get_if<daemon::DaemonHolds>(&*found) : nullptr;
    if (holder == nullptr || holder->process == 0) return asked.error().in("rockdove");
    return asked.error().in("rockdove (process " + std::to_string(holder->process) + ")");
  }

  std::unique_ptr<ControlClient> client_;
  const std::string state_dir_;
};

// Reads the rows itself, in pages like the daemon does.
class RowsSource : public QueueSource {
 public:
  RowsSource(std::unique_ptr<daemon::StateLock> lock, std::unique_ptr<queue::Rows> rows,
             std::optional<admin::WhySettings> settings)
      : lock_(std::move(lock)), rows_(std::move(rows)), settings_(std::move(settings)) {}

  [[nodiscard]] bool is_running() const override { return false; }

  Result<void> list(const admin::Parameters& query, const LineSink& sink) override {
    const base::WallTime now = base::read_clocks().wall;
    Result<admin::ListQuery> parsed = admin::parse_list(query, now);
    if (!parsed) return parsed.error();
    queue::ListRequest request;
    request.filter = std::move(parsed->filter);
    std::uint64_t listed = 0;
    do {
      queue::Damaged damaged;
      Result<queue::ListedPage> page = queue::list(*rows_, request, damaged);
      if (!page) return page.error();
      for (const queue::MessageWithDeliveries& message : page->messages) {
        sink(admin::format_listed(message, now));
        if (++listed == parsed->limit) return {};
      }
      request.after = page->more_after;
    } while (!request.after.empty());
    return {};
  }

  Result<void> count(const admin::Parameters& filter, const LineSink& sink) override {
    Result<queue::QueueFilter> parsed = admin::parse_filter(filter, base::read_clocks().wall);
    if (!parsed) return parsed.error();
    queue::SelectRequest request;
    request.filter = *std::move(parsed);
    std::uint64_t deliveries = 0;
    do {
      queue::Damaged damaged;
      Result<queue::SelectedPage> page = queue::select_deliveries(*rows_, request, damaged);
      if (!page) return page.error();
      deliveries += page->deliveries.size();
      request.after = page->more_after;
    } while (!request.after.empty());
    sink(Json{{"deliveries", deliveries}}.dump());
    return {};
  }

  Result<void> summarise(const admin::Parameters& query, const LineSink& sink) override {
    const Result<queue::SummaryRequest> request =
        admin::parse_summary(query, base::read_clocks().wall);
    if (!request) return request.error();
    if (request->by == queue::SummaryBy::Provider)
      return Error(std::string(admin::kProviderNeedsRelay));
    const Result<queue::QueueSummary> summary = queue::summarise(*rows_, *request);
    if (!summary) return summary.error();
    for (const std::string& line : admin::format_summary(*summary, request->by)) sink(line);
    return {};
  }

  Result<void> show(const std::string& id, const LineSink& sink) override {
    const std::optional<base::MessageId> message = parse_either_id(id);
    if (!message) return Error(id + " is no id of a message or delivery");
    queue::Damaged damaged;
    const Result<queue::MessageView> view = queue::view_message(*rows_, *message, damaged);
    if (!view) return view.error();
    if (view->message == nullptr && view->history.empty()) {
      return Error("there is no such message, neither in the queue nor in the history");
    }
    sink(admin::format_view(*view, base::read_clocks().wall));
    return {};
  }

  Result<void> why(const std::string& id, const LineSink& sink) override {
    const std::optional<base::MessageId> message = parse_either_id(id);
    if (!message) return Error(id + " is no id of a message or delivery");
    queue::Damaged damaged;
    const Result<queue::MessageView> view = queue::view_message(*rows_, *message, damaged);
    if (!view) return view.error();
    const std::optional<base::DeliveryId> one = base::parse_delivery_id(id);
    bool found = false;
    for (const queue::Delivery& delivery : view->deliveries) {
      if (view->message == nullptr || (one && one->number != delivery.number)) continue;
      found = true;
      const admin::Why why = admin::explain_why(*view->message, delivery, view->history, {},
                                                settings_, base::read_clocks().wall);
      sink(admin::format_why(*view->message, delivery, why));
    }
    if (found) return {};
    const std::vector<std::string> gone = admin::explain_gone(view->history, one ? one->number : 0);
    for (const std::string& line : gone) sink(line);
    if (gone.empty()) return Error(std::string(admin::kNothingToExplain));
    return {};
  }

  Result<void> content(const ContentWanted& wanted, const OctetSink& sink) override {
    const std::optional<base::MessageId> id = parse_either_id(wanted.id);
    if (!id) return Error(wanted.id + " is no id of a message or delivery");
    queue::Damaged damaged;
    const Result<queue::MessageView> view = queue::view_message(*rows_, *id, damaged);
    if (!view) return view.error();
    if (view->message == nullptr) return Error("there is no such message in the queue");
    if (wanted.part != ContentWanted::Part::Body) sink(view->message->header_block);
    std::uint64_t left = wanted.part == ContentWanted::Part::Header ? 0 : wanted.body_octets_max;
    for (std::uint32_t index = 0; index < view->message->body_chunks && left > 0; ++index) {
      const auto chunk = queue::read_chunk(*rows_, *id, index);
      if (!chunk) return chunk.error();
      const std::string_view octets = std::string_view(**chunk).substr(
          0, static_cast<std::size_t>(std::min<std::uint64_t>(left, (*chunk)->size())));
      sink(octets);
      left -= octets.size();
    }
    return {};
  }

  Result<void> envelope(const std::string& id, const LineSink& sink) override {
    const std::optional<base::MessageId> message = base::parse_message_id(id);
    if (!message) return Error(id + " is no id of a message");
    queue::Damaged damaged;
    Result<queue::MessageView> view = queue::view_message(*rows_, *message, damaged);
    if (!view) return view.error();
    if (!damaged.empty()) return damaged.front();
    if (view->message == nullptr || view->deliveries.empty()) {
      return Error("there is no such message in the queue");
    }
    const Result<queue::ReportState> reports = queue::read_report_state(*rows_, *message);
    if (!reports) return reports.error();
    admin::Envelope envelope;
    envelope.stored = {*view->message, std::move(view->deliveries), *reports,
                       view->message->header_block.size()};
    sink(admin::format_envelope(envelope, admin::Layout::Line));
    return {};
  }

  Result<void> count(const ActCall&, const admin::Parameters&, const LineSink&) override {
    return needs_daemon();
  }

  Result<void> act(const ActCall&, const admin::Parameters&, const LineSink&) override {
    return needs_daemon();
  }

  Result<void> act(const ActCall&, const std::vector<std::string>&, const LineSink&) override {
    return needs_daemon();
  }

  Result<void> trace(const admin::Parameters& parameters, const LineSink& sink) override {
    Result<admin::TraceRun> run = admin::TraceRun::parse(parameters, base::read_clocks().wall);
    if (!run) return run.error();
    while (run->request()) {
      queue::Damaged damaged;
      Result<queue::TracedPage> page = queue::trace(*rows_, *run->request(), damaged);
      if (!page) return page.error();
      run->take(*std::move(page), sink);
    }
    return {};
  }

  Result<void> stats(const admin::Parameters& parameters, const LineSink& sink) override {
    Result<admin::StatsRun> run = admin::StatsRun::parse(parameters, base::read_clocks().wall);
    if (!run) return run.error();
    while (run->request()) {
      queue::Damaged damaged;
      const Result<std::optional<base::MessageId>> more = queue::walk_history(
          *rows_, *run->request(),
          [&run](const queue::TracedMessage& message) { run->count(message); }, damaged);
      if (!more) return more.error();
      run->counted(*more);
    }
    run->tell(sink);
    return {};
  }

  Result<void> replies(const admin::Parameters& parameters, const LineSink& sink) override {
    Result<admin::RepliesRun> run = admin::RepliesRun::parse(parameters, base::read_clocks().wall);
    if (!run) return run.error();
    while (run->request()) {
      queue::Damaged damaged;
      const Result<std::optional<base::MessageId>> more = queue::walk_history(
          *rows_, *run->request(),
          [&run](const queue::TracedMessage& message) { run->look_at(message); }, damaged);
      if (!more) return more.error();
      run->looked(*more, sink);
    }
    return {};
  }

  Result<void> learned(const LineSink& sink) override {
    const auto all = admin::read_learned(*rows_, base::read_clocks());
    if (!all) return all.error();
    for (const queue::LearnedPace& learned : *all) sink(admin::format_learned(learned));
    return {};
  }

  Result<void> explain_route(const std::string&, const LineSink&) override {
    return needs_daemon();
  }

 private:
  std::unique_ptr<daemon::StateLock> lock_;  // held as long as the rows are open
  std::unique_ptr<queue::Rows> rows_;
  const std::optional<admin::WhySettings> settings_;
};

}  // namespace

Result<void> QueueSource::envelope(const std::string&, const LineSink&) {
  return Error("envelopes cannot be had from here");
}

Result<void> QueueSource::learned(const LineSink&) {
  return Error("what was learned cannot be had from here");
}

Result<void> QueueSource::replies(const admin::Parameters&, const LineSink&) {
  return Error("replies cannot be had from here");
}

Result<void> QueueSource::list_pauses(const LineSink&) {
  return needs_daemon();
}

Result<void> QueueSource::pause(const PauseCall&, const LineSink&) {
  return needs_daemon();
}

Result<void> QueueSource::resume(const PauseCall&, const LineSink&) {
  return needs_daemon();
}

Result<std::unique_ptr<QueueSource>> ask_daemon(const QueuePaths& paths) {
  auto connected = ControlClient::connect(paths.runtime_dir + "/control.sock");
  if (auto* client = std::get_if<std::unique_ptr<ControlClient>>(&connected)) {
    return std::unique_ptr<QueueSource>(
        std::make_unique<DaemonSource>(std::move(*client), paths.state_dir));
  }
  const ControlClient::Refused& refused = std::get<ControlClient::Refused>(connected);
  if (refused.why == ControlClient::Refusal::Other) return refused.error;
  const auto found = daemon::find_daemon(paths.state_dir);
  if (!found) return found.error();
  if (const auto* holder = std::get_if<daemon::DaemonHolds>(&*found)) {
    return Error("rockdove (process " + std::to_string(holder->process) + ") holds " +
                 paths.state_dir + " but does not answer: " + refused.error.text());
  }
  return std::unique_ptr<QueueSource>();
}

Result<std::unique_ptr<QueueSource>> open_queue_source(const QueuePaths& paths,
                                                       const OpenRows& open_rows) {
  Result<std::unique_ptr<QueueSource>> daemon = ask_daemon(paths);
  if (!daemon || *daemon != nullptr) return daemon;
  Result<std::unique_ptr<daemon::StateLock>> lock = daemon::StateLock::take_shared(paths.state_dir);
  if (!lock) return lock.error();
  Result<std::unique_ptr<queue::Rows>> rows = open_rows(paths.state_dir);
  if (!rows) return rows.error();
  return std::unique_ptr<QueueSource>(
      std::make_unique<RowsSource>(*std::move(lock), *std::move(rows), paths.settings));
}

}  // namespace rockdove::cli
