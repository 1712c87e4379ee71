// The Authentication-Results field (RFC 8601): what a server's checks found, for whoever reads the
// message behind it. Here it is written, read, and taken out where somebody else wrote it in our
// name (§5).
//
// Written: every value may be a stranger's (a domain, a sender, a selector), so it is quoted where
// it must be, cut where it is long, and cannot begin another line. Read: as leniently as the most
// lenient reader behind us might, with comments, quotes, folds and any case, since a field that
// such a reader takes for ours must not get past us.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mta/base/result.h"

namespace rockdove::policy {

inline constexpr std::size_t kResultValueOctetsMax = 320;  // written of one value: an address fits
inline constexpr std::size_t kResultsMax = 100;            // read of one field
inline constexpr std::size_t kResultPropertiesMax = 30;    // read of one result

// "smtp.mailfrom=jane@example.net" (§2.3).
struct ResultProperty {
  std::string type;  // "smtp", "header", "body", "policy"
  std::string name;  // "mailfrom", "d"
  std::string value;

  bool operator==(const ResultProperty&) const = default;
};

// "dkim=fail reason="body was changed" (2048-bit key) header.d=example.net".
struct MethodResult {
  std::string method;   // "spf", "dkim"; a version behind it ("dkim/1") is read over
  std::string result;   // "pass", "fail", "temperror"
  std::string reason;   // for programs and people; empty: none
  std::string comment;  // for people; empty: none. Reading drops comments.
  std::vector<ResultProperty> properties;

  bool operator==(const MethodResult&) const = default;
};

enum class FieldText : std::uint8_t {
  Ascii,  // octets above 126 become "?"
  Utf8,   // they stay where they are UTF-8: for messages with SMTPUTF8 (RFC 6532)
};

// The whole field with its CRLF, folded so that lines are short where that can be; "none" when
// there is no result. Names of methods, results and properties are the caller's own words.
[[nodiscard]] std::string format_authentication_results(std::string_view authserv_id,
                                                        std::span<const MethodResult> results,
                                                        FieldText text = FieldText::Ascii);

struct AuthenticationResults {
  std::string authserv_id;  // without quotes, its case kept
  unsigned version = 1;     // without one it is 1 (§2.2)
  std::vector<MethodResult> results;
};

// `value` is a field's value, folds included. The error says what is no part of such a field; one
// that goes on in an unknown version is read as far as its id and version.
[[nodiscard]] base::Result<AuthenticationResults> parse_authentication_results(
    std::string_view value);

// Why a field that came with a message from outside must not stay in it: it bears one of `own_ids`,
// or an id that cannot be read, or it is of a version that nobody here understands (§5). nullopt:
// it is somebody else's, and may stay. Ids are compared without regard to case, and as A-labels
// where they are names.
[[nodiscard]] std::optional<std::string_view> reason_to_remove(
    std::string_view value, std::span<const std::string> own_ids);

struct ScrubbedHeader {
  std::string header;  // without the fields that were taken out
  std::size_t removed = 0;
  std::string_view why;  // of the first one
};

// nullopt, which is mostly so: `header`, a header block, has no field that must be taken out.
[[nodiscard]] std::optional<ScrubbedHeader> remove_forged_results(
    std::string_view header, std::span<const std::string> own_ids);

}  // namespace rockdove::policy
