// Rows of the queue from a damaged disk: any octets are decoded or refused, never more; what was
// decoded is written and read back as the same. Keys likewise.
#include <string>
#include <string_view>

#include "queue/codec.h"
#include "queue/keys.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace rockdove;
using namespace rockdove::queue;

constexpr MessageId kId{0x123456789ABCDEF0ULL};

// Decoded, encoded, decoded and encoded again: the octets stay.
template <typename Decode, typename Encode>
void check_value(std::string_view octets, Decode decode, Encode encode) {
  const auto value = decode(octets);
  if (!value) {
    FUZZ_CHECK(!value.error().text().empty());
    return;
  }
  std::string written;
  encode(*value, written);
  // Numbers that a damaged row left out are written as they count.
  FUZZ_CHECK(written.size() <= octets.size() + 64);
  const auto again = decode(written);
  FUZZ_CHECK(again.is_ok());
  std::string rewritten;
  encode(*again, rewritten);
  FUZZ_CHECK(written == rewritten);
}

void check_values(std::string_view octets) {
  check_value(
      octets, [](std::string_view text) { return decode_message(kId, text); },
      [](const Message& message, std::string& out) { encode_message(message, out); });
  check_value(
      octets,
      [](std::string_view text) {
        return decode_delivery({kId, 7}, text);
      },
      [](const Delivery& delivery, std::string& out) { encode_delivery(delivery, out); });
  check_value(
      octets, [](std::string_view text) { return decode_report_state(kId, text); },
      [](const ReportState& state, std::string& out) { encode_report_state(state, out); });
  for (const HistoryKind kind : {HistoryKind::Act, HistoryKind::Attempt, HistoryKind::Closing}) {
    const base::Result<HistoryStep> step = decode_step({{kId, 7}, {}, kind}, octets);
    FUZZ_CHECK(!step || !step->what.empty());
  }
}

void check_keys(std::string_view octets) {
  if (const auto id = parse_message_key(octets)) FUZZ_CHECK(message_key(*id) == octets);
  if (const auto id = parse_delivery_key(octets)) FUZZ_CHECK(delivery_key(*id) == octets);
  if (const auto key = parse_history_key(octets)) {
    const Key written = history_key(key->delivery, key->at, key->kind, key->deed);
    const auto again = parse_history_key(written);
    FUZZ_CHECK(again && again->delivery == key->delivery && again->at == key->at);
    FUZZ_CHECK(key->at == base::kNeverWall || written == octets);
  }
  if (const auto key = parse_waiting_key(octets)) {
    Delivery delivery;
    delivery.number = key->delivery.number;
    delivery.destination = key->queue.destination;
    delivery.tenant = key->queue.tenant;
    delivery.priority = key->queue.priority;
    delivery.state = key->state;
    delivery.due = key->due;
    const Key written = waiting_key(key->delivery.message, delivery);
    FUZZ_CHECK(written.size() == octets.size());
    FUZZ_CHECK(key->due == base::kNeverWall || written == octets);
    const auto place = parse_waiting_place(written);
    FUZZ_CHECK(place && place->due == key->due && place->delivery == key->delivery);
  }
  const Key behind = key_behind(octets);
  FUZZ_CHECK(behind.empty() || std::string_view(behind) > octets);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view octets = fuzz::as_text(data, size);
  check_values(octets);
  check_keys(octets);
  return 0;
}
