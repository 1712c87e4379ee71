// Assertions about ourselves: what can only fail when Rockdove has a bug. They stay on in release
// builds, because a process that no longer understands its own state must not touch mail: it ends,
// the service manager starts it again, and the queue on disk is as good as before.
//
// Never for input, for the network or for the disk: those get values and errors (base/result.h).
#pragma once

namespace rockdove::base {

// Writes the failed condition and where it stands to stderr, then ends the process by SIGABRT, so
// that the crash is noted in STATE_DIR/working like any other.
[[noreturn]] void assertion_failed(const char* condition, const char* file, int line);

}  // namespace rockdove::base

#define MTA_ASSERT(condition)                                                  \
  (__builtin_expect(!(condition), 0)                                            \
       ? ::rockdove::base::assertion_failed(#condition, __FILE__, __LINE__)     \
       : static_cast<void>(0))
