// Content read from the wire is the same for any cut of the same octets; what was taken, written
// out again, is clean, ends once, and is read as the same.
#include <algorithm>
#include <string>

#include "mta/smtp/body_reader.h"
#include "mta/smtp/body_writer.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace rockdove;

struct Outcome {
  std::string content;
  std::size_t wire_octets = 0;
  bool ended = false;
  smtp::BodyEnd how = smtp::BodyEnd::Dot;
  std::uint64_t fixed = 0;
  std::size_t longest_line = 0;

  bool operator==(const Outcome&) const = default;
};

Outcome read(std::string_view wire, const smtp::BodyLimits& limits, std::size_t piece_max) {
  smtp::BodyReader reader(limits);
  Outcome outcome;
  std::size_t round = 0;
  while (!wire.empty() && !reader.is_ended()) {
    const std::string_view piece = wire.substr(0, 1 + round++ % piece_max);
    std::size_t taken = 0;
    while (taken < piece.size() && !reader.is_ended()) {
      const smtp::BodyReader::Part part = reader.read(piece.substr(taken));
      FUZZ_CHECK(part.taken > 0 || !part.octets.empty());
      taken += part.taken;
      outcome.content.append(part.octets);
    }
    wire.remove_prefix(taken);
    outcome.wire_octets += taken;
  }
  FUZZ_CHECK(reader.octets() == outcome.content.size() &&
             reader.wire_octets() == outcome.wire_octets);
  FUZZ_CHECK(outcome.content.size() <= limits.octets_max);
  // What read() keeps back is lost here if the end never comes, and it is little.
  outcome.ended = reader.is_ended();
  outcome.how = reader.how();
  outcome.fixed = reader.fixed_line_endings();
  outcome.longest_line = reader.longest_line();
  return outcome;
}

std::string write(std::string_view content, std::size_t piece) {
  smtp::BodyWriter writer;
  base::ByteBuffer wire;
  for (std::string_view rest = content; !rest.empty();
       rest.remove_prefix(std::min(piece, rest.size()))) {
    writer.write(rest.substr(0, piece), wire);
  }
  writer.finish(wire);
  FUZZ_CHECK(writer.fault() == smtp::BodyFault::None);
  return std::string(wire.view());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Choices choices(fuzz::as_text(data, size));
  smtp::BodyLimits limits;
  const std::size_t kind = choices.next(8);
  if ((kind & 1) != 0) limits.line_endings = smtp::LineEndings::Fix;
  if ((kind & 2) != 0) limits.octets_max = choices.next(200);
  if ((kind & 4) != 0) limits.line_octets_max = choices.next(80);
  const std::size_t piece_max = 1 + choices.next(40);
  const std::string wire = std::string(choices.rest()) + "\r\n.\r\n";
  const Outcome whole = read(wire, limits, wire.size() + 1);
  FUZZ_CHECK(read(wire, limits, piece_max) == whole);
  FUZZ_CHECK(read(wire, limits, 1) == whole);
  if (!whole.ended || whole.how != smtp::BodyEnd::Dot) return 0;
  const std::string again = write(whole.content, piece_max);
  FUZZ_CHECK(again == write(whole.content, again.size()));
  FUZZ_CHECK(("\r\n" + again).find("\r\n.\r\n") + 3 == again.size());
  smtp::BodyLimits unlimited;
  unlimited.line_octets_max = again.size();
  const Outcome second = read(again, unlimited, piece_max);
  FUZZ_CHECK(second.ended && second.how == smtp::BodyEnd::Dot && second.fixed == 0);
  FUZZ_CHECK(second.content == whole.content);
  return 0;
}
