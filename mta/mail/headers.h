// Looking at the header of a message (RFC 5322 §2.2) without copying or changing it.
//
// A header block is the fields of a message, each with its CRLF, and nothing else: the empty line
// that ends the header belongs neither to the block nor to the body. So a message on the wire is
// block + HeaderSplitter::separator() + body, and a field is added in front by prepending its line.
//
// A line ends at CRLF only. A field begins with a name of printable characters and a colon; lines
// that begin with a space or tab continue it. The first line that is neither ends the header.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>

namespace rockdove::mail {

inline constexpr std::size_t kHeaderOctetsMax = 256 * 1024;
inline constexpr std::size_t kMessageIdFieldOctetsMax = 998;  // one line, RFC 5322 §2.1.1

// Views into the block.
struct HeaderField {
  std::string_view name;   // as written, without the colon
  std::string_view value;  // raw: between the colon and the last CRLF, folds and blanks included
  std::string_view whole;  // from the name to the last CRLF, which it includes

  [[nodiscard]] bool is(std::string_view other_name) const;  // without regard to case
};

// `for (const HeaderField& field : HeaderFields(block))`; ends early at a line that is no field.
class HeaderFields {
 public:
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = HeaderField;
    using difference_type = std::ptrdiff_t;
    using pointer = const HeaderField*;
    using reference = const HeaderField&;

    Iterator() = default;

    explicit Iterator(std::string_view block) : rest_(block) { advance(); }

    const HeaderField& operator*() const { return field_; }

    const HeaderField* operator->() const { return &field_; }

    Iterator& operator++() {
      advance();
      return *this;
    }

    void operator++(int) { advance(); }

    // All ends are equal, and fields are told apart by where they stand.
    bool operator==(const Iterator& other) const {
      return field_.whole.data() == other.field_.whole.data();
    }

   private:
    void advance();

    std::string_view rest_;
    HeaderField field_;
  };

  explicit HeaderFields(std::string_view block) : block_(block) {}

  [[nodiscard]] Iterator begin() const { return Iterator(block_); }

  [[nodiscard]] Iterator end() const { return Iterator(); }

 private:
  std::string_view block_;
};

// The first field of that name.
[[nodiscard]] std::optional<HeaderField> find_field(std::string_view block, std::string_view name);
[[nodiscard]] std::size_t count_fields(std::string_view block, std::string_view name);
[[nodiscard]] std::size_t count_received(std::string_view block);
[[nodiscard]] bool has_date(std::string_view block);
[[nodiscard]] bool has_message_id(std::string_view block);

// "<left@right>" of the Message-ID field; without angle brackets, its first word. Empty: there is
// none, or it is over kMessageIdFieldOctetsMax, or has control characters or octets above 126 in
// it.
[[nodiscard]] std::string_view message_id_of(std::string_view block);

// All that is asked of every message, in one pass.
struct HeaderFacts {
  std::size_t received = 0;      // Received fields
  std::size_t received_own = 0;  // of these, ours (received.h): the message has been here before
  bool has_date = false;
  bool has_from = false;
  bool has_message_id = false;
  std::string_view message_id;  // as message_id_of
};

[[nodiscard]] HeaderFacts look_at_header(std::string_view block, std::string_view hostname);

// Finds where the header ends while the message arrives in parts. Give it the octets until
// is_done(); what receive() did not take is body, and so is body_start(). The way the octets are
// split makes no difference to the result.
class HeaderSplitter {
 public:
  enum class End : std::uint8_t {
    None,       // not there yet
    EmptyLine,  // as it should
    NoField,  // a line that is no field: it and all after it are body (perhaps all of the message)
    Message,  // the message ended first: there is no body, or one line that is none of the header
    TooBig,   // over the limit: what is whole is the header, the field that was cut is body
  };

  explicit HeaderSplitter(std::size_t octets_max = kHeaderOctetsMax) : octets_max_(octets_max) {}

  // Returns how many octets, from the front, were taken; the rest is body. Takes none when done.
  std::size_t receive(std::string_view octets);
  // There are no more octets. Does nothing when done.
  void finish();

  [[nodiscard]] bool is_done() const { return end_ != End::None; }

  [[nodiscard]] End end() const { return end_; }

  // These only when done; valid until the splitter is changed or destroyed.
  [[nodiscard]] std::string_view header() const;
  [[nodiscard]] std::string_view body_start() const;  // body that had been taken; mostly empty

  // What to write between header and body: CRLF, which a message of NoField lacked; nothing after
  // TooBig, where the body goes on with fields.
  [[nodiscard]] std::string_view separator() const { return end_ == End::TooBig ? "" : "\r\n"; }

  // Octets that it holds, also before it is done.
  [[nodiscard]] std::size_t memory() const { return taken_.capacity(); }

  // Gives up the header and its memory, without a copy when nothing else was taken.
  [[nodiscard]] std::string take_header();

 private:
  void judge_line();
  void end_at(std::size_t octets, End end);

  std::size_t octets_max_;
  std::string taken_;
  std::size_t line_start_ = 0;     // of the line that is arriving
  std::size_t field_start_ = 0;    // of the field that this line may continue
  std::size_t header_octets_ = 0;  // when done
  End end_ = End::None;
};

}  // namespace rockdove::mail
