// The folder where `sendmail` leaves mail: what is taken, what stays, and that nothing is taken
// twice. Files are real, in a temporary folder; loop and store are turned by hand.
#include "mta/daemon/drop_folder.h"

#include <algorithm>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <sys/resource.h>
#include <sys/stat.h>

#include "mta/daemon/user_names.h"
#include "queue/ledger.h"
#include "queue/reading.h"
#include "tests/support/memory_rows.h"
#include "tests/support/temporary_directory.h"
#include "tests/unit/inbound/inbound_world.h"

namespace rockdove::daemon {
namespace {

using Catch::Matchers::Contains;

std::string path_in(const std::string& folder, const std::string& name) {
  return folder + "/" + name;
}

void write_file(const std::string& path, const std::string& text, mode_t mode) {
  std::ofstream(path, std::ios::binary) << text;
  REQUIRE(::chmod(path.c_str(), mode) == 0);
}

smtp::OutgoingMessage envelope(const std::vector<std::string>& recipients) {
  smtp::OutgoingMessage message;
  message.sender = "www-data";
  for (const std::string& recipient : recipients) message.recipients.push_back({recipient});
  return message;
}

std::string mail_text(const std::vector<std::string>& recipients = {"a@x.example"}) {
  return format_drop_envelope(envelope(recipients)) + "Subject: x\r\n\r\nhello\r\n";
}

struct Folder {
  Folder() { REQUIRE(make_drop_folder(state.path())); }

  // The name of a new file.
  std::string leave(const std::string& text, mode_t mode = 0744) {
    std::string name = make_drop_name();
    write_file(path_in(path, name), text, mode);
    return name;
  }

  [[nodiscard]] std::size_t count() const {
    const std::filesystem::directory_iterator files(path);
    return static_cast<std::size_t>(std::distance(begin(files), end(files)));
  }

  tests::TemporaryDirectory state;
  const std::string path = drop_folder_path(state.path());
};

const base::WallTime kNow = base::read_clocks().wall;

DropLook look(const Folder& folder, const DropLimits& limits = {}, base::WallTime now = kNow) {
  DropScan scan(folder.path);
  base::Result<DropLook> found = scan.look(limits, now, [](const std::string&) { return false; });
  REQUIRE(found);
  return *std::move(found);
}

std::string why_odd(const Folder& folder) {
  const DropLook found = look(folder);
  CHECK(found.ready.empty());
  REQUIRE(found.odd.size() == 1);
  return found.odd[0].why;
}

// A store that keeps notes as the real one does, and answers at once.
struct NoteStore : tests::HandStore {
  NoteStore() { REQUIRE(ledger.open()); }

  void commit(base::Loop& loop, queue::Change change, queue::Done<void> done) override {
    if (!error.empty()) {
      return loop.post(
          [done = std::move(done), error = error]() mutable { done(base::Error(error)); });
    }
    const queue::Change* const group[] = {&change};
    REQUIRE(ledger.apply(group));
    if (change.begins()) ++accepted;
    loop.post([done = std::move(done)]() mutable { done({}); });
  }

  void read_notes(base::Loop& loop, std::string kind,
                  queue::Done<std::vector<queue::NotedRow>> done) override {
    loop.post([this, kind, done = std::move(done)]() mutable { done(notes(kind)); });
  }

  [[nodiscard]] base::Result<std::vector<queue::NotedRow>> notes(const std::string& kind) const {
    return queue::read_notes(rows, kind);
  }

  tests::MemoryDisk disk;
  tests::MemoryRows rows{disk};
  queue::Ledger ledger{rows};
  std::string error;
  unsigned accepted = 0;
};

struct AtOnce final : base::Workers {
  [[nodiscard]] bool post(base::Task task) override {
    task();
    return true;
  }

  [[nodiscard]] unsigned threads() const override { return 1; }
};

struct Taking : inbound::World {
  explicit Taking(Folder& folder) : files(folder) { begin(); }

  void begin() {
    taker = std::make_unique<DropFolder>(
        DropFolder::Parts{
            loop, notes, log,
            [this](inbound::SubmittedFile file, inbound::Submission::Handlers handlers) {
              return std::make_unique<inbound::Submission>(
                  local,
                  inbound::make_submission_context(
                      std::make_shared<const inbound::InboundSettings>(settings)),
                  std::move(file), std::move(handlers));
            },
            [] { return std::uint64_t{1'000'000}; }, workers},
        files.state.path());
  }

  Folder& files;
  NoteStore notes;
  inbound::Reception local{loop,
                           notes,
                           memory,
                           clients,
                           connections,
                           log,
                           ids,
                           probe,
                           reception.destination_of,
                           reception.hand_in,
                           held};
  AtOnce workers;
  std::unique_ptr<DropFolder> taker;
};

}  // namespace

TEST_CASE("drop file: what sendmail writes is read back") {
  smtp::OutgoingMessage message = envelope({"root", "\"a b\"@x.example"});
  message.eight_bit = true;
  message.returned = mail::ReturnContent::Headers;
  message.envelope_id = "order 17";
  message.recipients[0].notify.never = true;
  message.recipients[1].original = "rfc822;b@x.example";
  const std::string text = format_drop_envelope(message);
  const base::Result<DropEnvelope> read = parse_drop_envelope(text + "Subject: x\r\n\r\nDATA\r\n");
  REQUIRE(read);
  CHECK(read->octets == text.size());
  CHECK(read->envelope.sender == "www-data");
  CHECK(read->envelope.eight_bit);
  CHECK(read->envelope.envelope_id == "order 17");
  CHECK(read->envelope.returned == mail::ReturnContent::Headers);
  REQUIRE(read->envelope.recipients.size() == 2);
  CHECK(read->envelope.recipients[0].notify.never);
  CHECK(read->envelope.recipients[1].address == "\"a b\"@x.example");
  CHECK(read->envelope.recipients[1].original == "rfc822;b@x.example");
}

TEST_CASE("drop file: what sendmail does not write is an error") {
  const std::string first = "Rockdove sendmail 1\r\n";
  const std::string mail = "MAIL FROM:<a@x.example>\r\n";
  const std::string rcpt = "RCPT TO:<b@x.example>\r\n";
  for (const std::string& bad :
       {std::string(), first, first + mail + rcpt, mail + rcpt + "DATA\r\n",
        first + rcpt + "DATA\r\n", first + mail + "DATA\r\n",
        first + mail + mail + rcpt + "DATA\r\n", first + mail + "RCPT TO:<>\r\nDATA\r\n",
        first + mail + rcpt + "QUIT\r\nDATA\r\n", first + mail + "RCPT TO:<a b@x>\r\nDATA\r\n",
        first + mail + rcpt + "\r\nDATA\r\n", first + "\r\nDATA\r\n"}) {
    INFO(bad);
    CHECK_FALSE(parse_drop_envelope(bad));
  }
  std::string many = first + mail;
  for (std::size_t i = 0; i <= kDropRecipientsMax; ++i) many += rcpt;
  CHECK_THAT(parse_drop_envelope(many + "DATA\r\n").error().text(), Contains("10,000"));
}

TEST_CASE("drop scan: the folder is open for writing, and closed for listing") {
  Folder folder;
  struct stat status = {};
  REQUIRE(::stat(folder.path.c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 01733);
  REQUIRE(::stat(folder.state.path().c_str(), &status) == 0);
  CHECK((status.st_mode & 0011) == 0011);
}

TEST_CASE("drop scan: whole files are ready, with owner and size") {
  Folder folder;
  const std::string name = folder.leave(mail_text());
  const DropLook found = look(folder);
  REQUIRE(found.ready.size() == 1);
  CHECK(found.is_whole);
  CHECK(found.odd.empty());
  CHECK(found.ready[0].name == name);
  CHECK(found.ready[0].user == ::getuid());
  CHECK(found.ready[0].envelope.envelope.octets ==
        std::string("Subject: x\r\n\r\nhello\r\n").size());
}

TEST_CASE("drop scan: what is not complete waits, and is odd after an hour") {
  Folder folder;
  folder.leave(mail_text(), 0644);
  CHECK(look(folder).odd.empty());
  CHECK(look(folder).ready.empty());
  const DropLook later = look(folder, {}, base::read_clocks().wall + std::chrono::hours(2));
  REQUIRE(later.odd.size() == 1);
  CHECK_THAT(later.odd[0].why, Contains("never completed"));
}

TEST_CASE("drop scan: nothing but a regular file with one link is opened") {
  Folder folder;
  const std::string path = path_in(folder.path, make_drop_name());
  SECTION("a symbolic link") {
    const std::string target = path_in(folder.state.path(), "secret");
    write_file(target, mail_text(), 0744);
    REQUIRE(::symlink(target.c_str(), path.c_str()) == 0);
    CHECK_THAT(why_odd(folder), Contains("no regular file"));
  }
  SECTION("a pipe") {
    REQUIRE(::mkfifo(path.c_str(), 0744) == 0);
    CHECK_THAT(why_odd(folder), Contains("no regular file"));
  }
  SECTION("a folder") {
    REQUIRE(::mkdir(path.c_str(), 0755) == 0);
    CHECK_THAT(why_odd(folder), Contains("no regular file"));
  }
  SECTION("a file with a second name") {
    const std::string other = path_in(folder.state.path(), "other");
    write_file(other, mail_text(), 0744);
    REQUIRE(::link(other.c_str(), path.c_str()) == 0);
    CHECK_THAT(why_odd(folder), Contains("2 links"));
  }
  SECTION("a file of another name") {
    write_file(path_in(folder.path, "mail"), mail_text(), 0744);
    CHECK_THAT(why_odd(folder), Contains("name"));
  }
  SECTION("a file that is no message") {
    folder.leave("hello");
    CHECK_THAT(why_odd(folder), Contains("does not begin"));
  }
  SECTION("a file that others may write to, perhaps in its owner's name") {
    folder.leave(mail_text(), 0764);
    CHECK_THAT(why_odd(folder), Contains("others than its owner"));
  }
  SECTION("a huge file") {
    REQUIRE(::truncate(path_in(folder.path, folder.leave(mail_text())).c_str(), 1'000'000'000) ==
            0);
    CHECK_THAT(why_odd(folder), Contains("larger than"));
  }
}

TEST_CASE("drop scan: a look is bounded, and the next one goes on where it ended") {
  Folder folder;
  for (int i = 0; i < 10; ++i) folder.leave(mail_text());
  DropLimits limits;
  limits.names_max = 4;
  DropScan scan(folder.path);
  std::vector<std::string> names;
  for (int i = 0; i < 4; ++i) {
    const base::Result<DropLook> found =
        scan.look(limits, kNow, [](const std::string&) { return false; });
    REQUIRE(found);
    CHECK(found->ready.size() <= 4);
    for (const DroppedMail& mail : found->ready) names.push_back(mail.name);
    if (found->is_whole) break;
  }
  CHECK(names.size() == 10);
  std::sort(names.begin(), names.end());
  CHECK(std::unique(names.begin(), names.end()) == names.end());
  limits = {};
  limits.ready_of_user_max = 3;
  CHECK(look(folder, limits).ready.size() == 3);
}

TEST_CASE("drop scan: removal is for sendmail's names, and once is enough") {
  Folder folder;
  const std::string name = folder.leave(mail_text());
  DropScan scan(folder.path);
  CHECK(scan.remove(name));
  CHECK(scan.remove(name));
  CHECK_FALSE(scan.remove("../lock"));
  CHECK(folder.count() == 0);
}

TEST_CASE("drop folder: what was left is in the queue, its file and its note are gone") {
  Folder folder;
  folder.leave(mail_text());
  folder.leave(mail_text({"b@y.example", "root@z.example"}));
  Taking taking(folder);
  taking.taker->start();
  taking.loop.pass(std::chrono::seconds(1));
  CHECK(taking.notes.accepted == 2);
  CHECK(taking.handed_in.size() == 2);
  CHECK(folder.count() == 0);
  CHECK(taking.notes.notes("incoming")->empty());
  folder.leave(mail_text());
  taking.loop.pass(DropFolder::kLookEach * 2);
  CHECK(taking.notes.accepted == 3);
  CHECK(folder.count() == 0);
}

TEST_CASE("drop folder: a file that is in the queue already is only removed") {
  Folder folder;
  const std::string name = folder.leave(mail_text());
  Taking taking(folder);
  // As behind a SIGKILL between commit and removal.
  taking.notes.commit(taking.loop, queue::noted("incoming", name, "id"),
                      [](const base::Result<void>&) {});
  // And behind one between removal and the end of the note.
  taking.notes.commit(taking.loop, queue::noted("incoming", make_drop_name(), "id"),
                      [](const base::Result<void>&) {});
  taking.taker->start();
  taking.loop.pass(std::chrono::seconds(1));
  CHECK(taking.notes.accepted == 0);
  CHECK(folder.count() == 0);
  CHECK(taking.notes.notes("incoming")->empty());
}

TEST_CASE("drop folder: what is refused for now stays, and comes at a later look") {
  Folder folder;
  folder.leave(mail_text());
  Taking taking(folder);
  taking.notes.error = "no space";
  taking.taker->start();
  taking.loop.pass(std::chrono::seconds(1));
  CHECK(folder.count() == 1);
  taking.notes.error.clear();
  taking.loop.pass(DropFolder::kLookEach * 2);
  CHECK(taking.notes.accepted == 1);
  CHECK(folder.count() == 0);
}

TEST_CASE("drop folder: what is refused for good stays, until the settings change") {
  Folder folder;
  folder.leave(mail_text());
  Taking taking(folder);
  taking.settings.submission.users = {"nobody-else"};
  taking.taker->start();
  taking.loop.pass(DropFolder::kLookEach * 3);
  CHECK(taking.notes.accepted == 0);
  CHECK(folder.count() == 1);
  taking.settings.submission.users.clear();
  taking.loop.pass(DropFolder::kLookEach * 3);
  CHECK(taking.notes.accepted == 0);  // it is not tried again and again
  taking.taker->settings_replaced();
  taking.loop.pass(DropFolder::kLookEach * 3);
  CHECK(taking.notes.accepted == 1);
  CHECK(folder.count() == 0);
}

TEST_CASE("drop folder: a file goes to all its recipients, however few a transaction may have") {
  Folder folder;
  std::vector<std::string> recipients;
  for (int i = 0; i < 3'000; ++i) recipients.push_back("u" + std::to_string(i) + "@x.example");
  folder.leave(mail_text(recipients));
  Taking taking(folder);
  taking.settings.submission.listener.max_recipients = 2;
  taking.taker->start();
  taking.loop.pass(DropFolder::kLookEach * 3);
  CHECK(taking.notes.accepted == 1);
  CHECK(taking.notes.disk.rows(queue::Family::Deliveries).size() == recipients.size());
  CHECK(folder.count() == 0);
}

TEST_CASE("drop folder: an alias of too many addresses becomes a report, and hides no other mail") {
  Folder folder;
  std::vector<std::string> everybody;
  for (int i = 0; i <= 10'000; ++i) everybody.push_back("u" + std::to_string(i) + "@x.example");
  Taking taking(folder);
  taking.settings.local.aliases["everybody"] = everybody;
  const bool is_alone = GENERATE(true, false);
  std::vector<std::string> recipients{"everybody@local.example"};
  if (!is_alone) recipients.insert(recipients.begin(), "all@local.example");
  constexpr unsigned kFiles = 20;  // more than one look opens of a user
  for (unsigned i = 0; i < kFiles; ++i) folder.leave(mail_text(recipients));
  folder.leave(mail_text());
  taking.taker->start();
  taking.loop.pass(DropFolder::kLookEach * 4);
  CHECK(taking.handed_in.size() == kFiles + 1);
  CHECK(folder.count() == 0);
  unsigned reported = 0;
  for (const auto& mail : taking.handed_in) {
    const queue::Delivery& last = mail.deliveries.back();
    if (last.recipient != "everybody@local.example") continue;
    ++reported;
    CHECK(mail.deliveries.size() == (is_alone ? 1 : 3));
    CHECK(last.final_status == "5.5.3");
    CHECK(last.ending == queue::Ending::Failed);
  }
  CHECK(reported == kFiles);
}

TEST_CASE("drop folder: what is completed after more than an hour is taken") {
  Folder folder;
  const std::string name = folder.leave(mail_text(), 0644);
  const timespec long_ago[2] = {{1, 0}, {1, 0}};
  const std::string path = path_in(folder.path, name);
  REQUIRE(::utimensat(AT_FDCWD, path.c_str(), long_ago, 0) == 0);
  Taking taking(folder);
  taking.taker->start();
  taking.loop.pass(DropFolder::kLookEach * 3);
  CHECK(taking.notes.accepted == 0);
  REQUIRE(::chmod(path.c_str(), 0744) == 0);
  taking.loop.pass(DropFolder::kLookEach * 3);
  CHECK(taking.notes.accepted == 1);
}

TEST_CASE("drop scan: what could not be opened for want of descriptors is worth another look") {
  Folder folder;
  folder.leave(mail_text());
  rlimit before = {};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  DropScan scan(folder.path);
  DropLimits one;
  one.names_max = 0;
  REQUIRE(scan.look(one, kNow, [](const std::string&) { return false; }));  // the folder is open
  const int next = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::close(next);
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(next);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  const base::Result<DropLook> found =
      scan.look({}, kNow, [](const std::string&) { return false; });
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  REQUIRE(found);
  REQUIRE(found->odd.size() == 1);
  CHECK_THAT(found->odd[0].why, Contains("cannot be opened"));
  CHECK(found->odd[0].stays == OddFile::Stays::ForNow);
}

TEST_CASE("drop folder: odd files do no harm to others") {
  Folder folder;
  for (int i = 0; i < 100; ++i) folder.leave("odd");
  REQUIRE(::symlink("/etc/passwd", path_in(folder.path, make_drop_name()).c_str()) == 0);
  folder.leave(mail_text());
  Taking taking(folder);
  taking.taker->start();
  taking.loop.pass(DropFolder::kLookEach * 10);
  CHECK(taking.notes.accepted == 1);
  CHECK(folder.count() == 101);
}

TEST_CASE("drop folder: one that ends while it works leaves files or notes") {
  Folder folder;
  for (int i = 0; i < 20; ++i) folder.leave(mail_text());
  Taking taking(folder);
  taking.taker->start();
  taking.loop.run();
  taking.taker->stop();
  taking.loop.run();
  taking.taker.reset();
  taking.loop.run();
  taking.begin();
  taking.taker->start();
  taking.loop.pass(DropFolder::kLookEach * 3);
  CHECK(taking.notes.accepted == 20);
  CHECK(folder.count() == 0);
}

TEST_CASE("user names: come from the password file, as it is now") {
  tests::TemporaryDirectory directory;
  const std::string path = path_in(directory.path(), "passwd");
  write_file(
      path,
      "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/:/bin/sh\nodd:x:no:1\nalso:x:33:1::\n",
      0644);
  UserNames names(path);
  base::Instant now = base::Instant(std::chrono::hours(1));
  CHECK(names.of(33, now) == "www-data");
  CHECK(names.of(0, now) == "root");
  CHECK(names.of(1, now).empty());
  write_file(path, "web:x:33:33::/:/bin/sh\n", 0644);
  const timespec times[2] = {{1, 0}, {1, 0}};
  REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
  CHECK(names.of(33, now + std::chrono::seconds(2)) == "web");
}

}  // namespace rockdove::daemon
