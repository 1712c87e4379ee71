// One HTTP/1.1 conversation (RFC 9112), the server's side, without a socket, a clock or a thread.
//
// Give it what arrives, then ask take_request(). It hands out one request at a time and looks at no
// further octet until that one is answered, so answers keep the order of requests when the client
// pipelines. What is no HTTP, too big or too slow it answers itself, and closes.
//
//   Reading ──request──▶ Asked ──answer()────────────────────▶ Reading (kept alive) or Closing
//      │                   └──start_answer()─▶ Answering ──end_answer()──▶ likewise
//      └── bad, too big, too slow ─▶ Closing (answer still to be sent) ─▶ Over
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "mta/base/byte_buffer.h"
#include "mta/base/time.h"
#include "mta/http/message.h"

namespace rockdove::http {

struct ServerLimits {
  std::size_t head_octets_max = 16 * 1024;  // beyond: 431
  std::size_t body_octets_max = 64 * 1024;  // beyond: 413
  // Above it wants_part() is false, and no further request is taken: who asks much and reads
  // nothing does not fill our memory.
  std::size_t unsent_octets_max = 64 * 1024;
  // How long a connection may stand between requests, a request may take to come in whole, and the
  // client may take nothing of what is to be sent.
  base::Duration patience = std::chrono::seconds(10);
  // How long it may take until it has taken all that is to be sent, however fast it goes.
  base::Duration answer_time = std::chrono::hours(24);
};

class ServerConversation {
 public:
  ServerConversation(const ServerLimits& limits, base::Now now);
  ~ServerConversation();
  ServerConversation(const ServerConversation&) = delete;
  ServerConversation& operator=(const ServerConversation&) = delete;

  // What happened.
  void receive(std::string_view bytes);  // takes all; keeps at most what is being read ahead
  void peer_closed();                    // the answer to what was asked is still sent
  void deadline_reached(base::Now now);

  // The next request, once whole; it must then be answered. nullopt: none yet, or never again; or
  // is_held_back().
  [[nodiscard]] std::optional<Request> take_request(base::Now now);

  // The whole answer to the request taken last.
  void answer(const Response& response, base::Now now);
  // Or its head only; then parts while wants_part(), and the end.
  void start_answer(unsigned status, const std::vector<Field>& fields, base::Now now);
  void answer_part(std::string_view bytes, base::Now now);
  void end_answer(base::Now now);
  // The rest of a started answer cannot be had: the connection closes without the mark of the end,
  // so that the client knows that something is missing.
  void break_answer();

  // The next request waits for the client to take what is unsent.
  [[nodiscard]] bool is_held_back() const { return held_back_; }

  [[nodiscard]] bool is_asked() const { return state_ == State::Asked; }

  [[nodiscard]] bool is_answering() const { return state_ == State::Answering; }

  // A started answer may go on: little is unsent.
  [[nodiscard]] bool wants_part() const;

  // What it wants.
  [[nodiscard]] std::string_view output() const { return output_.view(); }  // until the next change

  void output_sent(std::size_t octets, base::Now now);
  [[nodiscard]] base::Instant deadline() const;
  [[nodiscard]] bool wants_input() const;
  [[nodiscard]] bool is_over() const;

 private:
  enum class State : std::uint8_t { Reading, Asked, Answering, Closing, Over };
  enum class Framing : std::uint8_t { Length, Chunked, UntilClose };
  class Parser;

  [[nodiscard]] std::optional<Request> parse(base::Now now);
  [[nodiscard]] bool parse_head(base::Now now);
  [[nodiscard]] bool put(std::size_t octets, base::Now now);
  [[nodiscard]] std::optional<Request> accept_request(base::Now now);
  // Answers with `status` and one sentence, and closes.
  void refuse(unsigned status, std::string_view sentence, base::Now now);
  void continue_if_expected(base::Now now);
  void write_head(unsigned status, const std::vector<Field>& fields, Framing framing,
                  std::size_t body_octets, base::Now now);
  void write(std::string_view bytes, base::Now now);
  void finish_answer(base::Now now);
  void start_reading(base::Now now);

  const ServerLimits limits_;
  State state_ = State::Reading;
  base::ByteBuffer input_;
  base::ByteBuffer output_;
  std::unique_ptr<Parser> parser_;
  bool request_begun_ = false;     // octets of the request being read have come
  std::size_t head_searched_ = 0;  // no end of the head begins in so many octets of the input
  bool said_continue_ = false;
  bool held_back_ = false;
  bool peer_has_closed_ = false;
  bool keep_alive_ = true;  // after the current answer
  bool is_head_ = false;    // the current request is HEAD: its answer has no body
  unsigned version_ = 11;   // of the current request: 10 or 11
  Framing framing_ = Framing::Length;
  base::Instant reading_until_;
  base::Instant sending_until_ = base::kNever;
  base::Instant sent_until_ = base::kNever;  // limits_.answer_time is over
};

}  // namespace rockdove::http
