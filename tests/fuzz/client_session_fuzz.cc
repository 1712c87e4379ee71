// Whatever a server says, a client session gives each transaction exactly one end with a result for
// each recipient, never waits without a deadline, and behaves the same for any cut of a line.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "mta/smtp/client_session.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/smtp/client_script.h"

namespace {

using namespace rockdove;

constexpr int kTransactionsMax = 4;

class Player {
 public:
  explicit Player(std::size_t choice) : choice_(choice) {}

  // The higher bits of the choice say how the peer is to be spoken to.
  static smtp::ClientTerms terms_of(std::size_t choice) {
    smtp::ClientTerms terms;
    if ((choice & 64) != 0) terms.dialect = smtp::Dialect::Lmtp;
    if ((choice & 128) != 0) terms.tls = smtp::UseTls::IfOffered;
    if ((choice & 256) != 0) terms.tls = smtp::UseTls::Required;
    terms.inside_tls = (choice & 512) != 0;
    if ((choice & 1024) != 0)
      terms.credentials = std::make_shared<smtp::ClientCredentials>(kCredentials);
    terms.auth_in_clear = (choice & 2048) != 0;
    return terms;
  }

  void receive(std::string_view line, std::size_t piece) {
    for (; !line.empty(); line.remove_prefix(std::min(piece, line.size()))) {
      session_.receive(line.substr(0, piece), now_);
    }
    act();
  }

  void end() {
    session_.lost(now_);
    drain();
    FUZZ_CHECK(session_.is_over() && ended_ == started_ && last_seen_);
  }

  void act() {
    drain();
    if (session_.wants_tls()) {
      session_.tls_started(now_);
      inside_tls_ = true;
      drain();
    }
    const bool next = (choice_ & 1) != 0 && session_.can_start_next();
    if ((session_.is_ready() || next) && started_ < kTransactionsMax) {
      const std::size_t recipients = 1 + (choice_ >> 1) % 3;
      session_.start(message_for(recipients), now_);
      recipients_ = recipients;
      ++started_;
      body_given_ = false;
    } else if (session_.is_ready()) {
      session_.quit(now_);
    }
    if (session_.wants_body()) {
      const bool is_first = std::exchange(body_given_, true) == false && (choice_ & 4096) != 0;
      session_.body(is_first ? large_ : ".x\xc3\xbc\r\n",
                    is_first ? smtp::BodyLast::No : smtp::BodyLast::Yes, now_);
    }
    drain();
  }

  std::string told;  // all that it said, and all events

 private:
  inline static const smtp::ClientCredentials kCredentials{"user", "secret"};

  smtp::OutgoingMessage message_for(std::size_t recipients) const {
    smtp::OutgoingMessage message;
    message.sender = "a@x.example";
    message.recipients.resize(recipients, {"b@x.example", {}, {}});
    if ((choice_ & 8192) != 0)
      message.recipients.back() = {"\xc3\xbc@b\xc3\xbc.example", {}, "utf-8;\xc3\xbc@x"};
    message.octets = (choice_ & 4096) != 0 ? 300'000 : 10;
    message.eight_bit = started_ == 2;
    message.envelope_id = "id=1";
    return message;
  }

  void check_results(const std::vector<smtp::RecipientResult>& results) {
    FUZZ_CHECK(results.size() == recipients_);
    ++ended_;
  }

  void drain() {
    while (auto event = session_.next_event(now_)) {
      FUZZ_CHECK(!last_seen_);
      if (const auto* end = std::get_if<smtp::TransactionEnded>(&*event)) {
        check_results(end->results);
        for (const smtp::RecipientResult& each : end->results)
          FUZZ_CHECK(end->uncertain || !each.reply.is_none());
      }
      if (const auto* failed = std::get_if<smtp::SessionFailed>(&*event)) {
        last_seen_ = true;
        if (failed->transaction_open) check_results(failed->results);
      }
      if (std::holds_alternative<smtp::SessionClosed>(*event)) last_seen_ = true;
      told += std::visit([](const auto& each) { return smtp::event_text(each); }, *event) + "\n";
    }
    told.append(session_.output());
    // base64 of "secret", alone and behind "user".
    const bool is_secret = session_.output().find("c2VjcmV0") != std::string_view::npos;
    FUZZ_CHECK(!is_secret || inside_tls_ || (choice_ & 2048) != 0);
    session_.output_sent(session_.output().size(), now_);
    FUZZ_CHECK((session_.deadline() == base::kNever) ==
               (session_.is_ready() || session_.is_over()));
  }

  std::size_t choice_;
  smtp::ClientOptions options_{"me.example", {}};
  base::Instant now_{std::chrono::hours(1)};
  smtp::ClientSession session_{options_, now_, terms_of(choice_)};
  std::string large_ = "Subject: x\r\n\r\n" + std::string(66'000, 'y') + "\r\n";
  bool inside_tls_ = (choice_ & 512) != 0;
  bool body_given_ = false;
  int started_ = 0;
  int ended_ = 0;
  std::size_t recipients_ = 0;
  bool last_seen_ = false;
};

std::string play(std::string_view wire, std::size_t choice, std::size_t piece) {
  Player player(choice);
  while (!wire.empty()) {
    const std::string_view line = wire.substr(0, std::min(wire.find('\n'), wire.size() - 1) + 1);
    player.receive(line, piece);
    wire.remove_prefix(line.size());
  }
  player.end();
  return player.told;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Choices choices(fuzz::as_text(data, size));
  const std::size_t choice = choices.next(65'536);
  const std::string_view wire = choices.rest();
  const std::string whole = play(wire, choice, wire.size() + 1);
  FUZZ_CHECK(play(wire, choice, 1) == whole);
  FUZZ_CHECK(play(wire, choice, 5) == whole);
  FUZZ_CHECK(whole.size() <= 300'000 + 20 * wire.size());
  return 0;
}
