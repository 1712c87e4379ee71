// Mail out of a queue's database that does not open: whatever tables, blob files and logs still
// have, read by ourselves (salvage_table.h, salvage_blob.h, salvage_log.h) and put together again.
// Needs neither CURRENT nor MANIFEST, and changes no file.
//
// Of each row the newest one counts, and who has ended stays so: by the row's removal, or by the
// closing record in the history, where the removal itself has been lost. What is not whole down to
// the last octet, by the sums that RocksDB wrote with it, is not brought out but named.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "mta/base/result.h"
#include "queue/restore.h"
#include "queue/rows.h"
#include "queue/salvage_blob.h"
#include "queue/salvage_log.h"
#include "queue/salvage_table.h"

namespace rockdove::queue {

// What of a file could not be read.
struct DamagedPlace {
  std::string file;  // its name
  Hole hole;
};

// A message that is not brought out whole.
struct HurtMessage {
  MessageId id;
  std::string sender;  // "": not known, or the null sender
  std::vector<std::string> recipients;
  std::string why;
  bool is_out = false;  // it is brought out, but not for all of its recipients, or not for certain
};

class Salvage {
 public:
  // The database's directory.
  [[nodiscard]] static Result<std::unique_ptr<Salvage>> open(const std::string& directory);

  // Reads all files once; a queue of a million messages takes some 400 MiB of memory.
  void read();

  // The body of the message that is being taken, chunk by chunk; an error: it is hurt.
  using ReadChunk = std::function<Result<std::string>(std::uint32_t chunk)>;
  // With its header block. An error: it could not be taken, and counts as hurt.
  using Take = std::function<Result<void>(const StoredMessage& stored, const ReadChunk& body)>;

  // Each message that waits, is held or deleted, in the order of their ids. After read().
  void bring_out(const Take& take);

  [[nodiscard]] const std::vector<DamagedPlace>& damage() const { return damage_; }

  [[nodiscard]] const std::vector<HurtMessage>& hurt() const { return hurt_; }

  [[nodiscard]] std::uint64_t files() const { return files_.size(); }

  [[nodiscard]] std::uint64_t brought_out() const { return brought_out_; }

 private:
  enum class Kind : std::uint8_t { Table, Log, Blob };

  struct File {
    Kind kind;
    std::uint64_t number;
    std::string name;
    std::optional<Family> family;  // of a table
    std::string octets;            // of a log: as many as the start of a daemon reads, too
    BlockSum sum = BlockSum::Unknown;
  };

  // A version of a row, and where its value is.
  struct Version {
    std::uint64_t sequence = 0;
    std::uint64_t offset = 0;  // of the block, the record
    std::uint32_t file = 0;
    std::uint32_t octets = 0;  // of the block, the value in a log, the record of a blob
    std::uint32_t index = 0;   // of the row in its block, of the value in its log's record
    RowType type = RowType::Value;
  };

  // A row in `waiting`, its newest version; and of a delivery, its newest row.
  struct Waits {
    std::uint64_t sequence = 0;
    WallTime due;
    DeliveryState state = DeliveryState::Waiting;
    bool is_removed = false;
  };

  struct WaitingRow {
    DeliveryId delivery;
    Waits waits;
  };

  struct Row {
    std::string_view key;
    std::string_view value;
    Version version;
  };

  struct Lost;

  explicit Salvage(std::string directory) : directory_(std::move(directory)) {}

  [[nodiscard]] Result<void> find_files();
  [[nodiscard]] std::string path_of(const File& file) const;
  [[nodiscard]] std::optional<std::string> octets_of(const File& file);
  [[nodiscard]] HoleSink hole_in(const File& file);
  void read_tables();
  void read_table(std::uint32_t number);
  void find_log_families();
  void read_log(std::uint32_t number);
  void read_blobs(std::uint32_t number);
  void read_history();
  void take_row(Family family, const Row& row);
  void take_waiting(const Row& row);
  void settle_waiting();
  void take_history(std::string_view key, RowType type);
  [[nodiscard]] bool is_newer(const Version& one, const Version& other) const;
  [[nodiscard]] std::optional<std::string> fetch(const Version& version);
  [[nodiscard]] const std::string* holder_of(const Version& version);
  [[nodiscard]] Result<std::string> read_chunk(const Message& message, std::uint32_t chunk);
  [[nodiscard]] Lost gather(MessageId id, StoredMessage& stored);
  static void adjust(Delivery& delivery, const Waits& waits);
  [[nodiscard]] std::optional<Delivery> guess_delivery(const Message& message) const;
  void bring_out_one(MessageId id, const Take& take);
  void add_hurt(const StoredMessage& stored, std::string why, bool is_out = false);

  const std::string directory_;
  std::vector<File> files_;
  std::vector<DamagedPlace> damage_;
  std::unordered_map<std::uint32_t, Family> log_families_;  // by their numbers in logs
  std::map<MessageId, Version> messages_;
  std::map<DeliveryId, Version> deliveries_;                          // number 0: the ReportState
  std::unordered_map<std::uint64_t, WaitingRow> waiting_rows_;        // by the hashes of their keys
  std::unordered_map<DeliveryId, Waits> waiting_;                     // that of these which counts
  std::unordered_map<DeliveryId, std::vector<Version>> bodies_;       // by message and chunk
  std::map<std::uint64_t, std::vector<std::uint64_t>> blob_records_;  // as tables name them
  std::set<DeliveryId> closed_;                                       // by the history
  std::set<DeliveryId> lost_;  // they wait, but their rows are nowhere
  std::vector<HurtMessage> hurt_;
  std::uint64_t brought_out_ = 0;

  // What was read last: most rows that are wanted stand together.
  struct Kept {
    std::uint32_t file;
    std::uint64_t offset;
    std::string octets;
  };

  std::list<Kept> kept_;
  std::size_t kept_octets_ = 0;
};

}  // namespace rockdove::queue
