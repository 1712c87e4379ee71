// One HTTP/1.1 conversation (RFC 9112), the client's side, without a socket, a clock or a thread:
// one request, then its answer, whose body may be of any length and is taken in parts.
//
// When the answer is done, the next request may start on the same connection if is_reusable().
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mta/base/byte_buffer.h"
#include "mta/base/result.h"
#include "mta/http/chunk_reader.h"
#include "mta/http/message.h"

namespace rockdove::http {

inline constexpr std::size_t kAnswerHeadOctetsMax = 16 * 1024;

class ClientConversation {
 public:
  ClientConversation() = default;
  ClientConversation(const ClientConversation&) = delete;
  ClientConversation& operator=(const ClientConversation&) = delete;

  // Queues the request as output; any method but HEAD. Content-Length is added. Only when none is
  // under way.
  void start(const Request& request);

  [[nodiscard]] std::string_view output() const { return output_.view(); }

  void output_sent(std::size_t octets) { output_.take(octets); }

  // What the server sent; takes all. An error ends the conversation: it is no HTTP, or too big.
  [[nodiscard]] base::Result<void> receive(std::string_view bytes);
  // The server will send nothing more. An error when that cuts the answer short.
  [[nodiscard]] base::Result<void> peer_closed();

  // Set once the whole head has come.
  [[nodiscard]] const std::optional<ResponseHead>& head() const { return head_; }

  // What has come of the body since the last call.
  [[nodiscard]] std::string take_body();

  [[nodiscard]] bool is_done() const { return done_; }

  [[nodiscard]] bool is_reusable() const { return done_ && keep_alive_; }

 private:
  // Where the body ends (RFC 9112 §6.3).
  enum class Framing : std::uint8_t { Length, Chunked, UntilClose };

  [[nodiscard]] base::Result<void> read_head();
  [[nodiscard]] base::Result<void> read_body();

  base::ByteBuffer input_;
  base::ByteBuffer output_;
  std::optional<ResponseHead> head_;
  Framing framing_ = Framing::Length;
  std::uint64_t body_left_ = 0;  // of Framing::Length
  ChunkReader chunks_;
  std::string body_;
  bool started_ = false;
  bool done_ = true;
  bool keep_alive_ = true;
};

}  // namespace rockdove::http
