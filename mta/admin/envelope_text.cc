#include "mta/admin/envelope_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "mta/base/base64.h"
#include "mta/base/text.h"
#include "mta/base/utf8.h"
#include "mta/mail/address.h"

namespace rockdove::admin {

using Json = nlohmann::ordered_json;
using base::Error;
using base::Result;
using base::WallTime;
using queue::Delivery;
using queue::DeliveryState;
using queue::Ending;
using queue::Message;
using queue::MessageKind;

namespace {

constexpr std::string_view kWhat = "message";
constexpr std::uint64_t kVersion = 1;
constexpr int kIndent = 2;
constexpr int kDepthMax = 8;
// What a person or a peer has said; the queue itself keeps less.
constexpr std::size_t kTextOctetsMax = 4096;

template <typename Value>
struct Word {
  Value value;
  std::string_view word;
};

constexpr std::array kKinds{Word<MessageKind>{MessageKind::Ordinary, "ordinary"},
                            Word<MessageKind>{MessageKind::Report, "report"},
                            Word<MessageKind>{MessageKind::PostmasterReport, "postmaster-report"}};
constexpr std::array kStates{Word<DeliveryState>{DeliveryState::Waiting, "waiting"},
                             Word<DeliveryState>{DeliveryState::Held, "held"},
                             Word<DeliveryState>{DeliveryState::Deleted, "deleted"}};
constexpr std::array kEndings{
    Word<Ending>{Ending::Failed, "failed"}, Word<Ending>{Ending::Delivered, "delivered"},
    Word<Ending>{Ending::Relayed, "relayed"}, Word<Ending>{Ending::Expanded, "expanded"}};
constexpr std::array kReturned{Word<mail::ReturnContent>{mail::ReturnContent::Unset, ""},
                               Word<mail::ReturnContent>{mail::ReturnContent::Full, "full"},
                               Word<mail::ReturnContent>{mail::ReturnContent::Headers, "headers"}};

template <typename Words, typename Value>
std::string word_for(const Words& words, Value value) {
  for (const auto& one : words) {
    if (one.value == value) return std::string(one.word);
  }
  return {};
}

// Mail is not always UTF-8, JSON is.
Json text_json(std::string_view octets) {
  if (base::is_utf8(octets)) return std::string(octets);
  return Json{{"base64", base::encode_base64(octets)}};
}

Json time_json(WallTime time) {
  return base::format_timestamp(std::min(time, base::from_unix_milliseconds(253'402'300'799'999)));
}

Json delivery_json(const Delivery& delivery) {
  Json json{{"number", delivery.number},
            {"recipient", text_json(delivery.recipient)},
            {"destination", text_json(delivery.destination)},
            {"state", word_for(kStates, delivery.state)},
            {"due", time_json(delivery.due)},
            {"attempts", delivery.attempts}};
  const auto add_text = [&json](const char* name, std::string_view text) {
    if (!text.empty()) json[name] = text_json(text);
  };
  const auto add_number = [&json](const char* name, std::uint32_t number) {
    if (number > 0) json[name] = number;
  };
  add_number("uncertain", delivery.uncertain);
  add_number("crashes", delivery.crashes);
  if (delivery.priority != 0) json["priority"] = queue::priority_of(delivery.priority);
  add_text("hold_reason", delivery.hold_reason);
  add_text("hold_detail", delivery.hold_detail);
  if (delivery.expires > WallTime{}) json["expires"] = time_json(delivery.expires);
  if (delivery.lives_from > WallTime{}) json["lives_from"] = time_json(delivery.lives_from);
  if (delivery.last.at > WallTime{}) {
    json["last"] = Json{{"at", time_json(delivery.last.at)},
                        {"host", text_json(delivery.last.host)},
                        {"reply", text_json(delivery.last.reply)},
                        {"tls", text_json(delivery.last.tls)},
                        {"took", std::max<std::int64_t>(0, delivery.last.took.count())}};
    if (!delivery.last.rule.empty()) json["last"]["rule"] = text_json(delivery.last.rule);
    if (!delivery.last.source.empty()) json["last"]["source"] = text_json(delivery.last.source);
    if (!delivery.last.provider.empty())
      json["last"]["provider"] = text_json(delivery.last.provider);
  }
  add_text("notify", mail::format_notify(delivery.notify));
  add_text("original_recipient", delivery.original_recipient);
  add_text("alias", delivery.alias);
  if (delivery.delay_told) json["delay_told"] = true;
  if (!delivery.final_status.empty()) {
    json["final_status"] = text_json(delivery.final_status);
    json["ending"] = word_for(kEndings, delivery.ending);
  }
  if (delivery.state == DeliveryState::Deleted) {
    json["state_before"] = word_for(kStates, delivery.state_before);
    json["due_before"] = time_json(delivery.due_before);
  }
  add_text("route_to", delivery.route_to);
  if (delivery.is_expired) json["is_expired"] = true;
  return json;
}

// Reads the keys of one object; the first thing that is wrong is kept, and what is read behind it
// has its default.
class Reader {
 public:
  Reader(const Json& json, std::string path, std::optional<Error>& error)
      : json_(json), path_(std::move(path)), error_(error) {
    if (!json.is_object()) fail("", "is no object");
  }

  [[nodiscard]] const Json* find(const char* name) const {
    if (!json_.is_object()) return nullptr;
    const auto found = json_.find(name);
    return found == json_.end() ? nullptr : &*found;
  }

  void fail(std::string_view name, std::string_view what) {
    if (error_) return;
    std::string text = path_;
    text.append(name).append(" ").append(what);
    error_ = Error(std::move(text));
  }

  std::string text(const char* name, std::size_t octets_max = kTextOctetsMax) {
    const Json* value = find(name);
    if (value == nullptr) return {};
    std::optional<std::string> octets;
    if (value->is_string()) {
      octets = value->get<std::string>();
    } else if (value->is_object() && value->contains("base64") && (*value)["base64"].is_string()) {
      octets = base::decode_base64((*value)["base64"].get<std::string>());
    }
    if (!octets) {
      fail(name, "is no text");
      return {};
    }
    if (octets->size() > octets_max) {
      fail(name, "is too long");
      return {};
    }
    return *std::move(octets);
  }

  // Text that goes into a line of a session, or is a name.
  std::string line(const char* name, std::size_t octets_max = kTextOctetsMax) {
    std::string octets = text(name, octets_max);
    const bool has_control = std::any_of(octets.begin(), octets.end(), [](char c) {
      return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
    });
    if (!has_control) return octets;
    fail(name, "has control characters");
    return {};
  }

  std::uint64_t number(const char* name, std::uint64_t most) {
    const Json* value = find(name);
    if (value == nullptr) return 0;
    if (!value->is_number_unsigned() || value->get<std::uint64_t>() > most) {
      fail(name, "is no number up to " + std::to_string(most));
      return 0;
    }
    return value->get<std::uint64_t>();
  }

  // As MT-PRIORITY has them (RFC 6710).
  int priority(const char* name) {
    const Json* value = find(name);
    if (value == nullptr) return 0;
    const auto number = value->is_number_integer() ? value->get<std::int64_t>() : INT64_MAX;
    if (number >= -queue::kPriorityMax && number <= queue::kPriorityMax) {
      return static_cast<int>(number);
    }
    fail(name, "is no number from -9 to 9");
    return 0;
  }

  std::uint32_t small_number(const char* name, std::uint32_t most) {
    return static_cast<std::uint32_t>(number(name, most));
  }

  bool truth(const char* name) {
    const Json* value = find(name);
    if (value == nullptr) return false;
    if (!value->is_boolean()) fail(name, "is neither true nor false");
    return value->is_boolean() && value->get<bool>();
  }

  template <typename Words>
  auto word(const char* name, const Words& words) {
    const std::string said = text(name);
    if (find(name) == nullptr) return words.front().value;
    for (const auto& one : words) {
      if (one.word == said) return one.value;
    }
    fail(name, "is none of the words that it may be");
    return words.front().value;
  }

  WallTime time(const char* name);

 private:
  const Json& json_;
  const std::string path_;
  std::optional<Error>& error_;
};

// So many digits at `at` as a number; nullopt: others stand there.
std::optional<int> digits(std::string_view text, std::size_t at, std::size_t count) {
  int number = 0;
  const char* end = text.data() + at + count;
  const auto [stop, error] = std::from_chars(text.data() + at, end, number);
  if (error != std::errc() || stop != end || text[at] == '-') return std::nullopt;
  return number;
}

// What base::format_timestamp() writes.
std::optional<WallTime> parse_timestamp(std::string_view text) {
  constexpr std::string_view kForm = "0000-00-00T00:00:00.000Z";
  if (text.size() != kForm.size()) return std::nullopt;
  for (std::size_t i = 0; i < kForm.size(); ++i) {
    if (kForm[i] != '0' && text[i] != kForm[i]) return std::nullopt;
  }
  const auto year = digits(text, 0, 4);
  const auto month = digits(text, 5, 2);
  const auto day = digits(text, 8, 2);
  const auto hour = digits(text, 11, 2);
  const auto minute = digits(text, 14, 2);
  const auto second = digits(text, 17, 2);
  const auto millisecond = digits(text, 20, 3);
  if (!year || !month || !day || !hour || !minute || !second || !millisecond) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (*year < 1970 || !date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  return WallTime(std::chrono::sys_days(date)) + std::chrono::hours(*hour) +
         std::chrono::minutes(*minute) + std::chrono::seconds(*second) +
         std::chrono::milliseconds(*millisecond);
}

WallTime Reader::time(const char* name) {
  if (find(name) == nullptr) return {};
  const std::optional<WallTime> time = parse_timestamp(text(name));
  if (!time) fail(name, "is no time like 2026-11-22T07:00:00.000Z");
  return time.value_or(WallTime{});
}

// Of a sender "" is one, too.
bool is_address(std::string_view text) {
  return text.size() <= mail::kPathOctetsMax && mail::parse_mailbox_or_local_part(text).is_ok();
}

Delivery read_delivery(const Json& json, std::size_t index, std::optional<Error>& error) {
  Reader reader(json, "deliveries[" + std::to_string(index) + "].", error);
  Delivery delivery;
  delivery.number = reader.small_number("number", kEnvelopeDeliveriesMax);
  if (delivery.number == 0) reader.fail("number", "is missing");
  delivery.recipient = reader.line("recipient");
  if (!is_address(delivery.recipient)) reader.fail("recipient", "is no address");
  delivery.destination = reader.line("destination");
  if (delivery.destination.empty()) reader.fail("destination", "is missing");
  delivery.state = reader.word("state", kStates);
  delivery.due = reader.time("due");
  constexpr std::uint32_t kCountMax = 1'000'000;
  delivery.attempts = reader.small_number("attempts", kCountMax);
  delivery.uncertain = reader.small_number("uncertain", kCountMax);
  delivery.crashes = reader.small_number("crashes", kCountMax);
  delivery.priority = queue::stored_priority(reader.priority("priority"));
  delivery.hold_reason = reader.text("hold_reason");
  delivery.hold_detail = reader.text("hold_detail");
  delivery.expires = reader.time("expires");
  delivery.lives_from = reader.time("lives_from");
  if (const Json* last = reader.find("last")) {
    Reader attempt(*last, "deliveries[" + std::to_string(index) + "].last.", error);
    delivery.last.at = attempt.time("at");
    delivery.last.host = attempt.line("host");
    delivery.last.reply = attempt.text("reply");
    delivery.last.tls = attempt.line("tls");
    delivery.last.rule = attempt.text("rule");
    delivery.last.source = attempt.line("source");
    delivery.last.provider = attempt.line("provider");
    constexpr std::uint64_t kTookMax = 1'000'000'000'000;
    delivery.last.took =
        base::Duration(static_cast<std::int64_t>(attempt.number("took", kTookMax)));
  }
  if (const std::string notify = reader.line("notify"); !notify.empty()) {
    const auto parsed = mail::parse_notify(notify);
    if (!parsed) reader.fail("notify", "is no NOTIFY of RFC 3461");
    delivery.notify = parsed.value_or(mail::NotifySet{});
  }
  delivery.original_recipient = reader.text("original_recipient");
  delivery.alias = reader.text("alias");
  delivery.delay_told = reader.truth("delay_told");
  delivery.final_status = reader.line("final_status", 16);
  delivery.ending = reader.word("ending", kEndings);
  if (delivery.state == DeliveryState::Deleted) {
    delivery.state_before = reader.word("state_before", kStates);
    if (delivery.state_before == DeliveryState::Deleted) {
      reader.fail("state_before", "is deleted, too");
    }
    delivery.due_before = reader.time("due_before");
  }
  delivery.route_to = reader.line("route_to");
  delivery.is_expired = reader.truth("is_expired");
  return delivery;
}

void read_client(const Json* json, Message& message, std::optional<Error>& error) {
  if (json == nullptr) return;
  Reader reader(*json, "client.", error);
  const auto address = base::parse_ip_address(reader.line("address"));
  if (!address) reader.fail("address", "is no address");
  message.client = {address.value_or(base::IpAddress{}), reader.text("helo"),
                    reader.line("listener"), reader.line("user"), reader.line("tls")};
}

void read_content(const Json* json, Envelope& envelope, std::optional<Error>& error) {
  constexpr std::size_t kDigits = 64;
  static const Json kNone = Json::object();
  Reader reader(json == nullptr ? kNone : *json, "content.", error);
  const std::uint64_t octets = reader.number("octets", kContentOctetsMax);
  envelope.stored.header_octets = reader.number("header_octets", queue::kHeaderBlockOctetsMax);
  if (envelope.stored.header_octets > octets) reader.fail("header_octets", "is more than octets");
  if (envelope.stored.header_octets == 0) reader.fail("header_octets", "is missing");
  envelope.sha256 = reader.line("sha256", kDigits);
  const bool is_digest = envelope.sha256.size() == kDigits &&
                         envelope.sha256.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!envelope.sha256.empty() && !is_digest) reader.fail("sha256", "is no SHA-256");
  if (error) return;
  envelope.stored.message.body_octets = octets - envelope.stored.header_octets;
  envelope.stored.message.body_chunks = queue::body_chunks_of(envelope.stored.message.body_octets);
}

void read_deliveries(Reader& reader, queue::StoredMessage& stored, std::optional<Error>& error) {
  const Json* list = reader.find("deliveries");
  if (list == nullptr || !list->is_array() || list->empty()) {
    return reader.fail("deliveries", "names none");
  }
  if (list->size() > kEnvelopeDeliveriesMax) return reader.fail("deliveries", "are too many");
  for (std::size_t i = 0; i < list->size() && !error; ++i) {
    stored.deliveries.push_back(read_delivery((*list)[i], i, error));
    stored.deliveries.back().tenant = stored.message.tenant;
    const bool is_in_order =
        i == 0 || stored.deliveries[i - 1].number < stored.deliveries[i].number;
    if (!is_in_order) reader.fail("deliveries", "are not in the order of their numbers");
  }
  if (error) return;
  if (stored.message.recipients < stored.deliveries.back().number) {
    reader.fail("recipients_at_acceptance", "is less than the deliveries' numbers");
  }
}

}  // namespace

std::string format_envelope(const Envelope& envelope, Layout layout) {
  const queue::StoredMessage& stored = envelope.stored;
  const Message& message = stored.message;
  Json json{{"rockdove", kWhat},
            {"version", kVersion},
            {"id", base::format_id(message.id)},
            {"kind", word_for(kKinds, message.kind)},
            {"sender", text_json(message.sender)},
            {"accepted", time_json(message.accepted)},
            {"client", Json{{"address", base::format_ip_address(message.client.address)},
                            {"helo", text_json(message.client.helo)},
                            {"listener", text_json(message.client.listener)},
                            {"user", text_json(message.client.user)},
                            {"tls", text_json(message.client.tls)}}},
            {"eight_bit", message.eight_bit},
            {"smtputf8", message.smtputf8},
            {"recipients_at_acceptance", message.recipients}};
  if (!message.envelope_id.empty()) json["envelope_id"] = text_json(message.envelope_id);
  if (message.returned != mail::ReturnContent::Unset) {
    json["returned"] = word_for(kReturned, message.returned);
  }
  if (message.about.value != 0) json["about"] = base::format_id(message.about);
  if (!message.tenant.empty()) json["tenant"] = text_json(message.tenant);
  if (!message.campaign.empty()) json["campaign"] = text_json(message.campaign);
  json["content"] = Json{{"octets", stored.header_octets + message.body_octets},
                         {"header_octets", stored.header_octets}};
  if (!envelope.sha256.empty()) json["content"]["sha256"] = envelope.sha256;
  if (stored.reports.reports > 0) {
    json["reports"] =
        Json{{"count", stored.reports.reports}, {"last", time_json(stored.reports.last)}};
  }
  json["deliveries"] = Json::array();
  for (const Delivery& delivery : stored.deliveries) {
    json["deliveries"].push_back(delivery_json(delivery));
  }
  return json.dump(layout == Layout::Page ? kIndent : -1);
}

Result<Envelope> parse_envelope(std::string_view text) {
  if (text.size() > kEnvelopeOctetsMax) return Error("the envelope is too large");
  // Deeper than ours is nobody's: the rest is dropped, so that a hostile one costs no stack.
  const Json json = Json::parse(
      text, [](int depth, Json::parse_event_t, Json&) { return depth <= kDepthMax; },
      /*allow_exceptions=*/false);
  std::optional<Error> error;
  if (json.is_discarded()) return Error("it is no JSON");
  Reader reader(json, "", error);
  if (error || reader.text("rockdove") != kWhat) return Error("it is no envelope of rockdove's");
  if (reader.number("version", 1'000'000) != kVersion) {
    return Error("it is an envelope of another version of rockdove");
  }
  Envelope envelope;
  Message& message = envelope.stored.message;
  const std::optional<base::MessageId> id = base::parse_message_id(reader.line("id"));
  if (!id || id->value == 0) reader.fail("id", "is no id of a message");
  message.id = id.value_or(base::MessageId{});
  message.kind = reader.word("kind", kKinds);
  message.sender = reader.line("sender");
  if (reader.find("sender") == nullptr) reader.fail("sender", "is missing");
  if (!message.sender.empty() && !is_address(message.sender)) {
    reader.fail("sender", "is no address");
  }
  message.accepted = reader.time("accepted");
  if (message.accepted == WallTime{}) reader.fail("accepted", "is missing");
  read_client(reader.find("client"), message, error);
  message.eight_bit = reader.truth("eight_bit");
  message.smtputf8 = reader.truth("smtputf8");
  message.recipients = reader.small_number("recipients_at_acceptance", kEnvelopeDeliveriesMax);
  message.envelope_id = reader.text("envelope_id");
  message.returned = reader.word("returned", kReturned);
  if (reader.find("about") != nullptr) {
    const std::optional<base::MessageId> about = base::parse_message_id(reader.line("about"));
    if (!about) reader.fail("about", "is no id of a message");
    message.about = about.value_or(base::MessageId{});
  }
  message.tenant = reader.line("tenant");
  message.campaign = reader.line("campaign");
  read_content(reader.find("content"), envelope, error);
  if (const Json* reports = reader.find("reports")) {
    Reader counted(*reports, "reports.", error);
    envelope.stored.reports = {counted.small_number("count", 1'000'000), counted.time("last")};
  }
  read_deliveries(reader, envelope.stored, error);
  if (error) return *error;
  return envelope;
}

}  // namespace rockdove::admin
