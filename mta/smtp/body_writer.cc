#include "mta/smtp/body_writer.h"

#include <algorithm>
#include <cstring>

namespace rockdove::smtp {
namespace {

constexpr std::size_t kSearchOctets = 1024;  // see body_reader.cc

const char* find_octet(const char* from, const char* end, char octet) {
  const void* found = std::memchr(from, octet, static_cast<std::size_t>(end - from));
  return found == nullptr ? end : static_cast<const char*>(found);
}

// Every LF has a CR before it, every CR an LF behind it, and there is no NUL. Without branches, so
// that compilers make vectors of it.
bool is_clean(std::string_view octets, char before) {
  const auto is_bad = [](char previous, char octet) {
    return static_cast<unsigned char>(((previous == '\r') != (octet == '\n')) | (octet == '\0'));
  };
  unsigned char bad = is_bad(before, octets[0]);
  for (std::size_t i = 1; i < octets.size(); ++i) bad |= is_bad(octets[i - 1], octets[i]);
  return bad == 0;
}

}  // namespace

std::string_view describe(BodyFault fault) {
  switch (fault) {
    case BodyFault::None:
      return "";
    case BodyFault::BareLineFeed:
      return "the stored content has a bare LF";
    case BodyFault::BareCarriageReturn:
      return "the stored content has a bare CR";
    case BodyFault::NullOctet:
      return "the stored content has a NUL octet";
  }
  return "";
}

void BodyWriter::write(std::string_view octets, base::ByteBuffer& wire) {
  if (fault_ != BodyFault::None || octets.empty()) return;
  const char* written = octets.data();  // what is before it is on the wire already
  const char* at = written;
  const char* const end = at + octets.size();
  const auto flush_to = [&](const char* to) {
    wire.append({written, static_cast<std::size_t>(to - written)});
    written = to;
  };
  if (after_return_) {
    if (*at != '\n') {
      fault_ = BodyFault::BareCarriageReturn;
      return;
    }
    wire.append("\r\n");
    written = ++at;
    after_return_ = false;
    at_line_start_ = true;
  }
  while (at != end) {
    if (at_line_start_ && *at == '.') {
      flush_to(at);
      wire.append('.');  // RFC 5321 §4.5.2
    }
    at_line_start_ = false;
    const char* const horizon = at + std::min(static_cast<std::size_t>(end - at), kSearchOctets);
    const char* stop = find_octet(at, horizon, '\r');
    stop = find_octet(at, stop, '\n');
    at = find_octet(at, stop, '\0');
    if (at == horizon) continue;
    if (*at == '\r' && end - at >= 2 && at[1] == '\n') {
      at += 2;
      at_line_start_ = true;
      continue;
    }
    flush_to(at);
    if (*at == '\r' && end - at == 1) {
      after_return_ = true;
      return;
    }
    fault_ = *at == '\r'   ? BodyFault::BareCarriageReturn
             : *at == '\n' ? BodyFault::BareLineFeed
                           : BodyFault::NullOctet;
    return;
  }
  flush_to(end);
}

void BodyWriter::finish(base::ByteBuffer& wire) {
  if (after_return_ && fault_ == BodyFault::None) fault_ = BodyFault::BareCarriageReturn;
  if (fault_ != BodyFault::None) return;
  wire.append(at_line_start_ ? ".\r\n" : "\r\n.\r\n");  // RFC 5321 §4.1.1.4
}

void LineEndCheck::look(std::string_view octets) {
  if (fault_ != BodyFault::None || octets.empty()) return;
  if (is_clean(octets, after_return_ ? '\r' : ' ')) {
    after_return_ = octets.back() == '\r';
    return;
  }
  bool after_return = after_return_;
  for (std::size_t i = 0; i < octets.size() && fault_ == BodyFault::None; ++i) {
    const bool ends_line = octets[i] == '\n';
    if (after_return != ends_line)
      fault_ = ends_line ? BodyFault::BareLineFeed : BodyFault::BareCarriageReturn;
    else if (octets[i] == '\0')
      fault_ = BodyFault::NullOctet;
    after_return = octets[i] == '\r';
  }
}

void LineEndCheck::finish() {
  if (after_return_ && fault_ == BodyFault::None) fault_ = BodyFault::BareCarriageReturn;
}

}  // namespace rockdove::smtp
