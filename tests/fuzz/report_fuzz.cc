// Whatever a sender, a recipient and a remote server wrote, a delivery report has its own fields
// and parts only, lines of bounded length, and ends where it should.
#include <algorithm>
#include <string>

#include "mta/mail/headers.h"
#include "mta/mail/report.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace rockdove;

void check_lines(std::string_view text, std::size_t octets_max) {
  while (!text.empty()) {
    const std::size_t end = text.find_first_of("\r\n");
    FUZZ_CHECK(end != std::string_view::npos && text.substr(end, 2) == "\r\n" && end <= octets_max);
    text.remove_prefix(end + 2);
  }
}

std::size_t count(std::string_view text, std::string_view part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1))
    ++found;
  return found;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Choices choices(fuzz::as_text(data, size));
  mail::ReportedRecipient recipient;
  recipient.kind = static_cast<mail::FailureKind>(
      choices.next(static_cast<std::size_t>(mail::FailureKind::ReturnedByOperator) + 1));
  recipient.action = static_cast<mail::ReportAction>(choices.next(5));
  recipient.recipient = {std::string(choices.next_text(choices.next(80))), "example.net"};
  recipient.remote_mta = choices.next_text(choices.next(40));
  recipient.text = choices.next_text(choices.next(4000));
  mail::Report report;
  report.reporting_mta = "relay.example.net";
  report.report_id = "R-1";
  report.to = {"alice", "example.com"};
  if (choices.next(4) == 0) report.to.local = "b\xC3\xBC" + std::string(choices.next(20), 'x');
  report.original_is_smtputf8 = choices.next(2) == 0;
  recipient.original_recipient = choices.next_text(choices.next(60));
  report.original_envelope_id = choices.next_text(choices.next(200));
  report.recipients = {recipient, recipient};
  report.returned_octets_max = choices.next(2000);
  mail::HeaderSplitter splitter;
  const std::string_view original = choices.rest();
  const std::size_t taken = splitter.receive(original);
  splitter.finish();
  report.original_header = splitter.header();
  if (taken < original.size()) report.original_body = original.substr(taken);

  const mail::ReportMessage message = mail::build_report(report);
  check_lines(message.header, 300);
  check_lines(message.body, 998);
  std::string whole;
  for (const mail::HeaderField& field : mail::HeaderFields(message.header)) whole += field.whole;
  FUZZ_CHECK(whole == message.header);
  FUZZ_CHECK(mail::count_fields(message.header, "To") == 1);
  FUZZ_CHECK(mail::count_fields(message.header, "Bcc") == 0);
  const std::size_t start = message.header.find("boundary=\"") + 10;
  const std::string mark =
      "--" + message.header.substr(start, message.header.find('"', start) - start);
  const std::size_t parts = count(message.body, mark);
  FUZZ_CHECK(parts == 3 || parts == 4);
  FUZZ_CHECK(message.body.starts_with(mark + "\r\n") &&
             message.body.ends_with("\r\n" + mark + "--\r\n"));
  const std::string all = message.header + message.body;
  const bool has_high = std::any_of(all.begin(), all.end(), [](char c) { return (c & 0x80) != 0; });
  FUZZ_CHECK(has_high == message.is_eight_bit);
  return 0;
}
