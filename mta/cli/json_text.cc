#include "mta/cli/json_text.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>

#include "mta/cli/safe_text.h"

namespace rockdove::cli {

using Json = nlohmann::ordered_json;

void print_line(const Json& json) {
  std::printf("%s\n",
              json.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace).c_str());
}

Json parsed_line(std::string_view line) {
  Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  return json.is_object() ? json : Json::object();
}

std::string text_of(const Json& json, const char* name) {
  const auto found = json.find(name);
  if (found == json.end()) return {};
  if (found->is_string()) return safe_text(found->get<std::string>());
  return found->is_null() ? std::string() : found->dump();
}

std::uint64_t number_of(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

Json list_of(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_array() ? *found : Json::array();
}

std::uint64_t unix_seconds_of(const std::string& timestamp) {
  std::tm parts{};
  if (::strptime(timestamp.c_str(), "%Y-%m-%dT%H:%M:%S", &parts) == nullptr) return 0;
  return static_cast<std::uint64_t>(std::max<std::time_t>(0, ::timegm(&parts)));
}

std::string age(std::uint64_t unix_seconds, base::WallTime now) {
  const std::uint64_t now_seconds = base::to_unix_milliseconds(now) / 1000;
  return base::format_duration(
      std::chrono::seconds(now_seconds > unix_seconds ? now_seconds - unix_seconds : 0));
}

std::string local_time(std::uint64_t unix_seconds) {
  const auto seconds = static_cast<std::time_t>(unix_seconds);
  std::tm parts{};
  localtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  const std::size_t octets = std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &parts);
  return {text.data(), octets};
}

std::string local_time_of(const Json& json, const char* name) {
  const std::uint64_t seconds = unix_seconds_of(text_of(json, name));
  return seconds == 0 ? text_of(json, name) : local_time(seconds);
}

std::string cut(std::string text, std::size_t columns) {
  constexpr std::string_view kMore = "...";
  if (text.size() <= columns) return text;
  if (columns <= kMore.size()) return std::string(kMore.substr(0, columns));
  std::size_t end = columns - kMore.size();
  // Not within a character of UTF-8.
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  text.resize(end);
  text += kMore;
  return text;
}

}  // namespace rockdove::cli
