// The queue's values as octets and back: Protocol Buffers records (queue/records.proto). Encoding
// appends to the block that a Change is built in. Decoding trusts nothing: a damaged row is an
// error that names the row, never a crash.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "mta/base/result.h"
#include "queue/change.h"
#include "queue/keys.h"
#include "queue/store.h"
#include "queue/types.h"

namespace rockdove::queue {

// The body is not part of it.
void encode_message(const Message& message, std::string& octets);
[[nodiscard]] base::Result<Message> decode_message(MessageId id, std::string_view octets);

void encode_delivery(const Delivery& delivery, std::string& octets);
[[nodiscard]] base::Result<Delivery> decode_delivery(DeliveryId id, std::string_view octets);

// What stands in the row of `waiting`.
void encode_note(const WaitingNote& note, std::string& octets);
// Without allocating where `note` has room already. False: damaged. An empty row is an empty note.
[[nodiscard]] bool decode_note(std::string_view octets, WaitingNote& note);

void encode_report_state(const ReportState& state, std::string& octets);
[[nodiscard]] base::Result<ReportState> decode_report_state(MessageId id, std::string_view octets);

// An attempt that did not end the delivery, which then stood as `after`.
void encode_attempt(const Delivery& after, const Attempt& attempt, std::string& octets);
// The end of a delivery, with what was accepted; `message_id` is message_id_field() of its header
// block, which may take long to find.
void encode_closing(const Message& message, std::string_view message_id, const Delivery& delivery,
                    Outcome how, const Attempt& attempt, std::string& octets);
// `step` is left 0: it is the record's place among those of its delivery.
[[nodiscard]] base::Result<HistoryStep> decode_step(const HistoryKey& key, std::string_view octets);

// "delivered", "bounced", …: written into history, logs and --json.
[[nodiscard]] std::string_view outcome_name(Outcome outcome);

// The text of the Message-ID field, its first 998 octets at most; "" if the header block has none.
[[nodiscard]] std::string_view message_id_field(std::string_view header_block);

}  // namespace rockdove::queue
