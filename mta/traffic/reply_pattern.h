// An operator's pattern for replies (RE2: linear time, whatever the reply), and the form in which
// replies are shown to it: one line, the code, the enhanced code and the text, as
//   421 4.7.28 Gmail has detected an unusual rate of mail …
// A reply of several lines is joined by blanks, and the codes that stand in front of each line on
// the wire stand in front of the first only. So a pattern need not know where a server breaks its
// lines. Letters match in any case.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "mta/base/result.h"
#include "mta/smtp/reply.h"

namespace rockdove::traffic {

inline constexpr std::size_t kPatternOctetsMax = 1024;
inline constexpr std::size_t kMatchedOctetsMax = 4096;  // of a reply; what follows is not looked at

// The line that patterns see.
[[nodiscard]] std::string line_of(const smtp::Reply& reply);

// A reply as it stands in logs and reports: "421-4.7.0 [x] Our system 421 4.7.0 has …" in one line
// or in several, or already joined. Fails on what does not begin with a code of 4yz or 5yz.
[[nodiscard]] base::Result<smtp::Reply> parse_refusal(std::string_view text);

// Immutable, for any thread.
class ReplyPattern {
 public:
  // Fails with what RE2 has to say of it.
  static base::Result<std::shared_ptr<const ReplyPattern>> compile(std::string_view text);

  ReplyPattern(const ReplyPattern&) = delete;
  ReplyPattern& operator=(const ReplyPattern&) = delete;
  ~ReplyPattern();

  // Whether it matches anywhere in the line; see line_of().
  [[nodiscard]] bool matches(std::string_view line) const;

  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  struct Compiled;
  ReplyPattern(std::string_view text, std::unique_ptr<const Compiled> compiled);

  std::string text_;
  std::unique_ptr<const Compiled> compiled_;
};

}  // namespace rockdove::traffic
