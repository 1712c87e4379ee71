#include "mta/cli/postfix_queue.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <ostream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace rockdove::cli {

using Json = nlohmann::ordered_json;
using base::Result;

namespace {

constexpr std::string_view kHeading =
    "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\n";
constexpr std::size_t kSizeEnds = 19;   // the column behind "--Size--"
constexpr std::size_t kAddressAt = 41;  // the column of senders and recipients
constexpr std::size_t kReasonEnds = 76;
constexpr std::size_t kSiteOctetsMax = 255;

constexpr std::string_view kUsageText =
    "usage: postqueue -f | postqueue -i queueid | postqueue -j | postqueue -p | postqueue -s site";

constexpr std::string_view kHelp = R"(Postfix's queue commands, on Rockdove's queue:
  mailq             as postqueue -p
  postqueue -p      the queue as a table
  postqueue -j      the queue as JSON, one message a line
  postqueue -f      try all that waits now
  postqueue -i ID   try one message now
  postqueue -s SITE try all mail to this domain now
  -c DIR            take DIR/rockdove.toml, if there is one; -v is accepted
)";

std::string text_in(const Json& json, const char* name) {
  return json.contains(name) && json[name].is_string() ? json[name].get<std::string>() : "";
}

std::uint64_t number_in(const Json& json, const char* name) {
  return json.contains(name) && json[name].is_number_unsigned() ? json[name].get<std::uint64_t>()
                                                                : 0;
}

struct Shown {
  Json message;
  std::vector<Json> recipients;  // those that are not deleted
};

// Nothing to show: no message, or a deleted one.
std::optional<Shown> parse_listed(std::string_view line) {
  Shown shown;
  shown.message = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!shown.message.is_object() || text_in(shown.message, "queue_name") == "deleted")
    return std::nullopt;
  for (const Json& recipient : shown.message.value("recipients", Json::array())) {
    if (text_in(recipient, "state") != "deleted") shown.recipients.push_back(recipient);
  }
  return shown;
}

// "Tue Nov 24 07:45:00", in local time.
std::string arrival_time(std::uint64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  localtime_r(&time, &parts);
  constexpr std::string_view kDays = "SunMonTueWedThuFriSat";
  constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  std::array<char, 32> text{};
  const std::size_t octets = std::strftime(text.data(), text.size(), " %e %H:%M:%S", &parts);
  std::string all(kDays.substr(static_cast<std::size_t>(parts.tm_wday) * 3, 3));
  all.append(" ").append(kMonths.substr(static_cast<std::size_t>(parts.tm_mon) * 3, 3));
  return all.append(text.data(), octets);
}

int fatal(const PostfixWorld& world, std::string_view text) {
  world.out.flush();
  world.error << "postqueue: fatal: " << text << '\n';
  return kUnavailable;
}

// A queue without a daemon is still shown.
Result<std::unique_ptr<QueueSource>> open_for_looking(const PostfixWorld& world,
                                                      const std::string& folder) {
  Result<std::unique_ptr<QueueSource>> source = world.open_queue(folder);
  if (source && !(*source)->is_running()) {
    world.error << "postqueue: warning: Mail system is down -- accessing queue directly\n";
  }
  return source;
}

int show_table(const std::string& folder, const PostfixWorld& world) {
  const Result<std::unique_ptr<QueueSource>> source = open_for_looking(world, folder);
  if (!source) return fatal(world, source.error().text());
  PostfixTable table;
  const Result<void> listed =
      (*source)->list({}, [&](std::string_view line) { world.out << table.entry(line); });
  if (!listed) return fatal(world, listed.error().text());
  world.out << table.summary();
  return 0;
}

int show_json(const std::string& folder, const PostfixWorld& world) {
  const Result<std::unique_ptr<QueueSource>> source = open_for_looking(world, folder);
  if (!source) return fatal(world, source.error().text());
  const Result<void> listed =
      (*source)->list({}, [&](std::string_view line) { world.out << postfix_json(line); });
  return listed ? 0 : fatal(world, listed.error().text());
}

// Opens the queue of a daemon that runs; says why not and gives null otherwise.
std::unique_ptr<QueueSource> open_for_acting(const std::string& folder, const PostfixWorld& world) {
  Result<std::unique_ptr<QueueSource>> source = world.open_queue(folder);
  if (source && (*source)->is_running()) return *std::move(source);
  if (!source) world.error << "postqueue: warning: " << source.error().text() << '\n';
  static_cast<void>(fatal(world, "Cannot flush mail queue - mail system is down"));
  return nullptr;
}

int flush(const admin::Parameters& filter, const std::string& folder, const PostfixWorld& world) {
  const std::unique_ptr<QueueSource> source = open_for_acting(folder, world);
  if (source == nullptr) return kUnavailable;
  const Result<void> acted = source->act({admin::Act::Retry}, filter, [](std::string_view) {});
  return acted ? 0 : fatal(world, acted.error().text());
}

int flush_message(const std::string& id, const std::string& folder, const PostfixWorld& world) {
  const bool is_name = !id.empty() && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  });
  if (!is_name) {
    return fatal(world, fmt::format("Cannot flush queue ID - invalid name: \"{}\"", harmless(id)));
  }
  const std::unique_ptr<QueueSource> source = open_for_acting(folder, world);
  if (source == nullptr) return kUnavailable;
  if (!base::parse_message_id(id)) return 0;  // Postfix says nothing of one that is not there
  const Result<void> acted =
      source->act({admin::Act::Retry}, std::vector<std::string>{id}, [](std::string_view) {});
  return acted ? 0 : fatal(world, acted.error().text());
}

int flush_site(const std::string& site, const std::string& folder, const PostfixWorld& world) {
  const bool is_site =
      !site.empty() && site.size() <= kSiteOctetsMax && site.find_first_of("*@ \t<>/") == site.npos;
  if (!is_site) {
    return fatal(world, fmt::format("Cannot flush mail queue - invalid destination: \"{}\"",
                                    harmless(site.substr(0, kSiteOctetsMax))));
  }
  return flush({{"state", "waiting"}, {"recipient", "*@" + site}}, folder, world);
}

}  // namespace

std::string PostfixTable::entry(std::string_view line) {
  const std::optional<Shown> shown = parse_listed(line);
  if (!shown) return {};
  std::string text(messages_ == 0 ? kHeading : "\n");
  ++messages_;
  const std::uint64_t size = number_in(shown->message, "message_size");
  octets_ += size;
  std::string id = text_in(shown->message, "queue_id");
  const std::string queue = text_in(shown->message, "queue_name");
  if (queue == "active") id += '*';
  if (queue == "hold") id += '!';
  if (shown->message.value("forced_expire", false)) id += '#';
  // Postfix's columns, for ids that are two characters longer.
  const std::size_t for_size = id.size() + 1 < kSizeEnds ? kSizeEnds - id.size() - 1 : 0;
  text += fmt::format("{} {:>{}} {}  {}\n", id, size, for_size,
                      arrival_time(number_in(shown->message, "arrival_time")),
                      harmless(text_in(shown->message, "sender")));
  std::string last_reason;
  for (const Json& recipient : shown->recipients) {
    const std::string reason = harmless(text_in(recipient, "delay_reason"));
    // Said once for all that have it; and none is a reason as well behind one that was said.
    if (reason != last_reason) {
      const std::string in_brackets = "(" + (reason.empty() ? "reason unavailable" : reason) + ")";
      if (in_brackets.size() < kReasonEnds + 2)
        text.append(kReasonEnds + 2 - in_brackets.size(), ' ');
      text.append(in_brackets).append("\n");
      last_reason = reason;
    }
    text.append(kAddressAt, ' ').append(harmless(text_in(recipient, "address"))).append("\n");
  }
  return text;
}

std::string PostfixTable::summary() const {
  if (messages_ == 0) return "Mail queue is empty\n";
  return fmt::format("\n-- {} Kbytes in {} Request{}.\n", octets_ / 1024, messages_,
                     messages_ == 1 ? "" : "s");
}

std::string postfix_json(std::string_view line) {
  const std::optional<Shown> shown = parse_listed(line);
  if (!shown) return {};
  const Json& message = shown->message;
  const auto quoted = [](const std::string& text) {
    return Json(text).dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
  };
  // With Postfix's spaces, because some read it with sed.
  std::string text = fmt::format(
      "{{\"queue_name\": {}, \"queue_id\": {}, \"arrival_time\": {}, \"message_size\": {}, "
      "\"forced_expire\": {}, \"sender\": {}, \"recipients\": [",
      quoted(text_in(message, "queue_name")), quoted(text_in(message, "queue_id")),
      number_in(message, "arrival_time"), number_in(message, "message_size"),
      message.value("forced_expire", false), quoted(text_in(message, "sender")));
  bool is_first = true;
  for (const Json& recipient : shown->recipients) {
    if (!std::exchange(is_first, false)) text += ", ";
    text += "{\"address\": " + quoted(text_in(recipient, "address"));
    if (const std::string reason = text_in(recipient, "delay_reason"); !reason.empty())
      text += ", \"delay_reason\": " + quoted(reason);
    text += '}';
  }
  return text + "]}\n";
}

int run_mailq(const std::vector<std::string>& arguments, const PostfixWorld& world) {
  if (!arguments.empty() && arguments.front() == "--help") {
    world.out << kHelp;
    return 0;
  }
  // mailq is sendmail -bp, whose other options mean nothing to a listing.
  const GivenOptions given = read_options(arguments, "A:B:C:F:N:O:R:V:b:d:f:h:io:p:q:r:tUvX:n");
  if (!given.mistake.empty()) {
    world.error << "mailq: " << given.mistake << '\n';
    return kUnavailable;
  }
  return show_table(given.value_of('C'), world);
}

int run_postqueue(const std::vector<std::string>& arguments, const PostfixWorld& world) {
  if (!arguments.empty() && arguments.front() == "--help") {
    world.out << kHelp;
    return 0;
  }
  const GivenOptions given = read_options(arguments, "c:fi:jps:v");
  if (!given.mistake.empty()) world.error << "postqueue: " << given.mistake << '\n';
  const auto what = [](const GivenOption& one) { return one.letter != 'c' && one.letter != 'v'; };
  const bool is_one = std::count_if(given.options.begin(), given.options.end(), what) == 1;
  if (!given.mistake.empty() || !is_one || !given.rest.empty()) return fatal(world, kUsageText);
  const GivenOption& act = *std::find_if(given.options.begin(), given.options.end(), what);
  const std::string folder = given.value_of('c');
  if (act.letter == 'p') return show_table(folder, world);
  if (act.letter == 'j') return show_json(folder, world);
  if (act.letter == 'i') return flush_message(act.value, folder, world);
  if (act.letter == 's') return flush_site(act.value, folder, world);
  return flush({{"state", "waiting"}}, folder, world);
}

}  // namespace rockdove::cli
