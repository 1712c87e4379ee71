// Lists of addresses, networks, domains and HELO names, as an operator writes them into the
// configuration or into files: for `policy.allow`, `policy.block` and `policy.dmarc_exempt`.
//
//   192.0.2.7, 192.0.2.0/24, 2001:db8::/32    the client's address
//   jane@example.net                          MAIL FROM, in any case
//   example.net, @example.net                 the domain of MAIL FROM
//   .example.net                              domains below it
//   helo:mail.example.net, helo:.example.net  the name that the client gave in HELO or EHLO
//
// An AddressList is immutable once made, so any thread may look into it, and a file that has
// changed becomes another one. A million entries take some 40 MB; looking into them is a binary
// search for each length of prefix that occurs, and for each label of a name.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mta/base/ip_address.h"
#include "mta/base/result.h"

namespace rockdove::policy {

inline constexpr std::size_t kListOctetsMax = 64 * 1024 * 1024;  // of a file
inline constexpr std::size_t kListEntriesMax = 2'000'000;        // likewise
inline constexpr std::size_t kListEntryOctetsMax = 512;
inline constexpr std::size_t kListProblemsMax = 20;  // kept of a file; the others are counted

class AddressList {
 public:
  AddressList() = default;

  // The entry that has it, in its normal form ("192.0.2.0/24", "@example.net"); nullopt: none. Of
  // several the narrowest.
  [[nodiscard]] std::optional<std::string> find_client(const base::IpAddress& client) const;
  // Of MAIL FROM without its brackets; the null sender, "", is in no list.
  [[nodiscard]] std::optional<std::string> find_sender(std::string_view sender) const;
  [[nodiscard]] std::optional<std::string> find_domain(std::string_view domain) const;
  [[nodiscard]] std::optional<std::string> find_helo(std::string_view name) const;

  // Different ones.
  [[nodiscard]] std::size_t size() const;

 private:
  friend class AddressListBuilder;

  struct Name {
    std::uint32_t at = 0;  // in text_
    std::uint16_t octets = 0;
  };

  using Six = std::array<std::uint8_t, 16>;

  [[nodiscard]] std::string_view text_of(Name name) const {
    return std::string_view(text_).substr(name.at, name.octets);
  }

  [[nodiscard]] bool has_name(std::string_view name) const;
  // `exact` as in "@example.net", and what is above it, as in ".net", each behind `prefix`.
  [[nodiscard]] std::optional<std::string> find_name(std::string_view prefix,
                                                     std::string_view exact_prefix,
                                                     std::string_view domain) const;

  // By the length of the prefix, each sorted: networks.
  std::map<unsigned, std::vector<std::uint32_t>> four_;
  std::map<unsigned, std::vector<Six>> six_;
  // Everything else in normal form, in lower case: "jane@example.net", "@example.net",
  // ".example.net", "helo:…". Sorted.
  std::string text_;
  std::vector<Name> names_;
};

using AddressListPointer = std::shared_ptr<const AddressList>;

class AddressListBuilder {
 public:
  // One entry, without blanks around it. The error says what it is not and what to write.
  [[nodiscard]] base::Result<void> add(std::string_view entry);

  [[nodiscard]] std::size_t size() const { return added_; }

  // Leaves the builder empty.
  [[nodiscard]] AddressListPointer finish();

 private:
  void add_name(std::string_view prefix, std::string_view name);

  AddressList list_;
  std::size_t added_ = 0;
};

struct ListProblem {
  unsigned line = 0;  // from 1; 0: of the whole file
  std::string text;   // without a full stop
};

struct ParsedList {
  AddressListPointer list;            // null when there is a problem
  std::vector<ListProblem> problems;  // at most kListProblemsMax, in the order of the file
  std::size_t problems_left_out = 0;
};

// A file's text: one entry a line; what follows "#" or ";" is a comment. Any bad line is a problem.
[[nodiscard]] ParsedList parse_address_list(std::string_view text);

// What a list's key names: its own entries, and files.
struct AddressLists {
  struct File {
    std::string path;
    AddressListPointer list;  // never null
  };

  struct Match {
    std::string entry;        // in its normal form
    std::string_view source;  // "the configuration", or the file's path; valid as long as the lists
  };

  AddressListPointer own;  // null: no entries
  std::vector<File> files;

  [[nodiscard]] bool is_empty() const { return own == nullptr && files.empty(); }

  [[nodiscard]] std::size_t size() const;

  [[nodiscard]] std::optional<Match> find_client(const base::IpAddress& client) const;
  [[nodiscard]] std::optional<Match> find_sender(std::string_view sender) const;
  [[nodiscard]] std::optional<Match> find_domain(std::string_view domain) const;
  [[nodiscard]] std::optional<Match> find_helo(std::string_view name) const;
};

}  // namespace rockdove::policy
