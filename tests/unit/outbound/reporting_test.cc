#include "mta/outbound/reporting.h"

#include <catch2/catch.hpp>

#include "mta/outbound/quota.h"
#include "mta/outbound/report_mail.h"

using namespace rockdove;
using namespace rockdove::outbound;
using namespace std::chrono_literals;

namespace {

constexpr base::WallTime kAccepted = base::from_unix_milliseconds(1'795'293'965'000);

queue::Message message_from(std::string sender) {
  queue::Message message;
  message.id = {base::to_unix_milliseconds(kAccepted) << 20};
  message.sender = std::move(sender);
  message.accepted = kAccepted;
  message.header_block = "Subject: hi\r\n\r\n";
  message.body_octets = 4;
  return message;
}

queue::Delivery delivery_with(std::string_view notify) {
  queue::Delivery delivery;
  delivery.number = 1;
  delivery.recipient = "bob@example.net";
  if (!notify.empty()) delivery.notify = *mail::parse_notify(notify);
  return delivery;
}

// What is told: F of a failure, d of a delay; of a success r (relayed) to a next hop without DSN,
// t when that has DSN and takes over, m (delivered) into a mailbox.
struct Line {
  std::string_view notify;
  std::string_view told;
};

constexpr Line kTable[] = {
    {"", "Fd"},
    {"NEVER", ""},
    {"SUCCESS", "rm"},
    {"FAILURE", "F"},
    {"DELAY", "d"},
    {"SUCCESS,FAILURE", "Frm"},
    {"SUCCESS,DELAY", "drm"},
    {"FAILURE,DELAY", "Fd"},
    {"SUCCESS,FAILURE,DELAY", "Fdrm"},
};

std::string told_to(const queue::Message& message, const queue::Delivery& delivery) {
  queue::QueueSettings settings;
  std::string told;
  if (reports_failure(delivery)) told += 'F';
  if (wants_delay_notice(settings, message, delivery, kAccepted + 4h)) told += 'd';
  const auto success = [&](Taker taker, queue::Ending ending, char letter) {
    const auto found = success_to_report(message, delivery, taker);
    if (!found) return;
    CHECK(*found == ending);
    told += letter;
  };
  success(Taker::NextHop, queue::Ending::Relayed, 'r');
  success(Taker::NextHopWithDsn, queue::Ending::Relayed, 't');
  success(Taker::Mailbox, queue::Ending::Delivered, 'm');
  return told;
}

}  // namespace

TEST_CASE("reporting: NOTIFY, outcome and peer decide what a sender is told") {
  for (const Line& line : kTable) {
    INFO(line.notify);
    CHECK(told_to(message_from("a@example.org"), delivery_with(line.notify)) == line.told);
  }
}

TEST_CASE("reporting: the null sender and our own reports hear of no success and no delay") {
  for (const Line& line : kTable) {
    INFO(line.notify);
    const std::string failure = line.told.starts_with('F') ? "F" : "";
    CHECK(told_to(message_from(""), delivery_with(line.notify)) == failure);
    queue::Message report = message_from("a@example.org");
    report.kind = queue::MessageKind::Report;
    CHECK(told_to(report, delivery_with(line.notify)) == failure);
  }
}

TEST_CASE("reporting: a delay is told from delay_notice on, once, and not at all with 0") {
  queue::QueueSettings settings;
  const queue::Message message = message_from("a@example.org");
  queue::Delivery delivery = delivery_with("");
  CHECK_FALSE(wants_delay_notice(settings, message, delivery, kAccepted + 4h - 1ms));
  CHECK(wants_delay_notice(settings, message, delivery, kAccepted + 4h));
  settings.delay_notice = 0h;
  CHECK_FALSE(wants_delay_notice(settings, message, delivery, kAccepted + 100h));
  settings.delay_notice = 1h;
  delivery.delay_told = true;
  CHECK_FALSE(wants_delay_notice(settings, message, delivery, kAccepted + 100h));
}

TEST_CASE("reporting: a quota gives so many in a period that the first of them begins") {
  Quota quota(2, 1h);
  const base::Instant start{};
  CHECK(quota.is_fresh(start));
  CHECK(quota.take(start));
  CHECK(quota.take(start + 59min));
  CHECK_FALSE(quota.take(start + 59min));
  CHECK_FALSE(quota.is_fresh(start + 59min));
  CHECK(quota.is_fresh(start + 60min));
  CHECK(quota.take(start + 60min));
}

namespace {

std::string report_on(queue::Message original, queue::Delivery delivery) {
  queue::QueueSettings settings;
  settings.hostname = "relay.example";
  const OutboundSettings outbound;
  const std::string sender = original.sender;
  const ReportRequest request{original,
                              {std::move(delivery)},
                              "hi\r\n",
                              sender,
                              {sender},
                              queue::MessageKind::Report,
                              {base::to_unix_milliseconds(kAccepted + 1h) << 20},
                              kAccepted + 1h};
  const ReportMail mail = make_report_mail(settings, outbound, request);
  CHECK(mail.deliveries.size() == 1);
  CHECK(mail.message->smtputf8 == (sender.find('\xC3') != std::string::npos));
  return mail.message->header_block + *mail.message->body;
}

queue::Delivery failed_with(std::string status, std::string reply) {
  queue::Delivery delivery = delivery_with("");
  delivery.final_status = std::move(status);
  delivery.last = {kAccepted + 1min, "mx.example.net[192.0.2.1]:25", std::move(reply)};
  delivery.attempts = 1;
  return delivery;
}

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace

TEST_CASE("reporting: RET and the kind of report decide how much comes back") {
  queue::Message original = message_from("a@example.org");
  queue::Delivery delivery = failed_with("5.1.1", "550 5.1.1 no");
  CHECK(has(report_on(original, delivery), "Content-Type: message/rfc822"));
  original.returned = mail::ReturnContent::Full;
  CHECK(has(report_on(original, delivery), "Content-Type: message/rfc822"));
  original.returned = mail::ReturnContent::Headers;
  CHECK(has(report_on(original, delivery), "Content-Type: text/rfc822-headers"));
  original.returned = mail::ReturnContent::Full;
  delivery.ending = queue::Ending::Relayed;
  delivery.final_status = "2.0.0";
  CHECK(has(report_on(original, delivery), "Content-Type: text/rfc822-headers"));
  delivery.final_status = "";
  CHECK(has(report_on(original, delivery), "Content-Type: text/rfc822-headers"));
}

TEST_CASE("reporting: each ending has its action") {
  const queue::Message original = message_from("a@example.org");
  queue::Delivery delivery = failed_with("5.1.1", "550 5.1.1 no");
  CHECK(has(report_on(original, delivery), "\r\nAction: failed\r\nStatus: 5.1.1\r\n"));
  delivery.final_status = "2.1.5";
  delivery.ending = queue::Ending::Delivered;
  CHECK(has(report_on(original, delivery), "\r\nAction: delivered\r\nStatus: 2.1.5\r\n"));
  delivery.ending = queue::Ending::Relayed;
  CHECK(has(report_on(original, delivery), "\r\nAction: relayed\r\n"));
  delivery.ending = queue::Ending::Expanded;
  CHECK(has(report_on(original, delivery), "\r\nAction: expanded\r\n"));
  delivery.final_status = "";
  delivery.last.reply = "451 4.7.5 the certificate is not valid";
  const std::string delayed = report_on(original, delivery);
  CHECK(has(delayed, "\r\nAction: delayed\r\nStatus: 4.7.5\r\n"));
  CHECK(has(delayed, "\r\nWill-Retry-Until: "));
  CHECK(has(delayed, "Please show this report to your postmaster"));
}

TEST_CASE("reporting: what a person can do differs by what went wrong") {
  const queue::Message original = message_from("a@example.org");
  const auto text = [&](std::string status, std::string reply) {
    return report_on(original, failed_with(std::move(status), std::move(reply)));
  };
  CHECK(has(text("5.6.7", "553 5.6.7 no"), "SMTPUTF8"));
  CHECK(has(text("5.6.3", "554 5.6.3 no"), "digital"));
  CHECK(has(text("5.7.5", "554 5.7.5 no"), "could not be encrypted"));
  CHECK(has(text("4.4.7", "451 4.7.5 no"), "could not be encrypted"));
  CHECK(has(text("4.4.7", "451 4.7.5 no"), "We have tried"));
  CHECK(has(text("5.7.8", "535 5.7.8 no"), "user name and password"));
  CHECK(has(text("5.7.0", "530 5.7.0 log in"), "user name and password"));
  CHECK(has(text("4.4.7", "421 4.3.2 busy"), "again and again"));
}

TEST_CASE("reporting: a sender with UTF-8 gets his report as internationalised mail") {
  queue::Message original = message_from(
      "b\xC3\xBC"
      "cher@example.org");
  original.smtputf8 = true;
  const std::string report = report_on(original, failed_with("5.1.1", "550 5.1.1 no"));
  CHECK(has(report,
            "\r\nTo: <b\xC3\xBC"
            "cher@example.org>\r\n"));
  CHECK(has(report, "message/global-delivery-status"));
}
