// The queue as ordered rows of octets, and the engine that keeps them. RocksDB is one engine
// (queue/rocks_rows.cc, the only file that knows it), an ordered map that forgets what was not synced
// is the other (queue/memory_rows.h); both pass tests/unit/queue/rows_contract.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "mta/base/result.h"
#include "mta/base/unique_function.h"

namespace rockdove::queue {

// Column families. The numbers are never stored, the names are.
enum class Family : std::uint8_t { Meta, Messages, Bodies, Deliveries, Waiting, Partial, Sites, History };
inline constexpr std::size_t kFamilies = 8;
[[nodiscard]] std::string_view family_name(Family family);

// Row operations in order, in one block of memory.
class RowOperations {
 public:
  enum class Operation : std::uint8_t {
    Put,
    Delete,
    SingleDelete,  // of a row that was put exactly once since it was last deleted
  };
  struct Row {
    Operation operation;
    Family family;
    std::string_view key;
    std::string_view value;  // empty unless Put
  };

  void put(Family family, std::string_view key, std::string_view value);
  // The value is referred to and kept, not copied; for bodies.
  void put_shared(Family family, std::string_view key, std::shared_ptr<const std::string> value);
  void remove(Family family, std::string_view key);
  void remove_single(Family family, std::string_view key);
  void append(RowOperations other);

  [[nodiscard]] std::size_t octets() const;
  [[nodiscard]] bool is_empty() const;
  // Calls `visit(const Row&)` for each, in order.
  template <typename Visit>
  void for_each(Visit&& visit) const;
};

enum class Sync : std::uint8_t { No, Yes };

class Rows {
 public:
  virtual ~Rows() = default;
};

}  // namespace rockdove::queue
