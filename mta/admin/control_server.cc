#include "mta/admin/control_server.h"

#include <utility>

#include "mta/admin/act_jobs.h"
#include "mta/admin/content_job.h"
#include "mta/admin/control_connection.h"
#include "mta/admin/learned_text.h"
#include "mta/admin/queue_jobs.h"
#include "mta/admin/queue_text.h"
#include "mta/admin/trace_jobs.h"
#include "mta/admin/why.h"
#include "mta/base/assert.h"

namespace rockdove::admin {

using base::Result;

namespace {

// "/v2/queue": somebody who speaks another version of the protocol.
bool is_versioned(std::string_view path) {
  return path.size() > 2 && path.starts_with("/v") && path[2] >= '0' && path[2] <= '9';
}

}  // namespace

const ControlServer::Route ControlServer::kRoutes[] = {
    {"GET", "/v1/alive", &ControlServer::say_alive},
    {"GET", "/v1/queue", &ControlServer::list},
    {"GET", "/v1/queue/count", &ControlServer::count},
    {"GET", "/v1/queue/summary", &ControlServer::summarise},
    {"GET", "/v1/queue/message", &ControlServer::show_message},
    {"GET", "/v1/queue/content", &ControlServer::send_content},
    {"GET", "/v1/queue/why", &ControlServer::explain_why},
    {"GET", "/v1/queue/envelope", &ControlServer::send_envelope},
    {"POST", "/v1/queue/import", &ControlServer::take_import},
    {"POST", "/v1/queue/hold", &ControlServer::act},
    {"POST", "/v1/queue/release", &ControlServer::act},
    {"POST", "/v1/queue/retry", &ControlServer::act},
    {"POST", "/v1/queue/delete", &ControlServer::act},
    {"POST", "/v1/queue/undelete", &ControlServer::act},
    {"POST", "/v1/queue/bounce", &ControlServer::act},
    {"POST", "/v1/queue/expire", &ControlServer::act},
    {"POST", "/v1/queue/reroute", &ControlServer::act},
    {"GET", "/v1/pauses", &ControlServer::list_pauses},
    {"POST", "/v1/pause", &ControlServer::pause},
    {"POST", "/v1/resume", &ControlServer::resume},
    {"GET", "/v1/trace", &ControlServer::trace},
    {"GET", "/v1/stats", &ControlServer::count_history},
    {"GET", "/v1/replies", &ControlServer::list_replies},
    {"GET", "/v1/route", &ControlServer::explain_route},
    {"GET", "/v1/learned", &ControlServer::list_learned},
    {"GET", "/v1/top", &ControlServer::show_top},
    {"GET", "/metrics", &ControlServer::show_metrics, Reach::Anyone},
    {"GET", "/healthz", &ControlServer::show_health, Reach::Anyone},
};

std::unique_ptr<net::Protocol> ControlServer::accept(const net::ConnectionInfo&) {
  if (connections_ >= kConnectionsMax) return nullptr;
  ++connections_;
  return std::make_unique<ControlConnection>(*this, Reach::ControlSocket);
}

std::unique_ptr<net::Protocol> ControlServer::accept_http(const net::ConnectionInfo&) {
  if (http_connections_ >= kHttpConnectionsMax) return nullptr;
  ++http_connections_;
  return std::make_unique<ControlConnection>(*this, Reach::Anyone);
}

std::shared_ptr<Exchange> ControlServer::make_exchange(ControlConnection& connection,
                                                       http::Request request, http::Target target,
                                                       std::optional<net::PeerCredentials> peer,
                                                       Reach reach) {
  return std::make_shared<Exchange>(connection, std::move(request), std::move(target), peer, reach,
                                    running_);
}

void ControlServer::handle(const std::shared_ptr<Exchange>& exchange) {
  if (*running_ > kRequestsMax) {
    exchange->refuse(503, "too many requests at once; try again");
    return;
  }
  const Route* other_method = nullptr;
  for (const Route& route : kRoutes) {
    if (route.path != exchange->target().path) continue;
    if (exchange->reach() == Reach::Anyone && route.reach != Reach::Anyone) {
      exchange->refuse(403, "this is answered on the control socket only");
      return;
    }
    const bool is_head = route.reach == Reach::Anyone && exchange->request().method == "HEAD";
    if (route.method == exchange->request().method || is_head) {
      (this->*route.handler)(exchange);
      return;
    }
    other_method = &route;
  }
  if (other_method != nullptr) {
    // RFC 9110 §15.5.6: 405 says what would do.
    const std::string_view allowed =
        other_method->reach == Reach::Anyone ? "GET, HEAD" : other_method->method;
    exchange->answer(405, format_error("this path takes " + std::string(allowed)), allowed);
    return;
  }
  if (is_versioned(exchange->target().path) &&
      !exchange->target().path.starts_with(std::string(kProtocolPath) + '/')) {
    exchange->refuse(404, "this rockdove speaks version 1 of the control protocol, below /v1/");
    return;
  }
  exchange->refuse(404, "there is nothing at this path");
}

void ControlServer::list(const std::shared_ptr<Exchange>& exchange) {
  Result<ListQuery> query = parse_list(exchange->target().parameters, loop().now().wall);
  if (!query) return exchange->refuse(400, query.error().text());
  with_provider(
      services_.loop, services_.store, services_.explainer, exchange, query->filter,
      [this, exchange, limit = query->limit](queue::QueueFilter filter) {
        start_listing(services_.loop, services_.store, exchange, {std::move(filter), limit});
      });
}

void ControlServer::count(const std::shared_ptr<Exchange>& exchange) {
  Result<queue::QueueFilter> filter =
      parse_filter(exchange->target().parameters, loop().now().wall);
  if (!filter) return exchange->refuse(400, filter.error().text());
  with_provider(services_.loop, services_.store, services_.explainer, exchange, *std::move(filter),
                [this, exchange](queue::QueueFilter whole) {
                  start_count(services_.loop, services_.store, exchange, std::move(whole));
                });
}

void ControlServer::say_alive(const std::shared_ptr<Exchange>& exchange) {
  exchange->answer(200, "{}\n");
}

void ControlServer::summarise(const std::shared_ptr<Exchange>& exchange) {
  const Result<queue::SummaryRequest> request =
      parse_summary(exchange->target().parameters, loop().now().wall);
  if (!request) return exchange->refuse(400, request.error().text());
  start_summary(services_.loop, services_.store, services_.explainer, exchange, *request);
}

void ControlServer::show_message(const std::shared_ptr<Exchange>& exchange) {
  const std::string* text = exchange->target().find("id");
  std::optional<base::MessageId> id;
  if (text != nullptr) id = base::parse_message_id(*text);
  if (text != nullptr && !id) {
    if (const auto delivery = base::parse_delivery_id(*text)) id = delivery->message;
  }
  if (!id) {
    exchange->refuse(400, "id= must be the id of a message, like 3ZzBCDFGHJKL");
    return;
  }
  base::Loop& loop = services_.loop;
  services_.store.view(loop, *id, [exchange, &loop](Result<queue::MessageView> view) {
    if (!view) {
      exchange->refuse(500, view.error().text());
    } else if (view->message == nullptr && view->history.empty()) {
      exchange->refuse(404, "there is no such message, neither in the queue nor in the history");
    } else {
      exchange->answer(200, format_view(*view, loop.now().wall));
    }
  });
}

void ControlServer::send_content(const std::shared_ptr<Exchange>& exchange) {
  start_content(services_.loop, services_.store, exchange);
}

void ControlServer::explain_why(const std::shared_ptr<Exchange>& exchange) {
  if (services_.explainer == nullptr) return exchange->refuse(404, "nothing is explained here");
  start_why(services_.loop, services_.store, *services_.explainer, exchange);
}

void ControlServer::send_envelope(const std::shared_ptr<Exchange>& exchange) {
  start_envelope(services_.loop, services_.store, exchange);
}

void ControlServer::take_import(const std::shared_ptr<Exchange>& exchange) {
  imports_.piece(exchange);
}

void ControlServer::act(const std::shared_ptr<Exchange>& exchange) {
  const std::string& path = exchange->target().path;
  const std::optional<Act> act = queue::parse_act(path.substr(path.rfind('/') + 1));
  MTA_ASSERT(act.has_value());  // kRoutes names no others
  start_act({services_.loop, services_.store, services_.acts, services_.log, services_.explainer},
            exchange, *act);
}

void ControlServer::list_pauses(const std::shared_ptr<Exchange>& exchange) {
  admin::list_pauses(services_.pauses, exchange, loop().now().wall);
}

void ControlServer::pause(const std::shared_ptr<Exchange>& exchange) {
  start_pause({services_.loop, services_.pauses, services_.log, services_.explainer}, exchange);
}

void ControlServer::resume(const std::shared_ptr<Exchange>& exchange) {
  start_resume({services_.loop, services_.pauses, services_.log}, exchange);
}

void ControlServer::trace(const std::shared_ptr<Exchange>& exchange) {
  start_trace(services_.loop, services_.store, exchange);
}

void ControlServer::count_history(const std::shared_ptr<Exchange>& exchange) {
  start_stats(services_.loop, services_.store, exchange, counting_);
}

void ControlServer::list_replies(const std::shared_ptr<Exchange>& exchange) {
  start_replies(services_.loop, services_.store, exchange);
}

void ControlServer::explain_route(const std::shared_ptr<Exchange>& exchange) {
  const std::string* address = exchange->target().find("address");
  if (address == nullptr || address->empty()) {
    exchange->refuse(400, "address= must be a mail address");
    return;
  }
  services_.routes.explain(*address, [this, exchange](Result<RouteExplanation> route) {
    if (!route) {
      exchange->refuse(400, route.error().text());
    } else {
      exchange->answer(200, format_route(*route, services_.loop.now().wall));
    }
  });
}

void ControlServer::list_learned(const std::shared_ptr<Exchange>& exchange) {
  services_.routes.paces([exchange](const std::vector<queue::LearnedPace>& all) {
    exchange->start();
    for (const queue::LearnedPace& learned : all) exchange->line(format_learned(learned));
    exchange->end();
  });
}

void ControlServer::show_top(const std::shared_ptr<Exchange>& exchange) {
  if (services_.monitored == nullptr || services_.activity == nullptr) {
    return exchange->refuse(404, "nothing is watched here");
  }
  services_.activity->recent([this, exchange](RecentActivity activity) {
    queue_counter_.ask([this, exchange, activity = std::move(activity)](
                           const std::optional<QueueCount>& queue) mutable {
      exchange->answer(
          200, format_top(services_.monitored->counts(), services_.monitored->standing(), queue,
                          services_.pauses.pauses(), std::move(activity)));
    });
  });
}

void ControlServer::show_metrics(const std::shared_ptr<Exchange>& exchange) {
  if (services_.monitored == nullptr) return exchange->refuse(404, "nothing is counted here");
  queue_counter_.ask([this, exchange](const std::optional<QueueCount>& queue) {
    exchange->answer_text(
        200, "text/plain; version=0.0.4; charset=utf-8",
        format_metrics(services_.monitored->counts(), services_.monitored->standing(), queue));
  });
}

void ControlServer::show_health(const std::shared_ptr<Exchange>& exchange) {
  if (services_.monitored == nullptr) return exchange->refuse(404, "nothing is watched here");
  const std::string illness = format_illness(services_.monitored->standing());
  exchange->answer_text(illness.empty() ? 200 : 503, "text/plain; charset=utf-8",
                        illness.empty() ? "ok\n" : illness);
}

}  // namespace rockdove::admin
