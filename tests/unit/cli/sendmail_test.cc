// What `sendmail` understands of its options and of the text it is given.
#include <catch2/catch.hpp>

#include "mta/cli/sendmail_message.h"
#include "mta/cli/sendmail_options.h"

namespace rockdove::cli {
namespace {

using Catch::Matchers::Contains;
using Mode = SendmailOptions::Mode;

SendmailOptions options(const std::vector<std::string>& arguments) {
  base::Result<SendmailOptions> parsed = parse_sendmail_options(arguments);
  REQUIRE(parsed);
  return *std::move(parsed);
}

std::string complaint(const std::vector<std::string>& arguments) {
  const base::Result<SendmailOptions> parsed = parse_sendmail_options(arguments);
  return parsed ? "" : parsed.error().text();
}

TEST_CASE("sendmail takes what cron, PHP, mailx, git and mutt say") {
  const SendmailOptions cron =
      options({"-FCronDaemon", "-i", "-odi", "-oem", "-oi", "-t", "-f", "root"});
  CHECK(cron.full_name == "CronDaemon");
  CHECK(cron.extract);
  CHECK(cron.dot_is_text);
  CHECK(cron.sender == "root");
  CHECK(cron.recipients.empty());
  const SendmailOptions debian = options({"-i", "-FCronDaemon", "-B8BITMIME", "-oem", "root"});
  CHECK(debian.recipients == std::vector<std::string>{"root"});
  const SendmailOptions mutt = options({"-oem", "-oi", "-f", "a@x.example", "-N", "FAILURE,delay",
                                        "-R", "hdrs", "--", "-b@x.example"});
  CHECK(mutt.sender == "a@x.example");
  CHECK(mutt.notify.failure);
  CHECK(mutt.notify.delay);
  CHECK_FALSE(mutt.notify.success);
  CHECK(mutt.returned == mail::ReturnContent::Headers);
  CHECK(mutt.recipients == std::vector<std::string>{"-b@x.example"});
  const SendmailOptions joined = options({"-tifa@x.example", "-v"});
  CHECK(joined.extract);
  CHECK(joined.dot_is_text);
  CHECK(joined.sender == "a@x.example");
  CHECK(joined.verbose);
  CHECK(options({"-t", "-f", ""}).sender == "");
  CHECK(options({"a@x.example", "-i"}).dot_is_text);
  CHECK_FALSE(options({"-oe", "m"}).dot_is_text);
  CHECK(options({"-o", "i"}).dot_is_text);
  CHECK(options({"-V", "order 17"}).envelope_id == "order 17");
}

TEST_CASE("sendmail takes options that mean nothing here, with their values") {
  const SendmailOptions all = options({"-Am",        "-C",         "/etc/mail/submit.cf",
                                       "-G",         "-L",         "tag",
                                       "-O",         "Timeout=1h", "-U",
                                       "-X",         "/tmp/log",   "-c",
                                       "-d0.1",      "-em",        "-h",
                                       "3",          "-m",         "-n",
                                       "-p",         "ESMTP",      "-x",
                                       "a@x.example"});
  CHECK(all.mode == Mode::Deliver);
  CHECK(all.recipients == std::vector<std::string>{"a@x.example"});
}

TEST_CASE("sendmail has several modes") {
  CHECK(options({"-bs"}).mode == Mode::Speak);
  CHECK(options({"-b", "p"}).mode == Mode::ListQueue);
  CHECK(options({"-bv", "a@x.example"}).mode == Mode::Verify);
  CHECK(options({"-bi"}).mode == Mode::Aliases);
  CHECK(options({"-I"}).mode == Mode::Aliases);
  CHECK(options({"-q"}).mode == Mode::FlushQueue);
  CHECK(options({"-qf"}).mode == Mode::FlushQueue);
  CHECK(options({"--help"}).mode == Mode::Help);
}

TEST_CASE("wrong options are errors that name them") {
  CHECK_THAT(complaint({"-z"}), Contains("-z"));
  CHECK_THAT(complaint({"--queue"}), Contains("--queue"));
  CHECK_THAT(complaint({"-f"}), Contains("wants a value"));
  CHECK_THAT(complaint({"-bd"}), Contains("rockdove serve"));
  CHECK_THAT(complaint({"-bz"}), Contains("-b wants"));
  CHECK_THAT(complaint({"-N", "never,success"}), Contains("-N wants"));
  CHECK_THAT(complaint({"-R", "half"}), Contains("-R wants"));
  CHECK_THAT(complaint({"-B", "9BIT"}), Contains("-B wants"));
  CHECK_THAT(complaint({"-q30m"}), Contains("by itself"));
  CHECK_THAT(complaint({"-V", std::string(200, 'x')}), Contains("-V wants"));
  CHECK_THAT(complaint({"-V", "a\nb"}), Contains("-V wants"));
}

TEST_CASE("lines get CRLF ends, however they came") {
  CHECK(to_wire_lines("a\nb\r\nc\r\r\nd\re", LoneDot::EndsMessage) == "a\r\nb\r\nc\r\nd\r\ne\r\n");
  CHECK(to_wire_lines("", LoneDot::EndsMessage) == "");
  CHECK(to_wire_lines("\n", LoneDot::EndsMessage) == "\r\n");
  CHECK(to_wire_lines(std::string("a\0b\n", 4), LoneDot::EndsMessage) == "ab\r\n");
  CHECK(to_wire_lines("From me Sat Nov 21 2026\n>From you\nSubject: x\n", LoneDot::IsText) ==
        "Subject: x\r\n");
  CHECK(to_wire_lines("From : a@x.example\n", LoneDot::IsText) == "From : a@x.example\r\n");
  CHECK(to_wire_lines("\nFrom me\n", LoneDot::IsText) == "\r\nFrom me\r\n");
}

TEST_CASE("a line with one dot ends the message, unless it is text") {
  CHECK(to_wire_lines("a\n.\nb\n", LoneDot::EndsMessage) == "a\r\n");
  CHECK(to_wire_lines("a\r\n.\r\nb\r\n", LoneDot::EndsMessage) == "a\r\n");
  CHECK(to_wire_lines("a\n.\nb\n", LoneDot::IsText) == "a\r\n.\r\nb\r\n");
  CHECK(to_wire_lines("a\n..\n", LoneDot::EndsMessage) == "a\r\n..\r\n");
}

TEST_CASE("a line of the body that no relay would take is broken") {
  const std::string text = to_wire_lines("\n" + std::string(150'000, 'x'), LoneDot::IsText);
  CHECK(text.size() == 2 + 150'000 + 3 * 2);
  CHECK(text.find("\r\n", 2) == 65'002);
}

const OwnFields kOwn{"Me <me@x.example>", base::from_unix_milliseconds(1'795'295'700'000),
                     "<1@x.example>"};

std::string content(std::string_view text) {
  return prepare_mail(text, Extraction::None, kOwn).value().content;
}

std::string recipients(std::string_view text) {
  const base::Result<PreparedMail> mail = prepare_mail(text, Extraction::Recipients, kOwn);
  if (!mail) return "!" + mail.error().text();
  std::string all;
  for (const mail::Address& address : mail->recipients) {
    if (!all.empty()) all += ' ';
    all += mail::format_address(address);
  }
  return all;
}

TEST_CASE("what a header lacks is added") {
  const std::string added =
      "From: Me <me@x.example>\r\nDate: Sat, 21 Nov 2026 21:15:00 +0000\r\nMessage-ID: "
      "<1@x.example>\r\n";
  CHECK(content("Subject: x\r\n\r\nbody\r\n") == "Subject: x\r\n" + added + "\r\nbody\r\n");
  CHECK(content("\r\nbody\r\n") == added + "\r\nbody\r\n");
  CHECK(content("no header\r\n") == added + "\r\nno header\r\n");
  CHECK(content("Subject: x\r\n") == "Subject: x\r\n" + added + "\r\n");
  CHECK(content("") == added + "\r\n");
  const std::string whole = "From: a\r\nDate: b\r\nMessage-Id: c\r\n\r\n";
  CHECK(content(whole) == whole);
}

TEST_CASE("Bcc goes no further, nor what only a mailbox has") {
  CHECK(
      content(
          "From: a\r\nDate: b\r\nBcc: x@x.example,\r\n y@x.example\r\nMessage-ID: c\r\n"
          "resent-bcc: z\r\nReturn-Path: <>\r\nContent-Length: 3\r\nTo: q\r\n\r\nBcc: text\r\n") ==
      "From: a\r\nDate: b\r\nMessage-ID: c\r\nTo: q\r\n\r\nBcc: text\r\n");
}

TEST_CASE("recipients are those of To, Cc and Bcc, or of a resending") {
  CHECK(recipients("To: a@x.example\r\nCC: B <b@x.example>, c@x.example\r\nbcc: "
                   "d@x.example\r\n\r\nTo: no@x.example\r\n") ==
        "a@x.example b@x.example c@x.example d@x.example");
  CHECK(recipients("Subject: x\r\nTo: a@x.example,\r\n  b@x.example\r\n\r\n") ==
        "a@x.example b@x.example");
  CHECK(recipients("To: a@x.example\r\nResent-To: b@x.example\r\nResent-Bcc: c@x.example\r\nBcc: "
                   "d@x.example\r\n\r\n") == "b@x.example c@x.example");
  CHECK(recipients("Subject: nobody\r\n\r\n") == "");
  CHECK(recipients("To: undisclosed-recipients:;\r\nBcc: a@x.example\r\n\r\n") == "a@x.example");
  CHECK_THAT(recipients("To: a@x.example\r\nCc: no address\r\n\r\n"), Contains("Cc: "));
}

TEST_CASE("a header too large to be read whole is an error where recipients are wanted") {
  const std::string large = "X: " + std::string(300'000, 'x') + "\r\nTo: a@x.example\r\n\r\n";
  CHECK_THAT(recipients(large), Contains("256 KiB"));
  CHECK(content(large).find("To: a@x.example") != std::string::npos);
}

TEST_CASE("a From field has the name in the form that it needs") {
  CHECK(format_from("", "a@x.example") == "a@x.example");
  CHECK(format_from("CronDaemon", "a@x.example") == "CronDaemon <a@x.example>");
  CHECK(format_from("Doe, John \"J\"", "a@x.example") == "\"Doe, John \\\"J\\\"\" <a@x.example>");
  CHECK(format_from("J\u00f6rg", "a@x.example") == "=?utf-8?B?SsO2cmc=?= <a@x.example>");
  CHECK(format_from("a\r\nBcc: b", "a@x.example") == "\"aBcc: b\" <a@x.example>");
}

}  // namespace
}  // namespace rockdove::cli
