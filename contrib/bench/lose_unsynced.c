// Preloaded into a program, this records how much of each of its files fsync() or fdatasync() has
// covered, so that contrib/bench/power_cut.py can play a power cut: kill the program, then cut each
// file back to that length. The record survives the kill because the kernel does.
//
//   LOSE_RECORD   the file that the record is appended to; outside of what will be cut
//   LOSE_SWALLOW  a pattern of file names ("*", "*.log"): their syncs answer 0 and do nothing
//
// A line of the record is "S device inode length" (synced up to there), "T device inode length"
// (cut by the program itself) or "F device inode" (new, or gone: nothing of it is covered). Files
// are known by inode, so a renamed one keeps what it had. What this cannot see: data overwritten
// below the covered length (recycled WAL files, mappings), and names that a directory would lose.
// sync_file_range() and msync() count as nothing, on purpose; a length that fallocate() gave a file
// without FALLOC_FL_KEEP_SIZE counts when it was synced, as it does on a disk.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

static int record = -1;
static char swallow[256];
// Between a name's end and its line no other file may get the same inode number.
static pthread_mutex_t names = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name, type, ...)              \
  static type (*real_##name)(__VA_ARGS__); \
  if (real_##name == NULL) *(void**)&real_##name = dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void start(void) {
  const char* path = getenv("LOSE_RECORD");
  const char* pattern = getenv("LOSE_SWALLOW");
  REAL(open, int, const char*, int, ...);
  if (pattern != NULL) snprintf(swallow, sizeof swallow, "%s", pattern);
  if (path != NULL) record = real_open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (record < 0) {
    fprintf(stderr, "lose_unsynced: LOSE_RECORD cannot be opened: %s\n", strerror(errno));
    _exit(127);
  }
}

static void note(char what, const struct stat* file, long long length) {
  char line[96];
  const int saved = errno;
  const int octets =
      snprintf(line, sizeof line, "%c %llu %llu %lld\n", what, (unsigned long long)file->st_dev,
               (unsigned long long)file->st_ino, length);
  // One write of a few octets to a file is whole or not there, even when we are killed.
  if (write(record, line, (size_t)octets) != octets) abort();
  errno = saved;
}

static int is_swallowed(int fd) {
  char link[64], path[4096];
  if (swallow[0] == 0) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t octets = readlink(link, path, sizeof path - 1);
  if (octets < 0) return 0;
  path[octets] = 0;
  const char* name = strrchr(path, '/');
  return fnmatch(swallow, name != NULL ? name + 1 : path, 0) == 0;
}

// The length is taken before the sync: what is written during it may not be covered.
static int sync_and_note(int fd, int (*real)(int)) {
  struct stat file;
  if (is_swallowed(fd)) return 0;
  const int known = fstat(fd, &file) == 0 && S_ISREG(file.st_mode);
  const int result = real(fd);
  if (result == 0 && known) note('S', &file, (long long)file.st_size);
  return result;
}

int fsync(int fd) {
  REAL(fsync, int, int);
  return sync_and_note(fd, real_fsync);
}

int fdatasync(int fd) {
  REAL(fdatasync, int, int);
  return sync_and_note(fd, real_fdatasync);
}

// An empty file has nothing covered, whoever had its inode number before.
static int note_opened(int fd) {
  struct stat file;
  if (fd >= 0 && fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && file.st_size == 0)
    note('F', &file, 0);
  return fd;
}

static int open_noting(int (*real)(int, const char*, int, ...), int dir, const char* path,
                       int flags, mode_t mode) {
  if ((flags & (O_CREAT | O_TRUNC)) == 0) return real(dir, path, flags, mode);
  pthread_mutex_lock(&names);
  const int fd = note_opened(real(dir, path, flags, mode));
  pthread_mutex_unlock(&names);
  return fd;
}

static mode_t mode_of(int flags, va_list arguments) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
}

#define OPEN(name)                                                \
  int name(const char* path, int flags, ...) {                    \
    REAL(openat, int, int, const char*, int, ...);                \
    va_list arguments;                                            \
    va_start(arguments, flags);                                   \
    const mode_t mode = mode_of(flags, arguments);                \
    va_end(arguments);                                            \
    return open_noting(real_openat, AT_FDCWD, path, flags, mode); \
  }
#define OPENAT(name)                                         \
  int name(int dir, const char* path, int flags, ...) {      \
    REAL(openat, int, int, const char*, int, ...);           \
    va_list arguments;                                       \
    va_start(arguments, flags);                              \
    const mode_t mode = mode_of(flags, arguments);           \
    va_end(arguments);                                       \
    return open_noting(real_openat, dir, path, flags, mode); \
  }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

int creat(const char* path, mode_t mode) {
  return open(path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

int creat64(const char* path, mode_t mode) {
  return open(path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

// `file` is what a name stood for before it was taken away; another name may keep it alive.
static void note_gone(const struct stat* file, int known) {
  if (known && S_ISREG(file->st_mode) && file->st_nlink <= 1) note('F', file, 0);
}

#define TAKES_AWAY(victim_dir, victim, call)                                      \
  struct stat file;                                                               \
  pthread_mutex_lock(&names);                                                     \
  const int known = fstatat(victim_dir, victim, &file, AT_SYMLINK_NOFOLLOW) == 0; \
  const int result = call;                                                        \
  if (result == 0) note_gone(&file, known);                                       \
  pthread_mutex_unlock(&names);                                                   \
  return result

int unlink(const char* path) {
  REAL(unlink, int, const char*);
  TAKES_AWAY(AT_FDCWD, path, real_unlink(path));
}

int unlinkat(int dir, const char* path, int flags) {
  REAL(unlinkat, int, int, const char*, int);
  TAKES_AWAY(dir, path, real_unlinkat(dir, path, flags));
}

int remove(const char* path) {
  REAL(remove, int, const char*);
  TAKES_AWAY(AT_FDCWD, path, real_remove(path));
}

int rename(const char* from, const char* to) {
  REAL(rename, int, const char*, const char*);
  TAKES_AWAY(AT_FDCWD, to, real_rename(from, to));
}

int renameat(int from_dir, const char* from, int to_dir, const char* to) {
  REAL(renameat, int, int, const char*, int, const char*);
  TAKES_AWAY(to_dir, to, real_renameat(from_dir, from, to_dir, to));
}

static int cut_and_note(int fd, off_t length, int (*real)(int, off_t)) {
  struct stat file;
  const int result = real(fd, length);
  if (result == 0 && fstat(fd, &file) == 0 && S_ISREG(file.st_mode))
    note('T', &file, (long long)length);
  return result;
}

int ftruncate(int fd, off_t length) {
  REAL(ftruncate, int, int, off_t);
  return cut_and_note(fd, length, real_ftruncate);
}

int ftruncate64(int fd, off64_t length) {
  REAL(ftruncate64, int, int, off_t);
  return cut_and_note(fd, length, real_ftruncate64);
}
