// A message that arrives in any parts has the same header and body; its fields are its header
// block, octet by octet; and what a stranger calls himself stays within our Received field.
#include <string>

#include "mta/mail/headers.h"
#include "mta/mail/received.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace rockdove;

struct Split {
  std::string header, body;
  mail::HeaderSplitter::End end = mail::HeaderSplitter::End::None;

  bool operator==(const Split&) const = default;
};

Split split(std::string_view message, std::size_t octets_max, fuzz::Choices parts) {
  mail::HeaderSplitter splitter(octets_max);
  std::string late_body;
  while (!message.empty()) {
    const std::string_view part =
        message.substr(0, parts.is_empty() ? message.size() : 1 + parts.next(40));
    const std::size_t taken = splitter.receive(part);
    FUZZ_CHECK(taken == part.size() || splitter.is_done());
    late_body += part.substr(taken);
    message.remove_prefix(part.size());
  }
  splitter.finish();
  FUZZ_CHECK(splitter.is_done());
  const std::string body = std::string(splitter.body_start()) + late_body;
  const auto end = splitter.end();
  std::string header = std::string(splitter.header());
  FUZZ_CHECK(splitter.take_header() == header);
  return {std::move(header), body, end};
}

void check_fields(const Split& message) {
  std::string whole;
  std::size_t received = 0;
  for (const mail::HeaderField& field : mail::HeaderFields(message.header)) {
    FUZZ_CHECK(!field.name.empty() && field.whole.starts_with(field.name));
    FUZZ_CHECK(field.whole.ends_with("\r\n"));
    if (field.is("Received")) {
      ++received;
      (void)mail::received_by(field.value);
    }
    whole += field.whole;
  }
  FUZZ_CHECK(whole == message.header);
  const mail::HeaderFacts facts = mail::look_at_header(message.header, "mx.example.net");
  FUZZ_CHECK(facts.received == received && mail::count_received(message.header) == received);
  FUZZ_CHECK(facts.received_own <= facts.received);
  FUZZ_CHECK(facts.has_date == mail::has_date(message.header));
  FUZZ_CHECK(facts.has_message_id == mail::has_message_id(message.header));
  FUZZ_CHECK(facts.message_id == mail::message_id_of(message.header));
  FUZZ_CHECK(mail::received_hosts(message.header, 3).size() <= 3);
}

void check_received(std::string_view helo) {
  const mail::ReceivedStamp stamp{.helo = helo,
                                  .client = base::parse_ip_address("192.0.2.1"),
                                  .hostname = "mx.example.net",
                                  .id = base::MessageId{1},
                                  .now = base::from_unix_milliseconds(1'795'293'965'000)};
  const std::string block = mail::format_received(stamp) + "Date: x\r\n";
  FUZZ_CHECK(mail::count_fields(block, "Received") == 1 && mail::has_date(block));
  const mail::HeaderFacts facts = mail::look_at_header(block, "mx.example.net");
  FUZZ_CHECK(facts.received_own == 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Choices choices(fuzz::as_text(data, size));
  const std::size_t octets_max = choices.next(512);
  const fuzz::Choices parts(choices.next_text(16));
  const std::string_view message = choices.rest();
  const Split at_once = split(message, octets_max, fuzz::Choices({}));
  FUZZ_CHECK(split(message, octets_max, parts) == at_once);
  check_fields(at_once);
  check_fields(split(message, mail::kHeaderOctetsMax, parts));
  check_received(message);
  return 0;
}
