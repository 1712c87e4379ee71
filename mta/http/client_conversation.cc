#include "mta/http/client_conversation.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/string_body.hpp>

#include "mta/base/assert.h"

namespace rockdove::http {

namespace beast = boost::beast;

void ClientConversation::start(const Request& request) {
  MTA_ASSERT(!started_ || is_reusable());
  beast::http::request<beast::http::string_body> message;
  message.version(11);
  message.method_string(request.method);
  message.target(request.target);
  for (const Field& field : request.fields) message.insert(field.name, field.value);
  if (message.count(beast::http::field::host) == 0) {
    message.set(beast::http::field::host, "localhost");
  }
  message.body() = request.body;
  if (!request.body.empty() || request.method == "POST") {
    message.content_length(request.body.size());
  }
  beast::http::request_serializer<beast::http::string_body> serializer(message);
  while (!serializer.is_done()) {
    beast::error_code error;
    serializer.next(error, [&](beast::error_code&, const auto& buffers) {
      std::size_t octets = 0;
      for (const auto buffer : beast::buffers_range_ref(buffers)) {
        output_.append({static_cast<const char*>(buffer.data()), buffer.size()});
        octets += buffer.size();
      }
      serializer.consume(octets);
    });
    MTA_ASSERT(!error);
  }
  head_.reset();
  chunks_ = ChunkReader();
  body_.clear();
  started_ = true;
  done_ = false;
}

base::Result<void> ClientConversation::receive(std::string_view bytes) {
  if (done_) return base::Error("the server sent something that nobody had asked for");
  input_.append(bytes);
  while (!head_ && !input_.is_empty()) {
    const std::size_t before = input_.size();
    if (base::Result<void> read = read_head(); !read) return read;
    if (input_.size() == before) return {};  // the head is not whole yet
  }
  return head_ ? read_body() : base::Result<void>();
}

// Takes one whole head from the input, or nothing.
base::Result<void> ClientConversation::read_head() {
  const std::size_t end = input_.view().find("\r\n\r\n");
  const std::size_t octets = end == std::string_view::npos ? input_.size() : end + 4;
  if (octets > kAnswerHeadOctetsMax)
    return base::Error("the head of the server's answer is too long");
  if (end == std::string_view::npos) return {};
  beast::http::response_parser<beast::http::empty_body> parser;
  parser.header_limit(static_cast<std::uint32_t>(kAnswerHeadOctetsMax));
  parser.body_limit(std::numeric_limits<std::uint64_t>::max());  // none would be 0 in Beast 1.74
  beast::error_code error;
  parser.put({input_.view().data(), octets}, error);
  if (error || !parser.is_header_done()) {
    return base::Error("the server's answer is no HTTP: " + error.message());
  }
  input_.take(octets);
  const auto& message = parser.get();
  if (message.result_int() / 100 == 1) return {};  // RFC 9110 §15.2: the answer proper follows
  head_.emplace();
  head_->status = message.result_int();
  for (const auto& field : message) {
    head_->fields.push_back({std::string(field.name_string()), std::string(field.value())});
  }
  keep_alive_ = parser.keep_alive();
  framing_ = Framing::Length;
  body_left_ = parser.content_length().value_or(0);
  if (parser.chunked()) framing_ = Framing::Chunked;
  if (parser.need_eof()) framing_ = Framing::UntilClose;
  return {};
}

base::Result<void> ClientConversation::read_body() {
  switch (framing_) {
    case Framing::Length: {
      const std::size_t octets =
          static_cast<std::size_t>(std::min<std::uint64_t>(body_left_, input_.size()));
      body_ += input_.view().substr(0, octets);
      input_.take(octets);
      body_left_ -= octets;
      done_ = body_left_ == 0;
      return {};
    }
    case Framing::Chunked: {
      base::Result<void> read = chunks_.read(input_, body_);
      done_ = chunks_.is_done();
      return read;
    }
    case Framing::UntilClose:
      body_ += input_.view();
      input_.clear();
      return {};
  }
  return {};
}

base::Result<void> ClientConversation::peer_closed() {
  if (head_ && framing_ == Framing::UntilClose) done_ = true;
  keep_alive_ = false;
  if (done_) return {};
  return base::Error(head_ ? "the answer was cut short" : "the connection was closed unanswered");
}

std::string ClientConversation::take_body() {
  return std::exchange(body_, {});
}

}  // namespace rockdove::http
