// What a buffer holds when it is empty: sessions have two of them each, mostly idle.
#include "mta/base/byte_buffer.h"

#include <string>

#include <catch2/catch.hpp>

namespace rockdove::base {
namespace {

TEST_CASE("a buffer that was large gives its memory back once all is taken") {
  ByteBuffer buffer;
  buffer.append(std::string(100'000, 'x'));
  CHECK(buffer.memory() >= 100'000);
  buffer.take(99'999);
  CHECK(buffer.view() == "x");
  buffer.take(1);
  CHECK(buffer.is_empty());
  CHECK(buffer.memory() < 4096);
  buffer.append(std::string(100'000, 'y'));
  buffer.clear();
  CHECK(buffer.memory() < 4096);
}

}  // namespace
}  // namespace rockdove::base
