#include "mta/cli/queue_tables.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace rockdove::cli {

using Json = nlohmann::ordered_json;

namespace {

// Control characters, also those that UTF-8 writes with two octets (U+0080 to U+009F), become "?".
std::string safe(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto octet = static_cast<unsigned char>(text[i]);
    const unsigned char next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1])
                                                   : static_cast<unsigned char>(0);
    if (octet == 0xC2 && next >= 0x80 && next < 0xA0) {
      out += '?';
      ++i;
    } else {
      out += octet < 32 || octet == 127 ? '?' : text[i];
    }
  }
  return out;
}

std::string cut(std::string text, std::size_t columns) {
  if (text.size() <= columns) return text;
  text.resize(columns - 3);
  return text + "...";
}

// A value of the daemon's; empty when it is missing, so that an older or newer one is no error.
std::string text_of(const Json& json, const char* name) {
  const auto found = json.find(name);
  if (found == json.end()) return {};
  if (found->is_string()) return safe(found->get<std::string>());
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

Json parsed(std::string_view line) {
  Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  return json.is_object() ? json : Json::object();
}

std::string age(std::uint64_t unix_seconds, base::WallTime now) {
  const std::uint64_t now_seconds = base::to_unix_milliseconds(now) / 1000;
  return base::format_duration(
      std::chrono::seconds(now_seconds > unix_seconds ? now_seconds - unix_seconds : 0));
}

// The seconds of "2026-11-21T20:46:05.123Z"; 0 when it is none.
std::uint64_t unix_seconds_of(const std::string& timestamp) {
  std::tm parts{};
  if (::strptime(timestamp.c_str(), "%Y-%m-%dT%H:%M:%S", &parts) == nullptr) return 0;
  return static_cast<std::uint64_t>(std::max<std::time_t>(0, ::timegm(&parts)));
}

std::string recipient_lines(const Json& recipient) {
  const std::string id = text_of(recipient, "id");
  const std::size_t hyphen = id.find('-');
  const std::string number = hyphen == std::string::npos ? "" : id.substr(hyphen);
  return cut(fmt::format("  {:<4} {}", number, text_of(recipient, "address")), kColumnsMax) + "\n" +
         wrapped(text_of(recipient, "why"), 7);
}

}  // namespace

std::string plain_size(std::uint64_t octets) {
  if (octets < 1000) return std::to_string(octets);
  constexpr std::string_view kUnits = "KMGTPE";
  double value = static_cast<double>(octets) / 1000;
  std::size_t unit = 0;
  while (value >= 999.95 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  return fmt::format("{:.1f}{}", value, kUnits[unit]);
}

std::string wrapped(std::string_view text, std::size_t indent) {
  std::string out;
  const std::size_t width = kColumnsMax - indent;
  do {
    std::size_t end = text.size();
    if (end > width) {
      end = text.rfind(' ', width);
      if (end == std::string_view::npos || end == 0) end = width;
    }
    out.append(indent, ' ').append(text.substr(0, end)).append("\n");
    text.remove_prefix(std::min(text.size(), text.substr(end).starts_with(' ') ? end + 1 : end));
  } while (!text.empty());
  return out;
}

std::string list_header() {
  return fmt::format("{:<12}  {:>8}  {:>7}  {}\n", "ID", "AGE", "SIZE", "SENDER AND RECIPIENTS");
}

std::string list_entry(std::string_view line, base::WallTime now) {
  const Json json = parsed(line);
  std::string out =
      cut(fmt::format("{:<12}  {:>8}  {:>7}  {}", text_of(json, "queue_id"),
                      age(number_of(json, "arrival_time"), now),
                      plain_size(number_of(json, "message_size")), text_of(json, "sender")),
          kColumnsMax) +
      "\n";
  for (const Json& recipient : list_of(json, "recipients")) out += recipient_lines(recipient);
  return out;
}

std::string summary_header() {
  return fmt::format("{:<8}  {:>10}  {:>8}  {:>8}  {}\n", "STATE", "DELIVERIES", "OLDEST",
                     "NEXT IN", "DESTINATION");
}

std::string summary_entry(std::string_view line, base::WallTime now) {
  const Json json = parsed(line);
  const std::string state = text_of(json, "state");
  const std::uint64_t due = unix_seconds_of(text_of(json, "earliest_due"));
  const std::uint64_t now_seconds = base::to_unix_milliseconds(now) / 1000;
  std::string next = "-";
  if (state == "waiting") {
    next =
        due <= now_seconds ? "now" : base::format_duration(std::chrono::seconds(due - now_seconds));
  }
  return cut(fmt::format("{:<8}  {:>10}  {:>8}  {:>8}  {}", state, number_of(json, "deliveries"),
                         age(unix_seconds_of(text_of(json, "oldest")), now), next,
                         text_of(json, "destination")),
             kColumnsMax) +
         "\n";
}

std::string message_page(std::string_view line, base::WallTime now) {
  const Json json = parsed(line);
  std::string out;
  const auto message = json.find("message");
  if (message != json.end() && message->is_object()) {
    out += fmt::format("Message   {}\n", text_of(*message, "queue_id"));
    out += cut("Sender    " + text_of(*message, "sender"), kColumnsMax) + "\n";
    out +=
        fmt::format("Accepted  {} ago, {} octets\n", age(number_of(*message, "arrival_time"), now),
                    number_of(*message, "message_size"));
    const std::string client = text_of(*message, "client");
    if (!client.empty()) {
      out += cut(fmt::format("Client    {} ({}), listener {}", client, text_of(*message, "helo"),
                             text_of(*message, "listener")),
                 kColumnsMax) +
             "\n";
    }
    out += "Recipients\n";
    for (const Json& recipient : list_of(*message, "recipients")) out += recipient_lines(recipient);
  } else {
    out += "It is no longer in the queue.\n";
  }
  const Json history = list_of(json, "history");
  if (!history.empty()) out += "History\n";
  for (const Json& step : history) {
    out += fmt::format("  {}  {}  {}\n", text_of(step, "at"), text_of(step, "id"),
                       text_of(step, "what"));
    const std::string told =
        text_of(step, "host") + (step.contains("host") ? " said: " : "") + text_of(step, "reply");
    if (!told.empty()) out += wrapped(told, 7);
    if (const std::string tls = text_of(step, "tls"); !tls.empty())
      out += wrapped("over " + tls, 7);
  }
  return out;
}

std::string route_page(std::string_view line) {
  const Json json = parsed(line);
  std::string out;
  for (const auto& [name, key] :
       {std::pair("Address", "address"), std::pair("Destination", "destination"),
        std::pair("Rule", "rule")}) {
    out += cut(fmt::format("{:<12} {}", name, text_of(json, key)), kColumnsMax) + "\n";
  }
  for (const Json& setting : list_of(json, "settings")) {
    std::string name = text_of(setting, "name");
    if (!name.empty() && name[0] >= 'a' && name[0] <= 'z')
      name[0] = static_cast<char>(name[0] - 32);
    out += cut(fmt::format("{:<12} {}", name, text_of(setting, "value")), kColumnsMax) + "\n";
  }
  for (const Json& answer : list_of(json, "dns")) {
    out += fmt::format("DNS          {}\n", text_of(answer, "question"));
    out += wrapped(text_of(answer, "answer"), 15);
  }
  for (const Json& host : list_of(json, "hosts")) {
    std::string addresses;
    for (const Json& address : list_of(host, "addresses")) {
      if (address.is_string()) addresses += " " + safe(address.get<std::string>());
    }
    out +=
        fmt::format("Host         {} {}\n", number_of(host, "preference"), text_of(host, "name"));
    if (!addresses.empty()) out += wrapped(addresses.substr(1), 15);
    for (const Json& note : list_of(host, "notes")) {
      if (note.is_string()) out += wrapped(safe(note.get<std::string>()), 15);
    }
  }
  out += cut("Site         " + text_of(json, "site"), kColumnsMax) + "\n";
  out += cut("Account      " + text_of(json, "account"), kColumnsMax) + "\n";
  for (const Json& limit : list_of(json, "limits")) {
    out += cut(fmt::format("Limit        {} {}", text_of(limit, "name"), text_of(limit, "value")),
               kColumnsMax) +
           "\n";
  }
  return out + wrapped(text_of(json, "conclusion"), 0);
}

}  // namespace rockdove::cli
