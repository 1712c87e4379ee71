// The way from a UvLoop to the libuv loop inside, for the few files that make handles of their own:
// those of mta/net and the c-ares adapter. Everybody else sees base::Loop.
#pragma once

#include <uv.h>

#include "mta/net/uv_loop.h"

namespace rockdove::net {

class UvHandleAccess {
 public:
  // Handles made on it must be closed with uv_close() at the latest when their owner dies; their
  // memory must last until the close callback, which runs in ~UvLoop() when the loop has ended.
  [[nodiscard]] static uv_loop_t* loop_of(UvLoop& loop);
};

// What uv_close() left behind may still call back, so that a handle lives on the heap and is freed
// by its close callback.
template <typename Handle>
void close_and_delete(Handle* handle) {
  uv_close(reinterpret_cast<uv_handle_t*>(handle),
           [](uv_handle_t* closed) { delete reinterpret_cast<Handle*>(closed); });
}

}  // namespace rockdove::net
