// Tag lists, "a=rsa-sha256; d=example.org; …" (RFC 6376 §3.2), as signatures and key records have
// them. Strict: what the grammar does not allow makes the whole list invalid, and so do two tags of
// one name; octets above 127 stand for themselves (RFC 8616). Tags that nobody asks for are
// ignored.
//
// A list holds views into the text that it was parsed from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mta/base/result.h"

namespace rockdove::policy {

inline constexpr std::size_t kTagsMax = 100;

struct Tag {
  std::string_view name;    // case counts
  std::string_view value;   // without blanks at both ends; folds within it are still there
  std::string_view region;  // all between "=" and ";" or the end
};

class TagList {
 public:
  // Errors say what is wrong with the list, "the tag a is there twice".
  [[nodiscard]] static base::Result<TagList> parse(std::string_view text);

  // Null: there is none of that name.
  [[nodiscard]] const Tag* find(std::string_view name) const;

  [[nodiscard]] const std::vector<Tag>& tags() const { return tags_; }

 private:
  std::vector<Tag> tags_;
};

// The value without blanks and line ends, which base64 may have anywhere.
[[nodiscard]] std::string without_blanks(std::string_view value);

// The octets of base64 with blanks in it; nullopt: it is none, or stands for nothing.
[[nodiscard]] std::optional<std::string> decode_tag_base64(std::string_view value);

// 1 to `digits_max` digits. What is over 2^64 - 1 counts as that.
[[nodiscard]] std::optional<std::uint64_t> parse_tag_number(std::string_view value,
                                                            std::size_t digits_max);

// The parts between colons, without blanks at their ends; "" has one, the empty one.
[[nodiscard]] std::vector<std::string_view> split_at_colons(std::string_view value);

}  // namespace rockdove::policy
