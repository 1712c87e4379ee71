#include "dns/message.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "mta/base/text.h"

namespace rockdove::dns {
namespace {

constexpr std::size_t kHeaderOctets = 12;
constexpr std::size_t kReadRecordsMax = 2000;  // of one reply, all sections
constexpr unsigned kCnamesMax = 16;
constexpr std::uint16_t kTypeCname = 5;
constexpr std::uint16_t kTypeSoa = 6;
constexpr std::uint16_t kClassInternet = 1;

struct Record {
  std::string owner;
  std::uint16_t type = 0;
  std::uint32_t ttl = 0;  // seconds
  std::size_t data = 0;   // where its data starts in the reply
  std::size_t data_octets = 0;
};

// A place in the reply. After a read beyond the end it has failed, and every read gives zeroes.
class Reader {
 public:
  Reader(std::string_view reply, std::size_t at) : reply_(reply), at_(at) {}

  [[nodiscard]] bool has_failed() const { return has_failed_; }

  [[nodiscard]] std::size_t at() const { return at_; }

  std::uint8_t octet() {
    if (at_ >= reply_.size()) {
      has_failed_ = true;
      return 0;
    }
    return static_cast<std::uint8_t>(reply_[at_++]);
  }

  std::uint16_t number16() {
    const unsigned high = octet();
    return static_cast<std::uint16_t>((high << 8) | octet());
  }

  std::uint32_t number32() {
    const std::uint32_t high = number16();
    return (high << 16) | number16();
  }

  void skip(std::size_t octets) {
    if (octets > reply_.size() - std::min(at_, reply_.size())) {
      has_failed_ = true;
      return;
    }
    at_ += octets;
  }

  // Lower-cased, without the final dot. Octets that question_name() does not take become '\\', so
  // that such a name equals no name that anyone asks for.
  std::string name() {
    std::string name;
    std::size_t lowest = at_;  // pointers must lead before this: no loops (RFC 1035 §4.1.4)
    std::size_t after_pointer = 0;
    while (!has_failed_) {
      const unsigned length = octet();
      if (length == 0) break;
      if ((length & 0xc0U) == 0xc0U) {
        const std::size_t target = ((length & 0x3fU) << 8) | octet();
        if (after_pointer == 0) after_pointer = at_;
        has_failed_ = has_failed_ || target >= lowest;
        lowest = target;
        at_ = target;
        continue;
      }
      if (length > 63 || name.size() + length + 1 > kNameOctetsMax + 1) {
        has_failed_ = true;
        break;
      }
      if (!name.empty()) name += '.';
      for (unsigned i = 0; i < length; ++i) name += printable_octet(octet());
    }
    if (after_pointer != 0) at_ = after_pointer;
    return name;
  }

 private:
  static char printable_octet(std::uint8_t octet) {
    const char c = base::to_lower(static_cast<char>(octet));
    return octet < ' ' || octet > '~' || c == '.' ? '\\' : c;
  }

  std::string_view reply_;
  std::size_t at_;
  bool has_failed_ = false;
};

// RFC 2181 §8: a TTL with the highest bit set means zero.
std::uint32_t plain_ttl(std::uint32_t ttl) {
  return ttl > 0x7fffffffU ? 0 : ttl;
}

// Appends `count` records; false when the reply is broken.
bool read_records(Reader& reader, std::size_t count, std::vector<Record>& records) {
  for (std::size_t i = 0; i < count; ++i) {
    if (i == kReadRecordsMax) return false;
    Record record;
    record.owner = reader.name();
    record.type = reader.number16();
    const std::uint16_t record_class = reader.number16();
    record.ttl = plain_ttl(reader.number32());
    record.data_octets = reader.number16();
    record.data = reader.at();
    reader.skip(record.data_octets);
    if (reader.has_failed()) return false;
    if (record_class == kClassInternet) records.push_back(std::move(record));
  }
  return true;
}

void add_address(std::string_view data, Answer& answer) {
  const auto copy = [&data](auto& octets) {
    std::transform(data.begin(), data.end(), octets.begin(),
                   [](char c) { return static_cast<std::uint8_t>(c); });
  };
  if (data.size() == 4) {
    std::array<std::uint8_t, 4> octets{};
    copy(octets);
    answer.addresses.push_back(base::IpAddress::v4(octets));
  } else {
    std::array<std::uint8_t, 16> octets{};
    copy(octets);
    answer.addresses.push_back(base::IpAddress::v6(octets));
  }
}

// RFC 1035 §3.3.14; joined as RFC 7208 §3.3 and RFC 6376 §3.6.2.2 want it.
bool add_text(std::string_view data, std::size_t& octets_left, Answer& answer) {
  std::string text;
  while (!data.empty()) {
    const std::size_t length = static_cast<std::uint8_t>(data.front());
    if (length >= data.size()) return false;
    text += data.substr(1, length);
    data.remove_prefix(1 + length);
  }
  if (text.size() > octets_left) return true;
  octets_left -= text.size();
  answer.texts.push_back(std::move(text));
  return true;
}

// Adds what `record` says; false when it cannot be read.
bool add_record(std::string_view reply, const Record& record, RecordType type,
                std::size_t& text_octets_left, Answer& answer) {
  const std::string_view data = reply.substr(record.data, record.data_octets);
  Reader reader(reply.substr(0, record.data + record.data_octets), record.data);
  switch (type) {
    case RecordType::A:
    case RecordType::AAAA:
      if (data.size() != (type == RecordType::A ? 4U : 16U)) return false;
      add_address(data, answer);
      return true;
    case RecordType::MX: {
      const std::uint16_t preference = reader.number16();
      answer.exchanges.push_back({preference, reader.name()});
      return !reader.has_failed();
    }
    case RecordType::TXT:
      return add_text(data, text_octets_left, answer);
    case RecordType::PTR:
      answer.names.push_back(reader.name());
      return !reader.has_failed();
  }
  return false;
}

// How long a "no" may be kept: the lesser of the SOA's own TTL and its minimum (RFC 2308 §5); zero
// when there is no SOA.
std::uint32_t negative_ttl(std::string_view reply, const std::vector<Record>& authority) {
  for (const Record& record : authority) {
    if (record.type != kTypeSoa) continue;
    Reader reader(reply.substr(0, record.data + record.data_octets), record.data);
    static_cast<void>(reader.name());
    static_cast<void>(reader.name());
    reader.skip(16);  // serial, refresh, retry, expire
    const std::uint32_t minimum = plain_ttl(reader.number32());
    return reader.has_failed() ? 0 : std::min(record.ttl, minimum);
  }
  return 0;
}

// The name at the end of the chain of CNAMEs that starts at `name`; lowers `ttl` to the least of
// the chain. Empty: the chain goes round or is too long.
std::string follow_cnames(std::string_view reply, const std::vector<Record>& records,
                          std::string name, std::uint32_t& ttl) {
  for (unsigned hop = 0; hop <= kCnamesMax; ++hop) {
    const auto cname = std::find_if(records.begin(), records.end(), [&name](const Record& record) {
      return record.type == kTypeCname && record.owner == name;
    });
    if (cname == records.end()) return name;
    Reader reader(reply.substr(0, cname->data + cname->data_octets), cname->data);
    name = reader.name();
    if (reader.has_failed()) return {};
    ttl = std::min(ttl, cname->ttl);
  }
  return {};
}

}  // namespace

Answer failure(Status status, std::string_view name, RecordType type, std::string_view why) {
  Answer answer;
  answer.status = status;
  answer.detail.append("asking for ").append(name_of(type)).append(" of ");
  answer.detail.append(base::printable(name)).append(": ").append(why);
  return answer;
}

Answer read_reply(std::string_view reply, std::string_view name, RecordType type) {
  const auto broken = [&] {
    return failure(Status::ServerFailure, name, type, "the reply cannot be read");
  };
  if (reply.size() < kHeaderOctets) return broken();
  Reader reader(reply, 2);
  const unsigned code = reader.number16() & 0xfU;
  const std::size_t questions = reader.number16();
  const std::size_t answers = reader.number16();
  const std::size_t authorities = reader.number16();
  static_cast<void>(reader.number16());
  if (code != 0 && code != 3) {
    return failure(Status::ServerFailure, name, type,
                   code == 2   ? "the server failed (SERVFAIL)"
                   : code == 5 ? "the server refused"
                               : "the server answered with an error");
  }
  if (questions > 1) return broken();
  for (std::size_t i = 0; i < questions; ++i) {
    static_cast<void>(reader.name());
    reader.skip(4);
  }
  std::vector<Record> records;
  std::vector<Record> authority;
  if (reader.has_failed() || !read_records(reader, answers, records)) return broken();

  std::uint32_t ttl = 0x7fffffffU;
  const std::string owner = follow_cnames(reply, records, std::string(name), ttl);
  if (owner.empty()) return failure(Status::ServerFailure, name, type, "aliases lead in a circle");
  Answer answer;
  std::size_t kept = 0;
  std::size_t text_octets_left = kTextOctetsMax;
  for (const Record& record : records) {
    if (record.type != wire_type(type) || record.owner != owner || kept == kRecordsMax) continue;
    if (!add_record(reply, record, type, text_octets_left, answer)) return broken();
    ttl = std::min(ttl, record.ttl);
    ++kept;
  }
  if (kept > 0 && code == 0) {
    answer.status = Status::Ok;
    answer.ttl = std::chrono::seconds(ttl);
    return answer;
  }
  if (!read_records(reader, authorities, authority)) authority.clear();
  Answer negative;
  negative.status = code == 3 ? Status::NxDomain : Status::NoData;
  negative.ttl = std::chrono::seconds(std::min(ttl, negative_ttl(reply, authority)));
  return negative;
}

}  // namespace rockdove::dns
