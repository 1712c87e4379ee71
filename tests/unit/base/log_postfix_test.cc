// Whole lines, as pflogsumm and fail2ban's filters read them; tests/e2e/postfix_test.py shows the
// lines of a relay at work to the programs themselves.
#include "mta/base/log_postfix.h"

#include <cstdlib>
#include <ctime>
#include <sstream>
#include <vector>

#include <catch2/catch.hpp>

#include "mta/base/log.h"

using namespace rockdove::base;

namespace {

using Fields = std::vector<std::pair<const char*, const char*>>;

std::vector<std::string> lines_of(const char* message, const Fields& fields,
                                  Level level = Level::Info) {
  setenv("TZ", "UTC", 1);
  tzset();
  PostfixLines postfix({"mx", 77});
  postfix.begin(level, message, from_unix_milliseconds(1795506300000));
  for (const auto& [name, value] : fields) {
    postfix.name(name);
    postfix.add(value);
  }
  std::string out;
  postfix.end(out);
  CHECK((!out.empty() && out.back() == '\n'));
  std::vector<std::string> lines;
  std::istringstream text(out);
  for (std::string line; std::getline(text, line);) {
    constexpr std::string_view kBegin = "Nov 24 07:45:00 mx postfix/";
    REQUIRE(line.substr(0, kBegin.size()) == kBegin);
    lines.push_back(line.substr(kBegin.size()));
  }
  return lines;
}

using Lines = std::vector<std::string>;

const Fields kDelivery = {{"id", "4H0Q-1"},      {"from", "a@x.example"},
                          {"to", "b@y.example"}, {"host", "mx.y.example[192.0.2.7]:25"},
                          {"delay", "1.25"},     {"waited", "0.2"},
                          {"setup", "0.05"},     {"sending", "1"}};

Fields delivery_with(Fields more) {
  Fields fields = kDelivery;
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

constexpr const char* kTo =
    "4H0Q: to=<b@y.example>, relay=mx.y.example[192.0.2.7]:25, delay=1.25, "
    "delays=0/0.2/0.05/1, ";

}  // namespace

TEST_CASE("an accepted message is Postfix's smtpd, cleanup and qmgr") {
  const Fields fields = {{"session", "65"},      {"id", "4H0Q"},          {"from", "a@x.example"},
                         {"recipients", "2"},    {"client", "192.0.2.1"}, {"size", "321"},
                         {"message_id", "<1@x>"}};
  CHECK(lines_of("accepted", fields) ==
        Lines{"smtpd[65]: 4H0Q: client=unknown[192.0.2.1]", "cleanup[77]: 4H0Q: message-id=<1@x>",
              "qmgr[77]: 4H0Q: from=<a@x.example>, size=321, nrcpt=2 (queue active)"});
  Fields with_login = fields;
  with_login.insert(with_login.end(), {{"user", "joe"}, {"mechanism", "PLAIN"}});
  CHECK(lines_of("accepted", with_login)[0] ==
        "smtpd[65]: 4H0Q: client=unknown[192.0.2.1], sasl_method=PLAIN, sasl_username=joe");
  CHECK(lines_of("accepted", {{"id", "4H0Q"}, {"from", ""}, {"uid", "33"}})[0] ==
        "pickup[77]: 4H0Q: uid=33 from=<>");
}

TEST_CASE("a delivery's line has relay, delays, status and the host's words") {
  CHECK(lines_of("delivered", delivery_with({{"reply", "250 2.1.5 Ok: queued"}})) ==
        Lines{std::string("smtp[77]: ") + kTo + "dsn=2.1.5, status=sent (250 2.1.5 Ok: queued)"});
  CHECK(lines_of("delivered", delivery_with({{"reply", "250 Ok"}, {"protocol", "lmtp"}})) ==
        Lines{std::string("lmtp[77]: ") + kTo + "dsn=2.0.0, status=sent (250 Ok)"});
  CHECK(lines_of("delivered",
                 {{"id", "4H0Q-1"}, {"to", "b@y"}, {"host", "[::1]:25"}, {"reply", "250 k"}}) ==
        Lines{"smtp[77]: 4H0Q: to=<b@y>, relay=::1[::1]:25, delay=0, delays=0/0/0/0, dsn=2.0.0, "
              "status=sent (250 k)"});
  CHECK(lines_of("delivered", {{"id", "4H0Q-1"}, {"to", "b@y"}, {"host", "maildir:/m"}}) ==
        Lines{"virtual[77]: 4H0Q: to=<b@y>, relay=virtual, delay=0, delays=0/0/0/0, dsn=2.0.0, "
              "status=sent (delivered to maildir)"});
}

TEST_CASE("a deferral says who said what to which command, or what did not work") {
  CHECK(lines_of("deferred", delivery_with({{"stage", "RCPT"},
                                            {"status", "4.7.1"},
                                            {"reply", "451 4.7.1 greylisted"}})) ==
        Lines{std::string("smtp[77]: ") + kTo +
              "dsn=4.7.1, status=deferred (host mx.y.example[192.0.2.7] said: 451 4.7.1 "
              "greylisted (in reply to RCPT TO command))"});
  CHECK(lines_of("deferred", delivery_with({{"stage", "connect"},
                                            {"reply",
                                             "451 4.4.1 mx.y.example[192.0.2.7]:25 could not be "
                                             "reached: connection refused"}})) ==
        Lines{std::string("smtp[77]: ") + kTo +
              "dsn=4.4.1, status=deferred (connect to mx.y.example[192.0.2.7]:25: connection "
              "refused)"});
  CHECK(lines_of("deferred", {{"id", "4H0Q-1"},
                              {"to", "b@y"},
                              {"host", ""},
                              {"stage", "resolve"},
                              {"reply", "451 4.4.3 no answer from DNS"}}) ==
        Lines{"smtp[77]: 4H0Q: to=<b@y>, relay=none, delay=0, delays=0/0/0/0, dsn=4.4.3, "
              "status=deferred (no answer from DNS)"});
}

TEST_CASE("a bounce has its status, an expired one qmgr's line besides, and a report its own id") {
  CHECK(lines_of("bounced", delivery_with({{"status", "5.1.1"}, {"reply", "550 no such user"}})) ==
        Lines{std::string("smtp[77]: ") + kTo +
              "dsn=5.1.1, status=bounced (host mx.y.example[192.0.2.7] said: 550 no such user)"});
  const Lines expired =
      lines_of("bounced", delivery_with({{"status", "4.4.7"}, {"reply", "451 later"}}));
  REQUIRE(expired.size() == 2);
  CHECK(expired[1] == "qmgr[77]: 4H0Q: from=<a@x.example>, status=expired, returned to sender");
  CHECK(lines_of("report made", {{"id", "4H0Q"},
                                 {"what", "sender non-delivery"},
                                 {"report", "4H0R"},
                                 {"from", ""},
                                 {"recipients", "1"},
                                 {"size", "900"},
                                 {"message_id", "<r@mx>"}}) ==
        Lines{"cleanup[77]: 4H0R: message-id=<r@mx>",
              "bounce[77]: 4H0Q: sender non-delivery notification: 4H0R",
              "qmgr[77]: 4H0R: from=<>, size=900, nrcpt=1 (queue active)"});
  CHECK(lines_of("removed", {{"id", "4H0Q"}}) == Lines{"qmgr[77]: 4H0Q: removed"});
}

TEST_CASE("what is refused is a reject of the command, with the words that filters know") {
  const auto rejected = [](Fields more) {
    Fields fields = {{"session", "65"},
                     {"client", "192.0.2.1"},
                     {"from", "a@x"},
                     {"proto", "ESMTP"},
                     {"helo", "h"}};
    fields.insert(fields.end(), more.begin(), more.end());
    return lines_of("rejected", fields).at(0);
  };
  CHECK(rejected(
            {{"what", "recipient"}, {"to", "b@y"}, {"reply", "550 5.7.1 relaying denied: no"}}) ==
        "smtpd[65]: NOQUEUE: reject: RCPT from unknown[192.0.2.1]: 550 5.7.1 <b@y>: Relay access "
        "denied; from=<a@x> to=<b@y> proto=ESMTP helo=<h>");
  CHECK(
      rejected({{"what", "recipient"}, {"to", "b@y"}, {"reply", "550 5.1.1 no such user here"}}) ==
      "smtpd[65]: NOQUEUE: reject: RCPT from unknown[192.0.2.1]: 550 5.1.1 <b@y>: Recipient "
      "address rejected: User unknown; from=<a@x> to=<b@y> proto=ESMTP helo=<h>");
  CHECK(rejected({{"what", "sender"}, {"reply", "450 4.7.1 too many messages"}}) ==
        "smtpd[65]: NOQUEUE: reject: MAIL from unknown[192.0.2.1]: 450 4.7.1 <a@x>: Sender address "
        "rejected: too many messages; from=<a@x> proto=ESMTP helo=<h>");
  CHECK(rejected({{"what", "content"}, {"reason", "message too big"}}) ==
        "smtpd[65]: NOQUEUE: reject: END-OF-MESSAGE from unknown[192.0.2.1]: 552 5.3.4 message too "
        "big; from=<a@x> proto=ESMTP helo=<h>");
  CHECK(lines_of("rejected", {{"session", "65"},
                              {"what", "connection"},
                              {"client", "192.0.2.1"},
                              {"reply", "421 4.7.0 too many"}}) ==
        Lines{"smtpd[65]: NOQUEUE: reject: CONNECT from unknown[192.0.2.1]: 421 4.7.0 "
              "<unknown[192.0.2.1]>: Client host rejected: too many; proto=SMTP"});
}

TEST_CASE("sessions begin and end as smtpd's do") {
  CHECK(lines_of("connected", {{"session", "65"}, {"client", "127.0.0.1"}}) ==
        Lines{"smtpd[65]: connect from localhost[127.0.0.1]"});
  const auto ended = [](const char* reason, const char* after) {
    return lines_of("session ended", {{"session", "65"},
                                      {"client", "192.0.2.1"},
                                      {"reason", reason},
                                      {"after", after},
                                      {"commands", "ehlo=1 auth=0/1 commands=1/2"}});
  };
  const std::string disconnect =
      "smtpd[65]: disconnect from unknown[192.0.2.1] ehlo=1 auth=0/1 commands=1/2";
  CHECK(ended("quit", "QUIT") == Lines{disconnect});
  CHECK(ended("peer closed", "AUTH") ==
        Lines{"smtpd[65]: lost connection after AUTH from unknown[192.0.2.1]", disconnect});
  CHECK(ended("command timeout", "RCPT") ==
        Lines{"smtpd[65]: timeout after RCPT from unknown[192.0.2.1]", disconnect});
  CHECK(ended("too many errors", "RCPT") ==
        Lines{"smtpd[65]: too many errors after RCPT from unknown[192.0.2.1]", disconnect});
}

TEST_CASE("a login that is refused names its mechanism, and our own failures blame nobody") {
  Fields fields = {{"mechanism", "LOGIN"}, {"user", "joe"}, {"client", "192.0.2.1"}};
  fields.emplace_back("reason", "wrong password");
  CHECK(lines_of("login refused", fields) ==
        Lines{"smtpd[77]: warning: unknown[192.0.2.1]: SASL LOGIN authentication failed: wrong "
              "password, sasl_username=joe"});
  fields.back().second = "the accounts cannot be read";
  CHECK(
      lines_of("login refused", fields) ==
      Lines{"smtpd[77]: warning: unknown[192.0.2.1]: SASL LOGIN authentication failed: Connection "
            "lost to authentication server: the accounts cannot be read, sasl_username=joe"});
}

TEST_CASE("what Postfix has no word for is a plain line") {
  CHECK(lines_of("something new", {{"a", "1"}, {"b", "two words"}}) ==
        Lines{"rockdove[77]: something new a=1 b=two words"});
  CHECK(lines_of("odd", {}, Level::Warning) == Lines{"rockdove[77]: warning: odd"});
  CHECK(lines_of("bad", {}, Level::Error) == Lines{"rockdove[77]: error: bad"});
}

TEST_CASE("strangers' octets stay in their line and in their brackets") {
  CHECK(lines_of("x", {{"a", "1\r\nNov 24 forged\x1b[31m\xff n\xc3\xa4her"}}) ==
        Lines{"rockdove[77]: x a=1??Nov 24 forged?[31m? n\xc3\xa4her"});
  PostfixLines postfix({"mx", 77});
  postfix.begin(Level::Info, "x", {});
  postfix.name("to");
  postfix.add_address("a>, relay=<b");
  CHECK(postfix.value() == "a?, relay=?b");
}
