// Whether the content of a message that comes in by `queue import` has the form of mail, as what
// comes by SMTP is made to have: lines end in CR LF and nothing else does (a bare LF that is passed
// on is how mail is smuggled past the next hop), there is no NUL, and the header block is one. The
// sum in an envelope says nothing of that: who made the file made the sum.
#pragma once

#include <string_view>

#include "mta/base/result.h"
#include "mta/smtp/body_writer.h"

namespace rockdove::admin {

class ContentCheck {
 public:
  // First of all, and whole: lines, the empty one at the end and nowhere else.
  [[nodiscard]] base::Result<void> header(std::string_view block);
  // Then the body, in its order, cut anywhere.
  void body(std::string_view octets);
  // Behind the last octet.
  [[nodiscard]] base::Result<void> finish();

  // It has octets above 127.
  [[nodiscard]] bool is_eight_bit() const { return is_eight_bit_; }

 private:
  smtp::LineEndCheck lines_;
  bool is_eight_bit_ = false;
};

}  // namespace rockdove::admin
