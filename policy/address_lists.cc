#include "policy/address_lists.h"

#include <algorithm>
#include <utility>

#include "dns/answers.h"
#include "mta/base/text.h"
#include "mta/base/utf8.h"
#include "mta/mail/address.h"
#include "mta/mail/idna.h"

namespace rockdove::policy {
namespace {

using base::Error;
using base::IpAddress;
using base::IpNetwork;
using base::Result;

constexpr std::string_view kHelo = "helo:";
constexpr unsigned kFourBits = 32;

std::uint32_t number_of(const IpAddress& address) {
  const auto& octets = address.octets();
  return std::uint32_t{octets[0]} << 24 | std::uint32_t{octets[1]} << 16 |
         std::uint32_t{octets[2]} << 8 | std::uint32_t{octets[3]};
}

std::uint32_t masked(std::uint32_t number, unsigned bits) {
  return bits == 0 ? 0 : number & (~std::uint32_t{0} << (kFourBits - bits));
}

std::array<std::uint8_t, 16> masked(std::array<std::uint8_t, 16> octets, unsigned bits) {
  for (std::size_t i = 0; i < octets.size(); ++i) {
    const unsigned before = static_cast<unsigned>(i) * 8;
    if (bits >= before + 8) continue;
    const unsigned kept = bits > before ? bits - before : 0;
    octets[i] = static_cast<std::uint8_t>(octets[i] & (0xff00U >> kept));
  }
  return octets;
}

IpAddress four_of(std::uint32_t number) {
  return IpAddress::v4({static_cast<std::uint8_t>(number >> 24),
                        static_cast<std::uint8_t>(number >> 16),
                        static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number)});
}

// "192.0.2.7" of a single address.
std::string shown(const IpNetwork& network) {
  const unsigned all = network.base.is_v4() ? kFourBits : 128;
  return network.prefix_bits == all ? base::format_ip_address(network.base)
                                    : base::format_ip_network(network);
}

// Whether it can only be meant as an address or network.
bool looks_like_network(std::string_view entry) {
  return entry.find_first_of(":/") != std::string_view::npos ||
         entry.find_first_not_of("0123456789.") == std::string_view::npos;
}

template <typename T>
void sort_once(std::vector<T>& values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  values.shrink_to_fit();
}

std::string quoted(std::string_view entry) {
  return "\"" + base::printable(entry, 80) + "\"";
}

constexpr std::string_view kWanted =
    "write an address, a network, jane@example.net, example.net, .example.net (below it) or "
    "helo:mail.example.net";

}  // namespace

std::optional<std::string> AddressList::find_client(const IpAddress& client) const {
  if (client.is_v4()) {
    const std::uint32_t number = number_of(client);
    for (auto at = four_.rbegin(); at != four_.rend(); ++at) {
      const std::uint32_t network = masked(number, at->first);
      if (std::binary_search(at->second.begin(), at->second.end(), network))
        return shown({four_of(network), at->first});
    }
    return std::nullopt;
  }
  for (auto at = six_.rbegin(); at != six_.rend(); ++at) {
    const Six network = masked(client.octets(), at->first);
    if (std::binary_search(at->second.begin(), at->second.end(), network))
      return shown({IpAddress::v6(network), at->first});
  }
  return std::nullopt;
}

bool AddressList::has_name(std::string_view name) const {
  const auto found =
      std::lower_bound(names_.begin(), names_.end(), name,
                       [this](Name one, std::string_view wanted) { return text_of(one) < wanted; });
  return found != names_.end() && text_of(*found) == name;
}

std::optional<std::string> AddressList::find_name(std::string_view prefix,
                                                  std::string_view exact_prefix,
                                                  std::string_view domain) const {
  if (names_.empty() || domain.empty() || domain.size() > kListEntryOctetsMax) return std::nullopt;
  const std::string name = base::lower_case(domain);
  std::string wanted = std::string(prefix).append(exact_prefix).append(name);
  if (has_name(wanted)) return wanted;
  for (std::size_t dot = name.find('.'); dot != std::string::npos; dot = name.find('.', dot + 1)) {
    wanted.assign(prefix).append(name, dot);
    if (has_name(wanted)) return wanted;
  }
  return std::nullopt;
}

std::optional<std::string> AddressList::find_sender(std::string_view sender) const {
  const std::size_t at = sender.rfind('@');
  if (names_.empty() || at == std::string_view::npos || sender.size() > kListEntryOctetsMax)
    return std::nullopt;
  std::string wanted = base::lower_case(sender);
  if (has_name(wanted)) return wanted;
  return find_domain(sender.substr(at + 1));
}

std::optional<std::string> AddressList::find_domain(std::string_view domain) const {
  return find_name("", "@", domain);
}

std::optional<std::string> AddressList::find_helo(std::string_view name) const {
  if (name.size() > 1 && name.back() == '.') name.remove_suffix(1);
  return find_name(kHelo, "", name);
}

std::size_t AddressList::size() const {
  std::size_t size = names_.size();
  for (const auto& [bits, networks] : four_) size += networks.size();
  for (const auto& [bits, networks] : six_) size += networks.size();
  return size;
}

void AddressListBuilder::add_name(std::string_view prefix, std::string_view name) {
  const auto at = static_cast<std::uint32_t>(list_.text_.size());
  list_.text_.append(prefix).append(base::lower_case(name));
  list_.names_.push_back({at, static_cast<std::uint16_t>(prefix.size() + name.size())});
}

Result<void> AddressListBuilder::add(std::string_view entry) {
  if (entry.size() > kListEntryOctetsMax)
    return Error(quoted(entry) + " is longer than 512 octets");
  // Each comes in one form only, so that looking it up is one comparison.
  const auto add_domain = [this, entry](std::string_view prefix,
                                        std::string_view domain) -> Result<void> {
    const Result<std::string> ascii = mail::to_ascii_domain(domain);
    if (!ascii) {
      const bool has_star = entry.find('*') != std::string_view::npos;
      return Error(quoted(entry) + " is no domain; " +
                   std::string(has_star ? "there are no patterns here: for what is below a domain "
                                          "write .example.net"
                                        : kWanted));
    }
    add_name(prefix, *ascii);
    return {};
  };
  ++added_;
  if (entry.empty() || entry.find_first_of(" \t") != std::string_view::npos)
    return Error(quoted(entry) + ": there is one entry to a line, without blanks in it");
  if (base::starts_with_ignoring_case(entry, kHelo)) {
    std::string_view name = entry.substr(kHelo.size());
    if (!base::is_ascii(name)) return add_domain(kHelo, name);
    // Whatever a client may say, since what is no host name is what one wants to block.
    if (name.size() > 1 && name.back() == '.') name.remove_suffix(1);
    if (name.empty() || name == ".")
      return Error(quoted(entry) + " names nothing; " + std::string(kWanted));
    add_name(kHelo, name);
    return {};
  }
  if (entry.front() == '@') return add_domain("@", entry.substr(1));
  if (entry.front() == '.') return add_domain(".", entry.substr(1));
  if (entry.find('@') != std::string_view::npos) {
    const Result<mail::Address> address = mail::parse_mailbox(entry);
    if (!address) return Error(quoted(entry) + " is no address: " + address.error().text());
    add_name("", mail::format_address(*address));
    return {};
  }
  if (!looks_like_network(entry)) return add_domain("@", entry);
  const Result<IpNetwork> network = base::parse_ip_network(base::printable(entry, 80));
  if (!network) return network.error();
  if (network->base.is_v4()) {
    list_.four_[network->prefix_bits].push_back(number_of(network->base));
  } else {
    list_.six_[network->prefix_bits].push_back(network->base.octets());
  }
  return {};
}

AddressListPointer AddressListBuilder::finish() {
  for (auto& [bits, networks] : list_.four_) sort_once(networks);
  for (auto& [bits, networks] : list_.six_) sort_once(networks);
  const auto text = [this](AddressList::Name name) { return list_.text_of(name); };
  auto& names = list_.names_;
  std::sort(names.begin(), names.end(),
            [&text](AddressList::Name a, AddressList::Name b) { return text(a) < text(b); });
  names.erase(
      std::unique(names.begin(), names.end(),
                  [&text](AddressList::Name a, AddressList::Name b) { return text(a) == text(b); }),
      names.end());
  names.shrink_to_fit();
  list_.text_.shrink_to_fit();
  added_ = 0;
  return std::make_shared<const AddressList>(std::exchange(list_, AddressList()));
}

ParsedList parse_address_list(std::string_view text) {
  ParsedList parsed;
  const auto problem = [&parsed](unsigned line, std::string what) {
    if (parsed.problems.size() >= kListProblemsMax) {
      ++parsed.problems_left_out;
    } else {
      parsed.problems.push_back({line, std::move(what)});
    }
  };
  if (text.size() > kListOctetsMax) {
    problem(0, "the file is larger than 64 MiB");
    return parsed;
  }
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  AddressListBuilder builder;
  for (unsigned number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    // A comment begins where an entry could, because "a#b@example.net" is an address.
    for (std::size_t at = line.find_first_of("#;"); at != std::string_view::npos;
         at = line.find_first_of("#;", at + 1)) {
      if (at > 0 && line[at - 1] != ' ' && line[at - 1] != '\t') continue;
      line = line.substr(0, at);
      break;
    }
    line = base::trimmed(line);
    if (line.empty()) continue;
    if (builder.size() >= kListEntriesMax) {
      problem(number, "there are more than 2,000,000 entries");
      break;
    }
    if (const Result<void> added = builder.add(line); !added) problem(number, added.error().text());
  }
  if (parsed.problems.empty()) parsed.list = builder.finish();
  return parsed;
}

namespace {

constexpr std::string_view kOwn = "the configuration";

template <typename Look>
std::optional<AddressLists::Match> find_in(const AddressLists& lists, Look look) {
  if (lists.own != nullptr) {
    if (auto entry = look(*lists.own)) return AddressLists::Match{*std::move(entry), kOwn};
  }
  for (const AddressLists::File& file : lists.files) {
    if (auto entry = look(*file.list)) return AddressLists::Match{*std::move(entry), file.path};
  }
  return std::nullopt;
}

}  // namespace

std::size_t AddressLists::size() const {
  std::size_t size = own == nullptr ? 0 : own->size();
  for (const File& file : files) size += file.list->size();
  return size;
}

std::optional<AddressLists::Match> AddressLists::find_client(const IpAddress& client) const {
  return find_in(*this, [&client](const AddressList& list) { return list.find_client(client); });
}

std::optional<AddressLists::Match> AddressLists::find_sender(std::string_view sender) const {
  return find_in(*this, [sender](const AddressList& list) { return list.find_sender(sender); });
}

std::optional<AddressLists::Match> AddressLists::find_domain(std::string_view domain) const {
  return find_in(*this, [domain](const AddressList& list) { return list.find_domain(domain); });
}

std::optional<AddressLists::Match> AddressLists::find_helo(std::string_view name) const {
  return find_in(*this, [name](const AddressList& list) { return list.find_helo(name); });
}

}  // namespace rockdove::policy
