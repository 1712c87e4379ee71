// Postfix's commands against a source that says what it is told to: tables, JSON, the words and
// exit statuses that scripts wait for.
#include <cstdlib>
#include <ctime>
#include <sstream>

#include <catch2/catch.hpp>

#include "mta/cli/postfix_cat.h"
#include "mta/cli/postfix_queue.h"
#include "mta/cli/postfix_super.h"

namespace {

using namespace rockdove;
using namespace rockdove::cli;
using base::Result;

struct Told {
  std::vector<std::string> listed;
  std::string shown;
  std::string header;
  std::string body;
  std::vector<std::string> answers;  // to each batch of ids
  bool is_running = true;
  // What was asked.
  admin::Parameters filter;
  std::optional<admin::Act> act;
  std::vector<std::string> ids;
};

class ToldSource : public QueueSource {
 public:
  explicit ToldSource(Told& told) : told_(told) {}

  [[nodiscard]] bool is_running() const override { return told_.is_running; }

  Result<void> list(const admin::Parameters& filter, const LineSink& sink) override {
    told_.filter = filter;
    for (const std::string& line : told_.listed) sink(line);
    return {};
  }

  Result<void> show(const std::string&, const LineSink& sink) override {
    sink(told_.shown);
    return {};
  }

  Result<void> why(const std::string&, const LineSink&) override { return {}; }

  Result<void> content(const ContentWanted& wanted, const OctetSink& sink) override {
    const std::string& part =
        wanted.part == ContentWanted::Part::Header ? told_.header : told_.body;
    for (const char& octet : part) sink(std::string_view(&octet, 1));
    return {};
  }

  Result<void> act(const ActCall& call, const admin::Parameters& filter, const LineSink&) override {
    told_.act = call.act;
    told_.filter = filter;
    return {};
  }

  Result<void> act(const ActCall& call, const std::vector<std::string>& ids,
                   const LineSink& sink) override {
    told_.act = call.act;
    told_.ids.insert(told_.ids.end(), ids.begin(), ids.end());
    for (const std::string& line : told_.answers) sink(line);
    return {};
  }

  Result<void> summarise(const admin::Parameters&, const LineSink&) override { return {}; }

  Result<void> count(const admin::Parameters&, const LineSink&) override { return {}; }

  Result<void> count(const ActCall&, const admin::Parameters&, const LineSink&) override {
    return {};
  }

  Result<void> trace(const admin::Parameters&, const LineSink&) override { return {}; }

  Result<void> stats(const admin::Parameters&, const LineSink&) override { return {}; }

  Result<void> explain_route(const std::string&, const LineSink&) override { return {}; }

 private:
  Told& told_;
};

using Run = int (*)(const std::vector<std::string>&, const PostfixWorld&);

struct Ran {
  int status = 0;
  std::string out;
  std::string error;
};

Ran run(Run command, const std::vector<std::string>& arguments, Told& told,
        const std::string& input = "") {
  setenv("TZ", "UTC", 1);
  tzset();
  std::istringstream in(input);
  std::ostringstream out;
  std::ostringstream error;
  const int status = command(
      arguments, {in, out, error, [&told](const std::string&) {
                    return Result<std::unique_ptr<QueueSource>>(std::make_unique<ToldSource>(told));
                  }});
  return {status, out.str(), error.str()};
}

std::string listed(const std::string& id, const std::string& queue, const std::string& recipients) {
  return R"({"queue_name":")" + queue + R"(","queue_id":")" + id +
         R"(","arrival_time":1795506300,"message_size":2048,"forced_expire":false,"sender":"a@x",)"
         R"("recipients":[)" +
         recipients + R"(],"kind":"ordinary"})";
}

constexpr const char* kTwoReasons =
    R"({"address":"b@y","delay_reason":"host y said: 451 no","id":"0H0QBCDFGHJK-1"},)"
    R"({"address":"c@y","delay_reason":"host y said: 451 no"},{"address":"d@y"},)"
    R"({"address":"e@y","state":"deleted"})";

constexpr const char* kDone = R"({"done":1,"being_sent":0,"not_found":0,"failed":0})";

}  // namespace

TEST_CASE("the table has Postfix's columns, marks, reasons and sum") {
  Told told;
  told.listed = {listed("0H0QBCDFGHJK", "active", R"({"address":"b@y"})"),
                 listed("0H0QBCDFGHJL", "deferred", kTwoReasons),
                 listed("0H0QBCDFGHJM", "deleted", R"({"address":"b@y","state":"deleted"})"),
                 listed("0H0QBCDFGHJN", "hold", R"({"address":"b@y"})")};
  const std::string indent(41, ' ');
  const std::string expected =
      "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\n"
      "0H0QBCDFGHJK*  2048 Tue Nov 24 07:45:00  a@x\n" +
      indent +
      "b@y\n"
      "\n"
      "0H0QBCDFGHJL   2048 Tue Nov 24 07:45:00  a@x\n" +
      std::string(57, ' ') + "(host y said: 451 no)\n" + indent + "b@y\n" + indent + "c@y\n" +
      std::string(58, ' ') + "(reason unavailable)\n" + indent +
      "d@y\n"
      "\n"
      "0H0QBCDFGHJN!  2048 Tue Nov 24 07:45:00  a@x\n" +
      indent +
      "b@y\n"
      "\n-- 6 Kbytes in 3 Requests.\n";
  const std::vector<std::pair<Run, std::vector<std::string>>> commands = {
      {run_postqueue, {"-p"}},
      {run_postqueue, {"-vc", "/etc/postfix", "-p"}},
      {run_mailq, {}},
      {run_mailq, {"-C", "/etc/postfix", "-v"}}};
  for (const auto& [command, arguments] : commands) {
    const Ran ran = run(command, arguments, told);
    CHECK(ran.out == expected);
    CHECK(ran.error.empty());
    CHECK(ran.status == 0);
  }
  told.listed.clear();
  CHECK(run(run_mailq, {}, told).out == "Mail queue is empty\n");
  told.listed = {listed("0H0QBCDFGHJK", "active", "")};
  CHECK(run(run_mailq, {}, told).out.ends_with("\n\n-- 2 Kbytes in 1 Request.\n"));
}

TEST_CASE("the JSON has Postfix's keys, order and spaces") {
  Told told;
  told.listed = {listed("0H0QBCDFGHJL", "deferred", kTwoReasons), listed("x", "deleted", "")};
  CHECK(run(run_postqueue, {"-j"}, told).out ==
        R"({"queue_name": "deferred", "queue_id": "0H0QBCDFGHJL", "arrival_time": 1795506300, )"
        R"("message_size": 2048, "forced_expire": false, "sender": "a@x", "recipients": [)"
        R"({"address": "b@y", "delay_reason": "host y said: 451 no"}, )"
        R"({"address": "c@y", "delay_reason": "host y said: 451 no"}, {"address": "d@y"}]})"
        "\n");
}

TEST_CASE("strangers' octets reach no terminal") {
  Told told;
  told.listed = {
      listed("0H0QBCDFGHJL", "deferred", R"({"address":"b\u001b[31m@y","delay_reason":"a\nb"})")};
  const std::string out = run(run_mailq, {}, told).out;
  CHECK(out.find("b?[31m@y") != std::string::npos);
  CHECK(out.find("(a?b)") != std::string::npos);
}

TEST_CASE("postqueue has mail tried again, and ends with 69 whatever fails") {
  Told told;
  CHECK(run(run_postqueue, {"-f"}, told).status == 0);
  CHECK(told.filter == admin::Parameters{{"state", "waiting"}});
  CHECK(told.act == admin::Act::Retry);
  CHECK(run(run_postqueue, {"-s", "y.example"}, told).status == 0);
  CHECK(told.filter == admin::Parameters{{"state", "waiting"}, {"recipient", "*@y.example"}});
  CHECK(run(run_postqueue, {"-i0H0QBCDFGHJK"}, told).status == 0);
  CHECK(told.ids == std::vector<std::string>{"0H0QBCDFGHJK"});
  for (const std::vector<std::string>& wrong : std::vector<std::vector<std::string>>{{},
                                                                                     {"-x"},
                                                                                     {"-p", "-f"},
                                                                                     {"-p", "x"},
                                                                                     {"-i"},
                                                                                     {"-i", "a.b"},
                                                                                     {"-s", "a@b"},
                                                                                     {"-s", ""}}) {
    const Ran ran = run(run_postqueue, wrong, told);
    CHECK(ran.status == 69);
    CHECK(ran.error.find("postqueue: fatal: ") != std::string::npos);
  }
  told.is_running = false;
  const Ran down = run(run_postqueue, {"-f"}, told);
  CHECK(down.status == 69);
  CHECK(down.error == "postqueue: fatal: Cannot flush mail queue - mail system is down\n");
  CHECK(run(run_postqueue, {"-p"}, told).status == 0);
  CHECK(run(run_postqueue, {"-p"}, told).error.find("Mail system is down") != std::string::npos);
}

TEST_CASE("postsuper says what it did to which message, and how many there were") {
  Told told;
  told.answers = {R"({"id":"0H0QBCDFGHJK-1","outcome":"done"})",
                  R"({"id":"0H0QBCDFGHJK-2","outcome":"unchanged"})",
                  R"({"id":"0H0QBCDFGHJL","outcome":"not-found"})", kDone};
  Ran ran =
      run(run_postsuper, {"-d", "0H0QBCDFGHJK", "-d0H0QBCDFGHJL", "-d", "A/B", "-d", "all"}, told);
  CHECK(ran.error ==
        "postsuper: warning: invalid mail queue id: A/B\n"
        "postsuper: 0H0QBCDFGHJK: removed\n"
        "postsuper: Deleted: 1 message\n");
  CHECK(ran.status == 0);
  CHECK(told.act == admin::Act::Delete);
  CHECK(told.ids == std::vector<std::string>{"0H0QBCDFGHJK", "0H0QBCDFGHJL"});
  // A daemon that names only what was not done.
  told.answers = {R"({"id":"0H0QBCDFGHJL","outcome":"not-found"})", kDone};
  CHECK(run(run_postsuper, {"-h", "-"}, told, " 0H0QBCDFGHJK* \n\n0H0QBCDFGHJL!\n").error ==
        "postsuper: 0H0QBCDFGHJK: placed on hold\npostsuper: Placed on hold: 1 message\n");
  CHECK(run(run_postsuper, {"-d", "-"}, told).error == "postsuper: Deleted: 0 messages\n");
}

TEST_CASE("ALL means the queues that are named, and those where the act makes sense") {
  Told told;
  told.listed = {listed("0H0QBCDFGHJK", "active", ""), listed("0H0QBCDFGHJL", "deferred", ""),
                 listed("0H0QBCDFGHJM", "deleted", "")};
  told.answers = {R"({"id":"0H0QBCDFGHJK-1","outcome":"done"})",
                  R"({"id":"0H0QBCDFGHJL-1","outcome":"done"})"};
  CHECK(run(run_postsuper, {"-r", "ALL"}, told).error == "postsuper: Requeued: 2 messages\n");
  CHECK(told.filter.empty());
  CHECK(
      run(run_postsuper, {"-H", "ALL"}, told).error.starts_with("postsuper: Released from hold: "));
  CHECK(told.filter == admin::Parameters{{"state", "held"}});
  told.ids.clear();
  CHECK(run(run_postsuper, {"-d", "ALL", "deferred"}, told).error ==
        "postsuper: Deleted: 1 message\n");
  CHECK(told.ids == std::vector<std::string>{"0H0QBCDFGHJL"});
  told.ids.clear();
  CHECK(run(run_postsuper, {"incoming", "-h", "ALL"}, told).error ==
        "postsuper: Placed on hold: 1 message\n");
  CHECK(told.ids == std::vector<std::string>{"0H0QBCDFGHJK"});
  CHECK(told.filter == admin::Parameters{{"state", "waiting"}});
  told.ids.clear();
  CHECK(run(run_postsuper, {"-d", "ALL", "bounce"}, told).error ==
        "postsuper: Deleted: 0 messages\n");
  CHECK(told.ids.empty());
  const Ran wrong = run(run_postsuper, {"-d", "ALL", "nosuch"}, told);
  CHECK(wrong.status == 1);
  CHECK(wrong.error == "postsuper: fatal: invalid directory name: nosuch\n");
  CHECK(run(run_postsuper, {"-ps"}, told).error.empty());
}

TEST_CASE("postcat shows envelope, header and body as they were asked for") {
  Told told;
  told.shown = R"({"message":{"queue_name":"hold","queue_id":"0H0QBCDFGHJK",)"
               R"("arrival_time":1795506300,"message_size":257,"sender":"MAILER-DAEMON",)"
               R"("recipients":[{"address":"b@y"}],"client":"192.0.2.1","helo":"h"},"history":[]})";
  told.header = "Subject: x\r\n y\r\n\r\n";
  told.body = "one\r\ntwo\rthree\r\r\n\n";
  const std::string envelope =
      "*** ENVELOPE RECORDS hold/0H0QBCDFGHJK ***\n"
      "message_size:             257               0               1               0             "
      "257               0\n"
      "message_arrival_time: Tue Nov 24 07:45:00 2026\n"
      "create_time: Tue Nov 24 07:45:00 2026\n"
      "named_attribute: log_ident=0H0QBCDFGHJK\n"
      "named_attribute: rewrite_context=local\n"
      "sender: \n"
      "named_attribute: log_client_name=unknown\n"
      "named_attribute: log_client_address=192.0.2.1\n"
      "named_attribute: log_message_origin=unknown[192.0.2.1]\n"
      "named_attribute: log_helo_name=h\n"
      "named_attribute: client_name=unknown\n"
      "named_attribute: client_address=192.0.2.1\n"
      "named_attribute: helo_name=h\n"
      "original_recipient: b@y\n"
      "recipient: b@y\n"
      "*** MESSAGE CONTENTS hold/0H0QBCDFGHJK ***\n";
  const std::string end =
      "*** HEADER EXTRACTED hold/0H0QBCDFGHJK ***\n*** MESSAGE FILE END hold/0H0QBCDFGHJK ***\n";
  const std::string header = "Subject: x\n y\n";
  const std::string body = "\none\ntwo\rthree\r\n\n";
  CHECK(run(run_postcat, {"-q", "0H0QBCDFGHJK"}, told).out == envelope + header + body + end);
  CHECK(run(run_postcat, {"-eq", "0H0QBCDFGHJK"}, told).out == envelope + end);
  CHECK(run(run_postcat, {"-q", "-h", "0H0QBCDFGHJK"}, told).out == header);
  CHECK(run(run_postcat, {"-bq", "0H0QBCDFGHJK"}, told).out == body);
  CHECK(run(run_postcat, {"-bhq", "0H0QBCDFGHJK"}, told).out == header + body);
  told.shown = R"({"message":null,"history":[]})";
  const Ran gone = run(run_postcat, {"-q", "0H0QBCDFGHJK"}, told);
  CHECK(gone.status == 1);
  CHECK(gone.error == "postcat: fatal: open queue file 0H0QBCDFGHJK: No such file or directory\n");
  CHECK(run(run_postcat, {"0H0QBCDFGHJK"}, told).status == 1);
}
