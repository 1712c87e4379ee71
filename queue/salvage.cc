#include "queue/salvage.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <dirent.h>
#include <utility>

#include "mta/base/ids.h"
#include "queue/codec.h"
#include "queue/keys.h"
#include "queue/quarantine.h"

namespace rockdove::queue {
namespace {

// Our tables and blob files have some 32 MiB, logs 128.
constexpr std::uint64_t kFileOctetsMax = 2ULL * 1024 * 1024 * 1024;
constexpr std::size_t kKeptMax = 64;
constexpr std::size_t kKeptOctetsMax = 16 * 1024 * 1024;  // a record of a log may have 4 MiB
constexpr std::size_t kSampleRows = 400;

// Rows of one family of which nobody says which.
struct Sample {
  std::size_t rows = 0;
  std::size_t puts = 0;
  std::size_t messages = 0;    // keys of 8 octets
  std::size_t with_value = 0;  // of them
  std::size_t two_parts = 0;   // keys of 12 octets
  std::size_t deletions = 0;   // of them; bodies are only ever put once, and removed as such
  std::size_t in_blobs = 0;
  std::size_t deliveries = 0;  // values that are a delivery with number 1 or above
  std::size_t numbered = 0;    // keys of 12 octets with such a number
  std::size_t history = 0;
  std::size_t waiting = 0;

  void add(std::string_view key, RowType type, std::string_view value) {
    ++rows;
    const bool is_put = type == RowType::Value;
    if (is_put) ++puts;
    if (parse_message_key(key)) {
      ++messages;
      if (is_put && !value.empty()) ++with_value;
    }
    if (type == RowType::BlobIndex) ++in_blobs;
    if (const std::optional<DeliveryId> id = parse_delivery_key(key)) {
      ++two_parts;
      if (type == RowType::Deletion) ++deletions;
      if (is_put && id->number > 0) {
        ++numbered;
        const Result<Delivery> delivery = decode_delivery(*id, value);
        if (delivery && !delivery->recipient.empty() && !delivery->destination.empty()) {
          ++deliveries;
        }
      }
    }
    if (parse_history_key(key)) ++history;
    if (view_waiting_key(key)) ++waiting;
  }

  // Only where all rows agree.
  [[nodiscard]] std::optional<Family> family() const {
    if (rows == 0) return std::nullopt;
    if (waiting == rows) return Family::Waiting;
    if (history == rows) return Family::History;
    if (messages == rows) return with_value > 0 ? Family::Messages : Family::Partial;
    if (two_parts != rows) return std::nullopt;
    if (in_blobs == 0 && numbered > 0 && deliveries == numbered) return Family::Deliveries;
    if (deletions == rows) return Family::Deliveries;
    return puts + in_blobs > 0 ? std::optional(Family::Bodies) : std::nullopt;
  }
};

std::optional<Family> family_named(std::string_view name) {
  for (std::size_t family = 0; family < kFamilies; ++family) {
    if (family_name(static_cast<Family>(family)) == name) return static_cast<Family>(family);
  }
  return std::nullopt;
}

bool is_removal(RowType type) {
  return type == RowType::Deletion || type == RowType::SingleDeletion;
}

// Whom our own Received field, the first one, says that the message is for, which it does where
// there was only one; "" where it does not. (mail::format_received)
std::string_view recipient_in(const Message& message) {
  const std::string_view header = message.header_block;
  const std::string before = " id " + base::format_id(message.id) + "\r\n\tfor <";
  std::size_t end = header.find("\r\n");
  while (end != std::string_view::npos && header.substr(end + 2).starts_with('\t')) {
    end = header.find("\r\n", end + 2);
  }
  const std::string_view field = header.substr(0, end);
  const std::size_t at = field.find(before);
  if (!field.starts_with("Received: ") || at == std::string_view::npos) return {};
  const std::string_view rest = field.substr(at + before.size());
  const std::size_t behind = rest.find(">;\r\n\t");
  return behind == std::string_view::npos ? std::string_view() : rest.substr(0, behind);
}

// "000123.sst"
std::optional<std::pair<std::uint64_t, std::string_view>> parse_file_name(std::string_view name) {
  const std::size_t dot = name.find('.');
  if (dot == 0 || dot == std::string_view::npos) return std::nullopt;
  std::uint64_t number = 0;
  const auto [stop, error] = std::from_chars(name.data(), name.data() + dot, number);
  if (error != std::errc() || stop != name.data() + dot) return std::nullopt;
  return std::pair(number, name.substr(dot + 1));
}

}  // namespace

// What is known of a message's deliveries beside those that are there.
struct Salvage::Lost {
  std::size_t deliveries = 0;  // that wait, but whose rows are damaged
  bool has_ended = false;      // some have ended
  bool is_guessed = false;     // the one that is there was made of what else is known
};

Result<std::unique_ptr<Salvage>> Salvage::open(const std::string& directory) {
  auto salvage = std::unique_ptr<Salvage>(new Salvage(directory));
  if (Result<void> found = salvage->find_files(); !found) return found.error();
  return salvage;
}

Result<void> Salvage::find_files() {
  DIR* stream = ::opendir(directory_.c_str());
  if (stream == nullptr) return Error::system("opening " + directory_, errno);
  while (const dirent* entry = ::readdir(stream)) {  // NOLINT(concurrency-mt-unsafe)
    const std::string_view name = entry->d_name;
    const auto parsed = parse_file_name(name);
    if (!parsed) continue;
    const auto& [number, end] = *parsed;
    if (end == "sst") files_.push_back({Kind::Table, number, std::string(name), {}, {}});
    if (end == "log") files_.push_back({Kind::Log, number, std::string(name), {}, {}});
    if (end == "blob") files_.push_back({Kind::Blob, number, std::string(name), {}, {}});
  }
  ::closedir(stream);
  if (files_.empty()) return Error(directory_ + " has no files of a queue's database");
  std::sort(files_.begin(), files_.end(),
            [](const File& one, const File& other) { return one.number < other.number; });
  return {};
}

std::string Salvage::path_of(const File& file) const {
  return directory_ + "/" + file.name;
}

HoleSink Salvage::hole_in(const File& file) {
  return [this, name = file.name](Hole hole) { damage_.push_back({name, std::move(hole)}); };
}

std::optional<std::string> Salvage::octets_of(const File& file) {
  Result<std::string> octets = read_damaged(path_of(file), 0, kFileOctetsMax, hole_in(file));
  if (octets) return *std::move(octets);
  damage_.push_back({file.name, {0, 0, octets.error().text()}});
  return std::nullopt;
}

void Salvage::read() {
  read_tables();
  for (File& file : files_) {
    if (file.kind == Kind::Log) file.octets = octets_of(file).value_or("");
  }
  find_log_families();
  for (std::uint32_t number = 0; number < files_.size(); ++number) {
    if (files_[number].kind == Kind::Log) read_log(number);
  }
  settle_waiting();
  for (std::uint32_t number = 0; number < files_.size(); ++number) {
    if (files_[number].kind == Kind::Blob) read_blobs(number);
  }
  read_history();
}

void Salvage::read_tables() {
  for (std::uint32_t number = 0; number < files_.size(); ++number) {
    if (files_[number].kind == Kind::Table) read_table(number);
  }
}

void Salvage::read_table(std::uint32_t number) {
  File& file = files_[number];
  const std::optional<std::string> octets = octets_of(file);
  if (!octets) return;
  const DamagedTable table(*octets);
  file.sum = table.sum();
  file.family = family_named(table.family());
  if (file.family && table.family_id()) log_families_[*table.family_id()] = *file.family;
  if (table.family().empty()) {
    Sample sample;
    table.for_each(
        [&sample](const TableRow& row) {
          if (sample.rows < kSampleRows) sample.add(row.key, row.type, row.value);
        },
        [](const Hole&) {});
    file.family = sample.family();
  }
  const bool is_wanted = file.family == Family::Messages || file.family == Family::Deliveries ||
                         file.family == Family::Waiting || file.family == Family::Bodies;
  table.for_each(
      [&](const TableRow& row) {
        if (!is_wanted) return;
        take_row(*file.family,
                 {row.key,
                  row.value,
                  {row.sequence, row.block.offset, number, row.block.octets, row.index, row.type}});
      },
      hole_in(file));
}

// The numbers that families have in logs stand in the tables' properties; of one that has no table
// yet, its rows must tell.
void Salvage::find_log_families() {
  std::unordered_map<std::uint32_t, Sample> unknown;
  for (const File& file : files_) {
    if (file.kind != Kind::Log) continue;
    DamagedLog(file.octets)
        .for_each(
            [&](const LogRecord& record) {
              static_cast<void>(for_each_logged(record.octets, [&](const LogRow& row) {
                if (log_families_.contains(row.family_id)) return;
                Sample& sample = unknown[row.family_id];
                if (sample.puts < kSampleRows) sample.add(row.key, row.type, row.value);
              }));
            },
            [](const Hole&) {});
  }
  for (const auto& [id, sample] : unknown) {
    if (const std::optional<Family> family = sample.family()) log_families_[id] = *family;
  }
}

void Salvage::read_log(std::uint32_t number) {
  const File& file = files_[number];
  DamagedLog(file.octets)
      .for_each(
          [&](const LogRecord& record) {
            const bool is_known = for_each_logged(record.octets, [&](const LogRow& row) {
              const auto family = log_families_.find(row.family_id);
              if (family == log_families_.end()) return;
              take_row(family->second, {row.key,
                                        row.value,
                                        {row.sequence, record.offset, number,
                                         static_cast<std::uint32_t>(row.value.size()),
                                         static_cast<std::uint32_t>(row.value_at), row.type}});
            });
            if (!is_known && record.is_whole) {
              damage_.push_back({file.name,
                                 {record.offset, record.octets.size(),
                                  "a record has rows of a form that this version does not know"}});
            }
          },
          hole_in(file));
}

void Salvage::read_blobs(std::uint32_t number) {
  const File& file = files_[number];
  const std::optional<std::string> octets = octets_of(file);
  if (!octets) return;
  std::vector<std::uint64_t>& known = blob_records_[file.number];
  std::sort(known.begin(), known.end());
  for_each_blob(
      *octets, known,
      [&](const BlobRecord& record) {
        const std::optional<DeliveryId> place = parse_delivery_key(record.key);
        if (!place) return;
        const std::uint64_t size = kBlobHeadOctets + record.key.size() + record.value.size();
        bodies_[*place].push_back(
            {0, record.at, number, static_cast<std::uint32_t>(size), 0, RowType::BlobIndex});
      },
      hole_in(file));
}

// After all others: only what might still be there is looked for.
void Salvage::read_history() {
  for (const File& file : files_) {
    if (file.kind == Kind::Table && file.family == Family::History) {
      HoleSink no_hole = [](const Hole&) {};  // read_table() has told
      const Result<std::string> octets = read_damaged(path_of(file), 0, kFileOctetsMax, no_hole);
      if (!octets) continue;
      DamagedTable(*octets).for_each(
          [this](const TableRow& row) { take_history(row.key, row.type); }, no_hole);
    }
    if (file.kind != Kind::Log) continue;
    DamagedLog(file.octets)
        .for_each(
            [this](const LogRecord& record) {
              static_cast<void>(for_each_logged(record.octets, [this](const LogRow& row) {
                const auto family = log_families_.find(row.family_id);
                if (family == log_families_.end() || family->second != Family::History) return;
                take_history(row.key, row.type);
              }));
            },
            [](const Hole&) {});
  }
}

void Salvage::take_history(std::string_view key, RowType type) {
  const std::optional<HistoryKey> parsed = parse_history_key(key);
  if (!parsed || parsed->kind != HistoryKind::Closing || is_removal(type)) return;
  const bool is_wanted = deliveries_.contains(parsed->delivery) ||
                         waiting_.contains(parsed->delivery) ||
                         messages_.contains(parsed->delivery.message);
  if (is_wanted) closed_.insert(parsed->delivery);
}

bool Salvage::is_newer(const Version& one, const Version& other) const {
  if (one.sequence != other.sequence) return one.sequence > other.sequence;
  return files_[one.file].number >= files_[other.file].number;
}

void Salvage::take_row(Family family, const Row& row) {
  const auto keep_newest = [&](auto& versions, const auto& key) {
    const auto [found, is_new] = versions.emplace(key, row.version);
    if (!is_new && is_newer(row.version, found->second)) found->second = row.version;
  };
  switch (family) {
    case Family::Messages:
      if (const std::optional<MessageId> id = parse_message_key(row.key)) {
        keep_newest(messages_, *id);
      }
      return;
    case Family::Deliveries:
      if (const std::optional<DeliveryId> id = parse_delivery_key(row.key)) {
        keep_newest(deliveries_, *id);
      }
      return;
    case Family::Waiting:
      return take_waiting(row);
    case Family::Bodies: {
      const std::optional<DeliveryId> place = parse_delivery_key(row.key);
      if (!place || is_removal(row.version.type)) return;
      if (row.version.type == RowType::Value) {
        bodies_[*place].push_back(row.version);
      } else if (const auto blob = parse_blob_reference(row.value)) {
        blob_records_[blob->file].push_back(blob_record_at(blob->value_at, row.key.size()));
      }
      return;
    }
    case Family::Meta:
    case Family::Partial:
    case Family::Sites:
    case Family::History:
    case Family::Index:
      return;
  }
}

void Salvage::take_waiting(const Row& row) {
  const std::optional<WaitingKeyView> key = view_waiting_key(row.key);
  if (!key) return;
  const WaitingRow waits{
      key->delivery, {row.version.sequence, key->due, key->state, is_removal(row.version.type)}};
  const auto [found, is_new] = waiting_rows_.emplace(std::hash<std::string_view>()(row.key), waits);
  if (!is_new && waits.waits.sequence >= found->second.waits.sequence) found->second = waits;
}

// The newest row of each delivery. But RocksDB makes the number of a row zero once there is nothing
// below it, and then the removal of the row before has a higher one.
void Salvage::settle_waiting() {
  for (const auto& [hash, row] : waiting_rows_) {
    const auto [found, is_new] = waiting_.emplace(row.delivery, row.waits);
    if (!is_new && row.waits.sequence >= found->second.sequence) found->second = row.waits;
  }
  for (const auto& [hash, row] : waiting_rows_) {
    if (row.waits.is_removed || row.waits.sequence > 0) continue;
    if (Waits& newest = waiting_.at(row.delivery); newest.is_removed) newest = row.waits;
  }
  waiting_rows_ = {};
  std::erase_if(waiting_, [](const auto& one) { return one.second.is_removed; });
}

// The block of a table, or the record of a log, in which it is; null: the disk gives something else
// than before. Valid until the next call.
const std::string* Salvage::holder_of(const Version& version) {
  const auto kept = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& one) {
    return one.file == version.file && one.offset == version.offset;
  });
  if (kept != kept_.end()) {
    kept_.splice(kept_.begin(), kept_, kept);
    return &kept_.front().octets;
  }
  const File& file = files_[version.file];
  std::optional<std::string> holder;
  if (file.kind == Kind::Log) {
    holder = DamagedLog(file.octets).read(version.offset);
  } else {
    const Result<std::string> octets = read_damaged(
        path_of(file), version.offset, version.octets + kBlockTrailerOctets, [](const Hole&) {});
    if (octets) holder = unpack_block(*octets, file.sum);
  }
  if (!holder) return nullptr;
  kept_octets_ += holder->size();
  kept_.push_front({version.file, version.offset, *std::move(holder)});
  while (kept_.size() > kKeptMax || (kept_.size() > 1 && kept_octets_ > kKeptOctetsMax)) {
    kept_octets_ -= kept_.back().octets.size();
    kept_.pop_back();
  }
  return &kept_.front().octets;
}

// The value once more; nullopt: the disk gives something else than before.
std::optional<std::string> Salvage::fetch(const Version& version) {
  const File& file = files_[version.file];
  switch (file.kind) {
    case Kind::Table: {
      const std::string* block = holder_of(version);
      std::optional<std::string> value;
      if (block == nullptr) return value;
      static_cast<void>(
          for_each_row(*block, {version.offset, version.octets}, [&](const TableRow& row) {
            if (row.index == version.index) value = std::string(row.value);
          }));
      return value;
    }
    case Kind::Log: {
      const std::string* record = holder_of(version);
      if (record == nullptr || std::uint64_t{version.index} + version.octets > record->size()) {
        return std::nullopt;
      }
      return record->substr(version.index, version.octets);
    }
    case Kind::Blob: {
      const Result<std::string> octets =
          read_damaged(path_of(file), version.offset, version.octets, [](const Hole&) {});
      if (!octets) return std::nullopt;
      const std::optional<BlobRecord> record = read_blob(*octets);
      if (!record) return std::nullopt;
      return std::string(record->value);
    }
  }
  return std::nullopt;
}

Result<std::string> Salvage::read_chunk(const Message& message, std::uint32_t chunk) {
  const std::uint64_t before = std::uint64_t{chunk} * kBodyChunkOctets;
  const std::uint64_t octets =
      std::min<std::uint64_t>(kBodyChunkOctets, message.body_octets - before);
  const std::string name = "chunk " + std::to_string(chunk) + " of its body";
  const auto found = bodies_.find({message.id, chunk});
  if (found == bodies_.end()) return Error(name + " stands in no place that can be read");
  // All places hold the same octets: a body is written once. If not so, somebody has brought the
  // same id in twice, or mail that looks like a body, and neither is believed.
  std::optional<std::string> chosen;
  for (const Version& place : found->second) {
    std::optional<std::string> value = fetch(place);
    if (!value || value->size() != octets) continue;
    if (chosen && *chosen != *value) return Error(name + " stands in two forms");
    chosen = std::move(value);
  }
  if (chosen) return *std::move(chosen);
  return Error(name + " has other octets than when it was written");
}

// As the row in `waiting` says it is.
void Salvage::adjust(Delivery& delivery, const Waits& waits) {
  const WallTime due = std::exchange(delivery.due, waits.due);
  if (delivery.state == waits.state) return;
  if (waits.state == DeliveryState::Deleted) {
    delivery.state_before = delivery.state;
    delivery.due_before = due;
  }
  if (waits.state != DeliveryState::Deleted) forget_hold(delivery);
  if (waits.state == DeliveryState::Held) delivery.hold_reason = "unknown: salvaged";
  delivery.state = waits.state;
}

// Of a message's only delivery, when its row is lost: as far as its row in `waiting` and the header
// tell. Where the recipient was an alias, it is the alias.
std::optional<Delivery> Salvage::guess_delivery(const Message& message) const {
  const DeliveryId id{message.id, 1};
  const std::string_view recipient = recipient_in(message);
  const std::string_view domain =
      recipient.substr(std::min(recipient.rfind('@'), recipient.size()));
  if (message.recipients != 1 || !lost_.contains(id) || domain.size() < 2) return std::nullopt;
  Delivery delivery;
  delivery.number = id.number;
  delivery.recipient = recipient;
  delivery.destination = domain.substr(1);  // the relay that takes it in asks its own routes
  delivery.tenant = message.tenant;
  adjust(delivery, waiting_.at(id));
  return delivery;
}

// The deliveries that have not ended, and the ReportState.
Salvage::Lost Salvage::gather(MessageId id, StoredMessage& stored) {
  Lost lost;
  for (auto row = deliveries_.lower_bound({id, 0});
       row != deliveries_.end() && row->first.message == id; ++row) {
    const auto& [place, version] = *row;
    if (is_removal(version.type) || closed_.contains(place)) {
      lost.has_ended = lost.has_ended || place.number > 0;
      continue;
    }
    const std::optional<std::string> value = fetch(version);
    if (place.number == 0) {
      const Result<ReportState> reports = decode_report_state(id, value.value_or(""));
      if (value && reports) stored.reports = *reports;
      continue;
    }
    Result<Delivery> delivery = decode_delivery(place, value.value_or(""));
    if (!value || !delivery || delivery->recipient.empty()) {
      ++lost.deliveries;
      continue;
    }
    // A row that is older than the one in `waiting` does not know of the last change.
    const auto waits = waiting_.find(place);
    if (waits != waiting_.end() && waits->second.sequence > version.sequence) {
      adjust(*delivery, waits->second);
    }
    stored.deliveries.push_back(*std::move(delivery));
  }
  for (auto closed = closed_.lower_bound({id, 0}); closed != closed_.end() && closed->message == id;
       ++closed) {
    lost.has_ended = true;
  }
  for (auto one = lost_.lower_bound({id, 0}); one != lost_.end() && one->message == id; ++one) {
    ++lost.deliveries;
  }
  if (std::optional<Delivery> guessed = guess_delivery(stored.message)) {
    stored.deliveries.push_back(*std::move(guessed));
    lost = {0, lost.has_ended, true};
  }
  return lost;
}

void Salvage::add_hurt(const StoredMessage& stored, std::string why, bool is_out) {
  HurtMessage hurt{stored.message.id, stored.message.sender, {}, std::move(why), is_out};
  for (const Delivery& delivery : stored.deliveries) hurt.recipients.push_back(delivery.recipient);
  hurt_.push_back(std::move(hurt));
}

void Salvage::bring_out_one(MessageId id, const Take& take) {
  StoredMessage stored;
  stored.message.id = id;
  const auto row = messages_.find(id);
  if (row != messages_.end() && is_removal(row->second.type)) return;  // all of it has ended
  bool has_message = false;
  if (row != messages_.end()) {
    const std::optional<std::string> value = fetch(row->second);
    Result<Message> message = decode_message(id, value.value_or(""));
    has_message = value && message && !message->header_block.empty() &&
                  message->body_chunks == body_chunks_of(message->body_octets);
    if (has_message) stored.message = *std::move(message);
  }
  stored.header_octets = stored.message.header_block.size();
  const Lost lost = gather(id, stored);
  if (stored.deliveries.empty()) {
    if (lost.deliveries > 0 || (has_message && !lost.has_ended)) {
      add_hurt(stored, "its recipients could not be read");
    }
    return;
  }
  if (!has_message) return add_hurt(stored, "its sender and header could not be read");
  const Result<void> taken = take(
      stored, [this, &stored](std::uint32_t chunk) { return read_chunk(stored.message, chunk); });
  if (!taken) return add_hurt(stored, taken.error().text());
  ++brought_out_;
  if (lost.is_guessed) {
    add_hurt(stored, "its recipient is known from its Received field alone", true);
  }
  if (lost.deliveries == 0) return;
  add_hurt(stored, std::to_string(lost.deliveries) + " of its recipients could not be read", true);
}

void Salvage::bring_out(const Take& take) {
  for (const auto& [id, waits] : waiting_) {
    if (!deliveries_.contains(id) && !closed_.contains(id)) lost_.insert(id);
  }
  std::set<MessageId> ids;
  for (const DeliveryId& id : lost_) ids.insert(id.message);
  for (const auto& [id, version] : messages_) ids.insert(ids.end(), id);
  for (const auto& [id, version] : deliveries_) ids.insert(id.message);
  for (const MessageId id : ids) bring_out_one(id, take);
}

}  // namespace rockdove::queue
