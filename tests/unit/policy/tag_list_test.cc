#include "policy/tag_list.h"

#include <catch2/catch.hpp>

namespace rockdove::policy {
namespace {

std::string problem(std::string_view text) {
  const auto list = TagList::parse(text);
  return list ? "" : list.error().text();
}

TEST_CASE("a tag list has names, values and blanks anywhere between") {
  const auto good = TagList::parse(" a=rsa-sha256;\r\n\tb = A B\r\n C ;x_=;c2=d=e; ");
  REQUIRE(good);
  REQUIRE(good->tags().size() == 4);
  CHECK(good->find("a")->value == "rsa-sha256");
  CHECK(good->find("b")->value == "A B\r\n C");
  CHECK(good->find("b")->region == " A B\r\n C ");
  CHECK(good->find("x_")->value.empty());
  CHECK(good->find("c2")->value == "d=e");
  CHECK(good->find("A") == nullptr);
  CHECK(TagList::parse("a=1;").is_ok());
}

TEST_CASE("what the grammar of tag lists does not allow is refused") {
  CHECK(problem("") == "there is no tag in it");
  CHECK(problem(" ") == "a tag is empty");
  CHECK(problem(";") == "a tag is empty");
  CHECK(problem("a=1;;") == "a tag is empty");
  CHECK(problem("a=1; ;b=2") == "a tag is empty");
  CHECK(problem(";a=1") == "a tag is empty");
  CHECK(problem("a") == "a tag has no \"=\"");
  CHECK(problem("=1") == "a tag's name is not valid");
  CHECK(problem("1a=1") == "a tag's name is not valid");
  CHECK(problem("a b=1") == "a tag's name is not valid");
  CHECK(problem("a=1;b=2;a=3") == "the tag a is there twice");
  CHECK(problem("a=1;A=2").empty());
  const std::string name(100, 'n');  // what is told must be fit for a header field: ASCII
  CHECK(problem(name + "=1;" + name + "=2") ==
        "the tag " + name.substr(0, 80) + "... is there twice");
  for (const std::string_view text : {"a=\r\nb", "a=1\r\n", "a=1\n 2", "a=1\r 2", "a=\x7f"}) {
    CHECK(problem(text) == "there are characters in it that a tag list cannot have");
  }
  CHECK(problem(std::string_view("a=\0", 3)) ==
        "there are characters in it that a tag list cannot have");
  CHECK(problem("d=b\xc3\xbc"
                "cher.example")
            .empty());
}

TEST_CASE("a list has at most a hundred tags") {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "t" + std::to_string(i) + "=;";
  CHECK(problem(text).empty());
  CHECK(problem(text + "one=") == "there are too many tags");
}

TEST_CASE("numbers of tags have digits only, and not too many") {
  CHECK(parse_tag_number("0", 12) == 0U);
  CHECK(parse_tag_number("012345", 12) == 12345U);
  CHECK(parse_tag_number("1234567890123", 12) == std::nullopt);
  CHECK(parse_tag_number("", 12) == std::nullopt);
  CHECK(parse_tag_number("-1", 12) == std::nullopt);
  CHECK(parse_tag_number("1 2", 12) == std::nullopt);
  CHECK(parse_tag_number("18446744073709551615", 76) == 18446744073709551615U);
  CHECK(parse_tag_number("18446744073709551616", 76) == 18446744073709551615U);
  CHECK(parse_tag_number(std::string(76, '9'), 76) == 18446744073709551615U);
}

TEST_CASE("base64 of tags may be folded, and must stand for something") {
  CHECK(decode_tag_base64("Y W\r\n\tJj") == "abc");
  CHECK(decode_tag_base64("") == std::nullopt);
  CHECK(decode_tag_base64("YWJ") == std::nullopt);
  CHECK(decode_tag_base64("YW.j") == std::nullopt);
}

TEST_CASE("lists are split at colons") {
  CHECK(split_at_colons("from : To\r\n :subject") ==
        std::vector<std::string_view>{"from", "To", "subject"});
  CHECK(split_at_colons("").size() == 1);
  CHECK(split_at_colons("a:").size() == 2);
}

}  // namespace
}  // namespace rockdove::policy
