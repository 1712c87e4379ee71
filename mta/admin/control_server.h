// RUNTIME_DIR/control.sock: the commands' way to the running daemon, HTTP with JSON. Looks come
// from the store, acts go to the owners of deliveries, and each act is logged with the user who
// asked for it.
//
// What is below /v1 is the control protocol: contrib/doc/control.md has its paths, kRoutes serves
// them. GET /metrics and GET /healthz are also answered on a TCP listener (admin.http), where
// nothing else is: there nobody has shown who he is.
#pragma once

#include <cstdint>
#include <memory>

#include "mta/admin/acts.h"
#include "mta/admin/exchange.h"
#include "mta/admin/metrics.h"
#include "mta/admin/queue_counter.h"
#include "mta/admin/queue_explainer.h"
#include "mta/admin/rescue_jobs.h"
#include "mta/admin/route_explainer.h"
#include "mta/admin/top.h"
#include "mta/base/log.h"
#include "mta/base/loop.h"
#include "mta/net/protocol.h"
#include "queue/store.h"

namespace rockdove::admin {

inline constexpr std::uint32_t kRequestsMax = 32;      // at once; beyond: 503
inline constexpr std::uint32_t kConnectionsMax = 128;  // beyond: closed at once
inline constexpr std::uint32_t kHttpConnectionsMax = 32;
inline constexpr std::size_t kIdsMax = 1000;  // in one request

class ControlServer {
 public:
  // All belong to, or may be called from, `loop`, and outlive the server and its connections.
  struct Services {
    base::Loop& loop;
    queue::Store& store;
    QueueActs& acts;
    PauseControl& pauses;
    RouteExplainer& routes;
    base::Log& log;
    Monitored* monitored = nullptr;       // null: there are no metrics
    QueueExplainer* explainer = nullptr;  // null: nobody knows where a delivery is
    ActivitySource* activity = nullptr;   // null: nobody knows what happened of late
    queue::OwnIds own_ids{};              // that nothing may come in by
  };

  explicit ControlServer(const Services& services)
      : services_(services),
        queue_counter_(services.loop, services.store),
        imports_({services.loop, services.store, services.acts, services.log, services.own_ids}) {}

  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  // For a listener's Accept; null when there are too many. The server outlives what it returns.
  [[nodiscard]] std::unique_ptr<net::Protocol> accept(const net::ConnectionInfo& info);
  // The same for the listener of admin.http.
  [[nodiscard]] std::unique_ptr<net::Protocol> accept_http(const net::ConnectionInfo& info);

  [[nodiscard]] std::uint32_t connections() const { return connections_; }

  [[nodiscard]] std::uint32_t requests() const { return *running_; }

 private:
  friend class ControlConnection;
  using Handler = void (ControlServer::*)(const std::shared_ptr<Exchange>&);

  struct Route {
    std::string_view method;
    std::string_view path;
    Handler handler;
    Reach reach = Reach::ControlSocket;  // Anyone: over TCP as well, and HEAD does as GET
  };

  static const Route kRoutes[];

  [[nodiscard]] base::Loop& loop() const { return services_.loop; }

  [[nodiscard]] std::shared_ptr<Exchange> make_exchange(ControlConnection& connection,
                                                        http::Request request, http::Target target,
                                                        std::optional<net::PeerCredentials> peer,
                                                        Reach reach);
  void handle(const std::shared_ptr<Exchange>& exchange);

  void connection_closed(Reach reach) {
    --(reach == Reach::Anyone ? http_connections_ : connections_);
  }

  void list(const std::shared_ptr<Exchange>& exchange);
  void count(const std::shared_ptr<Exchange>& exchange);
  void say_alive(const std::shared_ptr<Exchange>& exchange);
  void summarise(const std::shared_ptr<Exchange>& exchange);
  void show_message(const std::shared_ptr<Exchange>& exchange);
  void explain_why(const std::shared_ptr<Exchange>& exchange);
  void send_content(const std::shared_ptr<Exchange>& exchange);
  void send_envelope(const std::shared_ptr<Exchange>& exchange);
  void take_import(const std::shared_ptr<Exchange>& exchange);
  void act(const std::shared_ptr<Exchange>& exchange);
  void list_pauses(const std::shared_ptr<Exchange>& exchange);
  void pause(const std::shared_ptr<Exchange>& exchange);
  void resume(const std::shared_ptr<Exchange>& exchange);
  void trace(const std::shared_ptr<Exchange>& exchange);
  void count_history(const std::shared_ptr<Exchange>& exchange);
  void list_replies(const std::shared_ptr<Exchange>& exchange);
  void explain_route(const std::shared_ptr<Exchange>& exchange);
  void list_learned(const std::shared_ptr<Exchange>& exchange);
  void show_top(const std::shared_ptr<Exchange>& exchange);
  void show_metrics(const std::shared_ptr<Exchange>& exchange);
  void show_health(const std::shared_ptr<Exchange>& exchange);

  const Services services_;
  QueueCounter queue_counter_;
  Imports imports_;
  std::uint32_t connections_ = 0;
  std::uint32_t http_connections_ = 0;
  std::shared_ptr<std::uint32_t> running_ = std::make_shared<std::uint32_t>(0);
  std::shared_ptr<std::uint32_t> counting_ = std::make_shared<std::uint32_t>(0);  // GET /v1/stats
};

}  // namespace rockdove::admin
