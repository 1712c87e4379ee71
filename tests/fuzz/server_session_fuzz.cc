// A server session says and tells the same for any cut of what the client sends, bounded by it, and
// nothing after its end. The octet 0x01 stands for the end of a TLS handshake, if one is under way:
// no piece goes beyond it, because what comes in clear behind STARTTLS is forgotten.
#include <algorithm>
#include <string>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/smtp/server_script.h"

namespace {

using namespace rockdove;

struct Outcome {
  std::string output;
  std::string events;
  std::vector<std::string> bodies;

  bool operator==(const Outcome&) const = default;
};

struct Rules {
  smtp::ServerLimits limits;
  smtp::ServerOffers offers;
};

Outcome play(std::string_view wire, const Rules& rules, std::size_t piece_max) {
  smtp::ServerScript script(rules.limits, rules.offers);
  script.greet();
  for (std::size_t round = 0; !wire.empty(); ++round) {
    if (wire.front() == '\1' && script.session().is_in_handshake()) {
      wire.remove_prefix(1);
      script.tls_started();
      continue;
    }
    const std::size_t mark = std::max<std::size_t>(wire.find('\1', 1), 1);
    const std::string_view piece = wire.substr(0, std::min(mark, 1 + round % piece_max));
    wire.remove_prefix(piece.size());
    const bool was_in_clear = !script.session().has_tls();
    script.receive(piece);
    FUZZ_CHECK(script.session().is_over() || script.session().wants_input());
    FUZZ_CHECK((script.session().deadline() == base::kNever) == script.session().is_over());
    FUZZ_CHECK(was_in_clear == !script.session().has_tls());
    // Nobody has logged in where passwords are not taken.
    FUZZ_CHECK(
        script.session().user().empty() || rules.offers.auth == smtp::ServerOffers::Auth::Always ||
        (rules.offers.auth == smtp::ServerOffers::Auth::UnderTls && script.session().has_tls()));
  }
  script.peer_closed();
  FUZZ_CHECK(script.is_over() && script.session().is_over());
  FUZZ_CHECK(script.events_after_the_end() == 0);
  return {script.take_output(), script.events(), script.bodies()};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Choices choices(fuzz::as_text(data, size));
  Rules rules;
  const std::size_t kind = choices.next(256);
  if ((kind & 1) != 0) rules.limits.line_endings = smtp::LineEndings::Fix;
  if ((kind & 2) != 0) {
    rules.limits.message_octets_max = 60;
    rules.limits.dropped_octets_max = 20;
    rules.limits.text_line_octets_max = 30;
  }
  if ((kind & 4) != 0) {
    rules.limits.command_octets_max = 40;
    rules.limits.recipients_max = 2;
    rules.limits.commands_max = 12;
    rules.limits.errors_max = 4;
    rules.limits.failed_logins_max = 1;
  }
  if ((kind & 8) != 0) rules.offers.tls = smtp::ServerOffers::Tls::Optional;
  if ((kind & 16) != 0) rules.offers.tls = smtp::ServerOffers::Tls::Required;
  if ((kind & 32) != 0) rules.offers.auth = smtp::ServerOffers::Auth::UnderTls;
  if ((kind & 64) != 0) rules.offers.auth = smtp::ServerOffers::Auth::Always;
  rules.offers.auth_required = (kind & 128) != 0;
  const std::size_t piece_max = 1 + choices.next(40);
  const std::string_view wire = choices.rest();
  const Outcome whole = play(wire, rules, wire.size() + 1);
  FUZZ_CHECK(play(wire, rules, piece_max) == whole);
  FUZZ_CHECK(play(wire, rules, 1) == whole);
  // At most 50 long error texts; "EHLO x" has the longest reply for its length.
  FUZZ_CHECK(whole.output.size() <= 10'000 + 50 * wire.size());
  return 0;
}
