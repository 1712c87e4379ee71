// Canonical forms of a message, which signatures are made over (RFC 6376 §3.4): "simple" changes
// next to nothing, "relaxed" forgives other folding, other blanks and other case of field names.
//
// Fields are put into form one by one. The body streams through in pieces of any size, in bounded
// memory; the way it is cut makes no difference. A line ends at CRLF only: a CR or LF alone is
// content. What is signed with it, and how much of it (`l=`), is the caller's affair
// (policy/body_digest.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace rockdove::mail {

enum class Canonicalization : std::uint8_t { Simple, Relaxed };

// Appends the field's canonical form; `whole` is a field of HeaderFields, or like one: name, colon,
// value, with or without the last CRLF, which is there in the result if it was there before.
void append_canonical_field(std::string& out, std::string_view whole, Canonicalization how);

// Takes what is canonical; the octets are valid during the call.
class CanonicalOutput {
 public:
  CanonicalOutput() = default;
  CanonicalOutput(const CanonicalOutput&) = default;
  CanonicalOutput& operator=(const CanonicalOutput&) = default;
  virtual ~CanonicalOutput() = default;
  virtual void take(std::string_view octets) = 0;
};

// Give it the body, then call finish() once. Each call hands to `output` what is certain by then.
class BodyCanonicalizer {
 public:
  explicit BodyCanonicalizer(Canonicalization how) : how_(how) {}

  void write(std::string_view octets, CanonicalOutput& output);
  // The body has ended: an unended line gets its CRLF, and a simple body that is empty becomes
  // CRLF.
  void finish(CanonicalOutput& output);

 private:
  void write_simple(std::string_view octets, CanonicalOutput& output);
  void write_relaxed(std::string_view octets, CanonicalOutput& output);
  void add_line_ends(CanonicalOutput& output);
  void add_content(std::string_view octets, CanonicalOutput& output);
  void add(std::string_view octets, CanonicalOutput& output);
  void flush(CanonicalOutput& output);

  static constexpr std::size_t kBatchOctets = 4096;

  Canonicalization how_;
  bool has_content_ = false;          // a line that is not empty has been handed on
  bool has_carriage_return_ = false;  // the last octet was a CR, which an LF may follow
  bool has_blank_ = false;            // relaxed: blanks that content may follow
  std::uint64_t line_ends_ = 0;  // CRLFs that content may follow; else they are dropped at the end
  std::size_t batched_ = 0;
  std::array<char, kBatchOctets> batch_;  // so that output sees no crumbs; empty between calls
};

}  // namespace rockdove::mail
