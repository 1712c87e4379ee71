#include "mta/mail/canonical.h"

#include <catch2/catch.hpp>

namespace rockdove::mail {
namespace {

class Text final : public CanonicalOutput {
 public:
  void take(std::string_view octets) override {
    text.append(octets);
    largest = std::max(largest, octets.size());
  }

  std::string text;
  std::size_t largest = 0;
};

std::string field(std::string_view whole, Canonicalization how) {
  std::string out;
  append_canonical_field(out, whole, how);
  return out;
}

std::string body(std::string_view text, Canonicalization how, std::size_t piece = 1000) {
  BodyCanonicalizer canonicalizer(how);
  Text out;
  for (; !text.empty(); text.remove_prefix(std::min(piece, text.size()))) {
    canonicalizer.write(text.substr(0, piece), out);
  }
  canonicalizer.finish(out);
  return out.text;
}

std::string relaxed(std::string_view text) {
  return body(text, Canonicalization::Relaxed);
}

std::string simple(std::string_view text) {
  return body(text, Canonicalization::Simple);
}

TEST_CASE("the example of RFC 6376 §3.4.5 in both forms") {
  const std::string text = " C \r\nD \t E\r\n\r\n\r\n";
  CHECK(field("A: X\r\n", Canonicalization::Relaxed) == "a:X\r\n");
  CHECK(field("B : Y\t\r\n\tZ  \r\n", Canonicalization::Relaxed) == "b:Y Z\r\n");
  CHECK(field("B : Y\t\r\n\tZ  \r\n", Canonicalization::Simple) == "B : Y\t\r\n\tZ  \r\n");
  CHECK(relaxed(text) == " C\r\nD E\r\n");
  CHECK(simple(text) == " C \r\nD \t E\r\n");
}

TEST_CASE("a relaxed field has one blank for many, and none around the colon") {
  CHECK(field("SUBJect \t: \t a \r\n \r\n\t b\t\r\n", Canonicalization::Relaxed) ==
        "subject:a b\r\n");
  CHECK(field("Subject:\r\n", Canonicalization::Relaxed) == "subject:\r\n");
  CHECK(field("Subject: \r\n x", Canonicalization::Relaxed) == "subject:x");
  CHECK(field("Subject: a: b", Canonicalization::Relaxed) == "subject:a: b");
  CHECK(field("X: a\rb\nc\r\n", Canonicalization::Relaxed) == "x:a\rb\nc\r\n");
}

TEST_CASE("an empty body is a line end when simple and nothing when relaxed") {
  CHECK(simple("") == "\r\n");
  CHECK(relaxed("").empty());
  CHECK(simple("\r\n\r\n") == "\r\n");
  CHECK(relaxed("\r\n \t\r\n").empty());
}

TEST_CASE("empty lines are dropped at the end of a body only") {
  CHECK(simple("\r\na\r\n\r\nb\r\n\r\n") == "\r\na\r\n\r\nb\r\n");
  CHECK(relaxed("\r\na\r\n \r\nb\r\n \r\n") == "\r\na\r\n\r\nb\r\n");
  CHECK(simple("a\r\n \r\n") == "a\r\n \r\n");
}

TEST_CASE("a body that does not end in a line end gets one") {
  CHECK(simple("a") == "a\r\n");
  CHECK(relaxed("a") == "a\r\n");
  CHECK(relaxed("a \t") == "a \r\n");
  CHECK(simple("a\r") == "a\r\r\n");
}

TEST_CASE("carriage returns and line feeds alone are content") {
  CHECK(simple("a\rb\nc\r\r\n\r\n") == "a\rb\nc\r\r\n");
  CHECK(relaxed("a \r b\nc \n\r\n\n\r\n") == "a \r b\nc \n\r\n\n\r\n");
}

TEST_CASE("the way that a body is cut makes no difference") {
  const std::string text =
      "\r\n \r\nHello \t world \r\n\r\n\r\rx\r\n\n \r\n.\r\n\t tail\r\n \r\n\r\n\t\r\n";
  for (const auto how : {Canonicalization::Simple, Canonicalization::Relaxed}) {
    const std::string whole = body(text, how);
    for (std::size_t piece = 1; piece < text.size(); ++piece)
      CHECK(body(text, how, piece) == whole);
  }
}

TEST_CASE("many empty lines before content come out in pieces of bounded size") {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += "\r\n";
  for (const auto how : {Canonicalization::Simple, Canonicalization::Relaxed}) {
    BodyCanonicalizer canonicalizer(how);
    Text out;
    canonicalizer.write(text, out);
    CHECK(out.text.empty());
    canonicalizer.write("x", out);
    canonicalizer.finish(out);
    CHECK(out.text == text + "x\r\n");
    CHECK(out.largest <= 4096);
  }
}

}  // namespace
}  // namespace rockdove::mail
