// A callable that is moved and never copied, so that it may own what it needs (C++23's
// std::move_only_function, which g++ 12 has only there). An empty one must not be called.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "mta/base/assert.h"

namespace rockdove::base {

template <typename Signature>
class UniqueFunction;

// Callables of up to kInlineOctets that move without throwing live inside; larger ones on the heap.
template <typename R, typename... Arguments>
class UniqueFunction<R(Arguments...)> {
 public:
  UniqueFunction() = default;

  template <typename F>
    requires(!std::is_same_v<std::decay_t<F>, UniqueFunction> &&
             std::is_invocable_r_v<R, std::decay_t<F>&, Arguments...>)
  UniqueFunction(F&& function) {  // NOLINT(google-explicit-constructor,bugprone-forwarding-reference-overload)
    using Stored = std::decay_t<F>;  // a function becomes a pointer to it
    if constexpr (fits_inside<Stored>()) {
      ::new (static_cast<void*>(&storage_)) Stored(std::forward<F>(function));
      operations_ = &kInside<Stored>;
    } else {
      ::new (static_cast<void*>(&storage_)) Stored*(new Stored(std::forward<F>(function)));
      operations_ = &kOutside<Stored>;
    }
  }

  UniqueFunction(UniqueFunction&& other) noexcept { take(other); }

  UniqueFunction& operator=(UniqueFunction&& other) noexcept {
    if (this != &other) {
      reset();
      take(other);
    }
    return *this;
  }

  UniqueFunction(const UniqueFunction&) = delete;
  UniqueFunction& operator=(const UniqueFunction&) = delete;
  ~UniqueFunction() { reset(); }

  explicit operator bool() const { return operations_ != nullptr; }

  R operator()(Arguments... arguments) {
    MTA_ASSERT(operations_ != nullptr);
    return operations_->call(&storage_, std::forward<Arguments>(arguments)...);
  }

 private:
  static constexpr std::size_t kInlineOctets = 48;

  struct Operations {
    R (*call)(void*, Arguments&&...);
    void (*move)(void* from, void* to) noexcept;
    void (*destroy)(void*) noexcept;
  };

  template <typename F>
  static constexpr bool fits_inside() {
    return sizeof(F) <= kInlineOctets && alignof(F) <= alignof(std::max_align_t) &&
           std::is_nothrow_move_constructible_v<F>;
  }

  template <typename F>
  static constexpr Operations kInside = {
      [](void* at, Arguments&&... arguments) -> R {
        return (*std::launder(static_cast<F*>(at)))(std::forward<Arguments>(arguments)...);
      },
      [](void* from, void* to) noexcept {
        F* source = std::launder(static_cast<F*>(from));
        ::new (to) F(std::move(*source));
        source->~F();
      },
      [](void* at) noexcept { std::launder(static_cast<F*>(at))->~F(); }};

  template <typename F>
  static constexpr Operations kOutside = {
      [](void* at, Arguments&&... arguments) -> R {
        return (**static_cast<F**>(at))(std::forward<Arguments>(arguments)...);
      },
      [](void* from, void* to) noexcept { ::new (to) F*(*static_cast<F**>(from)); },
      [](void* at) noexcept { delete *static_cast<F**>(at); }};

  void take(UniqueFunction& other) noexcept {
    if (other.operations_ == nullptr) return;
    other.operations_->move(&other.storage_, &storage_);
    operations_ = std::exchange(other.operations_, nullptr);
  }

  void reset() noexcept {
    if (operations_ != nullptr) std::exchange(operations_, nullptr)->destroy(&storage_);
  }

  const Operations* operations_ = nullptr;
  alignas(std::max_align_t) std::byte storage_[kInlineOctets];
};

}  // namespace rockdove::base
