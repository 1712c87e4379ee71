#include "mta/cli/option_checks.h"

#include <charconv>
#include <cstdint>

namespace rockdove::cli {
namespace {

constexpr double kPaceMax = 1'000'000;

// All of the text is the number.
template <typename Number>
bool read_all(const std::string& text, Number& number) {
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number);
  return read.ec == std::errc() && read.ptr == end;
}

}  // namespace

std::string refuse_empty(const std::string& value) {
  return value.empty() ? "may not be empty" : "";
}

std::string refuse_below_one(const std::string& value) {
  std::uint64_t number = 0;
  return read_all(value, number) && number > 0 ? "" : "write a whole number from 1 on";
}

std::string refuse_other_than_pace(const std::string& value) {
  double pace = 0;
  // With NaN no comparison holds.
  const bool is_pace = read_all(value, pace) && pace >= 0 && pace <= kPaceMax;
  return is_pace ? "" : "write messages a second, 0 to 1000000, as in 250";
}

}  // namespace rockdove::cli
