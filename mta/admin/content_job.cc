#include "mta/admin/content_job.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <utility>

#include "mta/base/ids.h"

namespace rockdove::admin {

using base::MessageId;
using base::Result;

namespace {

struct ContentRequest {
  MessageId message;
  bool wants_header = true;
  bool wants_body = true;
  std::uint64_t body_octets_max = std::numeric_limits<std::uint64_t>::max();
};

Result<ContentRequest> parse_content_request(const http::Target& target) {
  ContentRequest request;
  const std::string* id = target.find("id");
  std::optional<MessageId> message;
  if (id != nullptr) message = base::parse_message_id(*id);
  if (id != nullptr && !message) {
    if (const auto delivery = base::parse_delivery_id(*id)) message = delivery->message;
  }
  if (!message) return base::Error("id= must be the id of a message, like 3ZzBCDFGHJKL");
  request.message = *message;
  if (const std::string* part = target.find("part")) {
    request.wants_header = *part == "header";
    request.wants_body = *part == "body";
    if (request.wants_header == request.wants_body) {
      return base::Error("part= is header or body; without it, both come");
    }
  }
  if (const std::string* octets = target.find("octets")) {
    const char* end = octets->data() + octets->size();
    const auto [stop, error] = std::from_chars(octets->data(), end, request.body_octets_max);
    if (error != std::errc() || stop != end) return base::Error("octets= must be a number");
  }
  return request;
}

// One answer on its way.
class Content : public std::enable_shared_from_this<Content> {
 public:
  Content(base::Loop& loop, queue::Store& store, std::shared_ptr<Exchange> exchange,
          const ContentRequest& request)
      : loop_(loop),
        store_(store),
        exchange_(std::move(exchange)),
        request_(request),
        octets_left_(request.wants_body ? request.body_octets_max : 0) {}

  void start() {
    store_.view(loop_, request_.message,
                [self = shared_from_this()](Result<queue::MessageView> view) {
                  self->on_view(std::move(view));
                });
  }

 private:
  void on_view(Result<queue::MessageView> view) {
    if (!view) {
      exchange_->refuse(500, view.error().text());
      return;
    }
    if (view->message == nullptr) {
      exchange_->refuse(404, "there is no such message in the queue");
      return;
    }
    chunks_ = view->message->body_chunks;
    exchange_->start("message/rfc822");
    if (request_.wants_header) exchange_->part(view->message->header_block);
    next();
  }

  void next() {
    if (index_ == chunks_ || octets_left_ == 0) {
      exchange_->end();
      return;
    }
    exchange_->when_room([self = shared_from_this()] { self->read(); });
  }

  void read() {
    store_.read_chunk(
        loop_, request_.message, index_,
        [self = shared_from_this()](const Result<std::shared_ptr<const std::string>>& octets) {
          self->on_chunk(octets);
        });
  }

  void on_chunk(const Result<std::shared_ptr<const std::string>>& octets) {
    if (!octets) {
      exchange_->break_off();
      return;
    }
    const std::string_view chunk = **octets;
    const auto taken = std::min<std::uint64_t>(chunk.size(), octets_left_);
    exchange_->part(chunk.substr(0, static_cast<std::size_t>(taken)));
    octets_left_ -= taken;
    ++index_;
    next();
  }

  base::Loop& loop_;
  queue::Store& store_;
  const std::shared_ptr<Exchange> exchange_;
  const ContentRequest request_;
  std::uint64_t octets_left_;  // of the body
  std::uint32_t chunks_ = 0;
  std::uint32_t index_ = 0;
};

}  // namespace

void start_content(base::Loop& loop, queue::Store& store, std::shared_ptr<Exchange> exchange) {
  const Result<ContentRequest> request = parse_content_request(exchange->target());
  if (!request) {
    exchange->refuse(400, request.error().text());
    return;
  }
  std::make_shared<Content>(loop, store, std::move(exchange), *request)->start();
}

}  // namespace rockdove::admin
