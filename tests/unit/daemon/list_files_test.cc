// Files change in the ways that editors and scripts change them; each look is one call.
#include "mta/daemon/list_files.h"

#include <chrono>
#include <fcntl.h>
#include <fstream>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <sys/stat.h>

#include "tests/support/temporary_directory.h"

using namespace rockdove;
using namespace rockdove::daemon;

namespace {

void write(const std::string& path, const std::string& text,
           std::ios::openmode mode = std::ios::trunc) {
  std::ofstream(path, mode | std::ios::out) << text;
}

// What is there now was there when the configuration was read.
base::WallTime later() {
  return base::read_clocks().wall + std::chrono::hours(1);
}

struct Watching {
  Watching() { write(path, "192.0.2.1\n"); }

  // What the list has after this look; nothing: it did not change.
  std::string look() {
    found = files.look();
    std::string text;
    for (const auto& file : found.lists) text += std::to_string(file.list->size());
    for (const auto& line : found.lines) text += line.text;
    return text;
  }

  tests::TemporaryDirectory folder;
  std::string path = folder.path() + "/list";
  ListFiles files{{path}, later()};
  ListFiles::Found found;
};

}  // namespace

TEST_CASE("a list's file that stays as it is is not read") {
  Watching watching;
  for (int i = 0; i < 5; ++i) CHECK(watching.look() == "");
}

TEST_CASE("a list's file that has changed is read when it has stood still for a look") {
  Watching watching;
  CHECK(watching.look() == "");
  write(watching.path, "192.0.2.1\n192.0.2.2\n");
  CHECK(watching.look() == "");
  CHECK(watching.look() == "2");
  CHECK(watching.found.lists[0].path == watching.path);
  CHECK(watching.found.lists[0].list->find_client(*base::parse_ip_address("192.0.2.2")));
  CHECK(watching.look() == "");
}

TEST_CASE("a list's file that is being written is not read by half") {
  Watching watching;
  CHECK(watching.look() == "");
  write(watching.path, "192.0.2.1\n192.0.2");  // a bad line, were it whole
  CHECK(watching.look() == "");
  write(watching.path, ".2\n192.0.2.3\n192.0", std::ios::app);
  CHECK(watching.look() == "");
  write(watching.path, ".2.4\n", std::ios::app);
  CHECK(watching.look() == "");
  CHECK(watching.look() == "4");
}

TEST_CASE("a list's file that a rename replaces is another one, though it looks the same") {
  Watching watching;
  CHECK(watching.look() == "");
  struct stat before = {};
  REQUIRE(::stat(watching.path.c_str(), &before) == 0);
  write(watching.path + ".new", "192.0.2.9\n");  // as long as the old one
  const timespec times[2] = {before.st_atim, before.st_mtim};
  REQUIRE(::utimensat(AT_FDCWD, (watching.path + ".new").c_str(), times, 0) == 0);
  REQUIRE(::rename((watching.path + ".new").c_str(), watching.path.c_str()) == 0);
  CHECK(watching.look() == "");
  CHECK(watching.look() == "1");
  CHECK(watching.found.lists[0].list->find_client(*base::parse_ip_address("192.0.2.9")));
}

TEST_CASE("a bad line is told once, and the file is read again when it has changed") {
  Watching watching;
  CHECK(watching.look() == "");
  write(watching.path, "192.0.2.1\nno entry\n");
  CHECK(watching.look() == "");
  CHECK(watching.look() ==
        "line 2: \"no entry\": there is one entry to a line, without blanks in it");
  CHECK(watching.found.lines[0].level == base::Level::Error);
  CHECK(watching.look() == "");
  CHECK(watching.look() == "");
  write(watching.path, "192.0.2.1\n192.0.2.2\n192.0.2.3\n");
  CHECK(watching.look() == "");
  CHECK(watching.look() == "3");
}

TEST_CASE("a list's file that is gone is told once, and read when it is back") {
  Watching watching;
  CHECK(watching.look() == "");
  REQUIRE(::unlink(watching.path.c_str()) == 0);
  CHECK(watching.look() == "the list stays as it was read last: No such file or directory");
  CHECK(watching.look() == "");
  write(watching.path, "192.0.2.1\n192.0.2.2\n");
  CHECK(watching.look() == "");
  CHECK(watching.look() == "2");
}

TEST_CASE("a list's file that changed about when the configuration was read is read once more") {
  Watching watching;
  watching.files = ListFiles({watching.path}, base::read_clocks().wall - std::chrono::hours(1));
  CHECK(watching.look() == "");
  CHECK(watching.look() == "1");
  CHECK(watching.look() == "");
}

TEST_CASE("many bad lines are told as five and a number") {
  Watching watching;
  CHECK(watching.look() == "");
  std::string text;
  for (int i = 0; i < 30; ++i) text += "a b\n";
  write(watching.path, text);
  CHECK(watching.look() == "");
  const std::string told = watching.look();
  CHECK(told.find("line 5: ") != std::string::npos);
  CHECK(told.find("line 6: ") == std::string::npos);
  CHECK(told.ends_with("; and 25 more"));
}
