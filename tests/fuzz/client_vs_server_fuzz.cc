// A client and a server over a wire that cuts what they say anywhere, and may break at any moment.
// What the client reports as accepted the server has taken, unchanged; what the server has taken is
// reported as accepted or as uncertain.
#include <algorithm>
#include <string>
#include <vector>

#include "mta/smtp/client_session.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/smtp/server_script.h"

namespace {

using namespace rockdove;

constexpr int kTransactions = 3;
constexpr int kRoundsMax = 20'000;

// Text as it may stand in the queue: each octet that could not is replaced.
std::string stored_form(std::string_view text) {
  std::string stored;
  for (const char c : text) {
    if (c == '\n') stored += "\r\n";
    if (c != '\n' && c != '\r' && c != '\0') stored += c;
  }
  return stored.empty() || stored.ends_with("\r\n") ? stored : stored + "\r\n";
}

class World {
 public:
  World(fuzz::Choices choices, std::string content)
      : choices_(choices), content_(std::move(content)) {
    server_.greet();
  }

  void run() {
    for (int round = 0; round < kRoundsMax && !client_.is_over(); ++round) {
      if (choices_.next(64) == 63) client_.lost(now_);
      act();
      move(to_server_, [this](std::string_view octets) { server_.receive(octets); });
      to_client_ += server_.take_output();
      move(to_client_, [this](std::string_view octets) { client_.receive(octets, now_); });
    }
    drain();
    FUZZ_CHECK(client_.is_over());
    // The server reads what was under way, then the end of the connection.
    server_.receive(to_server_);
    server_.peer_closed();
    FUZZ_CHECK(server_.is_over() && server_.events_after_the_end() == 0);
    FUZZ_CHECK(server_.bodies().size() >= accepted_ &&
               server_.bodies().size() <= accepted_ + uncertain_);
    for (const std::string& body : server_.bodies()) FUZZ_CHECK(body == content_);
  }

 private:
  template <typename Deliver>
  void move(std::string& wire, Deliver deliver) {
    const std::size_t wanted = choices_.is_empty() ? wire.size() : 1 + choices_.next(200);
    const std::size_t octets = std::min(wire.size(), wanted);
    deliver(std::string_view(wire).substr(0, octets));
    wire.erase(0, octets);
  }

  void act() {
    drain();
    const bool next = client_.can_start_next() && choices_.next(2) == 1;
    if ((client_.is_ready() || next) && started_ < kTransactions) {
      ++started_;
      const std::string recipient = choices_.next(4) == 3 ? "no@x.example" : "yes@x.example";
      // What is announced as large goes by BDAT.
      const std::size_t announced = choices_.next(2) == 1 ? 300'000 : content_.size();
      client_.start({"a@x.example", {{recipient}, {"yes@y.example"}}, announced, false}, now_);
      given_ = 0;
    } else if (client_.is_ready()) {
      client_.quit(now_);
    }
    while (client_.wants_body()) {
      const std::size_t wanted = choices_.is_empty() ? content_.size() : 1 + choices_.next(300);
      const std::size_t octets = std::min(content_.size() - given_, wanted);
      const bool last = given_ + octets == content_.size();
      client_.body(std::string_view(content_).substr(given_, octets),
                   last ? smtp::BodyLast::Yes : smtp::BodyLast::No, now_);
      given_ += octets;
    }
    drain();
  }

  void drain() {
    while (auto event = client_.next_event(now_)) {
      if (const auto* end = std::get_if<smtp::TransactionEnded>(&*event)) {
        FUZZ_CHECK(end->uncertain || end->results[1].reply.code == 250);
        ++(end->uncertain ? uncertain_ : accepted_);
      }
      if (const auto* failed = std::get_if<smtp::SessionFailed>(&*event)) {
        FUZZ_CHECK(failed->kind == smtp::FailKind::Lost);
        if (failed->past_final_dot) ++uncertain_;
      }
    }
    to_server_.append(client_.output());
    client_.output_sent(client_.output().size(), now_);
  }

  fuzz::Choices choices_;
  std::string content_;
  base::Instant now_{std::chrono::hours(1)};
  smtp::ClientOptions options_{"me.example", {}};
  smtp::ClientSession client_{options_, now_};
  smtp::ServerScript server_{smtp::ServerLimits()};
  std::string to_server_;
  std::string to_client_;
  int started_ = 0;
  std::size_t given_ = 0;
  std::size_t accepted_ = 0;
  std::size_t uncertain_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Choices choices(fuzz::as_text(data, size));
  std::string content = stored_form(choices.next_text(600));
  // The script of the server refuses such content; that is not what this is about.
  if (content.find("REFUSE") != std::string::npos) return 0;
  World(choices, std::move(content)).run();
  return 0;
}
