#include "mta/base/ids.h"

#include <set>

#include <catch2/catch.hpp>

using namespace rockdove::base;

TEST_CASE("ids: text has the same order as the number and reads back") {
  const MessageId small{1}, large{~std::uint64_t{0}}, middle{std::uint64_t{1} << 40};
  CHECK(format_id(small) < format_id(middle));
  CHECK(format_id(middle) < format_id(large));
  for (const MessageId id : {small, middle, large}) CHECK(parse_message_id(format_id(id)) == id);
  CHECK(parse_delivery_id(format_id(DeliveryId{middle, 17})) == DeliveryId{middle, 17});
}

TEST_CASE("ids: what is no id is refused") {
  CHECK_FALSE(parse_message_id(""));
  CHECK_FALSE(parse_message_id("00000000000"));
  CHECK_FALSE(parse_message_id("00000000000A"));
  CHECK_FALSE(parse_message_id("zzzzzzzzzzzz"));  // over 64 bits
  CHECK_FALSE(parse_delivery_id("000000000001-"));
  CHECK_FALSE(parse_delivery_id("000000000001-0"));
  CHECK_FALSE(parse_delivery_id("000000000001-1x"));
}

TEST_CASE("ids: a clock that is set back, and a restart, make no id twice") {
  IdGenerator ids(3, MessageId{0});
  const WallTime noon = from_unix_milliseconds(1'800'000'000'000);
  std::set<MessageId> seen;
  for (int i = 0; i < 20'000; ++i) CHECK(seen.insert(ids.next(noon - std::chrono::milliseconds(i))).second);
  IdGenerator after_restart(3, *seen.rbegin());
  CHECK(after_restart.next(noon - std::chrono::hours(1)) > *seen.rbegin());
  CHECK(seen.begin()->made_at() == noon);
}
