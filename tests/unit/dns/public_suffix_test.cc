#include "dns/public_suffix.h"

#include <filesystem>
#include <fstream>
#include <random>

#include <catch2/catch.hpp>

using namespace rockdove::dns;

namespace {

class File {
 public:
  explicit File(std::string_view text)
      : path_(std::filesystem::temp_directory_path() /
              ("rockdove-psl-" + std::to_string(std::random_device()()))) {
    std::ofstream(path_) << text;
  }

  ~File() { std::filesystem::remove(path_); }

  File(const File&) = delete;
  File& operator=(const File&) = delete;

  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace

TEST_CASE("public suffixes: one label more than the suffix is what somebody owns") {
  const File file("com\nexample\n*.ck\n!www.ck\nco.example\nxn--p1ai\n// local\nshop.com\n");
  const auto list = PublicSuffixes::load(file.path());
  REQUIRE(list);
  const auto owner = [&](std::string_view name) {
    return (*list)->registrable_domain(name).value_or("-");
  };
  CHECK(owner("a.B.Example.COM") == "example.com");
  CHECK(owner("example.com.") == "example.com");
  CHECK(owner("com") == "-");
  CHECK(owner("a.shop.com") == "a.shop.com");
  CHECK(owner("a.co.example") == "a.co.example");
  CHECK(owner("a.b.other.ck") == "b.other.ck");
  CHECK(owner("a.www.ck") == "www.ck");
  CHECK(owner("a.b.unlisted") == "b.unlisted");
  CHECK(owner("unlisted") == "-");
  CHECK(owner("b.xn--e1afmkfd.xn--p1ai") == "xn--e1afmkfd.xn--p1ai");
  for (const char* name : {"", ".", ".com", "a..com", ".a.com"}) {
    INFO(name);
    CHECK(owner(name) == "-");
  }
  CHECK(owner(std::string_view("a\0.com", 6)) == "-");
  CHECK(owner(std::string(2000, 'a') + ".com") == "-");
}

TEST_CASE("public suffixes: a file that is no list is refused with its name") {
  const auto missing = PublicSuffixes::load("/nonexistent/list.dat");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().text() ==
        "reading the public suffix list /nonexistent/list.dat: No such file or directory");
  const File empty("// nothing\n");
  const auto none = PublicSuffixes::load(empty.path());
  REQUIRE_FALSE(none);
  CHECK(none.error().text() == empty.path() + " has no public suffix in it");
}
