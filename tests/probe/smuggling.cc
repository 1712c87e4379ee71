// smuggling FILE: the octet sequences of others' tools for SMTP smuggling (smtp/smuggling.jsonl),
// each at several places of a message, on the way in and on the way out, with line endings rejected
// and fixed. Exit status 0 when none of them ends DATA or is sent on verbatim, 77 when there is no
// FILE.
#include <fstream>
#include <iostream>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "mta/smtp/body_writer.h"
#include "mta/smtp/server_session.h"

namespace {

using namespace rockdove;
using smtp::LineEndings;

constexpr std::string_view kSmuggled =
    "MAIL FROM:<smuggled@x.example>\r\nRCPT TO:<victim@x.example>\r\nDATA\r\nsmuggled\r\n";

std::string from_hex(std::string_view hex) {
  std::string octets;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    octets += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return octets;
}

// What a server made of one message and what came after its DATA.
struct Received {
  int senders = 0;
  int bodies = 0;
  smtp::BodyEnd how = smtp::BodyEnd::Dot;
  std::string content;
};

struct Application {
  smtp::ServerSession& session;
  base::Instant now;
  Received& received;

  void operator()(const smtp::SenderOffered&) {
    ++received.senders;
    session.answer(smtp::make_reply(250, "", "ok"), now);
  }

  void operator()(const smtp::RecipientOffered&) {
    session.answer(smtp::make_reply(250, "", "ok"), now);
  }

  void operator()(const smtp::DataWanted&) { session.answer(smtp::make_reply(354, "", "go"), now); }

  void operator()(const smtp::BodyPart& part) { received.content.append(part.octets); }

  void operator()(const smtp::BodyEnded& end) {
    ++received.bodies;
    received.how = end.how;
    if (end.how == smtp::BodyEnd::Dot) session.answer(smtp::make_reply(250, "", "ok"), now);
  }

  void operator()(const smtp::HelloGiven&) {}

  void operator()(const smtp::HandshakeWanted&) {}

  void operator()(const smtp::LoginOffered&) {}

  void operator()(const smtp::TransactionReset&) {}

  void operator()(const smtp::SessionOver&) {}
};

Received receive(std::string_view message, LineEndings line_endings, std::size_t piece) {
  smtp::ServerLimits limits;
  limits.line_endings = line_endings;
  const smtp::Greeting greeting{"mx.example", "ESMTP"};
  const base::Instant now{std::chrono::hours(1)};
  smtp::ServerSession session(limits, greeting, now);
  session.greet(now);
  Received received;
  Application application{session, now, received};
  std::string wire = "EHLO c\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n";
  wire.append(message).append("\r\n.\r\nQUIT\r\n");
  for (std::string_view rest = wire; !rest.empty();
       rest.remove_prefix(std::min(piece, rest.size()))) {
    session.receive(rest.substr(0, piece), now);
    while (auto event = session.next_event(now)) std::visit(application, *event);
  }
  if (!session.is_over()) received.bodies = -1;  // the QUIT behind the real end was not seen
  return received;
}

// What BodyWriter makes of stored content; `ended` if it wrote the final dot.
struct Sent {
  std::string wire;
  bool ended = false;
};

Sent send(std::string_view content) {
  smtp::BodyWriter writer;
  base::ByteBuffer wire;
  writer.write(content, wire);
  writer.finish(wire);
  return {std::string(wire.view()), writer.fault() == smtp::BodyFault::None};
}

bool has_bare_or_nul(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\0') return true;
    if (text[i] == '\r' && (i + 1 == text.size() || text[i + 1] != '\n')) return true;
    if (text[i] == '\n' && (i == 0 || text[i - 1] != '\r')) return true;
  }
  return false;
}

bool sent_is_safe(const Sent& sent, std::string_view sequence) {
  // The true end may look like a sequence; nothing before it may.
  const std::string text = sent.wire.substr(0, sent.wire.size() - (sent.ended ? 3 : 0));
  if (has_bare_or_nul(text) || text.find(sequence) != std::string::npos) return false;
  // One end and no more, at the very end.
  const std::size_t end = ("\r\n" + sent.wire).find("\r\n.\r\n");
  return sent.ended ? end + 3 == sent.wire.size() : end == std::string::npos;
}

bool is_safe(std::string_view sequence, std::string_view before, std::size_t piece) {
  const std::string message = std::string(before) + std::string(sequence) + std::string(kSmuggled);
  for (const LineEndings line_endings : {LineEndings::Reject, LineEndings::Fix}) {
    const Received received = receive(message, line_endings, piece);
    if (received.senders != 1 || received.bodies != 1) return false;
    if (received.how != smtp::BodyEnd::Dot) continue;
    if (line_endings == LineEndings::Reject) return false;
    if (!sent_is_safe(send(received.content), sequence)) return false;
  }
  const Sent sent = send(message);
  return !sent.ended && sent_is_safe(sent, sequence);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: smuggling FILE\n";
    return 2;
  }
  std::ifstream stream(argv[1]);
  if (!stream) {
    std::cout << "skipped: smtp-smuggling: there is no " << argv[1] << '\n';
    return 77;
  }
  int cases = 0;
  int safe = 0;
  for (std::string line; std::getline(stream, line); ++cases) {
    const std::string hex = nlohmann::json::parse(line).at("seq_hex").get<std::string>();
    bool all = true;
    for (const std::string_view before :
         {"", "hello", "Subject: x\r\n\r\nhello", "hello\r\n", "..\r\n"}) {
      for (const std::size_t piece : {1U, 2U, 3U, 1000U})
        all = all && is_safe(from_hex(hex), before, piece);
    }
    if (!all) std::cout << "wrong: " << hex << '\n';
    safe += all ? 1 : 0;
  }
  std::cout << "smtp-smuggling: " << safe << " of " << cases << '\n';
  return cases > 0 && safe == cases ? 0 : 1;
}
