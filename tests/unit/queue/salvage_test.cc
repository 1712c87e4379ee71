// Salvage of real databases: written by RocksDB, closed, damaged, and read by ourselves. What comes
// out is compared with what was put in, octet by octet.
#include "queue/salvage.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "queue/indexer.h"
#include "queue/ledger.h"
#include "queue/rocks_rows.h"
#include "tests/support/temporary_directory.h"
#include "tests/unit/queue/sample_mail.h"

using namespace rockdove;
using namespace rockdove::queue;
using namespace rockdove::tests;
namespace fs = std::filesystem;

namespace {

using Random = std::mt19937_64;

// Text that packs as well as mail does.
std::string some_text(Random& random, std::size_t octets) {
  std::string text;
  while (text.size() < octets) {
    text += "word" + std::to_string(random() % 100'000) + (random() % 12 == 0 ? "\r\n" : " ");
  }
  text.resize(octets);
  return text;
}

struct Known {
  StoredMessage stored;
  std::string body;
};

// A queue on disk, and what is in it.
class Queue {
 public:
  explicit Queue(std::uint64_t seed = 1) : random_(seed) { open(); }

  // `octets` of the body; over a chunk they go in chunk by chunk.
  void add(std::size_t octets, std::uint32_t recipients = 1) {
    Known known;
    Message& message = known.stored.message;
    message = sample_message(++tick_, recipients, "");
    message.header_block = "Received: by here with SMTP id " + base::format_id(message.id) +
                           "\r\nSubject: " + some_text(random_, 30 + random_() % 400) + "\r\n\r\n";
    known.body = some_text(random_, octets);
    message.body_octets = octets;
    message.body_chunks = body_chunks_of(octets);
    message.body = std::make_shared<const std::string>(known.body);
    known.stored.deliveries = sample_deliveries(message);
    for (Delivery& delivery : known.stored.deliveries) {
      delivery.recipient = "r" + std::to_string(random_() % 100'000) + "@example.net";
    }
    known.stored.header_octets = message.header_block.size();
    apply(accepted(message, known.stored.deliveries));
    known_[message.id] = std::move(known);
  }

  // Tried once, and put off.
  void defer(MessageId id) {
    Known& known = known_.at(id);
    for (Delivery& delivery : known.stored.deliveries) {
      const Delivery before = delivery;
      delivery.attempts += 1;
      delivery.due += std::chrono::hours(1);
      delivery.last = {delivery.due, "mx.example.net[192.0.2.1]:25", "451 4.3.0 try later"};
      apply(moved(known.stored.message, before, delivery, sample_attempt(before.due)));
    }
  }

  enum class History : std::uint8_t { Kept, None };

  void finish(MessageId id, History history = History::Kept) {
    const Known& known = known_.at(id);
    Attempt attempt = sample_attempt(known.stored.message.accepted);
    attempt.is_kept = history == History::Kept;
    apply(ended(known.stored.message, known.stored.deliveries, Outcome::Delivered, attempt));
    known_.erase(id);
  }

  // Makes the index of all messages so far, in tables of its own.
  void index() {
    write();
    IndexFence fence;
    Damaged damaged;
    const Result<Indexer::Step> step = Indexer(fence).step(*rows_, sample_id(tick_ + 1), damaged);
    REQUIRE(step);
    REQUIRE(step->entries > 0);
  }

  // A body in one chunk for the next message, which somebody begins to bring in and gives up.
  void begin_and_drop(std::size_t octets) {
    write();
    const MessageId id = sample_id(tick_ + 1);
    const auto body = std::make_shared<const std::string>(some_text(random_, octets));
    REQUIRE(ledger_->write_chunk(id, 0, body));
    flush();
  }

  // Closes and opens: what was only in the log goes into tables.
  void flush() {
    close();
    open();
  }

  void close() {
    write();
    ledger_.reset();
    rows_.reset();
  }

  [[nodiscard]] fs::path directory() const { return folder_.path() + "/queue"; }

  [[nodiscard]] const std::map<MessageId, Known>& known() const { return known_; }

  [[nodiscard]] std::vector<MessageId> ids() const {
    std::vector<MessageId> ids;
    for (const auto& [id, known] : known_) ids.push_back(id);
    return ids;
  }

  [[nodiscard]] std::vector<fs::path> files(const std::string& end) const {
    std::vector<fs::path> found;
    for (const fs::directory_entry& file : fs::directory_iterator(directory())) {
      if (file.path().extension() == end) found.push_back(file.path());
    }
    std::sort(found.begin(), found.end());
    return found;
  }

 private:
  void open() {
    Result<std::unique_ptr<Rows>> rows = open_rocks_rows({directory(), {}});
    REQUIRE(rows);
    rows_ = std::move(*rows);
    ledger_ = std::make_unique<Ledger>(*rows_);
    REQUIRE(ledger_->open());
  }

  // Several share a write, as they do in the committer's groups.
  void apply(Change change) {
    constexpr std::size_t kGroup = 8;
    group_.push_back(std::move(change));
    if (group_.size() == kGroup) write();
  }

  void write() {
    std::vector<const Change*> changes;
    for (const Change& change : group_) changes.push_back(&change);
    if (!changes.empty()) REQUIRE(ledger_->apply(changes));
    group_.clear();
  }

  TemporaryDirectory folder_;
  Random random_;
  std::uint64_t tick_ = 0;
  std::unique_ptr<Rows> rows_;
  std::unique_ptr<Ledger> ledger_;
  std::vector<Change> group_;
  std::map<MessageId, Known> known_;
};

// Sizes as they come: most are small, some are in a blob file, one has several chunks.
void fill(Queue& queue, int messages) {
  for (int i = 0; i < messages; ++i) {
    queue.add(i % 50 == 49 ? 600'000 : i % 3 == 0 ? 300 : 4000, i % 10 == 0 ? 3 : 1);
  }
}

void overwrite(const fs::path& path, std::uint64_t offset, std::size_t octets,
               std::uint64_t seed = 7) {
  Random random(seed);
  std::string noise;
  for (std::size_t i = 0; i < octets; ++i) noise.push_back(static_cast<char>(random() & 0xFF));
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(offset));
  file << noise;
  REQUIRE(file.good());
}

struct Out {
  std::vector<MessageId> ids;
  std::vector<HurtMessage> hurt;
  std::size_t damage = 0;
};

Result<std::string> whole_body(const StoredMessage& stored, const Salvage::ReadChunk& read) {
  std::string body;
  for (std::uint32_t chunk = 0; chunk < stored.message.body_chunks; ++chunk) {
    const Result<std::string> octets = read(chunk);
    if (!octets) return octets.error();
    body += *octets;
  }
  return body;
}

// All that comes out is as it was put in.
Out salvage(const Queue& queue) {
  Result<std::unique_ptr<Salvage>> opened = Salvage::open(queue.directory());
  REQUIRE(opened);
  Salvage& salvage = **opened;
  salvage.read();
  Out out;
  salvage.bring_out(
      [&](const StoredMessage& stored, const Salvage::ReadChunk& read) -> Result<void> {
        const Result<std::string> body = whole_body(stored, read);
        if (!body) return body.error();
        const auto found = queue.known().find(stored.message.id);
        REQUIRE(found != queue.known().end());
        const Known& known = found->second;
        CHECK(stored.message.header_block == known.stored.message.header_block);
        CHECK(stored.message.sender == known.stored.message.sender);
        CHECK((*body == known.body));
        for (const Delivery& delivery : stored.deliveries) {
          const Delivery& was = known.stored.deliveries.at(delivery.number - 1);
          CHECK(delivery.recipient == was.recipient);
          CHECK(delivery.attempts == was.attempts);
          CHECK(delivery.due == was.due);
          CHECK(delivery.last.reply == was.last.reply);
        }
        out.ids.push_back(stored.message.id);
        return {};
      });
  out.hurt = salvage.hurt();
  out.damage = salvage.damage().size();
  CHECK(salvage.brought_out() == out.ids.size());
  return out;
}

}  // namespace

TEST_CASE("of a queue that is not damaged all messages come out, and nothing that has ended") {
  Queue queue;
  fill(queue, 120);
  const std::vector<MessageId> ids = queue.ids();
  for (std::size_t i = 0; i < ids.size(); i += 4) queue.defer(ids[i]);
  for (std::size_t i = 1; i < ids.size(); i += 4) queue.finish(ids[i]);
  SECTION("from the log alone") {
    queue.close();
  }
  SECTION("from tables and blob files") {
    queue.flush();
    queue.close();
    REQUIRE(queue.files(".sst").size() >= 4);
    REQUIRE_FALSE(queue.files(".blob").empty());
  }
  SECTION("from both") {
    queue.flush();
    for (std::size_t i = 2; i < ids.size(); i += 4) queue.defer(ids[i]);
    for (std::size_t i = 3; i < ids.size(); i += 8) queue.finish(ids[i]);
    fill(queue, 30);
    queue.close();
  }
  SECTION("without MANIFEST and CURRENT") {
    queue.flush();
    queue.close();
    for (const fs::directory_entry& file : fs::directory_iterator(queue.directory())) {
      const std::string name = file.path().filename();
      if (name.starts_with("MANIFEST") || name == "CURRENT") fs::remove(file.path());
    }
  }
  const Out out = salvage(queue);
  CHECK(out.ids == queue.ids());
  CHECK(out.hurt.empty());
  CHECK(out.damage == 0);
}

TEST_CASE("tables whose index and footer are gone still give their rows") {
  Queue queue;
  fill(queue, 300);
  queue.flush();
  queue.close();
  for (const fs::path& file : queue.files(".sst")) {
    // The end of each: properties, index, footer.
    const std::uint64_t size = fs::file_size(file);
    const std::uint64_t octets = std::min<std::uint64_t>(size / 4, 900);
    overwrite(file, size - octets, static_cast<std::size_t>(octets));
  }
  const Out out = salvage(queue);
  CHECK(out.damage >= queue.files(".sst").size());
  CHECK(out.ids.size() >= 270);
  CHECK(out.ids.size() + out.hurt.size() >= 290);
}

TEST_CASE("a hole in a table costs the rows of its blocks and no others") {
  Queue queue;
  fill(queue, 800);
  queue.flush();
  queue.close();
  fs::path largest;
  for (const fs::path& file : queue.files(".sst")) {
    if (largest.empty() || fs::file_size(file) > fs::file_size(largest)) largest = file;
  }
  overwrite(largest, fs::file_size(largest) / 2, 4096);
  SECTION("with its index") {}
  SECTION("without its index") {
    overwrite(largest, fs::file_size(largest) - 400, 400);
  }
  const Out out = salvage(queue);
  CHECK(out.damage >= 1);
  CHECK(out.ids.size() < 800);
  CHECK(out.ids.size() >= 700);
  CHECK(out.ids.size() + out.hurt.size() == 800);
  for (const HurtMessage& hurt : out.hurt) CHECK_FALSE(hurt.why.empty());
}

TEST_CASE("a message whose body is hurt is named and does not come out") {
  Queue queue;
  queue.add(4000);
  queue.add(5000);
  queue.add(600'000);
  queue.flush();
  queue.close();
  const std::vector<fs::path> blobs = queue.files(".blob");
  REQUIRE(blobs.size() == 1);
  // In the middle of the third one's second chunk.
  overwrite(blobs.front(), 30 + 4044 + 5044 + 262'144 + 100'000, 10);
  const Out out = salvage(queue);
  const std::vector<MessageId> ids = queue.ids();
  CHECK(out.ids == std::vector<MessageId>{ids[0], ids[1]});
  REQUIRE(out.hurt.size() == 1);
  CHECK(out.hurt.front().id == ids[2]);
  CHECK(out.hurt.front().why.find("chunk 1 of its body") != std::string::npos);
  CHECK(out.hurt.front().recipients.size() == 1);
}

TEST_CASE("a torn end of the log costs what was written last") {
  Queue queue;
  fill(queue, 40);
  queue.close();
  const std::vector<fs::path> logs = queue.files(".log");
  REQUIRE_FALSE(logs.empty());
  fs::resize_file(logs.back(), fs::file_size(logs.back()) - 100);
  const Out out = salvage(queue);
  CHECK(out.ids.size() >= 32);
  CHECK(out.ids.size() < 40);
  CHECK(out.damage == 1);
}

TEST_CASE("a hole in the log costs what stands there, and no ended message comes back") {
  Queue queue;
  fill(queue, 100);
  const std::vector<MessageId> ids = queue.ids();
  for (std::size_t i = 0; i < 50; ++i) queue.finish(ids[i]);
  queue.flush();
  fill(queue, 200);
  queue.close();
  const fs::path log = queue.files(".log").back();
  REQUIRE(fs::file_size(log) > 400'000);
  overwrite(log, 200'000, 4096);
  const Out out = salvage(queue);
  CHECK(out.damage >= 1);
  CHECK(out.ids.size() < 250);
  CHECK(out.ids.size() >= 230);
}

TEST_CASE("a message that has ended stays so though the removal of its rows is lost") {
  Queue queue;
  fill(queue, 10);
  queue.flush();  // the rows are in tables
  const std::vector<MessageId> ids = queue.ids();
  queue.finish(ids[3]);
  queue.flush();  // their removal, and the history, in newer ones
  queue.close();
  // All of the newer tables but the history's go.
  std::size_t removed = 0;
  for (const fs::path& file : queue.files(".sst")) {
    std::ifstream stream(file, std::ios::binary);
    const std::string octets{std::istreambuf_iterator<char>(stream), {}};
    const DamagedTable table(octets);
    bool has_removal = false;
    table.for_each(
        [&has_removal](const TableRow& row) {
          if (row.type != RowType::Value && row.type != RowType::BlobIndex) has_removal = true;
        },
        [](const Hole&) {});
    if (!has_removal) continue;
    fs::remove(file);
    ++removed;
  }
  REQUIRE(removed >= 3);
  const Out out = salvage(queue);
  CHECK(out.ids == queue.ids());
}

// What says whose rows a table has, and where its blocks lie, is found by its last octets.
void overwrite_footers(const Queue& queue) {
  constexpr std::size_t kFooterOctets = 53;
  for (const fs::path& file : queue.files(".sst")) {
    overwrite(file, fs::file_size(file) - kFooterOctets, kFooterOctets);
  }
}

TEST_CASE(
    "removals are believed in a table that has nothing else and does not say whose they are") {
  Queue queue;
  fill(queue, 40);
  queue.flush();
  const std::vector<MessageId> ids = queue.ids();
  for (std::size_t i = 0; i < ids.size(); i += 2) queue.finish(ids[i], Queue::History::None);
  queue.flush();
  queue.close();
  overwrite_footers(queue);
  CHECK(salvage(queue).ids == queue.ids());
}

TEST_CASE("tables of the index are taken for nothing else, be they whole or not") {
  Queue queue;
  fill(queue, 60);
  const std::vector<MessageId> ids = queue.ids();
  for (std::size_t i = 0; i < ids.size(); i += 3) queue.finish(ids[i]);
  queue.index();
  queue.flush();
  queue.close();
  SECTION("whole") {}
  SECTION("without their ends") {
    overwrite_footers(queue);
  }
  const Out out = salvage(queue);
  CHECK(out.ids == queue.ids());
  CHECK(out.hurt.empty());
}

TEST_CASE("a body that stands in two forms is not believed in either") {
  Queue queue;
  queue.add(4000);
  queue.begin_and_drop(5000);
  queue.add(5000);  // by the same id
  queue.add(4000);
  queue.flush();
  queue.close();
  const Out out = salvage(queue);
  const std::vector<MessageId> ids = queue.ids();
  CHECK(out.ids == std::vector<MessageId>{ids[0], ids[2]});
  REQUIRE(out.hurt.size() == 1);
  CHECK(out.hurt.front().why.find("two forms") != std::string::npos);
}

TEST_CASE("however files are damaged, nothing altered comes out", "[salvage-seeds]") {
  const auto seed = GENERATE(range<std::uint64_t>(1, 5));
  CAPTURE(seed);
  Queue queue(seed);
  fill(queue, 200);
  queue.flush();
  const std::vector<MessageId> ids = queue.ids();
  for (std::size_t i = 0; i < ids.size(); i += 3) queue.defer(ids[i]);
  for (std::size_t i = 1; i < ids.size(); i += 5) queue.finish(ids[i]);
  fill(queue, 50);
  queue.close();
  Random random(seed);
  std::vector<fs::path> files;
  for (const fs::directory_entry& file : fs::directory_iterator(queue.directory())) {
    if (file.file_size() > 0) files.push_back(file.path());
  }
  std::sort(files.begin(), files.end());
  for (int i = 0; i < 12; ++i) {
    const fs::path& file = files[random() % files.size()];
    const std::uint64_t size = fs::file_size(file);
    const std::uint64_t octets = std::min<std::uint64_t>(1 + random() % 5000, size);
    overwrite(file, random() % (size - octets + 1), static_cast<std::size_t>(octets), random());
  }
  Result<std::unique_ptr<Salvage>> opened = Salvage::open(queue.directory());
  REQUIRE(opened);
  Salvage& salvage = **opened;
  salvage.read();
  std::size_t whole = 0;
  salvage.bring_out(
      [&](const StoredMessage& stored, const Salvage::ReadChunk& read) -> Result<void> {
        const Result<std::string> body = whole_body(stored, read);
        if (!body) return body.error();
        const auto found = queue.known().find(stored.message.id);
        if (found == queue.known().end()) return {};  // its end has been lost
        CHECK(stored.message.header_block == found->second.stored.message.header_block);
        CHECK((*body == found->second.body));
        for (const Delivery& delivery : stored.deliveries) {
          CHECK(delivery.recipient ==
                found->second.stored.deliveries.at(delivery.number - 1).recipient);
        }
        ++whole;
        return {};
      });
  CHECK(whole > 0);
}

TEST_CASE("a folder that is no queue's database is refused") {
  const TemporaryDirectory folder;
  CHECK_FALSE(Salvage::open(folder.path()));
  CHECK_FALSE(Salvage::open(folder.path() + "/none"));
}
