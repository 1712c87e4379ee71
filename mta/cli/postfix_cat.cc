#include "mta/cli/postfix_cat.h"

#include <array>
#include <ctime>
#include <ostream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "mta/base/ids.h"

namespace rockdove::cli {

using Json = nlohmann::ordered_json;
using base::Result;

namespace {

constexpr std::string_view kHelp = R"(postcat, on Rockdove's queue:
  postcat -q ID …  a message with its envelope; -e, -h and -b show envelope, header and body only
  -c DIR           take DIR/rockdove.toml, if there is one; -v is accepted
)";

struct Parts {
  bool envelope = false;
  bool header = false;
  bool body = false;
};

int fatal(const PostfixWorld& world, std::string_view text) {
  world.out.flush();
  world.error << "postcat: fatal: " << text << '\n';
  return 1;
}

std::string text_in(const Json& json, const char* name) {
  return json.contains(name) && json[name].is_string() ? harmless(json[name].get<std::string>())
                                                       : "";
}

std::string local_time(std::uint64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  localtime_r(&time, &parts);
  std::array<char, 64> text{};  // the C locale's names: nobody calls setlocale()
  const std::size_t octets =
      std::strftime(text.data(), text.size(), "%a %b %e %H:%M:%S %Y", &parts);
  return {text.data(), octets};
}

void write_attribute(std::ostream& out, std::string_view name, const std::string& value) {
  if (!value.empty()) out << "named_attribute: " << name << '=' << value << '\n';
}

void write_envelope(std::ostream& out, const Json& message) {
  const std::uint64_t size = message.value("message_size", std::uint64_t{0});
  const std::size_t recipients = message.value("recipients", Json::array()).size();
  const std::string time = local_time(message.value("arrival_time", std::uint64_t{0}));
  // Content, where it begins in a file (nowhere here), recipients, flags, content again, flags.
  out << fmt::format("message_size: {:15} {:15} {:15} {:15} {:15} {:15}\n", size, 0, recipients, 0,
                     size, 0);
  out << "message_arrival_time: " << time << "\ncreate_time: " << time << '\n';
  write_attribute(out, "log_ident", text_in(message, "queue_id"));
  out << "named_attribute: rewrite_context=local\n";
  const std::string sender = text_in(message, "sender");
  out << "sender: " << (sender == "MAILER-DAEMON" ? "" : sender) << '\n';
  const std::string client = text_in(message, "client");
  if (!client.empty()) {
    write_attribute(out, "log_client_name", "unknown");
    write_attribute(out, "log_client_address", client);
    write_attribute(out, "log_message_origin", "unknown[" + client + "]");
    write_attribute(out, "log_helo_name", text_in(message, "helo"));
    write_attribute(out, "client_name", "unknown");
    write_attribute(out, "client_address", client);
    write_attribute(out, "helo_name", text_in(message, "helo"));
  }
  write_attribute(out, "sasl_username", text_in(message, "user"));
  for (const Json& recipient : message.value("recipients", Json::array())) {
    const std::string address = text_in(recipient, "address");
    out << "original_recipient: " << address << "\nrecipient: " << address << '\n';
  }
}

// The header without the empty line behind it, and that line with the body.
Result<void> write_content(QueueSource& source, const std::string& id, const Parts& parts,
                           std::ostream& out) {
  std::string header;
  Result<void> got = source.content({id, ContentWanted::Part::Header},
                                    [&header](std::string_view octets) { header.append(octets); });
  if (!got) return got;
  const bool has_empty_line = header.ends_with("\r\n\r\n");
  if (has_empty_line) header.resize(header.size() - 2);
  UnixLines lines(out);
  if (parts.header) lines.write(header);
  if (parts.body) {
    if (has_empty_line) lines.write("\r\n");
    got = source.content({id, ContentWanted::Part::Body},
                         [&lines](std::string_view octets) { lines.write(octets); });
  }
  lines.end();
  return got;
}

int show(QueueSource& source, const std::string& id, const Parts& parts,
         const PostfixWorld& world) {
  Json message;
  const Result<void> shown = source.show(id, [&message](std::string_view line) {
    Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (json.is_object() && json.contains("message")) message = std::move(json["message"]);
  });
  if (!base::parse_message_id(id) || !shown || !message.is_object()) {
    return fatal(world, fmt::format("open queue file {}: No such file or directory", harmless(id)));
  }
  const std::string name = text_in(message, "queue_name") + "/" + text_in(message, "queue_id");
  if (parts.envelope) {
    world.out << "*** ENVELOPE RECORDS " << name << " ***\n";
    write_envelope(world.out, message);
    world.out << "*** MESSAGE CONTENTS " << name << " ***\n";
  }
  if (parts.header || parts.body) {
    const Result<void> written = write_content(source, id, parts, world.out);
    if (!written) return fatal(world, harmless(id) + ": " + written.error().text());
  }
  if (parts.envelope) {
    world.out << "*** HEADER EXTRACTED " << name << " ***\n*** MESSAGE FILE END " << name
              << " ***\n";
  }
  return 0;
}

}  // namespace

void UnixLines::write(std::string_view octets) {
  while (!octets.empty()) {
    if (owes_return_ && octets.front() != '\n') out_ << '\r';
    owes_return_ = false;
    const std::size_t end = octets.find('\r');
    out_ << octets.substr(0, end);
    if (end == std::string_view::npos) return;
    owes_return_ = true;
    octets.remove_prefix(end + 1);
  }
}

void UnixLines::end() {
  if (std::exchange(owes_return_, false)) out_ << '\r';
}

int run_postcat(const std::vector<std::string>& arguments, const PostfixWorld& world) {
  if (!arguments.empty() && arguments.front() == "--help") {
    world.out << kHelp;
    return 0;
  }
  const GivenOptions given = read_options(arguments, "bc:dehnoqrs:v");
  if (!given.mistake.empty()) world.error << "postcat: " << given.mistake << '\n';
  const bool is_strange = given.has('d') || given.has('o') || given.has('s');
  if (!given.mistake.empty() || is_strange)
    return fatal(world,
                 "usage: postcat [-b (body text)] [-c config_dir] [-e (envelope)] "
                 "[-h (header text)] [-q (access queue)] [-v] [file(s)...]");
  if (!given.has('q') || given.rest.empty())
    return fatal(world, "Rockdove's queue has no files: give -q and the ids of messages");
  Parts parts{given.has('e'), given.has('h'), given.has('b')};
  if (!parts.envelope && !parts.header && !parts.body) parts = {true, true, true};
  const Result<std::unique_ptr<QueueSource>> source = world.open_queue(given.value_of('c'));
  if (!source) return fatal(world, source.error().text());
  for (const std::string& id : given.rest) {
    if (const int status = show(**source, id, parts, world); status != 0) return status;
  }
  return 0;
}

}  // namespace rockdove::cli
