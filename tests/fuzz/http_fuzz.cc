// The server's side of an HTTP conversation against any bytes: cut anywhere they give the same
// requests and the same output; output and what is kept are bounded, however many requests come
// before the client takes an answer; when it is over it stays over.
// What it answers, the client's side reads back as it was said.
#include <string>
#include <vector>

#include "mta/http/client_conversation.h"
#include "mta/http/server_conversation.h"
#include "mta/http/target.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace rockdove;
using namespace std::chrono_literals;

constexpr std::string_view kAnswer = "an answer in two parts\n";

struct Conversation {
  std::string output;
  std::vector<std::string> requests;
  bool over = false;
};

base::Now now() {
  return {base::Instant(1h), base::from_unix_milliseconds(1'795'295'700'000)};
}

// Two answers or three; then the next request waits.
constexpr std::size_t kUnsentMax = 256;
constexpr std::size_t kAnswerOctetsMax = 512;

void answer_all(http::ServerConversation& server, Conversation& seen) {
  while (const std::optional<http::Request> request = server.take_request(now())) {
    std::string text = request->method + " " + request->target + "\n";
    for (const http::Field& field : request->fields) text += field.name + "=" + field.value + "\n";
    FUZZ_CHECK(request->body.size() <= 64 * 1024);
    seen.requests.push_back(text + request->body);
    if (const auto target = http::parse_target(request->target)) {
      const auto again = http::parse_target(http::format_target(*target));
      FUZZ_CHECK(again && again->path == target->path && again->parameters == target->parameters);
    }
    if (seen.requests.size() % 2 == 1) {
      server.answer({200, {}, std::string(kAnswer)}, now());
      continue;
    }
    server.start_answer(200, {}, now());
    server.answer_part(kAnswer.substr(0, 5), now());
    server.answer_part(kAnswer.substr(5), now());
    server.end_answer(now());
  }
}

// As a client does that takes what is there only when nothing more comes.
void drain(http::ServerConversation& server, Conversation& seen) {
  do {
    answer_all(server, seen);
    FUZZ_CHECK(server.output().size() <= kUnsentMax + kAnswerOctetsMax);
    seen.output += server.output();
    server.output_sent(server.output().size(), now());
  } while (server.is_held_back());
}

Conversation converse(std::string_view bytes, fuzz::Choices* cuts) {
  http::ServerLimits limits;
  limits.unsent_octets_max = kUnsentMax;
  http::ServerConversation server(limits, now());
  Conversation seen;
  while (!bytes.empty()) {
    const std::size_t octets =
        cuts == nullptr ? bytes.size() : std::min(bytes.size(), 1 + cuts->next(40));
    server.receive(bytes.substr(0, octets));
    bytes.remove_prefix(octets);
    drain(server, seen);
  }
  server.peer_closed();
  drain(server, seen);
  seen.over = server.is_over();
  return seen;
}

// "100 Continue" is said only to those who wait before they send a body, so cuts decide about it.
void remove_continues(std::string& output) {
  constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  for (std::size_t at = output.find(kContinue); at != output.npos; at = output.find(kContinue)) {
    output.erase(at, kContinue.size());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::as_text(data, size);
  fuzz::Choices cuts(text.substr(0, text.size() / 8));
  Conversation whole = converse(text, nullptr);
  Conversation cut = converse(text, &cuts);
  remove_continues(whole.output);
  remove_continues(cut.output);
  FUZZ_CHECK(whole.requests == cut.requests);
  FUZZ_CHECK(whole.output == cut.output);
  FUZZ_CHECK(whole.over && cut.over);
  FUZZ_CHECK(whole.output.size() <= 512 + 40 * size);

  // The same bytes as an answer: the client may refuse them, and must not mind where they are cut.
  http::ClientConversation client;
  client.start({"GET", "/", {}, ""});
  std::string body;
  bool refused = false;
  for (std::size_t i = 0; i < text.size() && !client.is_done() && !refused; ++i) {
    refused = !client.receive(text.substr(i, 1)).is_ok();
    body += client.take_body();
  }
  FUZZ_CHECK(body.size() <= size);
  return 0;
}
