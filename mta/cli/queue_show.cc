#include "mta/cli/queue_show.h"

#include <algorithm>
#include <array>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "mta/base/text.h"
#include "mta/cli/body_printer.h"
#include "mta/cli/json_text.h"
#include "mta/cli/queue_tables.h"
#include "mta/cli/safe_text.h"

namespace rockdove::cli {

using Json = nlohmann::ordered_json;
using base::Result;

namespace {

constexpr std::uint64_t kBodyOctetsOnPage = 8 * 1024;
// What people look for first; a page shows these fields, and says how many there are besides.
constexpr std::array<std::string_view, 9> kFieldsOnPage = {
    "From", "Sender", "Reply-To", "To", "Cc", "Subject", "Date", "Message-ID", "In-Reply-To"};

std::string field_lines(const Json& field) {
  const std::string name = text_of(field, "name");
  const std::string value = text_of(field, "value");
  if (name.size() + 2 + value.size() <= kColumnsMax) return name + ": " + value + "\n";
  return name + ":\n" + wrapped(value, 4);
}

std::string header_lines(const Json& message) {
  std::string out;
  std::size_t more = 0;
  for (const Json& field : list_of(message, "header")) {
    const std::string name = text_of(field, "name");
    const bool is_shown = std::any_of(
        kFieldsOnPage.begin(), kFieldsOnPage.end(),
        [&name](std::string_view one) { return base::equals_ignoring_case(name, one); });
    if (is_shown) {
      out += "  " + cut(text_of(field, "name") + ": " + text_of(field, "value"), kColumnsMax - 2) +
             "\n";
    } else {
      ++more;
    }
  }
  if (more > 0) out += fmt::format("  {} more: --headers\n", more);
  return out.empty() ? out : "Header\n" + out;
}

std::string history_lines(const Json& json) {
  const Json history = list_of(json, "history");
  std::string out = history.empty() ? "" : "History\n";
  for (const Json& step : history) {
    out += fmt::format("  {}  {}  {}\n", local_time_of(step, "at"), text_of(step, "id"),
                       text_of(step, "what"));
    const std::string told =
        text_of(step, "host") + (step.contains("host") ? " said: " : "") + text_of(step, "reply");
    if (!told.empty()) out += wrapped(told, 7);
    if (const std::string source = text_of(step, "source"); !source.empty())
      out += wrapped("from " + source, 7);
    if (const std::string tls = text_of(step, "tls"); !tls.empty())
      out += wrapped("over " + tls, 7);
  }
  return out;
}

std::string envelope_lines(const Json& message, base::WallTime now) {
  std::string out = fmt::format("Message   {}\n", text_of(message, "queue_id"));
  out += cut("Sender    " + text_of(message, "sender"), kColumnsMax) + "\n";
  out += fmt::format("Accepted  {} ago, {} octets\n", age(number_of(message, "arrival_time"), now),
                     number_of(message, "message_size"));
  const std::string client = text_of(message, "client");
  if (!client.empty()) {
    out += cut(fmt::format("Client    {} ({}), listener {}", client, text_of(message, "helo"),
                           text_of(message, "listener")),
               kColumnsMax) +
           "\n";
  }
  for (const auto& [label, key] :
       {std::pair("Tenant", "tenant"), std::pair("Campaign", "campaign")}) {
    const std::string text = text_of(message, key);
    if (!text.empty()) out += cut(fmt::format("{:<9} {}", label, text), kColumnsMax) + "\n";
  }
  out += "Recipients\n";
  for (const Json& recipient : list_of(message, "recipients")) out += recipient_lines(recipient);
  return out;
}

std::vector<mail::ShownField> fields_of(const Json& message) {
  std::vector<mail::ShownField> fields;
  for (const Json& field : list_of(message, "header")) {
    fields.push_back({field.value("name", ""), field.value("value", "")});
  }
  return fields;
}

// What the daemon says of one message.
Result<std::string> ask(QueueSource& source, const std::string& id) {
  std::string line;
  const Result<void> shown = source.show(id, [&line](std::string_view text) { line = text; });
  if (!shown) return shown.error();
  return line;
}

Result<void> print_body(QueueSource& source, const std::string& id, const Json& message,
                        std::uint64_t octets_max, const Output& output) {
  BodyPrinter printer(output.out, fields_of(message));
  const Result<void> read =
      source.content({id, ContentWanted::Part::Body, octets_max},
                     [&printer](std::string_view octets) { printer.receive(octets); });
  printer.finish();
  return read;
}

Result<void> print_page(QueueSource& source, const std::string& id, const std::string& line,
                        const Output& output) {
  output.out << message_page(line, output.now);
  const Json json = parsed_line(line);
  const auto message = json.find("message");
  if (message == json.end() || !message->is_object()) return {};
  output.out << "Body\n";
  if (Result<void> body = print_body(source, id, *message, kBodyOctetsOnPage, output); !body) {
    return body;
  }
  const std::uint64_t octets = number_of(*message, "body_size");
  if (octets > kBodyOctetsOnPage) {
    output.out << "[" << plain_size(octets - kBodyOctetsOnPage) << " octets more: --body]\n";
  }
  return {};
}

// Onto a terminal the octets go line by line, as a stranger's text.
Result<void> print_raw(QueueSource& source, const std::string& id, const Output& output) {
  if (output.onto == Onto::File) {
    return source.content({id}, [&output](std::string_view octets) { output.out << octets; });
  }
  BodyPrinter printer(output.out, {});
  const Result<void> read =
      source.content({id}, [&printer](std::string_view octets) { printer.receive(octets); });
  printer.finish();
  return read;
}

Result<void> print_part(QueueSource& source, const std::string& id, ShowWhat what,
                        const Output& output) {
  const Result<std::string> line = ask(source, id);
  if (!line) return line.error();
  if (what == ShowWhat::Page) return print_page(source, id, *line, output);
  const Json json = parsed_line(*line);
  const auto message = json.find("message");
  if (message == json.end() || !message->is_object()) {
    return base::Error("it is no longer in the queue; `show` without options tells its history");
  }
  if (what == ShowWhat::Body) {
    return print_body(source, id, *message, std::numeric_limits<std::uint64_t>::max(), output);
  }
  for (const Json& field : list_of(*message, "header")) output.out << field_lines(field);
  return {};
}

}  // namespace

Ended run_queue_show(QueueSource& source, const std::vector<std::string>& ids, ShowWhat what,
                     const Output& output) {
  Ended ended = Ended::Done;
  for (const std::string& id : ids) {
    Result<void> shown;
    if (what == ShowWhat::Raw) {
      shown = print_raw(source, id, output);
    } else if (output.show == Show::Json) {
      shown = source.show(id, [&output](std::string_view line) { output.out << line << '\n'; });
    } else {
      shown = print_part(source, id, what, output);
    }
    if (!shown) ended = fail(output, shown.error().in(id));
  }
  return ended;
}

std::string message_page(std::string_view line, base::WallTime now) {
  const Json json = parsed_line(line);
  const auto message = json.find("message");
  if (message == json.end() || !message->is_object()) {
    return "It is no longer in the queue.\n" + history_lines(json);
  }
  return envelope_lines(*message, now) + history_lines(json) + header_lines(*message);
}

}  // namespace rockdove::cli
