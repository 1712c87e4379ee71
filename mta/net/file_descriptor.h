// Owns one open file descriptor and closes it.
#pragma once

#include <unistd.h>
#include <utility>

namespace rockdove::net {

class FileDescriptor {
 public:
  FileDescriptor() = default;

  explicit FileDescriptor(int number) : number_(number) {}

  FileDescriptor(FileDescriptor&& other) noexcept : number_(other.release()) {}

  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }

  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;

  ~FileDescriptor() { reset(-1); }

  [[nodiscard]] bool is_open() const { return number_ >= 0; }

  [[nodiscard]] int number() const { return number_; }  // -1: none

  // Whoever called this closes it.
  [[nodiscard]] int release() { return std::exchange(number_, -1); }

  void close() { reset(-1); }

 private:
  void reset(int number) {
    if (number_ >= 0) ::close(number_);
    number_ = number;
  }

  int number_ = -1;
};

}  // namespace rockdove::net
