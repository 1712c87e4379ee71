// Bodies of strangers as people see them: what is text, what is not, and nothing that a terminal
// obeys, however the octets are cut.
#include "mta/cli/body_printer.h"

#include <sstream>

#include <catch2/catch.hpp>

#include "mta/cli/safe_text.h"

namespace {

using namespace rockdove;
using namespace rockdove::cli;

std::string printed(const std::string& type, std::string_view body, std::size_t step) {
  std::ostringstream out;
  std::vector<mail::ShownField> header;
  if (!type.empty()) header.push_back({"content-type", type});
  BodyPrinter printer(out, header);
  for (std::size_t at = 0; at < body.size(); at += step) printer.receive(body.substr(at, step));
  printer.finish();
  return out.str();
}

// The same however it is cut.
std::string printed(const std::string& type, std::string_view body) {
  const std::string whole = printed(type, body, body.size() + 1);
  for (const std::size_t step : {1U, 2U, 3U, 7U}) CHECK(printed(type, body, step) == whole);
  return whole;
}

constexpr std::string_view kMixed =
    "This is for old readers\r\n"
    "--outer\r\n"
    "Content-Type: multipart/alternative;\r\n boundary=\"in ner\"\r\n"
    "\r\n"
    "--in ner\r\n"
    "\r\n"
    "plain\r\n"
    "--in ner\r\n"
    "Content-Type: text/html\r\n"
    "\r\n"
    "<b>fat</b>\r\n"
    "--in ner--\r\n"
    "epilogue\r\n"
    "--outer  \r\n"
    "Content-Type: application/pdf; name=\"a\x1b.pdf\"\r\n"
    "Content-Transfer-Encoding: base64\r\n"
    "\r\n"
    "JVBERi0xLjQK\r\n"
    "--not-a-boundary\r\n"
    "--outer--\r\n"
    "behind\r\n";

}  // namespace

TEST_CASE("body: text comes line by line, with its last line ended") {
  CHECK(printed("", "one\r\ntwo\n\r\nthree") == "one\ntwo\n\nthree\n");
  CHECK(printed("text/plain; charset=utf-8", "gr\xC3\xBC\xC3\x9F\r\n") == "grüß\n");
  CHECK(printed("", "").empty());
}

TEST_CASE("body: parts that are no text are named with their size") {
  CHECK(printed("multipart/mixed; boundary=outer", kMixed) ==
        "[part: multipart/alternative; boundary=\"in ner\"]\n"
        "plain\n"
        "[part: text/html]\n"
        "<b>fat</b>\n"
        "[part: application/pdf; name=\"a?.pdf\"]\n"
        "[application/pdf, base64: 32 octets that are no text]\n");
  CHECK(printed("image/png", std::string(1000, 'x')) ==
        "[image/png: 1.0K octets that are no text]\n");
}

TEST_CASE("body: a multipart without its parts, or in itself too deep, ends all the same") {
  CHECK(printed("multipart/mixed; boundary=b", "nothing\r\n").empty());
  CHECK(printed("multipart/mixed", "no boundary\r\n") == "no boundary\n");
  std::string deep;
  for (int i = 0; i < 30; ++i) {
    deep += "--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n";
  }
  CHECK_FALSE(printed("multipart/mixed; boundary=b", deep).empty());
}

TEST_CASE("body: lines without an end are handed on in pieces, and hold no boundary") {
  const std::string line = std::string(10'000, 'x') + "\r\n";
  CHECK(printed("", line, 1000) == std::string(10'000, 'x') + "\n");
  const std::string late = "--b\r\n\r\n" + std::string(5000, 'y') + "--b\r\nz\r\n--b--\r\n";
  CHECK(printed("multipart/mixed; boundary=b", late, 5007) == std::string(5000, 'y') + "--b\nz\n");
}

TEST_CASE("safe text: nothing that a terminal obeys is left, and the rest stays") {
  CHECK(safe_text("a\tb") == "a\tb");
  CHECK(safe_text("\x1b[2J\r\n\x7f") == "?[2J???");
  CHECK(safe_text("\xC2\x9B"
                  "31m") == "?31m");  // CSI as UTF-8 writes it
  CHECK(safe_text("\x9B"
                  "31m") ==
        "\xEF\xBF\xBD"
        "31m");  // and as one octet
  CHECK(safe_text("\xE2\x80\xAE"
                  "fdp.exe") == "?fdp.exe");
  CHECK(safe_text("\xE2\x81\xA6x") == "?x");
  CHECK(safe_text("Jörg €") == "Jörg €");
}
