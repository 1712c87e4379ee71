#include "mta/mail/date.h"

#include <array>
#include <optional>
#include <span>

#include "mta/base/text.h"

namespace rockdove::mail {
namespace {

using base::Error;
using base::Result;
using base::WallTime;

constexpr std::string_view kDayNames = "SunMonTueWedThuFriSat";
constexpr std::string_view kMonthNames = "JanFebMarAprMayJunJulAugSepOctNovDec";

void append_number(std::string& text, unsigned number, unsigned digits) {
  std::array<char, 4> reversed{};
  for (unsigned i = 0; i < digits; ++i) {
    reversed[i] = static_cast<char>('0' + number % 10);
    number /= 10;
  }
  for (unsigned i = digits; i > 0; --i) text += reversed[i - 1];
}

// Words of a date: what stands between blanks and commas, without comments.
class Words {
 public:
  static constexpr std::size_t kWordsMax = 8;

  explicit Words(std::string_view text) {
    std::size_t position = 0;
    unsigned depth = 0;
    while (position < text.size() && count_ < kWordsMax) {
      const char c = text[position];
      if (c == '(') ++depth;
      if (depth > 0) {
        if (c == ')') --depth;
        if (c == '\\') ++position;
        ++position;
        continue;
      }
      const std::size_t end = std::min(text.find_first_of(" \t\r\n,(", position), text.size());
      if (end > position) words_[count_++] = text.substr(position, end - position);
      position = end > position ? end : position + 1;
    }
  }

  [[nodiscard]] std::span<const std::string_view> all() const { return {words_.data(), count_}; }

 private:
  std::array<std::string_view, kWordsMax> words_;
  std::size_t count_ = 0;
};

std::optional<unsigned> parse_digits(std::string_view text, std::size_t digits_min,
                                     std::size_t digits_max) {
  if (text.size() < digits_min || text.size() > digits_max) return std::nullopt;
  unsigned number = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    number = number * 10 + static_cast<unsigned>(c - '0');
  }
  return number;
}

// 1 to 12; the names of months may be written out.
std::optional<unsigned> parse_month(std::string_view word) {
  if (word.size() < 3) return std::nullopt;
  for (unsigned month = 0; month < 12; ++month) {
    if (base::equals_ignoring_case(word.substr(0, 3), kMonthNames.substr(month * 3, 3))) {
      return month + 1;
    }
  }
  return std::nullopt;
}

std::optional<int> parse_year(std::string_view word) {
  const auto number = parse_digits(word, 2, 4);
  if (!number) return std::nullopt;
  const int year = static_cast<int>(*number);
  if (word.size() == 4) return year;
  // RFC 5322 §4.3: 00 to 49 are 2000 to 2049; all else of two or three digits adds 1900.
  return word.size() == 2 && year < 50 ? year + 2000 : year + 1900;
}

// hh:mm or hh:mm:ss, with a fraction of seconds that is dropped; 60 is a leap second.
std::optional<std::chrono::seconds> parse_time_of_day(std::string_view word) {
  word = word.substr(0, word.find('.'));
  std::array<unsigned, 3> parts{};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::size_t colon = std::min(word.find(':'), word.size());
    const auto number = parse_digits(word.substr(0, colon), 1, 2);
    if (!number) return std::nullopt;
    parts[i] = *number;
    if (colon == word.size()) {
      if (i == 0 || parts[0] > 23 || parts[1] > 59 || parts[2] > 60) return std::nullopt;
      return std::chrono::hours(parts[0]) + std::chrono::minutes(parts[1]) +
             std::chrono::seconds(parts[2]);
    }
    word.remove_prefix(colon + 1);
  }
  return std::nullopt;
}

struct NamedZone {
  std::string_view name;
  int hours;
};

// East of Greenwich. What is unknown, and the single letters of the military, count as UTC, because
// RFC 822 had their sign wrong (RFC 5322 §4.3).
std::optional<std::chrono::minutes> parse_zone(std::string_view word) {
  constexpr NamedZone kZones[] = {{"EST", -5}, {"EDT", -4}, {"CST", -6}, {"CDT", -5}, {"MST", -7},
                                  {"MDT", -6}, {"PST", -8}, {"PDT", -7}, {"CET", 1},  {"CEST", 2},
                                  {"EET", 2},  {"EEST", 3}, {"BST", 1},  {"JST", 9}};
  for (const NamedZone& zone : kZones) {
    if (base::equals_ignoring_case(word, zone.name)) return std::chrono::hours(zone.hours);
  }
  if (word.front() != '+' && word.front() != '-') {
    const bool is_number = word.front() >= '0' && word.front() <= '9';
    return is_number ? std::nullopt : std::optional(std::chrono::minutes(0));
  }
  std::string digits(word.substr(1));
  if (digits.size() == 5 && digits[2] == ':') digits.erase(2, 1);
  const auto number = parse_digits(digits, 4, 4);
  if (!number || *number % 100 > 59) return std::nullopt;
  const std::chrono::minutes offset(*number / 100 * 60 + *number % 100);
  return word.front() == '-' ? -offset : offset;
}

// hh:mm, hh:mm:ss or hh:mm:ss.fff of RFC 3339: two digits each, and of the fraction at most nine.
std::optional<std::chrono::milliseconds> parse_exact_time(std::string_view text) {
  constexpr std::size_t kSecondOctets = std::string_view("20:46:05").size();
  const std::string_view fraction = text.substr(std::min(kSecondOctets, text.size()));
  const auto whole = parse_time_of_day(text.substr(0, kSecondOctets));
  const bool has_form = (text.size() == 5 || text.size() >= kSecondOctets) && text[2] == ':' &&
                        (text.size() == 5 || text[5] == ':');
  if (!whole || !has_form) return std::nullopt;
  if (fraction.empty()) return *whole;
  const auto part = parse_digits(fraction.substr(1), 1, 9);
  if (fraction.front() != '.' || !part) return std::nullopt;
  std::string thousandths(fraction.substr(1));
  thousandths.resize(3, '0');
  return *whole + std::chrono::milliseconds(std::stoi(thousandths));
}

// "Z", "+01:00", "-0930".
std::optional<std::chrono::minutes> parse_offset(std::string_view text) {
  if (base::equals_ignoring_case(text, "Z")) return std::chrono::minutes(0);
  if (text.size() < 5 || (text.front() != '+' && text.front() != '-')) return std::nullopt;
  return parse_zone(text);
}

struct DateParts {
  std::string_view day, month, year, time, zone;
};

// "21 Nov 2026 20:46:05 +0000", or of ctime "Nov 21 20:46:05 [zone] 2026".
std::optional<DateParts> arrange(std::span<const std::string_view> words) {
  if (words.size() < 4) return std::nullopt;
  if (!parse_month(words[0])) {
    return DateParts{words[0], words[1], words[2], words[3], words.size() > 4 ? words[4] : "UT"};
  }
  const bool has_zone = words.size() > 4;
  return DateParts{words[1], words[0], words[has_zone ? 4 : 3], words[2],
                   has_zone ? words[3] : "UT"};
}

bool is_day_name(std::string_view word) {
  return word.size() >= 3 && word.front() > '9' && !parse_month(word);
}

}  // namespace

void append_date(std::string& text, WallTime time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const auto second_of_day =
      static_cast<unsigned>(std::chrono::duration_cast<std::chrono::seconds>(time - day).count());
  const unsigned weekday = std::chrono::weekday(day).c_encoding();
  text.append(kDayNames.substr(weekday * 3, 3)).append(", ");
  append_number(text, static_cast<unsigned>(date.day()), 2);
  text.append(1, ' ').append(kMonthNames.substr((static_cast<unsigned>(date.month()) - 1) * 3, 3));
  text += ' ';
  append_number(text, static_cast<unsigned>(static_cast<int>(date.year())), 4);
  text += ' ';
  append_number(text, second_of_day / 3600, 2);
  text += ':';
  append_number(text, second_of_day / 60 % 60, 2);
  text += ':';
  append_number(text, second_of_day % 60, 2);
  text += " +0000";
}

std::string format_date(WallTime time) {
  std::string text;
  text.reserve(31);
  append_date(text, time);
  return text;
}

Result<WallTime> parse_date(std::string_view text) {
  const Error bad("\"" + base::printable(text, 64) +
                  "\" is no date like Sat, 21 Nov 2026 20:46:05 +0000");
  const Words words(text);
  std::span<const std::string_view> rest = words.all();
  if (!rest.empty() && is_day_name(rest.front())) rest = rest.subspan(1);
  const auto parts = arrange(rest);
  if (!parts) return bad;
  const auto day = parse_digits(parts->day, 1, 2);
  const auto month = parse_month(parts->month);
  const auto year = parse_year(parts->year);
  const auto time = parse_time_of_day(parts->time);
  const auto zone = parse_zone(parts->zone);
  if (!day || !month || !year || !time || !zone) return bad;
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(*month),
                                         std::chrono::day(*day)};
  if (!date.ok()) return bad;
  const WallTime result = std::chrono::sys_days(date) + *time - *zone;
  if (result.time_since_epoch().count() < 0) return Error("the date is before 1970");
  return result;
}

Result<WallTime> parse_timestamp(std::string_view text) {
  const Error bad("\"" + base::printable(text, 64) + "\" is no time like 2026-11-21T20:46:05Z");
  constexpr std::size_t kDateOctets = std::string_view("2026-11-21").size();
  if (text.size() <= kDateOctets ||
      std::string_view("Tt ").find(text[kDateOctets]) == std::string_view::npos)
    return bad;
  const std::string_view date = text.substr(0, kDateOctets);
  const std::string_view clock = text.substr(kDateOctets + 1);
  const std::size_t zone_at = std::min(clock.find_first_of("Zz+-"), clock.size());
  const auto year = parse_digits(date.substr(0, 4), 4, 4);
  const auto month = parse_digits(date.substr(5, 2), 2, 2);
  const auto day = parse_digits(date.substr(8, 2), 2, 2);
  const auto time = parse_exact_time(clock.substr(0, zone_at));
  const auto zone = parse_offset(clock.substr(zone_at));
  if (date[4] != '-' || date[7] != '-' || !year || !month || !day || !time || !zone) return bad;
  const std::chrono::year_month_day calendar{std::chrono::year(static_cast<int>(*year)),
                                             std::chrono::month(*month), std::chrono::day(*day)};
  if (!calendar.ok()) return bad;
  const WallTime result = std::chrono::sys_days(calendar) + *time - *zone;
  if (result.time_since_epoch().count() < 0) return Error("the time is before 1970");
  return result;
}

}  // namespace rockdove::mail
