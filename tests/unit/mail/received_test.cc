#include "mta/mail/received.h"

#include <catch2/catch.hpp>

#include "mta/mail/headers.h"

using namespace rockdove;
using namespace rockdove::mail;

namespace {

ReceivedStamp stamp_of(std::string_view helo) {
  return {.helo = helo,
          .client = base::parse_ip_address("192.0.2.1"),
          .hostname = "mx.example.net",
          .protocol = WithProtocol::Esmtp,
          .id = *base::parse_message_id("0000000000Zz"),
          .only_recipient = nullptr,
          .now = base::from_unix_milliseconds(1'795'293'965'000)};
}

}  // namespace

TEST_CASE("received: our field names client, ourselves, protocol, id, one recipient and the date") {
  const Address bob{"bob", "example.org"};
  ReceivedStamp stamp = stamp_of("client.example.com");
  stamp.only_recipient = &bob;
  CHECK(format_received(stamp) ==
        "Received: from client.example.com ([192.0.2.1])\r\n"
        "\tby mx.example.net (Rockdove) with ESMTP id 0000000000Zz\r\n"
        "\tfor <bob@example.org>;\r\n"
        "\tSat, 21 Nov 2026 20:46:05 +0000\r\n");
  stamp.only_recipient = nullptr;
  stamp.client = base::parse_ip_address("2001:db8::1");
  stamp.tls = "TLSv1.3 TLS_AES_128_GCM_SHA256";
  stamp.authenticated = true;
  CHECK(format_received(stamp) ==
        "Received: from client.example.com ([IPv6:2001:db8::1])\r\n"
        "\tby mx.example.net (Rockdove) with ESMTPSA (TLSv1.3 TLS_AES_128_GCM_SHA256) id "
        "0000000000Zz;\r\n"
        "\tSat, 21 Nov 2026 20:46:05 +0000\r\n");
}

TEST_CASE("received: the protocol's word tells of TLS, AUTH and UTF-8") {
  ReceivedStamp stamp = stamp_of("c.example");
  const auto word = [&stamp] {
    const std::string field = format_received(stamp);
    const std::size_t at = field.find(" with ") + 6;
    return field.substr(at, field.find(' ', at) - at);
  };
  CHECK(word() == "ESMTP");
  stamp.authenticated = true;
  CHECK(word() == "ESMTPA");
  stamp.utf8 = true;
  CHECK(word() == "UTF8SMTPA");
  stamp.tls = "TLSv1.2 X";
  CHECK(word() == "UTF8SMTPSA");
  stamp.authenticated = false;
  CHECK(word() == "UTF8SMTPS");
  stamp.utf8 = false;
  CHECK(word() == "ESMTPS");
  stamp.protocol = WithProtocol::Lmtp;
  CHECK(word() == "LMTPS");
  stamp.protocol = WithProtocol::Smtp;  // HELO: the registry has no SMTPS
  CHECK(word() == "SMTP");
  CHECK(format_received(stamp).find(" with SMTP (TLSv1.2 X) id ") != std::string::npos);
}

TEST_CASE("received: local submission has no from clause") {
  ReceivedStamp stamp = stamp_of("");
  stamp.client = std::nullopt;
  CHECK(format_received(stamp).starts_with("Received: by mx.example.net (Rockdove) with "));
}

TEST_CASE("received: what a client calls itself cannot break the field") {
  const auto first_line = [](std::string_view helo) {
    const std::string field = format_received(stamp_of(helo));
    return field.substr(15, field.find("\r\n") - 15);
  };
  CHECK(first_line("[192.0.2.9]") == "[192.0.2.9] ([192.0.2.1])");
  CHECK(first_line("MY_PC") == "MY_PC ([192.0.2.1])");
  CHECK(first_line("x\r\nSubject: y") == "x??Subject:?y ([192.0.2.1])");
  CHECK(first_line("a) by evil (Rockdove;\"\\\x80") == "a??by?evil??Rockdove???? ([192.0.2.1])");
  CHECK(first_line("") == "unknown ([192.0.2.1])");
  CHECK(first_line(std::string(1000, 'x')).size() == 255 + 14);
}

TEST_CASE("received: our own fields are known again, also when the client was called by") {
  for (const std::string_view helo : {"client.example.com", "by", "from", "x;y"}) {
    const std::string block = format_received(stamp_of(helo));
    const auto field = find_field(block, "Received");
    REQUIRE(field);
    CHECK(is_own_received(field->value, "MX.Example.Net"));
    CHECK_FALSE(is_own_received(field->value, "example.net"));
    CHECK(received_by(field->value) == "mx.example.net");
  }
  CHECK_FALSE(is_own_received(" from a by mx.example.net (Postfix); x", "mx.example.net"));
  CHECK_FALSE(is_own_received(" from a (by mx.example.net (Rockdove)) by b; x", "mx.example.net"));
  CHECK_FALSE(is_own_received("", ""));
}

TEST_CASE("received: a user of this machine is named by his number, as Postfix does it") {
  ReceivedStamp stamp;
  stamp.helo = "localhost";
  stamp.hostname = "mx.example.net";
  stamp.local_user = 33;
  const std::string field = format_received(stamp);
  CHECK(field.starts_with("Received: by mx.example.net (Rockdove, from userid 33)\r\n\tid " +
                          base::format_id(stamp.id) + ";\r\n\t"));
  CHECK(is_own_received(field.substr(9), "mx.example.net"));
  CHECK(received_by(field.substr(9)) == "mx.example.net");
}

TEST_CASE("received: the host after by is found outside comments and quotes") {
  CHECK(received_by(" by a.example with SMTP; x") == "a.example");
  CHECK(received_by(" from x (HELO by) (by y) \"by\" by\r\n\ta.example(c) id 1; x") == "a.example");
  CHECK(received_by(" (qmail 1 invoked by uid 0); 1 Jan 2026").empty());
  CHECK(received_by(" from x; by a.example").empty());
  CHECK(received_by(" from by").empty());
  CHECK(received_by(" by").empty());
  CHECK(received_by(" (((").empty());
  CHECK(received_by(" \"\\").empty());
}

TEST_CASE("received: the hops of a message are listed, the latest first") {
  const std::string block =
      "Received: from b by c; 3\r\nSubject: x\r\nReceived: (no host)\r\nReceived: from a by b; "
      "2\r\n"
      "Received: by a; 1\r\n";
  CHECK(received_hosts(block, 10) == std::vector<std::string_view>{"c", "b", "a"});
  CHECK(received_hosts(block, 2).size() == 2);
}
