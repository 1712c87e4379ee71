// Takes the chunked transfer coding (RFC 9112 §7.1) off a body. Extensions and trailer fields are
// read over. (Beast has a parser for this, too; ours is here because that one ends the process by
// an assertion on some inputs, which the fuzz target found.)
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "mta/base/byte_buffer.h"
#include "mta/base/result.h"

namespace rockdove::http {

class ChunkReader {
 public:
  static constexpr std::size_t kLineOctetsMax = 4096;
  static constexpr std::size_t kTrailerLinesMax = 100;

  // Takes from `input` what it can use and appends the body's octets to `body`. What comes behind
  // the end stays in `input`. After an error nothing more may be given.
  [[nodiscard]] base::Result<void> read(base::ByteBuffer& input, std::string& body);

  [[nodiscard]] bool is_done() const { return state_ == State::Done; }

 private:
  enum class State : std::uint8_t { Size, Data, DataEnd, Trailer, Done };

  [[nodiscard]] base::Result<void> take_size(std::string_view line);

  State state_ = State::Size;
  std::uint64_t left_ = 0;  // of the chunk's octets
  std::size_t trailer_lines_ = 0;
};

}  // namespace rockdove::http
