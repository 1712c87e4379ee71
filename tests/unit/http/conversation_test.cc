// Both sides of an HTTP conversation: what they say to each other, and what the server does with
// clients that are hostile, slow or gone. Time is a parameter; bytes are handed over by hand.
#include <catch2/catch.hpp>

#include "mta/http/client_conversation.h"
#include "mta/http/server_conversation.h"

namespace {

using namespace rockdove::http;
using namespace std::chrono_literals;
using rockdove::base::Now;

Now at(std::chrono::milliseconds since_start) {
  return {rockdove::base::Instant(1h + since_start),
          rockdove::base::from_unix_milliseconds(1'795'295'700'000) + since_start};
}

std::string take_output(ServerConversation& server, Now now = at(0ms)) {
  std::string out(server.output());
  server.output_sent(out.size(), now);
  return out;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// The status line of the answer to bytes that are refused, and that the connection then ends.
std::string refusal_of(std::string_view bytes) {
  ServerConversation server({}, at(0ms));
  server.receive(bytes);
  CHECK_FALSE(server.take_request(at(1ms)));
  const std::string out = take_output(server);
  CHECK(contains(out, "Connection: close\r\n"));
  CHECK(server.is_over());
  CHECK_FALSE(server.wants_input());
  return out.substr(0, out.find("\r\n"));
}

}  // namespace

TEST_CASE("http server: a request in single octets is the same as in one piece") {
  const std::string bytes =
      "POST /queue/retry?x=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello";
  const std::size_t step = GENERATE(1U, 2U, 7U, 1000U);
  ServerConversation server({}, at(0ms));
  std::optional<Request> request;
  for (std::size_t i = 0; i < bytes.size(); i += step) {
    REQUIRE_FALSE(request);
    server.receive(std::string_view(bytes).substr(i, step));
    request = server.take_request(at(1ms));
  }
  REQUIRE(request);
  CHECK(request->method == "POST");
  CHECK(request->target == "/queue/retry?x=1");
  CHECK(request->body == "hello");
  CHECK(field_value(request->fields, "HOST") == "localhost");
  CHECK(server.output().empty());
}

TEST_CASE("http server: an answer has a length, a date, and keeps the connection") {
  ServerConversation server({}, at(0ms));
  server.receive("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  REQUIRE(server.take_request(at(0ms)));
  server.answer({404, {{"Content-Type", "text/plain"}}, "no\n"}, at(0ms));
  const std::string out = take_output(server);
  CHECK(out.substr(0, 24) == "HTTP/1.1 404 Not Found\r\n");
  CHECK(contains(out, "Content-Length: 3\r\n"));
  CHECK(contains(out, "Content-Type: text/plain\r\n"));
  CHECK(contains(out, "Date: Sat, 21 Nov 2026 21:15:00 GMT\r\n"));
  CHECK(out.substr(out.size() - 7) == "\r\n\r\nno\n");
  CHECK_FALSE(server.is_over());
  server.receive("GET /again HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK(server.take_request(at(0ms)));
}

TEST_CASE("http server: pipelined requests are answered one after the other") {
  ServerConversation server({}, at(0ms));
  server.receive(
      "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n"
      "GET /3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET /4 HTTP/1.1\r\nHost: x\r\n\r\n");
  for (const char* target : {"/1", "/2", "/3"}) {
    const std::optional<Request> request = server.take_request(at(0ms));
    REQUIRE(request);
    CHECK(request->target == target);
    CHECK_FALSE(server.take_request(at(0ms)));  // not before that one is answered
    server.answer({200, {}, ""}, at(0ms));
  }
  CHECK_FALSE(server.take_request(at(0ms)));  // the third asked to close
  take_output(server);
  CHECK(server.is_over());
}

TEST_CASE("http server: a flood of pipelined requests is held back") {
  ServerConversation server({}, at(0ms));
  std::string flood;
  for (int i = 0; i < 2000; ++i) flood += "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  server.receive(flood);
  REQUIRE(server.take_request(at(0ms)));
  CHECK_FALSE(server.wants_input());
  for (int i = 1; i < 2000; ++i) {
    server.answer({200, {}, ""}, at(0ms));
    take_output(server);
    REQUIRE(server.take_request(at(0ms)));
  }
  CHECK(server.wants_input());
}

TEST_CASE("http server: who asks again and again and reads nothing is answered no further") {
  ServerConversation server({}, at(0ms));
  std::string flood;
  for (int i = 0; i < 1000; ++i) flood += "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  server.receive(flood);
  server.peer_closed();
  const std::string body(20'000, 'x');
  int answered = 0;
  const auto answer_all = [&] {
    while (server.take_request(at(0ms))) {
      server.answer({200, {}, body}, at(0ms));
      ++answered;
    }
  };
  answer_all();
  CHECK(answered == 4);
  CHECK(server.is_held_back());
  CHECK_FALSE(server.wants_input());
  // All the same each is answered once the client reads, and only then it ends.
  while (server.is_held_back()) {
    CHECK_FALSE(server.is_over());
    server.output_sent(server.output().size() / 2, at(0ms));
    answer_all();
    CHECK(server.output().size() < 64 * 1024 + 21'000);
  }
  CHECK(answered == 1000);
  take_output(server);
  CHECK(server.is_over());
}

TEST_CASE("http server: who takes his answer octet by octet has a time for all of it") {
  ServerLimits limits;
  limits.answer_time = 30s;
  ServerConversation server(limits, at(0ms));
  server.receive("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  REQUIRE(server.take_request(at(0ms)));
  server.answer({200, {}, std::string(1000, 'x')}, at(0ms));
  for (const auto time : {5s, 10s, 15s, 20s, 25s, 29s}) {
    server.output_sent(1, at(time));
    server.deadline_reached(at(time));
    CHECK_FALSE(server.is_over());
  }
  CHECK(server.deadline() == at(30s).instant);
  server.deadline_reached(at(30s));
  CHECK(server.is_over());
  // The next answer has its own time.
  ServerConversation other(limits, at(0ms));
  for (const auto time : {0s, 9s, 18s, 27s, 36s}) {
    other.receive("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    REQUIRE(other.take_request(at(time)));
    other.answer({200, {}, "x"}, at(time));
    take_output(other, at(time));
    other.deadline_reached(at(time));
    CHECK_FALSE(other.is_over());
  }
}

TEST_CASE("http server: a streamed answer stops when the client takes nothing, and goes on") {
  ServerConversation server({}, at(0ms));
  server.receive("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  REQUIRE(server.take_request(at(0ms)));
  server.start_answer(200, {}, at(0ms));
  const std::string part(10'000, 'x');
  int parts = 0;
  while (server.wants_part() && parts < 100) {
    server.answer_part(part, at(0ms));
    ++parts;
  }
  CHECK(parts == 7);  // the one that went above 64 KiB was the last
  ClientConversation client;
  client.start({"GET", "/", {}, ""});
  REQUIRE(client.receive(take_output(server)));
  CHECK(server.wants_part());
  CHECK(client.take_body().size() == 70'000);
  CHECK_FALSE(client.is_done());
  server.end_answer(at(0ms));
  REQUIRE(client.receive(take_output(server)));
  CHECK(client.is_done());
  CHECK(client.is_reusable());
  CHECK(client.take_body().empty());
}

TEST_CASE("http server: a streamed answer that breaks off is seen as such") {
  ServerConversation server({}, at(0ms));
  server.receive("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  REQUIRE(server.take_request(at(0ms)));
  server.start_answer(200, {}, at(0ms));
  server.answer_part("half", at(0ms));
  server.break_answer();
  ClientConversation client;
  client.start({"GET", "/", {}, ""});
  REQUIRE(client.receive(take_output(server)));
  CHECK(server.is_over());
  CHECK_FALSE(client.peer_closed());
  server.answer_part("more", at(0ms));  // a late result finds nobody, and harms nothing
  server.end_answer(at(0ms));
  CHECK(server.output().empty());
}

TEST_CASE("http server: HTTP/1.0 gets no chunks but the end of the connection") {
  ServerConversation server({}, at(0ms));
  server.receive("GET / HTTP/1.0\r\n\r\n");
  REQUIRE(server.take_request(at(0ms)));
  server.start_answer(200, {}, at(0ms));
  server.answer_part("all", at(0ms));
  server.end_answer(at(0ms));
  const std::string out = take_output(server);
  CHECK_FALSE(contains(out, "chunked"));
  CHECK(out.substr(out.size() - 7) == "\r\n\r\nall");
  CHECK(server.is_over());
  ClientConversation client;
  client.start({"GET", "/", {}, ""});
  REQUIRE(client.receive(out));
  CHECK_FALSE(client.is_done());
  REQUIRE(client.peer_closed());
  CHECK(client.is_done());
  CHECK_FALSE(client.is_reusable());
}

TEST_CASE("http server: HEAD is answered without a body") {
  ServerConversation server({}, at(0ms));
  server.receive("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
  REQUIRE(server.take_request(at(0ms)));
  server.answer({200, {}, "body"}, at(0ms));
  const std::string out = take_output(server);
  CHECK(contains(out, "Content-Length: 4\r\n"));
  CHECK(out.substr(out.size() - 4) == "\r\n\r\n");
}

TEST_CASE("http server: a client that waits for leave to send its body gets it, once") {
  ServerConversation server({}, at(0ms));
  server.receive("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  CHECK_FALSE(server.take_request(at(0ms)));
  CHECK(take_output(server) == "HTTP/1.1 100 Continue\r\n\r\n");
  server.receive("o");
  CHECK_FALSE(server.take_request(at(0ms)));
  CHECK(server.output().empty());
  server.receive("k");
  CHECK(server.take_request(at(0ms)));
}

TEST_CASE("http server: what is no HTTP, too big or ambiguous is refused and ends") {
  CHECK(refusal_of("EHLO relay.example.net\r\n\r\n") == "HTTP/1.1 400 Bad Request");
  CHECK(refusal_of(std::string(100, '\0') + "\r\n\r\n") == "HTTP/1.1 400 Bad Request");
  CHECK(refusal_of("GET /\r\n\r\n") == "HTTP/1.1 400 Bad Request");
  CHECK(refusal_of("GET / HTTP/1.1\r\n\r\n") == "HTTP/1.1 400 Bad Request");  // no Host
  CHECK(refusal_of("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n") == "HTTP/1.1 400 Bad Request");
  CHECK(refusal_of("GET / HTTP/2.0\r\nHost: a\r\n\r\n") ==
        "HTTP/1.1 505 HTTP Version Not Supported");
  CHECK(refusal_of("GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n") == "HTTP/1.1 400 Bad Request");
  // Two lengths, or a length beside chunks, are how requests are smuggled (RFC 9112 §6.3).
  CHECK(refusal_of(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd") ==
        "HTTP/1.1 400 Bad Request");
  CHECK(refusal_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n") ==
        "HTTP/1.1 400 Bad Request");
  CHECK(
      refusal_of("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n"
                 "\r\n0\r\n\r\n") == "HTTP/1.1 400 Bad Request");
  CHECK(refusal_of("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n") ==
        "HTTP/1.1 411 Length Required");
  CHECK(refusal_of("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(20'000, 'x')) ==
        "HTTP/1.1 431 Request Header Fields Too Large");
  CHECK(refusal_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n") ==
        "HTTP/1.1 413 Payload Too Large");
}

TEST_CASE("http server: a body of exactly the limit is taken") {
  ServerConversation server({}, at(0ms));
  server.receive("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65536\r\n\r\n" +
                 std::string(65'536, 'x'));
  const std::optional<Request> request = server.take_request(at(0ms));
  REQUIRE(request);
  CHECK(request->body.size() == 65'536);
}

TEST_CASE("http server: an idle connection ends after 10 seconds, without a word") {
  ServerConversation server({}, at(0ms));
  CHECK(server.deadline() == at(10s).instant);
  server.deadline_reached(at(9'999ms));
  CHECK_FALSE(server.is_over());
  server.deadline_reached(at(10s));
  CHECK(server.is_over());
  CHECK(server.output().empty());
}

TEST_CASE("http server: a request that trickles in is cut off 10 seconds after its first octet") {
  ServerConversation server({}, at(0ms));
  const std::string_view bytes = "GET /slow HTTP/1.1\r\nHost: x\r\n";
  for (std::size_t i = 0; i < 5; ++i) {
    server.receive(bytes.substr(i, 1));
    CHECK_FALSE(server.take_request(at(3s + i * 2s)));
    CHECK(server.deadline() == at(13s).instant);
  }
  server.deadline_reached(at(13s));
  CHECK(take_output(server).substr(0, 12) == "HTTP/1.1 408");
  CHECK(server.is_over());
}

TEST_CASE("http server: a client that takes nothing of its answer loses it after 10 seconds") {
  ServerConversation server({}, at(0ms));
  server.receive("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  REQUIRE(server.take_request(at(0ms)));
  CHECK(server.deadline() == rockdove::base::kNever);  // the answer is our affair
  server.start_answer(200, {}, at(60s));
  server.answer_part("hello", at(61s));
  CHECK(server.deadline() == at(70s).instant);
  server.output_sent(4, at(65s));
  CHECK(server.deadline() == at(75s).instant);
  server.deadline_reached(at(75s));
  CHECK(server.is_over());
}

TEST_CASE("http server: a client that closed its half still gets its answer, then the end") {
  ServerConversation server({}, at(0ms));
  server.receive("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  server.peer_closed();
  REQUIRE(server.take_request(at(0ms)));
  CHECK_FALSE(server.is_over());
  server.answer({200, {}, "yes"}, at(0ms));
  CHECK_FALSE(server.take_request(at(0ms)));
  CHECK(contains(take_output(server), "yes"));
  CHECK(server.is_over());
}

TEST_CASE("http server: half a request and a closed connection is simply over") {
  ServerConversation server({}, at(0ms));
  server.receive("GET / HTTP/1.1\r\nHo");
  CHECK_FALSE(server.take_request(at(0ms)));
  server.peer_closed();
  CHECK_FALSE(server.take_request(at(0ms)));
  CHECK(server.is_over());
  CHECK(server.output().empty());
}

TEST_CASE("http client: asks with a length and a host, and reads an answer cut anywhere") {
  ClientConversation client;
  client.start({"POST", "/queue/delete", {{"Content-Type", "application/json"}}, "{}"});
  const std::string asked(client.output());
  CHECK(asked ==
        "POST /queue/delete HTTP/1.1\r\nContent-Type: application/json\r\nHost: localhost\r\n"
        "Content-Length: 2\r\n\r\n{}");
  client.output_sent(asked.size());
  const std::string answer =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n5\r\ndefgh\r\n0\r\n\r\n";
  std::string body;
  for (const char octet : answer) {
    REQUIRE_FALSE(client.is_done());
    REQUIRE(client.receive({&octet, 1}));
    body += client.take_body();
  }
  CHECK(client.is_done());
  REQUIRE(client.head());
  CHECK(client.head()->status == 200);
  CHECK(body == "abcdefgh");
  client.start({"GET", "/", {}, ""});
  CHECK_FALSE(client.is_done());
  CHECK_FALSE(client.head());
}

TEST_CASE("http client: an answer that is none, too long or cut short is an error") {
  ClientConversation client;
  client.start({"GET", "/", {}, ""});
  SECTION("no HTTP") {
    CHECK_FALSE(client.receive("220 mx.example.net ESMTP\r\n\r\n"));
  }
  SECTION("too long") {
    CHECK_FALSE(client.receive("HTTP/1.1 200 OK\r\nX: " + std::string(20'000, 'x')));
  }
  SECTION("cut short") {
    REQUIRE(client.receive("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"));
    CHECK_FALSE(client.peer_closed());
  }
  SECTION("broken chunks") {
    REQUIRE(client.receive("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"));
    const std::string chunks =
        GENERATE("zz\r\n", "-1\r\n", "3\r\nabcd\r\n", "11111111111111111\r\n", "3x\r\n");
    CHECK_FALSE(client.receive(chunks));
  }
  SECTION("a chunk's line without end") {
    REQUIRE(client.receive("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;"));
    CHECK_FALSE(client.receive(std::string(5'000, 'x')));
  }
  SECTION("trailers without end") {
    REQUIRE(client.receive("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"));
    std::string trailers;
    for (int i = 0; i < 101; ++i) trailers += "a: b\r\n";
    CHECK_FALSE(client.receive(trailers));
  }
  SECTION("unanswered") {
    CHECK_FALSE(client.peer_closed());
  }
}
