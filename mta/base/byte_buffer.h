// A queue of octets: written at the back, read and taken from the front. Taking is cheap; the memory
// of a large burst is given back once the buffer runs empty, because thousands of idle connections
// each keep two of these.
#pragma once

#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>

#include "mta/base/assert.h"

namespace rockdove::base {

class ByteBuffer {
 public:
  [[nodiscard]] bool is_empty() const { return start_ == octets_.size(); }
  [[nodiscard]] std::size_t size() const { return octets_.size() - start_; }

  // Valid until the next non-const call.
  [[nodiscard]] std::string_view view() const { return std::string_view(octets_).substr(start_); }

  void append(std::string_view octets) {
    make_room(octets.size());
    octets_.append(octets);
  }

  void append(char octet) { append(std::string_view(&octet, 1)); }

  void take(std::size_t octets) {
    MTA_ASSERT(octets <= size());
    start_ += octets;
    if (start_ == octets_.size()) clear();
  }

  // For passwords: what is taken leaves no trace here. (Copies made as the buffer grew stay.)
  void take_and_wipe(std::size_t octets) {
    MTA_ASSERT(octets <= size());
    ::explicit_bzero(octets_.data() + start_, octets);
    take(octets);
  }

  void clear() {
    start_ = 0;
    octets_.clear();
    // An empty string that is assigned would not give the memory back.
    if (octets_.capacity() > kKeptOctetsMax) std::string().swap(octets_);
  }

  // For code that formats in place: what is appended to the string is appended to the buffer.
  [[nodiscard]] std::string& back() {
    make_room(0);
    return octets_;
  }

  [[nodiscard]] std::size_t memory() const { return octets_.capacity(); }

 private:
  static constexpr std::size_t kKeptOctetsMax = 2048;

  // Moves what is left to the front once more is gone than is left, so that each octet moves at most
  // once for each time the buffer doubles.
  void make_room(std::size_t octets) {
    if (start_ > 0 && (start_ >= size() || octets_.size() + octets > octets_.capacity())) {
      octets_.erase(0, start_);
      start_ = 0;
    }
  }

  std::string octets_;
  std::size_t start_ = 0;
};

}  // namespace rockdove::base
