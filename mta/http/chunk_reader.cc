#include "mta/http/chunk_reader.h"

#include <algorithm>
#include <charconv>

namespace rockdove::http {

using base::Error;
using base::Result;

Result<void> ChunkReader::take_size(std::string_view line) {
  const char* const end = line.data() + line.size();
  const auto [rest, error] = std::from_chars(line.data(), end, left_, 16);
  // Behind the digits there may be spaces and extensions (RFC 9112 §7.1.1).
  if (error != std::errc() || (rest != end && *rest != ';' && *rest != ' ' && *rest != '\t')) {
    return Error("a chunk's size is no number");
  }
  state_ = left_ == 0 ? State::Trailer : State::Data;
  return {};
}

Result<void> ChunkReader::read(base::ByteBuffer& input, std::string& body) {
  while (state_ != State::Done && !input.is_empty()) {
    if (state_ == State::Data) {
      const std::size_t octets =
          static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size()));
      body += input.view().substr(0, octets);
      input.take(octets);
      left_ -= octets;
      if (left_ == 0) state_ = State::DataEnd;
      continue;
    }
    const std::size_t end = input.view().find("\r\n");
    if (end == std::string_view::npos && input.size() <= kLineOctetsMax) return {};
    if (end > kLineOctetsMax) return Error("a line between chunks is too long");
    const std::string line(input.view().substr(0, end));
    input.take(end + 2);
    if (state_ == State::Size) {
      if (Result<void> taken = take_size(line); !taken) return taken;
    } else if (state_ == State::DataEnd) {
      if (!line.empty()) return Error("a chunk is longer than it says");
      state_ = State::Size;
    } else if (line.empty()) {
      state_ = State::Done;
    } else if (++trailer_lines_ > kTrailerLinesMax) {
      return Error("too many fields behind the body");
    }
  }
  return {};
}

}  // namespace rockdove::http
