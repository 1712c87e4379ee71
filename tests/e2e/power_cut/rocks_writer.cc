// Writes numbered rows into a RocksDB, in synced batches, and says on standard output what was
// acknowledged; or reads them back. power_cut_test.py kills it, plays a power cut and compares,
// which shows that contrib/bench/lose_unsynced.c and RocksDB understand each other.
//   rocks_writer write FOLDER FIRST   until it is killed; "acknowledged N" after each synced batch
//   rocks_writer read FOLDER          "row N" for each row
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>

#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

namespace {

constexpr int kRowsInBatch = 7;
constexpr std::size_t kRowOctets =
    3000;  // With the small buffer below: many flushes and WAL files.

int fail(const rocksdb::Status& status) {
  std::cerr << status.ToString() << "\n";
  return 1;
}

int write_rows(rocksdb::DB& db, long first) {
  rocksdb::WriteOptions synced;
  synced.sync = true;
  const std::string value(kRowOctets, 'x');
  for (long row = first;; row += kRowsInBatch) {
    rocksdb::WriteBatch batch;
    for (long i = row; i < row + kRowsInBatch; ++i) batch.Put(std::to_string(i), value);
    const rocksdb::Status status = db.Write(synced, &batch);
    if (!status.ok()) return fail(status);
    std::cout << "acknowledged " << row + kRowsInBatch - 1 << std::endl;
  }
}

int read_rows(rocksdb::DB& db) {
  const std::unique_ptr<rocksdb::Iterator> row(db.NewIterator(rocksdb::ReadOptions()));
  for (row->SeekToFirst(); row->Valid(); row->Next()) {
    std::cout << "row " << row->key().ToString() << "\n";
  }
  return row->status().ok() ? 0 : fail(row->status());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  rocksdb::Options options;
  options.create_if_missing = true;
  options.write_buffer_size = 256 << 10;
  options.bytes_per_sync = 64 << 10;  // Calls sync_file_range(), which is no sync.
  rocksdb::DB* opened = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(options, argv[2], &opened);
  if (!status.ok()) return fail(status);
  const std::unique_ptr<rocksdb::DB> db(opened);
  const std::string what = argv[1];
  if (what == "write" && argc == 4) return write_rows(*db, std::strtol(argv[3], nullptr, 10));
  if (what == "read") return read_rows(*db);
  return 2;
}
