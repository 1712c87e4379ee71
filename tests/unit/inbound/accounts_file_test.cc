#include "mta/inbound/accounts_file.h"

#include <fstream>

#include <catch2/catch.hpp>
#include <sys/stat.h>

#include "mta/crypto/password.h"
#include "tests/support/temporary_directory.h"

namespace rockdove::inbound {
namespace {

using Catch::Matchers::EndsWith;
using Catch::Matchers::StartsWith;

const std::string kHash =
    "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$MnlGrnDFChzUR8qW4u6uK3Z5RkpXBigLTPaL7fxNSz0";

std::string error_of(const std::string& text) {
  const base::Result<std::vector<Account>> accounts = parse_accounts(text, "/users");
  return accounts ? "" : accounts.error().text();
}

void write(const std::string& path, const std::string& text, mode_t mode = 0640) {
  std::ofstream(path) << text;
  REQUIRE(::chmod(path.c_str(), mode) == 0);
}

TEST_CASE("an accounts file has accounts, comments and empty lines") {
  const auto accounts = parse_accounts(
      "# who may send\n\nzoe:" + kHash + "\n  \nscanner@example.com:" + kHash + "\nJürg B:" + kHash,
      "/users");
  REQUIRE(accounts);
  REQUIRE(accounts->size() == 3);
  CHECK((*accounts)[0].name == "Jürg B");
  CHECK((*accounts)[1].name == "scanner@example.com");
  CHECK((*accounts)[2].name == "zoe");
  CHECK((*accounts)[2].hash == kHash);
  CHECK(parse_accounts("", "/users")->empty());
}

TEST_CASE("a bad line is named with its number and what to do") {
  CHECK_THAT(error_of("# x\nzoe\n"), StartsWith("/users:2: an account is a name, a colon"));
  CHECK_THAT(error_of("zoe:secret\n"),
             StartsWith("/users:1: what follows the colon is no yescrypt"));
  CHECK_THAT(error_of("zoe:secret\n"), EndsWith("`rockdove user passwd zoe` writes one"));
  CHECK_THAT(error_of("zoe:" + kHash + " \n"), StartsWith("/users:1: what follows"));
  CHECK_THAT(error_of("zoe:" + kHash + ":x\n"), StartsWith("/users:1: what follows"));
  CHECK_THAT(error_of("zoe:" + kHash + "\r\n"), StartsWith("/users:1: the line ends in CR LF"));
  CHECK(error_of(":" + kHash) == "/users:1: the name is empty");
  CHECK(error_of(" zoe:" + kHash) == "/users:1: a name neither begins nor ends with a space");
  CHECK(error_of("z\x01:" + kHash) == "/users:1: a name has no control characters");
  CHECK(error_of("z\xff:" + kHash) == "/users:1: the name is not in UTF-8");
  CHECK(error_of("a:" + kHash + "\nb:" + kHash + "\na:" + kHash) ==
        "/users:3: \"a\" stands in line 1 already");
}

TEST_CASE("names have 1 to 128 octets") {
  CHECK(check_account_name(std::string(128, 'x')));
  CHECK_FALSE(check_account_name(std::string(129, 'x')));
  CHECK_FALSE(check_account_name(""));
  CHECK_FALSE(check_account_name("a:b"));
  CHECK_FALSE(check_account_name("#a"));
  CHECK(check_account_name("a#b c@d"));
}

TEST_CASE("accounts are found by their exact name") {
  const AccountTable table(*parse_accounts("b:" + kHash + "\na:" + kHash, "/users"), {});
  CHECK(table.find("a")->name == "a");
  CHECK(table.find("b")->name == "b");
  CHECK(table.find("A") == nullptr);
  CHECK(table.find("") == nullptr);
  CHECK(table.find("c") == nullptr);
}

TEST_CASE("reading an accounts file says what is wrong with it") {
  const tests::TemporaryDirectory directory;
  const std::string path = directory.path() + "/users";
  CHECK(read_accounts(path).error().text() ==
        "there is no accounts file " + path + "; `rockdove user add NAME` makes it");
  CHECK_FALSE(stamp_of(path));
  write(path, "zoe:" + kHash + "\n");
  const auto table = read_accounts(path);
  REQUIRE(table);
  CHECK((*table)->accounts().size() == 1);
  CHECK((*table)->stamp() == stamp_of(path));
  for (const mode_t mode : {0644U, 0642U, 0641U}) {
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    CHECK(read_accounts(path).error().text() ==
          path + " may be read or written by everybody on this machine; `chmod o= " + path +
              "` mends that");
    CHECK((*table)->stamp() != stamp_of(path));  // a change of mode is one, too
  }
  write(path, "zoe\n");
  CHECK_THAT(read_accounts(path).error().text(), StartsWith(path + ":1: "));
  CHECK(read_accounts(directory.path()).error().text() == directory.path() + " is not a file");
  write(path, std::string(kAccountsFileOctetsMax + 1, '#'));
  CHECK(read_accounts(path).error().text() == path + " has over 16 MiB, which is no accounts file");
}

TEST_CASE("editing keeps order, comments and other accounts") {
  const std::string text = "# ours\na:1\nab:2\n\nb:3";
  CHECK(with_account(text, {"a", "9"}) == "# ours\na:9\nab:2\n\nb:3\n");
  CHECK(with_account(text, {"c", "9"}) == "# ours\na:1\nab:2\n\nb:3\nc:9\n");
  CHECK(with_account("", {"c", "9"}) == "c:9\n");
  CHECK(without_account(text, "ab") == "# ours\na:1\n\nb:3\n");
  CHECK(without_account(text, "b") == "# ours\na:1\nab:2\n\n");
  CHECK(without_account(text, "x") == text + "\n");
}

}  // namespace
}  // namespace rockdove::inbound
