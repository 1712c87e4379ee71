#include "mta/cli/trace_tables.h"

#include <chrono>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "mta/base/time.h"
#include "mta/cli/json_text.h"
#include "mta/cli/queue_tables.h"
#include "mta/cli/safe_text.h"

namespace rockdove::cli {

using Json = nlohmann::ordered_json;

namespace {

constexpr std::size_t kIndent = 2;
constexpr std::size_t kReportIndent = 4;

double real_of(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_number() ? found->get<double>() : 0;
}

std::string sender_of(const Json& json) {
  const std::string sender = text_of(json, "sender");
  return "<" + sender + ">";
}

std::string accepted_text(const Json& json) {
  std::string text = local_time_of(json, "accepted") + " accepted";
  const std::string client = text_of(json, "client");
  if (client.empty()) {
    text += " from rockdove itself";
  } else {
    const std::string helo = text_of(json, "helo");
    text += " from " + (helo.empty() ? client : helo + " [" + client + "]") + ", listener " +
            text_of(json, "listener");
    if (const std::string user = text_of(json, "user"); !user.empty()) text += ", user " + user;
    if (const std::string tls = text_of(json, "tls"); !tls.empty()) text += ", " + tls;
  }
  for (const char* key : {"tenant", "campaign"}) {
    if (const std::string name = text_of(json, key); !name.empty())
      text.append(", ").append(key).append(" ").append(name);
  }
  return text;
}

std::string step_text(const Json& step) {
  std::string text = local_time_of(step, "at") + " " + text_of(step, "what");
  if (const std::string host = text_of(step, "host"); !host.empty()) text += " by " + host;
  if (const std::string source = text_of(step, "source"); !source.empty())
    text += " from " + source;
  if (const std::string tls = text_of(step, "tls"); !tls.empty()) text += ", " + tls;
  if (const double seconds = real_of(step, "seconds"); seconds > 0) {
    text += fmt::format(", {:.3g} s", seconds);
  }
  if (const std::string status = text_of(step, "status"); !status.empty()) {
    text += ", status " + status;
  }
  if (const std::string reply = text_of(step, "reply"); !reply.empty()) text += ": " + reply;
  if (const std::string rule = text_of(step, "rule"); !rule.empty()) text += " (rule " + rule + ")";
  if (const std::string report = text_of(step, "report"); !report.empty()) {
    text += " (report " + report + ")";
  }
  return text;
}

std::string page(const Json& json, std::size_t indent) {
  std::string out(indent, ' ');
  out += text_of(json, "queue_id");
  const std::string kind = text_of(json, "kind");
  if (kind == "report" || kind == "postmaster-report") {
    out += ", a report";
    if (const std::string about = text_of(json, "about"); !about.empty()) out += " about " + about;
  }
  out += fmt::format(", from {}, {} octets\n", sender_of(json), number_of(json, "message_size"));
  const std::size_t below = indent + kIndent;
  if (const std::string id = text_of(json, "message_id"); !id.empty()) {
    out += wrapped("Message-ID " + id, below);
  }
  out += wrapped(accepted_text(json), below);
  for (const Json& recipient : list_of(json, "recipients")) {
    const std::string id = text_of(recipient, "id");
    const std::size_t hyphen = id.find('-');
    std::string head = (hyphen == std::string::npos ? "" : id.substr(hyphen)) + " <" +
                       text_of(recipient, "address") + "> ";
    if (const std::string alias = text_of(recipient, "alias"); !alias.empty()) {
      head += "(for <" + alias + ">) ";
    }
    head += text_of(recipient, "state");
    if (const std::string due = local_time_of(recipient, "due");
        !due.empty() && text_of(recipient, "state") == "waiting") {
      head += ", due " + due;
    }
    if (const std::string why = text_of(recipient, "hold_reason"); !why.empty()) {
      head += ": " + why;
    }
    if (const std::string expires = local_time_of(recipient, "expires"); !expires.empty()) {
      head += ", until " + expires;
    }
    out += wrapped(head, below);
    for (const Json& step : list_of(recipient, "steps")) {
      out += wrapped(step_text(step), below + kIndent);
    }
  }
  if (const std::uint64_t left_out = number_of(json, "recipients_left_out"); left_out > 0) {
    out += wrapped(fmt::format("and {} other recipients", left_out), below);
  }
  if (const std::uint64_t left_out = number_of(json, "steps_left_out"); left_out > 0) {
    out += wrapped(fmt::format("and {} further steps", left_out), below);
  }
  for (const Json& report : list_of(json, "reports")) {
    if (report.is_object()) out += page(report, indent + kReportIndent);
  }
  return out;
}

std::string delay(const Json& json, const char* name) {
  if (!json.contains(name)) return "-";
  const double seconds = real_of(json, name);
  if (seconds < 10) return fmt::format("{:.2g}s", seconds);
  return base::format_duration(std::chrono::seconds(static_cast<std::int64_t>(seconds + 0.5)));
}

}  // namespace

std::string traced_page(std::string_view line) {
  return page(parsed_line(line), 0);
}

std::string stats_header() {
  return fmt::format("{:>9} {:>8} {:>10} {:>9} {:>8} {:>7} {:>6} {:>6} {:>6}  {}\n", "ACCEPTED",
                     "OCTETS", "DELIVERED", "DEFERRED", "BOUNCED", "WAITING", "MEDIAN", "P95",
                     "P99", "NAME");
}

std::string stats_entry(std::string_view line) {
  const Json json = parsed_line(line);
  std::string name = text_of(json, "name");
  if (json.contains("names")) {
    name = fmt::format("({} other names)", number_of(json, "names"));
    if (json.contains("is_exact")) name += " about";
  }
  if (json.contains("total")) name = "(all)";
  return fmt::format("{:>9} {:>8} {:>10} {:>9} {:>8} {:>7} {:>6} {:>6} {:>6}  {}\n",
                     number_of(json, "accepted"), plain_size(number_of(json, "octets")),
                     number_of(json, "delivered"), number_of(json, "deferred"),
                     number_of(json, "bounced"), number_of(json, "waiting"),
                     delay(json, "delay_median"), delay(json, "delay_p95"),
                     delay(json, "delay_p99"), cut(std::move(name), 60));
}

}  // namespace rockdove::cli
