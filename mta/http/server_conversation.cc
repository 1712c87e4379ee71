#include "mta/http/server_conversation.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/string_body.hpp>

#include "mta/base/assert.h"
#include "mta/base/text.h"

namespace rockdove::http {

namespace beast = boost::beast;
using base::Now;

// Beast's parser for one request, and the connection to its names.
class ServerConversation::Parser {
 public:
  explicit Parser(const ServerLimits& limits) {
    parser_.header_limit(static_cast<std::uint32_t>(limits.head_octets_max));
    parser_.body_limit(limits.body_octets_max);
    parser_.eager(true);
  }

  beast::http::request_parser<beast::http::string_body>& operator*() { return parser_; }

  beast::http::request_parser<beast::http::string_body>* operator->() { return &parser_; }

 private:
  beast::http::request_parser<beast::http::string_body> parser_;
};

namespace {

struct Refusal {
  unsigned status;
  std::string_view sentence;
};

Refusal refusal_of(beast::http::error error) {
  switch (error) {
    case beast::http::error::header_limit:
      return {431, "the request's header is too large"};
    case beast::http::error::body_limit:
      return {413, "the request's body is too large"};
    case beast::http::error::bad_version:
      return {505, "only HTTP/1.0 and HTTP/1.1 are spoken here"};
    case beast::http::error::bad_transfer_encoding:
      return {501, "only the transfer coding \"chunked\" is understood"};
    case beast::http::error::end_of_stream:
    case beast::http::error::partial_message:
    case beast::http::error::need_more:
    case beast::http::error::unexpected_body:
    case beast::http::error::need_buffer:
    case beast::http::error::end_of_chunk:
    case beast::http::error::buffer_overflow:
    case beast::http::error::bad_alloc:
    case beast::http::error::bad_line_ending:
    case beast::http::error::bad_method:
    case beast::http::error::bad_target:
    case beast::http::error::bad_status:
    case beast::http::error::bad_reason:
    case beast::http::error::bad_field:
    case beast::http::error::bad_value:
    case beast::http::error::bad_content_length:
    case beast::http::error::bad_chunk:
    case beast::http::error::bad_chunk_extension:
    case beast::http::error::bad_obs_fold:
    case beast::http::error::stale_parser:
    case beast::http::error::short_read:
      break;
  }
  return {400, "this is no HTTP request"};
}

// "Sat, 21 Nov 2026 21:15:00 GMT" (RFC 9110 §5.6.7).
std::string http_date(base::WallTime time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(
      std::chrono::time_point_cast<std::chrono::system_clock::duration>(time));
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 64> text{};
  const std::size_t octets =
      std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return {text.data(), octets};
}

bool is_one_line(std::string_view text) {
  return text.find_first_of("\r\n") == text.npos;
}

}  // namespace

ServerConversation::ServerConversation(const ServerLimits& limits, Now now) : limits_(limits) {
  start_reading(now);
}

ServerConversation::~ServerConversation() = default;

void ServerConversation::start_reading(Now now) {
  state_ = State::Reading;
  parser_ = std::make_unique<Parser>(limits_);
  request_begun_ = false;
  head_searched_ = 0;
  said_continue_ = false;
  reading_until_ = now.instant + limits_.patience;
}

void ServerConversation::receive(std::string_view bytes) {
  if (state_ == State::Closing || state_ == State::Over) return;  // nobody will read it
  input_.append(bytes);
}

void ServerConversation::peer_closed() {
  peer_has_closed_ = true;
}

void ServerConversation::deadline_reached(Now now) {
  if (now.instant < deadline()) return;
  if (state_ == State::Reading && request_begun_ && output_.is_empty()) {
    refuse(408, "the request did not arrive in time", now);
    return;
  }
  output_.clear();  // the client does not take it, or there is nothing
  state_ = State::Over;
}

std::optional<Request> ServerConversation::take_request(Now now) {
  if (state_ != State::Reading) return std::nullopt;
  held_back_ = output_.size() >= limits_.unsent_octets_max;
  if (held_back_) return std::nullopt;
  if (!input_.is_empty() && !request_begun_) {
    request_begun_ = true;
    reading_until_ = now.instant + limits_.patience;
  }
  std::optional<Request> request = parse(now);
  if (!request && state_ == State::Reading && peer_has_closed_) state_ = State::Closing;
  return request;
}

std::optional<Request> ServerConversation::parse(Now now) {
  if (!(*parser_)->is_header_done() && !parse_head(now)) return std::nullopt;
  if (!(*parser_)->is_done() && !input_.is_empty() && !put(input_.size(), now)) {
    return std::nullopt;
  }
  if ((*parser_)->is_done()) return accept_request(now);
  continue_if_expected(now);
  return std::nullopt;
}

// Beast sees a head only when it is whole, so that what it thinks of it does not depend on how the
// bytes were cut.
bool ServerConversation::parse_head(Now now) {
  // RFC 9112 §2.2: empty lines before a request are to be ignored.
  while (input_.view().starts_with("\r\n")) input_.take(2);
  const std::size_t end = input_.view().find("\r\n\r\n", head_searched_);
  const std::size_t octets = end == std::string_view::npos ? input_.size() : end + 4;
  if (octets > limits_.head_octets_max) {
    refuse(431, "the request's header is too large", now);
    return false;
  }
  if (end == std::string_view::npos) {
    head_searched_ = octets < 3 ? 0 : octets - 3;
    return false;
  }
  if (!put(octets, now)) return false;
  if (!(*parser_)->is_header_done()) {  // "GET /\r\n\r\n": Beast waits for the rest of the line
    refuse(400, "this is no HTTP request", now);
    return false;
  }
  // RFC 9112 §6.1 lets us insist on a length; a body in chunks has no place in small requests.
  if ((*parser_)->chunked()) {
    refuse(411, "a request's body needs a Content-Length", now);
    return false;
  }
  return true;
}

// Gives the parser the first `octets` of what has come. false: it does not like them, and the
// client has been told.
bool ServerConversation::put(std::size_t octets, Now now) {
  beast::error_code error;
  const std::string_view bytes = input_.view().substr(0, octets);
  input_.take((*parser_)->put({bytes.data(), bytes.size()}, error));
  if (!error || error == beast::http::error::need_more) return true;
  const Refusal refusal = refusal_of(static_cast<beast::http::error>(error.value()));
  refuse(refusal.status, refusal.sentence, now);
  return false;
}

// RFC 9110 §10.1.1: the client waits for this line before it sends the body.
void ServerConversation::continue_if_expected(Now now) {
  if (said_continue_ || !(*parser_)->is_header_done()) return;
  said_continue_ = true;
  const auto& head = (*parser_)->get();
  const auto expect = head[beast::http::field::expect];
  if (head.version() < 11 ||
      !base::equals_ignoring_case({expect.data(), expect.size()}, "100-continue")) {
    return;
  }
  write("HTTP/1.1 100 Continue\r\n\r\n", now);
}

std::optional<Request> ServerConversation::accept_request(Now now) {
  auto& message = (*parser_)->get();
  version_ = message.version();
  keep_alive_ = (*parser_)->keep_alive();
  // RFC 9112 §3.2: exactly one Host field, or 400.
  if (version_ == 11 && message.count(beast::http::field::host) != 1) {
    refuse(400, "a request needs exactly one Host field", now);
    return std::nullopt;
  }
  Request request;
  request.method.assign(message.method_string().data(), message.method_string().size());
  request.target.assign(message.target().data(), message.target().size());
  for (const auto& field : message) {
    request.fields.push_back({std::string(field.name_string()), std::string(field.value())});
  }
  request.body = std::move(message.body());
  is_head_ = request.method == "HEAD";
  state_ = State::Asked;
  return request;
}

void ServerConversation::refuse(unsigned status, std::string_view sentence, Now now) {
  keep_alive_ = false;
  is_head_ = false;
  version_ = 11;
  state_ = State::Asked;
  answer({status, {{"Content-Type", "text/plain; charset=utf-8"}}, std::string(sentence) + "\n"},
         now);
}

void ServerConversation::answer(const Response& response, Now now) {
  MTA_ASSERT(state_ == State::Asked);
  write_head(response.status, response.fields, Framing::Length, response.body.size(), now);
  if (!is_head_) write(response.body, now);
  finish_answer(now);
}

void ServerConversation::start_answer(unsigned status, const std::vector<Field>& fields, Now now) {
  MTA_ASSERT(state_ == State::Asked);
  // HTTP/1.0 knows no chunks: there the end of the connection is the end of the answer.
  framing_ = version_ >= 11 ? Framing::Chunked : Framing::UntilClose;
  if (framing_ == Framing::UntilClose) keep_alive_ = false;
  write_head(status, fields, framing_, 0, now);
  state_ = State::Answering;
}

void ServerConversation::answer_part(std::string_view bytes, Now now) {
  if (state_ == State::Over || state_ == State::Closing) return;  // nobody is there any more
  MTA_ASSERT(state_ == State::Answering);
  if (bytes.empty() || is_head_) return;  // a chunk of no octets would be the last one
  if (framing_ == Framing::UntilClose) {
    write(bytes, now);
    return;
  }
  std::array<char, 20> size{};
  char* const end = std::to_chars(size.data(), size.data() + 16, bytes.size(), 16).ptr;
  write({size.data(), static_cast<std::size_t>(end - size.data())}, now);
  write("\r\n", now);
  write(bytes, now);
  write("\r\n", now);
}

void ServerConversation::end_answer(Now now) {
  if (state_ == State::Over || state_ == State::Closing) return;
  MTA_ASSERT(state_ == State::Answering);
  if (framing_ == Framing::Chunked && !is_head_) write("0\r\n\r\n", now);
  finish_answer(now);
}

void ServerConversation::break_answer() {
  if (state_ == State::Answering) state_ = State::Closing;
}

void ServerConversation::finish_answer(Now now) {
  if (keep_alive_) {
    start_reading(now);
    return;
  }
  state_ = State::Closing;
  input_.clear();
}

void ServerConversation::write_head(unsigned status, const std::vector<Field>& fields,
                                    Framing framing, std::size_t body_octets, Now now) {
  beast::http::response<beast::http::empty_body> head;
  head.version(11);  // RFC 9110 §2.5: the server's own highest version, also to older clients
  head.result(status);
  head.set(beast::http::field::date, http_date(now.wall));
  for (const Field& field : fields) {
    MTA_ASSERT(is_one_line(field.name) && is_one_line(field.value));
    head.insert(field.name, field.value);
  }
  if (framing == Framing::Length) head.content_length(body_octets);
  if (framing == Framing::Chunked) head.chunked(true);
  if (!keep_alive_) head.set(beast::http::field::connection, "close");
  if (keep_alive_ && version_ == 10) head.set(beast::http::field::connection, "keep-alive");
  beast::http::response_serializer<beast::http::empty_body> serializer(head);
  serializer.split(true);  // the head alone
  while (!serializer.is_header_done()) {
    beast::error_code error;
    serializer.next(error, [&](beast::error_code&, const auto& buffers) {
      std::size_t octets = 0;
      for (const auto buffer : beast::buffers_range_ref(buffers)) {
        write({static_cast<const char*>(buffer.data()), buffer.size()}, now);
        octets += buffer.size();
      }
      serializer.consume(octets);
    });
    MTA_ASSERT(!error);
  }
}

void ServerConversation::write(std::string_view bytes, Now now) {
  if (bytes.empty()) return;
  if (output_.is_empty()) {
    sent_until_ = now.instant + limits_.answer_time;
    sending_until_ = std::min(now.instant + limits_.patience, sent_until_);
  }
  output_.append(bytes);
}

bool ServerConversation::wants_part() const {
  return state_ == State::Answering && output_.size() < limits_.unsent_octets_max;
}

void ServerConversation::output_sent(std::size_t octets, Now now) {
  if (octets == 0) return;
  output_.take(octets);
  sending_until_ = std::min(now.instant + limits_.patience, sent_until_);
  // The client gets its full time to send the next request after it has the answer.
  if (state_ == State::Reading && !request_begun_) reading_until_ = now.instant + limits_.patience;
}

base::Instant ServerConversation::deadline() const {
  const base::Instant sending = output_.is_empty() ? base::kNever : sending_until_;
  switch (state_) {
    case State::Reading:
      return std::min(reading_until_, sending);
    case State::Asked:  // it is our turn; what is unsent is a "100 Continue"
    case State::Answering:
    case State::Closing:
      return sending;
    case State::Over:
      return base::kNever;
  }
  return base::kNever;
}

bool ServerConversation::wants_input() const {
  if (peer_has_closed_) return false;
  switch (state_) {
    case State::Reading:
      return !held_back_ || input_.size() < limits_.head_octets_max;
    case State::Asked:
    case State::Answering:
      return input_.size() < limits_.head_octets_max;  // a little ahead, to see the peer close
    case State::Closing:
    case State::Over:
      return false;
  }
  return false;
}

bool ServerConversation::is_over() const {
  return state_ == State::Over || (state_ == State::Closing && output_.is_empty());
}

}  // namespace rockdove::http
