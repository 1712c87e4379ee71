#include "mta/base/quantity.h"

#include <array>
#include <charconv>
#include <limits>

#include "mta/base/text.h"

namespace rockdove::base {
namespace {

struct SizeUnit {
  std::string_view name;
  std::uint64_t octets;
};

// Larger ones first, so that format_size() finds the shortest form.
constexpr std::array<SizeUnit, 9> kSizeUnits = {{{"TiB", 1ULL << 40},
                                                 {"T", 1'000'000'000'000},
                                                 {"GiB", 1ULL << 30},
                                                 {"G", 1'000'000'000},
                                                 {"MiB", 1ULL << 20},
                                                 {"M", 1'000'000},
                                                 {"KiB", 1ULL << 10},
                                                 {"K", 1'000},
                                                 {"", 1}}};
constexpr std::uint64_t kSizeMax = std::numeric_limits<std::int64_t>::max();

struct RateUnit {
  std::string_view name;
  Duration per;
};

constexpr std::array<RateUnit, 4> kRateUnits = {{{"s", Duration(1'000)},
                                                 {"min", Duration(60'000)},
                                                 {"h", Duration(3'600'000)},
                                                 {"d", Duration(86'400'000)}}};

// The number at the front of `text`, which it is taken from. false: there is none, or it is too
// big.
template <typename T>
bool take_number(std::string_view& text, T& number) {
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

}  // namespace

Result<std::uint64_t> parse_size(std::string_view text) {
  const Error bad("not a size: write a number and K, M, G or T, as in \"50K\", \"20M\" or \"1G\"");
  std::string_view rest = trimmed(text);
  std::uint64_t number = 0;
  if (rest.empty() || rest.front() == '-') return bad;
  if (!take_number(rest, number)) return bad;
  rest = trimmed(rest);
  for (const SizeUnit& unit : kSizeUnits) {
    if (!equals_ignoring_case(rest, unit.name)) continue;
    if (number > kSizeMax / unit.octets) return Error("a size is at most 2^63 - 1 octets");
    return number * unit.octets;
  }
  return bad;
}

std::string format_size(std::uint64_t octets) {
  for (const SizeUnit& unit : kSizeUnits) {
    if (octets >= unit.octets && octets % unit.octets == 0) {
      return std::to_string(octets / unit.octets).append(unit.name);
    }
  }
  return "0";
}

Result<Rate> parse_rate(std::string_view text) {
  const Error bad(
      "not a rate: write a count and s, min, h or d, as in \"600/min\" or \"100/s, burst 20\", or "
      "\"off\"");
  std::string_view rest = trimmed(text);
  if (rest == "off") return Rate{};
  Rate rate;
  if (!take_number(rest, rate.count)) return bad;
  if (rate.count == 0) return Error("a rate of 0 lets nothing through; \"off\" is no limit");
  rest = trimmed(rest);
  if (rest.empty() || rest.front() != '/') return bad;
  rest.remove_prefix(1);
  const std::size_t comma = rest.find(',');
  const std::string_view unit_name = trimmed(rest.substr(0, comma));
  const RateUnit* found = nullptr;
  for (const RateUnit& unit : kRateUnits) {
    if (unit.name == unit_name) found = &unit;
  }
  if (found == nullptr) return bad;
  rate.per = found->per;
  if (comma == std::string_view::npos) return rate;
  rest = trimmed(rest.substr(comma + 1));
  constexpr std::string_view kBurst = "burst";
  if (!rest.starts_with(kBurst)) return bad;
  rest = trimmed(rest.substr(kBurst.size()));
  if (!take_number(rest, rate.burst) || !rest.empty()) return bad;
  if (rate.burst == 0) return Error("a burst of 0 lets nothing through");
  return rate;
}

std::string format_rate(const Rate& rate) {
  if (rate.count == 0) return "off";
  std::string text = std::to_string(rate.count).append("/");
  std::string_view unit_name;
  for (const RateUnit& unit : kRateUnits) {
    if (unit.per == rate.per) unit_name = unit.name;
  }
  text.append(unit_name.empty() ? format_duration(rate.per) : std::string(unit_name));
  if (rate.burst != 0) text.append(", burst ").append(std::to_string(rate.burst));
  return text;
}

}  // namespace rockdove::base
