#include "mta/smtp/body_reader.h"

#include <algorithm>
#include <cstring>

#include "mta/base/assert.h"

namespace rockdove::smtp {
namespace {

constexpr std::string_view kLineEnd = "\r\n";
constexpr std::string_view kTwoLineEnds = "\r\n\r\n";

// How far ahead a search goes at once. It bounds what a text of nothing but bare LFs can cost: each
// of them is searched for this far, not through all that has arrived.
constexpr std::size_t kSearchOctets = 1024;

const char* find_octet(const char* from, const char* end, char octet) {
  const void* found = std::memchr(from, octet, static_cast<std::size_t>(end - from));
  return found == nullptr ? end : static_cast<const char*>(found);
}

std::size_t distance(const char* from, const char* to) {
  return static_cast<std::size_t>(to - from);
}

}  // namespace

BodyReader::Part BodyReader::read(std::string_view input) {
  if (input.empty() || ended_) return {};
  // What was kept back may be decided without taking the octet that decided it; at most twice.
  for (int round = 0; round < 3; ++round) {
    const bool in_text =
        state_ == State::InLine || (state_ == State::LineStart && !is_at_dot(input[0]));
    const Part part = in_text ? read_text(input) : read_octet(input[0]);
    if (part.taken == 0 && part.octets.empty()) continue;
    wire_octets_ += part.taken;
    return part;
  }
  MTA_ASSERT(false);
  return {};
}

BodyReader::Part BodyReader::finish() {
  MTA_ASSERT(limits_.framing == BodyFraming::Chunks && !ended_);
  Part part;
  if (state_ == State::Return) part = bare(BodyEnd::BareCarriageReturn, kLineEnd, 0, state_);
  if (state_ == State::TwoReturns) {
    ++fixed_line_endings_;
    part = bare(BodyEnd::BareCarriageReturn, kTwoLineEnds, 0, state_);
  }
  if (how_ == BodyEnd::Dot) longest_line_ = std::max(longest_line_, line_octets_);
  ended_ = true;
  return part;
}

// Reads whole lines and what begins a line, up to the first octet that asks for a decision: a dot
// at a line's beginning, a CR that no LF follows (yet), a bare LF, a NUL, a limit.
BodyReader::Part BodyReader::read_text(std::string_view input) {
  const char* const begin = input.data();
  const char* const end = begin + input.size();
  const char* at = begin;
  while (at != end) {
    if (is_at_dot(*at)) {
      return give({begin, distance(begin, at)}, distance(begin, at));
    }
    state_ = State::InLine;
    // The line's text reaches to the first of CR, LF and NUL.
    const char* const horizon = at + std::min(distance(at, end), kSearchOctets);
    const char* stop = find_octet(at, horizon, '\r');
    stop = find_octet(at, stop, '\n');
    stop = find_octet(at, stop, '\0');
    const std::size_t room = limits_.line_octets_max - line_octets_;
    if (distance(at, stop) > room && how_ == BodyEnd::Dot) {
      at += room;
      const Part part = give({begin, distance(begin, at)}, distance(begin, at) + 1);
      line_octets_ = limits_.line_octets_max;
      fail(BodyEnd::LineTooLong);
      return part;
    }
    line_octets_ = std::min(line_octets_ + distance(at, stop), limits_.line_octets_max);
    at = stop;
    if (at == horizon) continue;
    if (*at != '\r' || end - at < 2 || at[1] != '\n') break;
    end_line();
    at += 2;
  }
  if (at == begin) return read_octet(*at);
  return give({begin, distance(begin, at)}, distance(begin, at));
}

// One octet that is not simply text. What an earlier octet left open is decided here.
BodyReader::Part BodyReader::read_octet(char octet) {
  switch (state_) {
    case State::LineStart:
      MTA_ASSERT(octet == '.');
      state_ = State::Dot;
      return {{}, 1};
    case State::Dot:
      // RFC 5321 §4.5.2: with anything else on the line, the dot is not part of the text.
      if (octet == '\r') {
        state_ = State::DotReturn;
        return {{}, 1};
      }
      state_ = State::InLine;
      return {{}, 0};
    case State::DotReturn:
      if (octet == '\n') {
        ended_ = true;
        return {{}, 1};
      }
      state_ = State::Return;
      return {{}, 0};
    case State::InLine:
      if (octet == '\r') {
        state_ = State::Return;
        return {{}, 1};
      }
      if (octet == '\n') return bare(BodyEnd::BareLineFeed, kLineEnd, 1, State::InLine);
      MTA_ASSERT(octet == '\0');
      fail(BodyEnd::NullOctet);
      return {{}, 1};
    case State::Return:
      if (octet == '\n') {
        end_line();
        return give(kLineEnd, 1);
      }
      if (octet != '\r') return bare(BodyEnd::BareCarriageReturn, kLineEnd, 0, State::InLine);
      if (limits_.line_endings == LineEndings::Fix) {
        state_ = State::TwoReturns;
        return {{}, 1};
      }
      return bare(BodyEnd::BareCarriageReturn, {}, 1, State::Return);
    case State::TwoReturns:
      // CR CR LF is how a program writes that converts line ends twice: one end of a line.
      if (octet == '\n') {
        ++fixed_line_endings_;
        end_line();
        return give(kLineEnd, 1);
      }
      if (octet == '\r') return bare(BodyEnd::BareCarriageReturn, kLineEnd, 1, State::TwoReturns);
      ++fixed_line_endings_;
      return bare(BodyEnd::BareCarriageReturn, kTwoLineEnds, 0, State::InLine);
  }
  MTA_ASSERT(false);
  return {};
}

// A CR or LF without the other: refused, or replaced by `repaired`. What follows is not at the
// beginning of a line as the wire counts lines, so a dot there is text.
BodyReader::Part BodyReader::bare(BodyEnd fault, std::string_view repaired, std::size_t taken,
                                  State next) {
  if (limits_.line_endings == LineEndings::Reject) {
    state_ = next;
    fail(fault);
    return {{}, taken};
  }
  ++fixed_line_endings_;
  end_line();
  state_ = next;
  return give(repaired, taken);
}

BodyReader::Part BodyReader::give(std::string_view octets, std::size_t taken) {
  if (how_ != BodyEnd::Dot) return {{}, taken};
  const std::uint64_t room = limits_.octets_max - octets_;
  if (octets.size() > room) {
    octets = octets.substr(0, static_cast<std::size_t>(room));
    octets_ += octets.size();
    fail(BodyEnd::TooBig);
    return {octets, taken};
  }
  octets_ += octets.size();
  return {octets, taken};
}

void BodyReader::end_line() {
  if (how_ == BodyEnd::Dot) longest_line_ = std::max(longest_line_, line_octets_);
  line_octets_ = 0;
  state_ = State::LineStart;
}

void BodyReader::fail(BodyEnd how) {
  if (how_ == BodyEnd::Dot) how_ = how;
}

}  // namespace rockdove::smtp
