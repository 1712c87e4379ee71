#include "mta/traffic/rate.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include "mta/base/text.h"

namespace rockdove::traffic {

using base::Duration;
using base::Error;
using base::Result;

namespace {

struct Unit {
  std::string_view name;
  Duration per;
};

// The first name of a time is the one that is printed.
constexpr std::array<Unit, 6> kUnits = {{{"s", Duration(1'000)},
                                         {"min", Duration(60'000)},
                                         {"h", Duration(3'600'000)},
                                         {"hour", Duration(3'600'000)},
                                         {"day", Duration(86'400'000)},
                                         {"d", Duration(86'400'000)}}};

Error not_a_rate(std::string_view text) {
  return Error("\"" + base::printable(text, 60) +
               "\" is not a rate: write a count and s, min, h or day, as in \"10/s\", \"50/min\", "
               "\"3/min burst 5\" or \"20000/day\"; \"off\" is no limit");
}

// The whole number at the front of `text`, which it is taken from. What is too large for its type
// comes back as the largest one, so that it is refused as too large and not as no number.
std::optional<std::uint32_t> take_number(std::string_view& text) {
  std::uint32_t number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code == std::errc::invalid_argument) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return code == std::errc() ? number : UINT32_MAX;
}

// The letters at the front of `text`, which they are taken from.
std::string_view take_word(std::string_view& text) {
  const auto is_letter = [](char c) {
    return base::to_lower(c) >= 'a' && base::to_lower(c) <= 'z';
  };
  const auto end = std::find_if_not(text.begin(), text.end(), is_letter);
  const std::string_view word = text.substr(0, static_cast<std::size_t>(end - text.begin()));
  text.remove_prefix(word.size());
  return word;
}

const Unit* find_unit(std::string_view name) {
  const auto* found = std::find_if(kUnits.begin(), kUnits.end(),
                                   [name](const Unit& unit) { return unit.name == name; });
  return found == kUnits.end() ? nullptr : found;
}

// Reads what follows the time: nothing, or "burst N" after a blank or a comma.
Result<std::uint32_t> parse_burst(std::string_view rest, const Rate& rate, std::string_view text) {
  if (rest.empty()) return std::uint32_t{1};
  if (rest.front() == ',') rest = base::trimmed(rest.substr(1));
  if (take_word(rest) != "burst") return not_a_rate(text);
  rest = base::trimmed(rest);
  const std::optional<std::uint32_t> burst = take_number(rest);
  if (!burst || !rest.empty()) return not_a_rate(text);
  if (rate.is_counted()) {
    return Error(
        "an hour or a day may be used up at any speed, so that a burst says nothing there; "
        "leave it away, or give it to a rate for a second or a minute beside this one");
  }
  if (*burst == 0) return Error("a burst of 0 lets nothing through; without a burst it is 1");
  if (*burst > rate.count) {
    return Error("a burst is at most the rate's count, here " + std::to_string(rate.count));
  }
  return *burst;
}

}  // namespace

Result<Rate> parse_rate(std::string_view text) {
  std::string_view rest = base::trimmed(text);
  if (rest == "off") return Error("\"off\" stands alone: it is no rate, but no limit at all");
  const std::optional<std::uint32_t> count = take_number(rest);
  rest = base::trimmed(rest);
  if (!count || rest.empty() || rest.front() != '/') return not_a_rate(text);
  rest = base::trimmed(rest.substr(1));
  const Unit* unit = find_unit(take_word(rest));
  if (unit == nullptr) return not_a_rate(text);
  if (*count == 0)
    return Error("a rate of 0 lets nothing through; to stop mail use `rockdove pause`");
  if (*count > kRateCountMax) {
    return Error("a rate's count is at most " + std::to_string(kRateCountMax) +
                 "; \"off\" is no limit");
  }
  Rate rate{*count, unit->per, 1};
  const Result<std::uint32_t> burst = parse_burst(base::trimmed(rest), rate, text);
  if (!burst) return burst.error();
  rate.burst = *burst;
  return rate;
}

Result<std::vector<Rate>> parse_rates(std::span<const std::string_view> texts) {
  if (texts.size() == 1 && base::trimmed(texts.front()) == "off") return std::vector<Rate>();
  if (texts.empty()) return Error("an empty list of rates; \"off\" is no limit");
  if (texts.size() > kRatesMax) {
    return Error("at most " + std::to_string(kRatesMax) + " rates hold at once");
  }
  std::vector<Rate> rates;
  for (const std::string_view text : texts) {
    const Result<Rate> rate = parse_rate(text);
    if (!rate) return rate.error();
    const auto same = std::find_if(rates.begin(), rates.end(),
                                   [&](const Rate& other) { return other.per == rate->per; });
    if (same != rates.end()) {
      return Error("\"" + format_rate(*same) + "\" and \"" + format_rate(*rate) +
                   "\" are for the same time; leave one");
    }
    rates.push_back(*rate);
  }
  std::sort(rates.begin(), rates.end(), [](const Rate& a, const Rate& b) { return a.per < b.per; });
  return rates;
}

Result<std::vector<Rate>> parse_rates(std::string_view text) {
  return parse_rates(std::span<const std::string_view>(&text, 1));
}

std::string format_rate(const Rate& rate) {
  std::string text = std::to_string(rate.count).append("/");
  const auto* unit = std::find_if(kUnits.begin(), kUnits.end(),
                                  [&](const Unit& known) { return known.per == rate.per; });
  text.append(unit == kUnits.end() ? base::format_duration(rate.per) : std::string(unit->name));
  if (rate.burst > 1) text.append(" burst ").append(std::to_string(rate.burst));
  return text;
}

std::string format_rates(std::span<const Rate> rates) {
  if (rates.empty()) return "off";
  std::string text;
  for (const Rate& rate : rates) {
    if (!text.empty()) text.append(", ");
    text.append(format_rate(rate));
  }
  return text;
}

std::string format_pace(double per_second) {
  constexpr std::array<std::pair<double, const char*>, 3> kBy = {
      {{1, "/s"}, {60, "/min"}, {3600, "/h"}}};
  const auto* by = std::find_if(kBy.begin(), kBy.end(), [per_second](const auto& unit) {
    return per_second * unit.first >= 1;
  });
  if (by == kBy.end()) by = &kBy.back();
  const double count = std::round(per_second * by->first * 10) / 10;
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), count);
  return std::string(digits.data(), end.ptr) + by->second;
}

}  // namespace rockdove::traffic
