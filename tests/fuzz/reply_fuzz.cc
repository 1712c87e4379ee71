// Replies are the same for any cut of the same octets; written out, a reply is read as itself.
#include <string>
#include <vector>

#include "mta/smtp/reply.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace rockdove;

struct Outcome {
  std::vector<smtp::Reply> replies;
  std::string malformed;

  bool operator==(const Outcome&) const = default;
};

Outcome parse(std::string_view wire, std::size_t piece_max) {
  smtp::ReplyParser parser;
  Outcome outcome;
  for (std::size_t round = 0; !wire.empty(); ++round) {
    const std::string_view piece = wire.substr(0, 1 + round % piece_max);
    wire.remove_prefix(piece.size());
    parser.receive(piece);
    while (auto next = parser.next()) {
      if (const auto* malformed = std::get_if<smtp::Malformed>(&*next)) {
        outcome.malformed = malformed->what;
        return outcome;
      }
      outcome.replies.push_back(std::get<smtp::Reply>(std::move(*next)));
    }
  }
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Choices choices(fuzz::as_text(data, size));
  const std::size_t piece_max = 1 + choices.next(40);
  const std::string_view wire = choices.rest();
  const Outcome whole = parse(wire, wire.size() + 1);
  FUZZ_CHECK(parse(wire, piece_max) == whole);
  FUZZ_CHECK(parse(wire, 1) == whole);
  for (const smtp::Reply& reply : whole.replies) {
    FUZZ_CHECK(reply.code >= 200 && reply.code <= 599);
    FUZZ_CHECK(smtp::one_line(reply, 100).size() <= 110);
    const Outcome again = parse(smtp::format_reply(reply), piece_max);
    FUZZ_CHECK(again.malformed.empty() && again.replies.size() == 1);
    FUZZ_CHECK(again.replies[0].code == reply.code);
  }
  return 0;
}
