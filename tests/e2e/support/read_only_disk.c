// For disk_faults_test.py: preloaded into a program, this makes the files below READ_ONLY_BELOW
// behave as on a disk that was remounted read-only, for as long as the file READ_ONLY_WHILE exists:
// what would write, create, rename or remove fails with EROFS, also on descriptors that are open.
// The kernel refuses to remount a disk while files on it are open for writing, and takes one that
// went read-only by an error of its own not back before it was unmounted.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>
#include <sys/types.h>

#define REAL(name, type, ...)              \
  static type (*real_##name)(__VA_ARGS__); \
  if (real_##name == NULL) *(void**)&real_##name = dlsym(RTLD_NEXT, #name)

static const char* below;
static const char* flag;

__attribute__((constructor)) static void start(void) {
  below = getenv("READ_ONLY_BELOW");
  flag = getenv("READ_ONLY_WHILE");
  if (below != NULL && flag != NULL) return;
  fprintf(stderr, "read_only_disk: READ_ONLY_BELOW and READ_ONLY_WHILE are not set\n");
  _exit(127);
}

static int is_on(void) {
  const int saved = errno;
  const int result = access(flag, F_OK) == 0;
  errno = saved;
  return result;
}

static int refuse(void) {
  errno = EROFS;
  return -1;
}

static int refuses_path(const char* path) {
  return strncmp(path, below, strlen(below)) == 0 && is_on();
}

static int refuses_descriptor(int fd) {
  char link[64], path[4096];
  if (!is_on()) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t octets = readlink(link, path, sizeof path - 1);
  if (octets < 0) return 0;
  path[octets] = 0;
  return strncmp(path, below, strlen(below)) == 0;
}

static mode_t mode_of(int flags, va_list arguments) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
}

#define OPEN(name)                                                                             \
  int name(const char* path, int flags, ...) {                                                 \
    REAL(openat, int, int, const char*, int, ...);                                             \
    va_list arguments;                                                                         \
    va_start(arguments, flags);                                                                \
    const mode_t mode = mode_of(flags, arguments);                                             \
    va_end(arguments);                                                                         \
    const int writes = (flags & (O_ACCMODE | O_CREAT | O_TRUNC)) != O_RDONLY;                  \
    return writes && refuses_path(path) ? refuse() : real_openat(AT_FDCWD, path, flags, mode); \
  }
OPEN(open)
OPEN(open64)

#define ON_DESCRIPTOR(type, name, parameters, types, arguments)       \
  type name parameters {                                              \
    REAL(name, type, types);                                          \
    return refuses_descriptor(fd) ? refuse() : real_##name arguments; \
  }
#define LIST(...) __VA_ARGS__
ON_DESCRIPTOR(ssize_t, write, (int fd, const void* data, size_t octets),
              LIST(int, const void*, size_t), (fd, data, octets))
ON_DESCRIPTOR(ssize_t, pwrite, (int fd, const void* data, size_t octets, off_t at),
              LIST(int, const void*, size_t, off_t), (fd, data, octets, at))
ON_DESCRIPTOR(ssize_t, pwrite64, (int fd, const void* data, size_t octets, off64_t at),
              LIST(int, const void*, size_t, off64_t), (fd, data, octets, at))
ON_DESCRIPTOR(int, fsync, (int fd), int, (fd))
ON_DESCRIPTOR(int, fdatasync, (int fd), int, (fd))
ON_DESCRIPTOR(int, ftruncate, (int fd, off_t length), LIST(int, off_t), (fd, length))
ON_DESCRIPTOR(int, ftruncate64, (int fd, off64_t length), LIST(int, off64_t), (fd, length))
ON_DESCRIPTOR(int, fallocate, (int fd, int mode, off_t from, off_t octets),
              LIST(int, int, off_t, off_t), (fd, mode, from, octets))
ON_DESCRIPTOR(int, fallocate64, (int fd, int mode, off64_t from, off64_t octets),
              LIST(int, int, off64_t, off64_t), (fd, mode, from, octets))

int unlink(const char* path) {
  REAL(unlink, int, const char*);
  return refuses_path(path) ? refuse() : real_unlink(path);
}

int mkdir(const char* path, mode_t mode) {
  REAL(mkdir, int, const char*, mode_t);
  return refuses_path(path) ? refuse() : real_mkdir(path, mode);
}

int rename(const char* from, const char* to) {
  REAL(rename, int, const char*, const char*);
  return refuses_path(from) || refuses_path(to) ? refuse() : real_rename(from, to);
}
