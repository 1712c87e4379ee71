// A server session says and tells the same for any cut of what the client sends, bounded by it, and
// nothing after its end.
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

Outcome play(std::string_view wire, const smtp::ServerLimits& limits, std::size_t piece_max) {
  smtp::ServerScript script(limits);
  script.greet();
  for (std::size_t round = 0; !wire.empty(); ++round) {
    const std::string_view piece = wire.substr(0, 1 + round % piece_max);
    wire.remove_prefix(piece.size());
    script.receive(piece);
    FUZZ_CHECK(script.session().is_over() || script.session().wants_input());
    FUZZ_CHECK((script.session().deadline() == base::kNever) == script.session().is_over());
  }
  script.peer_closed();
  FUZZ_CHECK(script.is_over() && script.session().is_over());
  FUZZ_CHECK(script.events_after_the_end() == 0);
  return {script.take_output(), script.events(), script.bodies()};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Choices choices(fuzz::as_text(data, size));
  smtp::ServerLimits limits;
  const std::size_t kind = choices.next(8);
  if ((kind & 1) != 0) limits.line_endings = smtp::LineEndings::Fix;
  if ((kind & 2) != 0) {
    limits.message_octets_max = 60;
    limits.dropped_octets_max = 20;
    limits.text_line_octets_max = 30;
  }
  if ((kind & 4) != 0) {
    limits.command_octets_max = 40;
    limits.recipients_max = 2;
    limits.commands_max = 12;
    limits.errors_max = 4;
  }
  const std::size_t piece_max = 1 + choices.next(40);
  const std::string_view wire = choices.rest();
  const Outcome whole = play(wire, limits, wire.size() + 1);
  FUZZ_CHECK(play(wire, limits, piece_max) == whole);
  FUZZ_CHECK(play(wire, limits, 1) == whole);
  // At most 50 long error texts; "EHLO x" has the longest reply for its length.
  FUZZ_CHECK(whole.output.size() <= 10'000 + 20 * wire.size());
  return 0;
}
