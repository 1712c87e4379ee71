#include "mta/mail/encoded_word.h"

#include <catch2/catch.hpp>

namespace rockdove::mail {
namespace {

TEST_CASE("encoded words are decoded in whatever charset they are") {
  CHECK(decode_encoded_words("=?iso-8859-1?Q?J=F6rg_M=fcller?=") == "Jörg Müller");
  CHECK(decode_encoded_words("=?UTF-8?b?SsO2cmc=?=") == "Jörg");
  CHECK(decode_encoded_words("=?utf-8?B?SsO2cmc?=") == "Jörg");  // no padding
  CHECK(decode_encoded_words("=?iso-8859-15?q?=A4?=") == "€");
  CHECK(decode_encoded_words("=?windows-1252?q?=80?=") == "€");
  CHECK(decode_encoded_words("=?us-ascii*en?q?hello?=") == "hello");
  CHECK(decode_encoded_words("=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=") == "日本");
}

TEST_CASE("blanks between encoded words vanish, others stay") {
  CHECK(decode_encoded_words("a =?utf-8?q?b?= =?utf-8?q?c?=\r\n =?iso-8859-1?q?d?= e") ==
        "a bcd e");
  CHECK(decode_encoded_words("=?utf-8?q?=C3?= =?utf-8?q?=BC?=") == "ü");
  CHECK(decode_encoded_words(" plain  text ") == " plain  text ");
  CHECK(decode_encoded_words("") == "");
}

TEST_CASE("what is no encoded word stays as it is") {
  for (const char* text : {"=?", "=?utf-8", "=?utf-8?q", "=?utf-8?q?", "=?utf-8?q?a",
                           "=?utf-8?x?a?=", "=?utf-8?q?=4?=", "=?utf-8?b?a?=", "=?utf-8?q?a b?=",
                           "x=?utf-8?"
                           "?="}) {
    CHECK(decode_encoded_words(text) == text);
  }
}

TEST_CASE("what cannot be decoded is shown as such, and nothing else is lost") {
  CHECK(decode_encoded_words("a =?utf-8?b?////?= b") == "a \xEF\xBF\xBD b");
  CHECK(decode_encoded_words("a\xff\xfe"
                             "b\xff") ==
        "a\xEF\xBF\xBD"
        "b\xEF\xBF\xBD");
  CHECK(decode_encoded_words("=?us-ascii?q?a=FFb?=") ==
        "a\xEF\xBF\xBD"
        "b");
  CHECK(decode_encoded_words("=?no-such?q?=C3=BC?=") == "ü");
  CHECK(decode_encoded_words("=?//TRANSLIT?q?a?=") == "a");
  const std::string long_text = "=?iso-8859-1?q?" + std::string(5000, 'a') + "=F6?=";
  CHECK(decode_encoded_words(long_text) == std::string(5000, 'a') + "ö");
}

TEST_CASE("the octets of encoded words are found whatever their charset is") {
  CHECK(encoded_octets("=?x-nobody?q?ceo=40bank?= =?x-nobody?b?LmV4YW1wbGU=?= \xe9 =?") ==
        "ceo@bank.example \xe9 =?");
  CHECK(encoded_octets("plain") == "plain");
}

TEST_CASE("many beginnings of encoded words that never end cost little") {
  std::string text;
  while (text.size() < 256 * 1024) text += "=?a?q?x ";
  CHECK(decode_encoded_words(text) == text);
  text.clear();
  while (text.size() < 256 * 1024) text += "=?a";
  CHECK(decode_encoded_words(text) == text);
}

}  // namespace
}  // namespace rockdove::mail
