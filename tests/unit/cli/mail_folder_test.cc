// Folders of messages: whole files or none, nothing overwritten, and on the way back nothing
// believed. Export and import meet in rows in memory.
#include "mta/cli/mail_folder.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include "mta/cli/queue_export.h"
#include "mta/cli/queue_restore.h"
#include "queue/index.h"
#include "queue/ledger.h"
#include "queue/reading.h"
#include "queue/trace.h"
#include "tests/support/memory_rows.h"
#include "tests/support/temporary_directory.h"

namespace {

using namespace rockdove;
using namespace rockdove::cli;
using base::Error;
using base::Result;
using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr std::string_view kHeader = "Subject: hi\r\n\r\n";

admin::Envelope sample_envelope(std::uint64_t counter, std::size_t body_octets) {
  admin::Envelope envelope;
  queue::Message& message = envelope.stored.message;
  message.id = {(1'795'295'600'000ULL << 20) + counter};
  message.sender = "a@one.example";
  message.accepted = base::from_unix_milliseconds(1'795'295'600'000);
  message.recipients = 1;
  message.body_octets = body_octets;
  message.body_chunks = queue::body_chunks_of(body_octets);
  envelope.stored.header_octets = kHeader.size();
  queue::Delivery delivery;
  delivery.number = 1;
  delivery.recipient = "b@x.example";
  delivery.destination = "x.example";
  delivery.due = message.accepted;
  envelope.stored.deliveries.push_back(delivery);
  return envelope;
}

class Folder {
 public:
  Folder() : path(directory_.path() + "/out") {}

  // A message as export writes it; its id.
  std::string put(std::uint64_t counter, std::size_t body_octets = 5, char octet = 'x') {
    Result<std::unique_ptr<MailFolderWriter>> writer = MailFolderWriter::open(path);
    REQUIRE(writer);
    const admin::Envelope envelope = sample_envelope(counter, body_octets);
    const Result<void> put = (*writer)->put(admin::format_envelope(envelope, admin::Layout::Line),
                                            [=](const OctetSink& sink) -> Result<void> {
                                              sink(kHeader);
                                              sink(std::string(body_octets, octet));
                                              return {};
                                            });
    if (!put) FAIL(put.error().text());
    REQUIRE((*writer)->sync());
    return base::format_id(envelope.stored.message.id);
  }

  [[nodiscard]] std::string read(const std::string& name) const {
    std::ifstream file(path + "/" + name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  void write(const std::string& name, std::string_view text) const {
    std::ofstream(path + "/" + name, std::ios::binary) << text;
  }

  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& file : fs::directory_iterator(path)) names.push_back(file.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }

 private:
  tests::TemporaryDirectory directory_;

 public:
  const std::string path;
};

// What an import into this queue says.
struct Imported {
  Ended ended = Ended::Done;
  std::string out;
  std::string error;
};

Imported import_into(tests::MemoryDisk& disk, const Folder& folder,
                     Contents contents = Contents::AsExported,
                     queue::OfDeleted deleted = queue::OfDeleted::Leave) {
  tests::MemoryRows rows(disk);
  Result<std::unique_ptr<RestoreTarget>> target = make_rows_target(rows);
  REQUIRE(target);
  std::ostringstream out;
  std::ostringstream error;
  Imported imported;
  imported.ended = run_queue_import(**target, folder.path, contents, deleted,
                                    {out, error, base::from_unix_milliseconds(1), Show::Table});
  imported.out = out.str();
  imported.error = error.str();
  return imported;
}

TEST_CASE("a message is two files for its owner alone, with the sum of its content") {
  Folder folder;
  const std::string id = folder.put(1);
  CHECK(folder.names() == std::vector<std::string>{id + ".eml", id + ".json"});
  CHECK(folder.read(id + ".eml") == std::string(kHeader) + "xxxxx");
  CHECK(Json::parse(folder.read(id + ".json"))["content"]["sha256"].get<std::string>().size() ==
        64);

  struct stat found {};

  REQUIRE(::stat(folder.path.c_str(), &found) == 0);
  CHECK((found.st_mode & 0777) == 0700);
  REQUIRE(::stat((folder.path + "/" + id + ".eml").c_str(), &found) == 0);
  CHECK((found.st_mode & 0777) == 0600);
}

TEST_CASE("what is imported while the relay is stopped is noted where its index has passed it") {
  Folder folder;
  folder.put(1);
  const base::MessageId id = sample_envelope(1, 5).stored.message.id;
  tests::MemoryDisk disk;
  {
    tests::MemoryRows rows(disk);
    queue::Ledger ledger(rows);
    REQUIRE(ledger.open());
    queue::RowOperations put;
    put.put(queue::Family::Index, queue::index_mark_key(),
            queue::message_key(base::MessageId{id.value + 1}));
    const queue::RowOperations* const batch[] = {&put};
    REQUIRE(rows.write(batch, queue::Sync::Yes));
  }
  CHECK(import_into(disk, folder).ended == Ended::Done);
  const tests::MemoryRows rows(disk);
  queue::TraceRequest request;
  request.query.sender = sample_envelope(1, 5).stored.message.sender;
  queue::Damaged damaged;
  const auto page = queue::trace(rows, request, damaged);
  REQUIRE(page);
  REQUIRE(page->messages.size() == 1);
  CHECK(page->messages[0].id == id);
}

TEST_CASE("nothing is overwritten, and what fails leaves nothing") {
  Folder folder;
  const std::string id = folder.put(1);
  Result<std::unique_ptr<MailFolderWriter>> writer = MailFolderWriter::open(folder.path);
  REQUIRE(writer);
  const std::string line = admin::format_envelope(sample_envelope(1, 5), admin::Layout::Line);
  const auto nothing = [](const OctetSink&) -> Result<void> { return {}; };
  const Result<void> again = (*writer)->put(line, nothing);
  REQUIRE_FALSE(again);
  CHECK(again.error().text().find("there already") != std::string::npos);

  const std::string other = admin::format_envelope(sample_envelope(2, 5), admin::Layout::Line);
  CHECK_FALSE((*writer)->put(other, nothing));  // no content
  CHECK_FALSE((*writer)->put(other, [](const OctetSink& sink) -> Result<void> {
    sink("half");
    return Error("the disk does not give it");
  }));
  CHECK_FALSE((*writer)->put("{}", nothing));
  CHECK_FALSE((*writer)->put(R"({"id": "../../x", "content": {"octets": 0}})", nothing));
  CHECK(folder.names() == std::vector<std::string>{id + ".eml", id + ".json"});
}

TEST_CASE("what was exported is imported once, whole and durable") {
  const std::size_t octets = GENERATE(as<std::size_t>{}, 0, 5, 300'000, 700'000);
  Folder folder;
  folder.put(1, octets);
  folder.put(2, 5);
  tests::MemoryDisk disk;
  const Imported first = import_into(disk, folder);
  CHECK(first.ended == Ended::Done);
  CHECK(first.out == "2 messages imported\n");
  disk.crash();
  {
    const tests::MemoryRows rows(disk);
    queue::Damaged damaged;
    const auto view = queue::view_message(rows, sample_envelope(1, 0).stored.message.id, damaged);
    REQUIRE(view);
    REQUIRE(view->message != nullptr);
    CHECK(view->message->header_block == kHeader);
    CHECK(view->message->body_octets == octets);
    std::size_t found = 0;
    for (std::uint32_t chunk = 0; chunk < view->message->body_chunks; ++chunk) {
      const auto read = queue::read_chunk(rows, view->message->id, chunk);
      REQUIRE(read);
      found += (*read)->size();
    }
    CHECK(found == octets);
    CHECK(disk.rows(queue::Family::Partial).empty());
  }
  const Imported second = import_into(disk, folder);
  CHECK(second.ended == Ended::Done);
  CHECK(second.out == "0 messages imported, 2 known to the queue already\n");
}

TEST_CASE("pairs that are not whole are named and skipped, and the others come") {
  Folder folder;
  const std::string whole = folder.put(1);
  const std::string no_content = folder.put(2);
  const std::string no_envelope = folder.put(3);
  const std::string torn = folder.put(4);
  const std::string altered = folder.put(5);
  const std::string renamed = folder.put(6);
  const std::string linked = folder.put(7);
  const std::string piped = folder.put(8);
  fs::remove(folder.path + "/" + no_content + ".eml");
  fs::remove(folder.path + "/" + no_envelope + ".json");
  fs::resize_file(folder.path + "/" + torn + ".eml", 7);
  folder.write(altered + ".eml", std::string(kHeader) + "xxYxx");
  folder.write(renamed + ".json", folder.read(whole + ".json"));
  fs::remove(folder.path + "/" + linked + ".eml");
  fs::create_symlink("/etc/hostname", folder.path + "/" + linked + ".eml");
  fs::remove(folder.path + "/" + piped + ".json");
  REQUIRE(::mkfifo((folder.path + "/" + piped + ".json").c_str(), 0600) == 0);
  folder.write("README", "hello");
  folder.write("..json", "hello");
  tests::MemoryDisk disk;
  const Imported imported = import_into(disk, folder);
  CHECK(imported.ended == Ended::Failed);
  CHECK(imported.out == "1 messages imported, 7 failed, 2 other files left alone\n");
  const auto says = [&imported](const std::string& id, const std::string& words) {
    const std::size_t at = imported.error.find(id + ": ");
    return at != std::string::npos &&
           imported.error.substr(at, imported.error.find('\n', at) - at).find(words) !=
               std::string::npos;
  };
  CHECK(says(no_content, ".eml is missing"));
  CHECK(says(no_envelope, ".json is missing"));
  CHECK(says(torn, "it is torn or was edited"));
  CHECK(says(altered, "has other octets than its envelope says"));
  CHECK(says(renamed, "is the envelope of another message"));
  CHECK(says(linked, "is a link"));
  CHECK(says(piped, "is no regular file"));
  CHECK(disk.rows(queue::Family::Messages).size() == 1);
  CHECK(disk.rows(queue::Family::Bodies).size() == 1);
}

TEST_CASE("what was deleted here comes in again only when it is asked for, and only once") {
  Folder folder;
  const std::string id = folder.put(1);
  tests::MemoryDisk disk;
  CHECK(import_into(disk, folder).out == "1 messages imported\n");
  {
    tests::MemoryRows rows(disk);
    queue::Ledger ledger(rows);
    REQUIRE(ledger.open());
    const admin::Envelope envelope = sample_envelope(1, 5);
    const queue::Delivery& before = envelope.stored.deliveries.front();
    queue::Delivery after = before;
    after.state = queue::DeliveryState::Deleted;
    const queue::Change change = queue::moved(envelope.stored.message, before, after, std::nullopt);
    const queue::Change* const changes[] = {&change};
    REQUIRE(ledger.apply(changes));
  }
  const Imported left = import_into(disk, folder);
  CHECK(left.ended == Ended::Failed);
  CHECK(left.out == "0 messages imported, 1 were deleted here\n");
  CHECK(left.error.find(id + ": it was deleted here") != std::string::npos);
  const auto take = [&] {
    return import_into(disk, folder, Contents::AsExported, queue::OfDeleted::Take);
  };
  const Imported taken = take();
  CHECK(taken.ended == Ended::Done);
  CHECK(taken.out.find(id + " is ") == 0);
  CHECK(taken.out.find("1 messages imported\n") != std::string::npos);
  CHECK(take().out.find("0 messages imported, 1 known") != std::string::npos);
  CHECK(import_into(disk, folder).ended == Ended::Done);
}

TEST_CASE("two commands do not write into a folder at once") {
  Folder folder;
  const auto first = MailFolderWriter::open(folder.path);
  REQUIRE(first);
  const auto second = MailFolderWriter::open(folder.path);
  REQUIRE_FALSE(second);
  CHECK(second.error().text().find("another command is writing") != std::string::npos);
}

TEST_CASE("content that is no mail does not come in, though its sum is right") {
  tests::MemoryDisk disk;
  for (const std::size_t octets : {std::size_t{5}, std::size_t{600'000}}) {
    Folder folder;
    folder.put(1, octets, '\n');
    const Imported imported = import_into(disk, folder);
    CHECK(imported.ended == Ended::Failed);
    CHECK(imported.error.find("line feed alone") != std::string::npos);
  }
  CHECK(disk.rows(queue::Family::Messages).empty());
  CHECK(disk.rows(queue::Family::Bodies).empty());
}

TEST_CASE("a body that turns out wrong at its end leaves no chunks behind") {
  Folder folder;
  const std::string id = folder.put(1, 600'000);
  std::string content = folder.read(id + ".eml");
  content.back() = 'Y';
  folder.write(id + ".eml", content);
  tests::MemoryDisk disk;
  CHECK(import_into(disk, folder).ended == Ended::Failed);
  CHECK(disk.rows(queue::Family::Bodies).empty());
  CHECK(disk.rows(queue::Family::Partial).empty());
}

TEST_CASE("what a person has edited comes in when he says so, with line ends of mail") {
  Folder folder;
  const std::string id = folder.put(1);
  folder.write(id + ".eml", "Subject: better\nTo: b@x.example\r\n\nline\nline");
  tests::MemoryDisk disk;
  CHECK(import_into(disk, folder).ended == Ended::Failed);
  CHECK(import_into(disk, folder, Contents::Edited).out == "1 messages imported\n");
  const tests::MemoryRows rows(disk);
  queue::Damaged damaged;
  const auto view = queue::view_message(rows, sample_envelope(1, 0).stored.message.id, damaged);
  REQUIRE(view);
  REQUIRE(view->message != nullptr);
  CHECK(view->message->header_block == "Subject: better\r\nTo: b@x.example\r\n\r\n");
  CHECK(**queue::read_chunk(rows, view->message->id, 0) == "line\r\nline\r\n");

  for (const std::string& bad : {std::string("Subject: no end\n"), std::string("a: b\n\nx\0y", 9),
                                 std::string("a: b\n\nx\ry\n")}) {
    Folder other;
    const std::string name = other.put(2);
    other.write(name + ".eml", bad);
    CHECK(import_into(disk, other, Contents::Edited).ended == Ended::Failed);
  }
}

}  // namespace
