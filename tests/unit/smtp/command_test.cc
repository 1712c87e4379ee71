#include "mta/smtp/command.h"

#include <catch2/catch.hpp>

namespace rockdove::smtp {
namespace {

template <typename T>
T parse_as(std::string_view line) {
  INFO(line);
  Command command = parse_command(line);
  REQUIRE(std::holds_alternative<T>(command));
  return std::get<T>(std::move(command));
}

std::string refusal_of(std::string_view line) {
  return one_line(parse_as<Refusal>(line).reply);
}

TEST_CASE("verbs are known in any case, with blanks behind the line") {
  CHECK(parse_as<HelloCommand>("eHlO host.example").extended);
  CHECK(parse_as<HelloCommand>("HELO  host.example ").name == "host.example");
  parse_as<DataCommand>("data");
  parse_as<RsetCommand>("RSET\t");
  parse_as<QuitCommand>("QUIT  ");
  parse_as<NoopCommand>("NOOP as you like");
  parse_as<HelpCommand>("help RCPT");
  CHECK(parse_as<VrfyCommand>("VRFY \"a \\\" b\"").argument == "\"a \\\" b\"");
}

TEST_CASE("senders and recipients are taken as clients write them") {
  CHECK(parse_as<MailCommand>("MAIL FROM:<>").sender.is_null());
  CHECK(parse_as<MailCommand>("MAIL  from : < >").sender.is_null());
  CHECK(parse_as<MailCommand>("MAIL FROM:<\"a>b c\"@x.example> SIZE=5").sender.domain ==
        "x.example");
  CHECK(parse_as<MailCommand>("MAIL FROM:<\"a>b c\"@x.example> SIZE=5").size == 5);
  CHECK(parse_as<MailCommand>("MAIL FROM: a@x.example body=8bitmime").eight_bit);
  CHECK_FALSE(parse_as<MailCommand>("MAIL FROM:<a@x.example> BODY=8BITMIME BODY=7BIT").eight_bit);
  CHECK(parse_as<MailCommand>("MAIL FROM:<postmaster>").sender.local == "postmaster");
  CHECK(parse_as<RcptCommand>("RCPT TO:<@relay.example:b@X.example>").recipient.domain ==
        "x.example");
  CHECK(parse_as<RcptCommand>("RCPT TO:<b@[127.0.0.1]>").recipient.domain == "[127.0.0.1]");
}

TEST_CASE("users of this machine may stand without a domain, where that is allowed") {
  const auto user = [](std::string_view line) {
    Command command = parse_command(line, AddressForm::OrUser);
    if (const auto* mail = std::get_if<MailCommand>(&command))
      return mail::format_address(mail->sender) + (mail->eight_bit ? " 8" : "");
    if (const auto* rcpt = std::get_if<RcptCommand>(&command))
      return mail::format_address(rcpt->recipient) + " " + mail::format_notify(rcpt->notify);
    return "!" + std::get<Refusal>(command).reply.text;
  };
  CHECK(user("MAIL FROM:<root>") == "root");
  CHECK(user("MAIL FROM:<root> BODY=8BITMIME") == "root 8");
  CHECK(user("MAIL FROM: root BODY=8BITMIME") == "root 8");
  CHECK(user("MAIL FROM:<>").empty());
  CHECK(user("MAIL FROM:<a@X.example>") == "a@x.example");
  CHECK(user("RCPT TO:<www-data> NOTIFY=NEVER") == "www-data NEVER");
  CHECK(user("RCPT TO:<\"a> b\"> NOTIFY=NEVER") == "\"a> b\" NEVER");
  CHECK(user("RCPT TO:<Postmaster>") == "Postmaster ");
  CHECK(user("RCPT TO:<a b>").starts_with("!"));
  CHECK(user("RCPT TO:<root").starts_with("!"));
  CHECK(user("RCPT TO:<root>x").starts_with("!"));
  CHECK(refusal_of("MAIL FROM:<root>").starts_with("501 5.1.7 "));
  CHECK(refusal_of("RCPT TO:<root>").starts_with("501 5.1.3 "));
}

TEST_CASE("each kind of wrong line has its refusal") {
  CHECK(parse_as<Refusal>("FROB").why == Refusal::Why::UnknownVerb);
  CHECK(parse_as<Refusal>("EXPN x").why == Refusal::Why::NotOffered);
  CHECK(parse_as<Refusal>("MAIL FROM:<> BY=120;R").why == Refusal::Why::ParameterNotOffered);
  CHECK(parse_as<Refusal>("MAIL FROM:<a b@x.example>").why == Refusal::Why::Syntax);
  CHECK(refusal_of("MAIL FROM:<@>").starts_with("501 5.1.7 "));
  CHECK(refusal_of("RCPT TO:<a@b..example>").starts_with("501 5.1.3 "));
  CHECK(refusal_of("RCPT TO:a b").starts_with("501 5.1.3 "));
  CHECK(refusal_of("MAIL FROM:a@x.example>").starts_with("501 5.1.7 "));
  CHECK(refusal_of("EHLO " + std::string(256, 'a')).starts_with("501 5.5.4 "));
  CHECK(refusal_of(std::string("RCPT TO:<a@x.example>\0", 22)).starts_with("500 5.5.2 "));
}

TEST_CASE("AUTH and BDAT are taken apart") {
  CHECK(parse_as<AuthCommand>("auth  plain").mechanism == "plain");
  CHECK_FALSE(parse_as<AuthCommand>("AUTH PLAIN ").initial);
  CHECK(parse_as<AuthCommand>("AUTH LOGIN =").initial == "=");
  CHECK(parse_as<BdatCommand>("BDAT 86400").octets == 86400);
  CHECK_FALSE(parse_as<BdatCommand>("BDAT 86400").last);
  CHECK(parse_as<BdatCommand>("bdat 0  Last ").last);
  CHECK(parse_as<BdatCommand>("BDAT 99999999999999999999").octets == ~std::uint64_t{0});
  parse_as<StartTlsCommand>("starttls ");
  CHECK(refusal_of("STARTTLS x").starts_with("501 5.5.4 "));
}

TEST_CASE("a recipient tells whether his line is ASCII, parameters included") {
  CHECK_FALSE(parse_as<RcptCommand>("RCPT TO:<a@x.example>").is_utf8);
  CHECK(parse_as<RcptCommand>("RCPT TO:<a@b\xc3\xbc.example>").is_utf8);
  CHECK(parse_as<RcptCommand>("RCPT TO:<a@b\xc3\xbc.example>").recipient.domain ==
        "xn--b-eha.example");
}

TEST_CASE("SIZE beyond 64 bits counts as the largest number") {
  CHECK(parse_as<MailCommand>("MAIL FROM:<> SIZE=99999999999999999999").size == ~std::uint64_t{0});
  CHECK(parse_as<MailCommand>("MAIL FROM:<> SIZE=18446744073709551615").size == ~std::uint64_t{0});
  CHECK(parse_as<MailCommand>("MAIL FROM:<> SIZE=0").size == 0);
}

}  // namespace
}  // namespace rockdove::smtp
