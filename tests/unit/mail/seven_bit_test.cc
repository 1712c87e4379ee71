#include "mta/mail/seven_bit.h"

#include <algorithm>

#include <catch2/catch.hpp>

namespace rockdove::mail {
namespace {

struct Encoded {
  std::string text;
  SevenBitProblem problem = SevenBitProblem::None;
};

Encoded encode(std::string_view message, std::size_t piece) {
  SevenBitEncoder encoder;
  Encoded result;
  for (; !message.empty(); message.remove_prefix(std::min(piece, message.size())))
    encoder.write(message.substr(0, piece), result.text);
  encoder.finish(result.text);
  result.problem = encoder.problem();
  return result;
}

// The same for any cut.
Encoded encode(std::string_view message) {
  Encoded whole = encode(message, message.size() + 1);
  for (const std::size_t piece : {1U, 3U, 57U}) {
    const Encoded cut = encode(message, piece);
    CHECK(cut.text == whole.text);
    CHECK(cut.problem == whole.problem);
  }
  return whole;
}

void check_same(std::string_view message) {
  const Encoded encoded = encode(message);
  CHECK(encoded.problem == SevenBitProblem::None);
  CHECK(encoded.text == message);
}

constexpr std::string_view kPlain =
    "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n";

TEST_CASE("text becomes quoted-printable, in lines of at most 76 characters") {
  std::string message(kPlain);
  const std::string first = "The first line is in plain ASCII\r\n";
  message += "content-transfer-encoding: 8bit\r\nX: y\r\n\r\n" + first;
  const std::string header =
      std::string(kPlain) + "Content-Transfer-Encoding: quoted-printable\r\nX: y\r\n\r\n" + first;
  CHECK(encode(message + "a = \xc3\xbc \t\r\n.\r\n").text == header + "a =3D =C3=BC =09\r\n.\r\n");
  CHECK(encode(message + "\xc3\xbc").text == header + "=C3=BC");
  CHECK(encode(message + "x \r\n\r\n\xc3\xbc ").text == header + "x=20\r\n\r\n=C3=BC=20");
  CHECK(encode(message + "\xc3\xbc" + std::string(70, 'x') + "--b\r\n").text ==
        header + "=C3=BC" + std::string(69, 'x') + "=\r\nx--b\r\n");
  CHECK(encode(message + "\xc3\xbc" + std::string(69, 'x') + "--b\r\n").text ==
        header + "=C3=BC" + std::string(69, 'x') + "=\r\n=2D-b\r\n");
}

TEST_CASE("text that is mostly outside ASCII, and what is no text, becomes base64") {
  std::string message(kPlain);
  message += "\r\n";
  for (int i = 0; i < 30; ++i) message += "\xd0\xb9";
  const std::string header = std::string(kPlain) + "Content-Transfer-Encoding: base64\r\n\r\n";
  CHECK(encode(message + "\r\n").text ==
        header +
            "0LnQudC50LnQudC50LnQudC50LnQudC50LnQudC50LnQudC50LnQudC50LnQudC50LnQudC50LnQ\r\n"
            "udC5DQo=\r\n");
  CHECK(encode("Content-Type: image/png\r\nMIME-Version: 1.0\r\n\r\n\x89PNG").text ==
        "Content-Type: image/png\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: "
        "base64\r\n\r\niVBORw==\r\n");
}

TEST_CASE("what was no MIME becomes MIME") {
  CHECK(encode("Subject: x\r\n\r\n\xc3\xbc fits into ASCII\r\n").text ==
        "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3=BC fits into ASCII\r\n");
}

TEST_CASE("what is 7-bit stays as it is") {
  check_same("Subject: x\r\n\r\nhello =\r\n  \r\n");
  check_same("Subject: x\r\n\r\n");
  check_same("Subject: x\r\n");
  check_same("");
  check_same("\r\n");
  check_same(
      "Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b\r\n\r\none\r\n--b\r\n"
      "Content-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--\r\nepilogue");
  check_same("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n--b\r\nX: y\r\n--b--");
  check_same(
      "DKIM-Signature: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n");
}

TEST_CASE("each part of a multipart goes its own way, and the line end before a boundary is kept") {
  const Encoded encoded = encode(
      "Content-Type: multipart/mixed;\r\n boundary=\"a b\"\r\nContent-Transfer-Encoding: 8bit\r\n"
      "\r\nlisez \xc3\xa7\x61\r\n--a b\t\r\nContent-Type: text/plain\r\n\r\nplain\r\n--a b\r\n"
      "Content-Type: text/html\r\n\r\nf\xc3\xbcr x\r\n\r\n--a b\r\n"
      "Content-Type: multipart/alternative; boundary=a\r\n\r\n--a\r\n"
      "Content-Transfer-Encoding: 8bit\r\n\r\n\xc3\xbc"
      "ber x\r\n--a b--\r\nend \xc3\xbc\r\n");
  CHECK(encoded.problem == SevenBitProblem::None);
  CHECK(encoded.text ==
        "Content-Type: multipart/mixed;\r\n boundary=\"a b\"\r\nContent-Transfer-Encoding: 7bit\r\n"
        "MIME-Version: 1.0\r\n"
        "\r\nlisez ??a\r\n--a b\t\r\nContent-Type: text/plain\r\n\r\nplain\r\n--a b\r\n"
        "Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\nZsO8ciB4DQo=\r\n--a "
        "b\r\n"
        "Content-Type: multipart/alternative; boundary=a\r\n\r\n--a\r\n"
        "Content-Transfer-Encoding: base64\r\n"
        "Content-Type: text/plain; charset=unknown-8bit\r\n\r\nw7xiZXIgeA==\r\n--a b--\r\nend "
        "??\r\n");
}

TEST_CASE("a message within the message is gone through likewise") {
  const std::string embedded = "Subject: inner\r\n\r\nabcdef gh \xc3\xbc ijk\r\n";
  const std::string inner =
      "Subject: inner\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n"
      "Content-Transfer-Encoding: quoted-printable\r\n\r\nabcdef gh =C3=BC ijk\r\n";
  CHECK(encode("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\nMIME-Version: "
               "1.0\r\n\r\n" +
               embedded)
            .text ==
        "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\nMIME-Version: "
        "1.0\r\n\r\n" +
            inner);
  CHECK(encode("Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\n" + embedded +
               "\r\n--b--\r\n")
            .text ==
        "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\n" + inner + "\r\n--b--\r\n");
}

TEST_CASE("long lines need an encoding, too") {
  const std::string line(999, 'x');
  const Encoded encoded = encode("Subject: x\r\n\r\n" + line + "\r\n");
  std::size_t start = 0;
  for (std::size_t end = encoded.text.find("\r\n"); end != std::string::npos;
       start = end + 2, end = encoded.text.find("\r\n", start))
    CHECK(end - start <= 76);
}

TEST_CASE("what is long goes through in bounded memory, though nothing is known about its end") {
  std::string message = "Subject: x\r\n\r\n";
  for (int i = 0; i < 1000; ++i)
    message += "sixty characters of plain text, and one line after the other\r\n";
  const Encoded encoded = encode(message + "\xc3\xbc\r\n");
  CHECK(encoded.problem == SevenBitProblem::None);
  CHECK(encoded.text.find("Content-Transfer-Encoding: quoted-printable\r\n") != std::string::npos);
  CHECK(encoded.text.ends_with("=C3=BC\r\n"));
}

TEST_CASE("what cannot be re-encoded is named") {
  const auto problem_of = [](const std::string& message) { return encode(message).problem; };
  const std::string high = "\r\n\xc3\xbc\r\n";
  CHECK(problem_of("Subject: \xc3\xbc\r\n\r\n") == SevenBitProblem::Header);
  CHECK(problem_of("Subject: \xc3\xbc") == SevenBitProblem::Header);
  CHECK(problem_of("DKIM-Signature: v=1\r\n" + high) == SevenBitProblem::Signed);
  CHECK(problem_of("Content-Type: multipart/signed; boundary=b\r\n" + high) ==
        SevenBitProblem::Signed);
  CHECK(problem_of("Content-Transfer-Encoding: base64\r\n" + high) == SevenBitProblem::Encoded);
  CHECK(problem_of("Content-Transfer-Encoding: x-own\r\n" + high) == SevenBitProblem::Encoded);
  CHECK(problem_of("Content-Type: message/partial\r\n" + high) == SevenBitProblem::Encoded);
  CHECK(problem_of("Content-Transfer-Encoding: binary\r\n" + high) == SevenBitProblem::Binary);
  CHECK(problem_of("Content-Type: multipart/mixed\r\n" + high) == SevenBitProblem::Structure);
  std::string deep;
  for (int i = 0; i < 40; ++i) {
    const std::string boundary = "b" + std::to_string(i);
    deep +=
        "Content-Type: multipart/mixed; boundary=" + boundary + "\r\n\r\n--" + boundary + "\r\n";
  }
  CHECK(problem_of(deep) == SevenBitProblem::Structure);
  CHECK(problem_of(std::string(400'000, 'x')) == SevenBitProblem::Structure);
}

TEST_CASE("after a problem nothing is written") {
  SevenBitEncoder encoder;
  std::string out;
  encoder.write("DKIM-Signature: x\r\n\r\n", out);
  encoder.write("one\r\n\xc3\xbc", out);
  encoder.write("\r\nthree\r\n", out);
  encoder.finish(out);
  CHECK(out == "DKIM-Signature: x\r\n\r\none\r\n");
}

TEST_CASE("what stands in the way is seen in the header, or in the body where it is at hand") {
  using Problem = SevenBitProblem;
  const auto of_header = [](const std::string& fields) {
    return foresee_seven_bit_problem(fields + "\r\n", std::nullopt);
  };
  CHECK(of_header("") == Problem::None);
  CHECK(of_header(std::string(kPlain)) == Problem::None);
  CHECK(of_header("DKIM-Signature: v=1\r\n") == Problem::Signed);
  CHECK(of_header("Content-Type: multipart/signed; boundary=b\r\n") == Problem::Signed);
  CHECK(of_header("Content-Transfer-Encoding: base64\r\n") == Problem::Encoded);
  CHECK(of_header("Content-Transfer-Encoding: binary\r\n") == Problem::Binary);
  CHECK(of_header("Content-Type: multipart/mixed\r\n") == Problem::Structure);
  CHECK(of_header("Subject: \xc3\xbc\r\n") == Problem::Header);
  const std::string mixed = "Content-Type: multipart/mixed; boundary=b\r\n";
  CHECK(of_header(mixed) == Problem::None);
  const auto of_part = [&](const std::string& part) {
    const std::string filler(40'000, 'x');
    return foresee_seven_bit_problem(
        mixed + "\r\n", "--b\r\n\r\n" + filler + "\r\n--b\r\n" + part + "\r\n--b--\r\n");
  };
  CHECK(of_part("\r\n\xc3\xbc") == Problem::None);
  CHECK(of_part("Content-Type: multipart/signed; boundary=c\r\n\r\n\xc3\xbc") == Problem::Signed);
  CHECK(of_part("Content-Type: multipart/signed; boundary=c\r\n\r\nASCII") == Problem::None);
  CHECK(of_part("Content-Transfer-Encoding: binary\r\n\r\n\xc3\xbc") == Problem::Binary);
}

}  // namespace
}  // namespace rockdove::mail
