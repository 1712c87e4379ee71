// What an operation on the environment (disk, DNS, sockets, an operator's file) comes back with: a
// value, or an error that a person can read. Peers' refusals are not errors but values of their own
// (smtp::Reply), and our own bugs are assertions (base/assert.h).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "mta/base/assert.h"

namespace rockdove::base {

// A sentence that says what failed, without a final full stop. Each layer that knows more adds its
// part once, in front: Error("bad address").in("line 3").in("reading /etc/x") reads
// "reading /etc/x: line 3: bad address".
class [[nodiscard]] Error {
 public:
  explicit Error(std::string text) : text_(std::move(text)) {}

  // `what` failed with the system's error number `code`: "opening /x: No such file or directory".
  static Error system(std::string_view what, int code);

  [[nodiscard]] const std::string& text() const { return text_; }

  [[nodiscard]] Error in(std::string_view context) const {
    return Error(std::string(context) + ": " + text_);
  }

 private:
  std::string text_;
};

template <typename T>
class [[nodiscard]] Result {
 public:
  // Implicit on purpose: `return value;` and `return error;` both read well.
  Result(T value) : content_(std::in_place_index<0>, std::move(value)) {}  // NOLINT(google-explicit-constructor)
  Result(Error error) : content_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool is_ok() const { return content_.index() == 0; }
  explicit operator bool() const { return is_ok(); }

  // Only when is_ok().
  [[nodiscard]] T& value() & { return checked(); }
  [[nodiscard]] const T& value() const& { return const_cast<Result*>(this)->checked(); }  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  [[nodiscard]] T&& value() && { return std::move(checked()); }
  T& operator*() & { return checked(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(checked()); }
  T* operator->() { return &checked(); }
  const T* operator->() const { return &value(); }

  // Only when not is_ok().
  [[nodiscard]] const Error& error() const {
    MTA_ASSERT(!is_ok());
    return std::get<1>(content_);
  }

 private:
  T& checked() {
    MTA_ASSERT(is_ok());
    return std::get<0>(content_);
  }

  std::variant<T, Error> content_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool is_ok() const { return !error_.has_value(); }
  explicit operator bool() const { return is_ok(); }

  [[nodiscard]] const Error& error() const {
    MTA_ASSERT(!is_ok());
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

}  // namespace rockdove::base
