// What fuzz targets share: a check that ends the program, and a reader that takes decisions from
// the input, so that the input alone decides what happens.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

// The property that the target is about. On in every build.
#define FUZZ_CHECK(condition)                                                             \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                       \
    }                                                                                     \
  } while (false)

namespace rockdove::fuzz {

inline std::string_view as_text(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// Takes numbers from the front of the input; when it has run out, they are 0.
class Choices {
 public:
  explicit Choices(std::string_view octets) : octets_(octets) {}

  // Below `below`, which is 1 to 65536.
  std::size_t next(std::size_t below) { return (take() | take() << 8) % below; }

  std::string_view next_text(std::size_t octets_max) {
    const std::string_view text = octets_.substr(0, octets_max);
    octets_.remove_prefix(text.size());
    return text;
  }

  [[nodiscard]] bool is_empty() const { return octets_.empty(); }

  [[nodiscard]] std::string_view rest() const { return octets_; }

 private:
  std::size_t take() {
    if (octets_.empty()) return 0;
    const auto octet = static_cast<unsigned char>(octets_.front());
    octets_.remove_prefix(1);
    return octet;
  }

  std::string_view octets_;
};

}  // namespace rockdove::fuzz
