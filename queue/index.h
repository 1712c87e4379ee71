// The index of the history: which messages had this Message-ID, sender, recipient, domain of a
// recipient, or client. Rows without values, made behind the commits by queue::Indexer and
// rebuildable from the history; queue/trace.h looks into them.
//
//   kind 1 to 5 (IndexKind), hash of the text, message id inverted (newest first)
//   kind 0      how far the index goes: every message with an id below has its rows, or ...
//   kind 255    ... its id here: it came when its stretch was closed already
//
// A hash may belong to several texts: whoever finds a message looks whether it is the right one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mta/base/ip_address.h"
#include "mta/base/result.h"
#include "queue/keys.h"
#include "queue/rows.h"
#include "queue/types.h"

namespace rockdove::queue {

enum class IndexKind : std::uint8_t {
  MessageIdField = 1,
  Sender = 2,
  Recipient = 3,
  Domain = 4,  // of a recipient
  Client = 5,
};

// Of a text as it stands in the index. Case counts only for what is no letter of ASCII. The same in
// every version, because it is stored.
[[nodiscard]] std::uint64_t index_hash(std::string_view text);
[[nodiscard]] std::uint64_t index_hash(const base::IpAddress& address);

// The domain of an address; "" where it has none.
[[nodiscard]] std::string_view domain_of(std::string_view address);
// Without the <> around it, as it is indexed.
[[nodiscard]] std::string_view bare_message_id(std::string_view field);

inline constexpr std::size_t kIndexKeyOctets = 1 + 8 + 8;

[[nodiscard]] Key index_prefix(IndexKind kind, std::uint64_t hash);
[[nodiscard]] Key index_key(IndexKind kind, std::uint64_t hash, MessageId id);
// nullopt: it is none of kinds 1 to 5.
[[nodiscard]] std::optional<MessageId> parse_index_key(std::string_view key);

[[nodiscard]] Key index_mark_key();
[[nodiscard]] Key late_prefix();
[[nodiscard]] Key late_key(MessageId id);
[[nodiscard]] std::optional<MessageId> parse_late_key(std::string_view key);

// Whether it is an entry of a message whose history stood below this key.
[[nodiscard]] bool is_index_row_below(std::string_view key, std::string_view history_key);

// No message that was accepted at this time or later has a lower one; of times before 1970: 0.
[[nodiscard]] MessageId first_id_at(WallTime time);

// How far the index goes; id 0: there is none yet.
[[nodiscard]] base::Result<MessageId> read_index_mark(const RowView& view);

// `meta` has the id below which history has been trimmed; id 0: none was.
inline constexpr std::string_view kHistoryFloorKey = "history floor";
[[nodiscard]] base::Result<MessageId> read_history_floor(const RowView& view);

}  // namespace rockdove::queue
