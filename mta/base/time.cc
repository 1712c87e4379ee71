#include "mta/base/time.h"

#include <array>
#include <cstdio>
#include <ctime>

namespace rockdove::base {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t milliseconds;
};

constexpr std::array<Unit, 5> kUnits = {
    {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};
constexpr std::int64_t kDurationMax = 10LL * 366 * 86'400'000;

const Unit* find_unit(std::string_view name) {
  for (const Unit& unit : kUnits) {
    if (unit.name == name) return &unit;
  }
  return nullptr;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

Now read_clocks() {
  return Now{std::chrono::steady_clock::now(),
             std::chrono::time_point_cast<std::chrono::milliseconds>(
                 std::chrono::system_clock::now())};
}

std::string format_timestamp(WallTime time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  std::array<char, 40> text{};
  const int octets = std::snprintf(
      text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", static_cast<int>(date.year()),
      static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
      static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
      static_cast<int>(clock.seconds().count()), static_cast<int>(clock.subseconds().count()));
  return std::string(text.data(), static_cast<std::size_t>(octets));
}

std::string format_duration(Duration duration) {
  std::int64_t rest = duration.count();
  if (rest < 0) return "-" + format_duration(-duration);
  if (rest < 1000) return rest == 0 ? "0s" : std::to_string(rest) + "ms";
  std::string text;
  int units = 0;
  for (const Unit& unit : kUnits) {
    const std::int64_t count = rest / unit.milliseconds;
    if (unit.name == "ms") break;  // nobody reads milliseconds beside seconds
    if (count > 0) {
      text += std::to_string(count).append(unit.name);
      ++units;
    }
    rest %= unit.milliseconds;
    if (units == 2) break;
  }
  return text;
}

Result<Duration> parse_duration(std::string_view text) {
  const Error bad("not a duration: write a number and a unit, as in \"30s\", \"15m\", \"4h\" or \"5d\"");
  const Error too_long("too long a time: ten years are the most");
  std::int64_t sum = 0;
  std::string_view rest = text;
  if (rest.empty()) return bad;
  while (!rest.empty()) {
    std::int64_t count = 0;
    std::size_t digits = 0;
    while (digits < rest.size() && is_digit(rest[digits])) {
      count = count * 10 + (rest[digits] - '0');
      if (count > kDurationMax) return too_long;
      ++digits;
    }
    if (digits == 0) return bad;
    rest.remove_prefix(digits);
    std::size_t letters = 0;
    while (letters < rest.size() && !is_digit(rest[letters])) ++letters;
    const Unit* unit = find_unit(rest.substr(0, letters));
    if (unit == nullptr) return bad;
    rest.remove_prefix(letters);
    if (count > kDurationMax / unit->milliseconds) return too_long;
    sum += count * unit->milliseconds;
    if (sum > kDurationMax) return too_long;
  }
  return Duration(sum);
}

}  // namespace rockdove::base
