#include "mta/mail/shown_header.h"

#include <catch2/catch.hpp>

using namespace rockdove;

TEST_CASE("shown header: folds vanish and encoded words are decoded, in order") {
  const auto fields = mail::shown_fields(
      "Received: by a\r\n\tfor b\r\nSUBJECT:  =?iso-8859-1?Q?J=F6rg?=\r\n =?utf-8?B?IQ==?= x \r\n"
      "X-Empty:\r\n");
  REQUIRE(fields.size() == 3);
  CHECK(fields[0].name == "Received");
  CHECK(fields[0].value == "by a\tfor b");
  CHECK(fields[1].name == "SUBJECT");
  CHECK(fields[1].value == "Jörg! x");
  CHECK(fields[2].value.empty());
  CHECK(mail::shown_fields("").empty());
  CHECK(mail::shown_fields("\r\n").empty());
}
