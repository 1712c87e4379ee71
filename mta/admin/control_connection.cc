#include "mta/admin/control_connection.h"

#include <utility>

#include "mta/admin/control_server.h"
#include "mta/admin/queue_text.h"
#include "mta/base/assert.h"

namespace rockdove::admin {

using base::Now;

namespace {

constexpr std::string_view kJson = "application/json";
constexpr std::string_view kJsonLines = "application/x-ndjson";

// Over TCP, where anybody may come, requests are small and have no body.
http::ServerLimits limits_of(Reach reach) {
  http::ServerLimits limits;
  if (reach == Reach::ControlSocket) return limits;
  limits.head_octets_max = 8 * 1024;
  limits.body_octets_max = 0;
  limits.answer_time = std::chrono::seconds(30);
  return limits;
}

}  // namespace

Exchange::Exchange(ControlConnection& connection, http::Request request, http::Target target,
                   std::optional<net::PeerCredentials> peer, Reach reach,
                   std::shared_ptr<std::uint32_t> running)
    : connection_(&connection),
      request_(std::move(request)),
      target_(std::move(target)),
      peer_(peer),
      reach_(reach),
      running_(std::move(running)) {
  ++*running_;
}

Exchange::~Exchange() {
  --*running_;
}

void Exchange::answer(unsigned status, std::string_view json, std::string_view allow) {
  http::Response response;
  response.status = status;
  response.fields.push_back({"Content-Type", std::string(kJson)});
  if (!allow.empty()) response.fields.push_back({"Allow", std::string(allow)});
  response.body = std::string(json) + "\n";
  send(response);
}

void Exchange::answer_text(unsigned status, std::string_view type, std::string text) {
  http::Response response;
  response.status = status;
  response.fields.push_back({"Content-Type", std::string(type)});
  response.body = std::move(text);
  send(response);
}

void Exchange::send(const http::Response& response) {
  if (is_gone()) return;
  ControlConnection& connection = *connection_;
  connection.conversation_->answer(response, connection.now());
  connection.forget_exchange();
  connection.want_turn();
}

void Exchange::refuse(unsigned status, std::string_view text) {
  answer(status, format_error(text));
}

void Exchange::start() {
  start(kJsonLines);
}

void Exchange::start(std::string_view type) {
  if (is_gone()) return;
  is_started_ = true;
  connection_->conversation_->start_answer(200, {{"Content-Type", std::string(type)}},
                                           connection_->now());
}

void Exchange::line(std::string_view json) {
  part(std::string(json) + "\n");
}

void Exchange::part(std::string_view octets) {
  if (is_gone()) return;
  connection_->conversation_->answer_part(octets, connection_->now());
  connection_->want_turn();
}

void Exchange::end() {
  if (is_gone()) return;
  ControlConnection& connection = *connection_;
  connection.conversation_->end_answer(connection.now());
  connection.forget_exchange();
  connection.want_turn();
}

void Exchange::break_off() {
  if (is_gone()) return;
  ControlConnection& connection = *connection_;
  connection.conversation_->break_answer();
  connection.forget_exchange();
  connection.want_turn();
}

void Exchange::fail(std::string_view text) {
  if (is_started_) return break_off();
  refuse(500, text);
}

void Exchange::when_room(base::Task task) {
  if (is_gone()) return;
  if (connection_->conversation_->wants_part()) {
    task();
    return;
  }
  MTA_ASSERT(!when_room_);
  when_room_ = std::move(task);
}

void Exchange::keep(std::shared_ptr<void> what) {
  if (!is_gone()) kept_ = std::move(what);
}

ControlConnection::~ControlConnection() {
  forget_exchange();
  server_.connection_closed(reach_);
}

void ControlConnection::connected(net::Wire& wire, const net::ConnectionInfo& info, Now now) {
  wire_ = &wire;
  peer_ = info.credentials;
  conversation_.emplace(limits_of(reach_), now);
}

void ControlConnection::receive(std::string_view bytes, Now now) {
  conversation_->receive(bytes);
  take_requests(now);
}

void ControlConnection::peer_closed(Now now) {
  conversation_->peer_closed();
  take_requests(now);
}

void ControlConnection::lost(const net::Loss&, Now) {
  forget_exchange();
}

void ControlConnection::deadline_reached(Now now) {
  conversation_->deadline_reached(now);
  if (conversation_->is_over()) forget_exchange();
}

void ControlConnection::turn(Now now) {
  if (exchange_ != nullptr && exchange_->when_room_ && conversation_->wants_part()) {
    base::Task task = std::exchange(exchange_->when_room_, {});
    task();
  }
  take_requests(now);
}

void ControlConnection::take_requests(Now now) {
  while (std::optional<http::Request> request = conversation_->take_request(now)) {
    base::Result<http::Target> target = http::parse_target(request->target);
    if (!target) {
      conversation_->answer(
          {400, {{"Content-Type", std::string(kJson)}}, format_error(target.error().text()) + "\n"},
          now);
      continue;
    }
    exchange_ =
        server_.make_exchange(*this, *std::move(request), *std::move(target), peer_, reach_);
    const std::shared_ptr<Exchange> exchange = exchange_;  // may be answered, and dropped, within
    server_.handle(exchange);
  }
}

// Whoever still works on an answer keeps the exchange, but no longer reaches us.
void ControlConnection::forget_exchange() {
  if (exchange_ == nullptr) return;
  exchange_->connection_ = nullptr;
  // What waits for room owns the exchange in turn; both may go now, the exchange last.
  const std::shared_ptr<Exchange> exchange = std::exchange(exchange_, nullptr);
  const base::Task dropped = std::exchange(exchange->when_room_, {});
  const std::shared_ptr<void> kept = std::exchange(exchange->kept_, nullptr);
}

Now ControlConnection::now() const {
  return server_.loop().now();
}

void ControlConnection::want_turn() {
  if (wire_ != nullptr) wire_->want_turn();
}

std::string_view ControlConnection::output() const {
  return conversation_->output();
}

void ControlConnection::output_sent(std::size_t octets, Now now) {
  conversation_->output_sent(octets, now);
  const bool has_room =
      exchange_ != nullptr && exchange_->when_room_ && conversation_->wants_part();
  if (has_room || conversation_->is_held_back()) want_turn();
}

base::Instant ControlConnection::deadline() const {
  return conversation_->deadline();
}

bool ControlConnection::wants_input() const {
  return conversation_->wants_input();
}

bool ControlConnection::is_over() const {
  return conversation_->is_over();
}

}  // namespace rockdove::admin
