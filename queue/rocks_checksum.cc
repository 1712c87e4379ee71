#include "queue/rocks_checksum.h"

#include <cstddef>
#include <cstring>

#ifdef __x86_64__
#include <dlfcn.h>
#endif

// As the library has it (util/xxhash.h, not among its installed headers).
extern "C" std::uint64_t ROCKSDB_XXH3_64bits(const void* data, std::size_t octets);

namespace rocksdb::crc32c {

// As the library declares it (util/crc32c.h, not among its installed headers).
std::uint32_t Extend(std::uint32_t sum, const char* data, std::size_t octets);

#ifdef __x86_64__
namespace {

using ExtendFunction = std::uint32_t (*)(std::uint32_t, const char*, std::size_t);

__attribute__((target("sse4.2"))) std::uint32_t extend_by_instruction(std::uint32_t sum,
                                                                      const char* data,
                                                                      std::size_t octets) {
  std::uint64_t state = sum ^ 0xFFFFFFFFU;
  for (; octets >= sizeof(std::uint64_t); octets -= sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, data, sizeof(word));
    state = __builtin_ia32_crc32di(state, word);
    data += sizeof(word);
  }
  auto short_state = static_cast<std::uint32_t>(state);
  for (; octets > 0; --octets) {
    short_state = __builtin_ia32_crc32qi(short_state, static_cast<unsigned char>(*data++));
  }
  return short_state ^ 0xFFFFFFFFU;
}

ExtendFunction choose() {
  if (__builtin_cpu_supports("sse4.2") != 0) return extend_by_instruction;
  // The library's, which ours stands in front of. It cannot be missing: RocksDB calls it.
  return reinterpret_cast<ExtendFunction>(::dlsym(RTLD_NEXT, "_ZN7rocksdb6crc32c6ExtendEjPKcm"));
}

}  // namespace

std::uint32_t Extend(std::uint32_t sum, const char* data, std::size_t octets) {
  static const ExtendFunction chosen = choose();
  return chosen(sum, data, octets);
}
#endif

}  // namespace rocksdb::crc32c

namespace rockdove::queue {

std::uint32_t rocks_checksum(std::uint32_t sum, std::string_view octets) {
  return rocksdb::crc32c::Extend(sum, octets.data(), octets.size());
}

std::uint64_t rocks_xxh3(std::string_view octets) {
  return ROCKSDB_XXH3_64bits(octets.data(), octets.size());
}

}  // namespace rockdove::queue
