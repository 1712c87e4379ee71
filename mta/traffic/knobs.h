// What a traffic profile can say about how mail goes somewhere: connections, rates, time-outs. A
// plain value of optional settings, of which each remembers where it was written, so that
// `rockdove traffic show` can name the file and the line of all that applies.
//
// What the numbers count: `connections` are those of one site, `connections_provider` those of all
// sites of the provider, `connections_source` all of one source address, wherever they go. Rates
// and octets are those of the account: the provider where there is one, else the site. All but
// `connections_source` count by source address, as receivers do.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "mta/base/time.h"
#include "mta/traffic/rate.h"

namespace rockdove::traffic {

// Where something was written. Line 0: nowhere.
struct Origin {
  std::string file;
  unsigned line = 0;
  unsigned column = 0;

  bool operator==(const Origin&) const = default;
};

// "/etc/rockdove/traffic.toml:12"
[[nodiscard]] std::string format_origin(const Origin& origin);

template <typename T>
struct Knob {
  std::optional<T> value;  // none: what a lower layer says
  Origin origin;
};

// What octets are counted in, so that a count of 32 bits is enough.
inline constexpr std::uint64_t kOctetsUnit = 1'000;

// Whole ones; a part counts as one.
[[nodiscard]] constexpr std::uint64_t units_of(std::uint64_t octets) {
  return octets / kOctetsUnit + (octets % kOctetsUnit > 0 ? 1 : 0);
}

// Octets of messages, header and body, in a time.
struct OctetRate {
  std::uint64_t octets = 0;  // kOctetsUnit to kOctetsUnit * kCostMax
  base::Duration per{60'000};

  // As limiters count it, in whole units.
  [[nodiscard]] Rate in_units() const {
    return {static_cast<std::uint32_t>(octets / kOctetsUnit), per, 1};
  }

  bool operator==(const OctetRate&) const = default;
};

// A size of 1K to 1T (1000G), "/" and s, min, h or d: "100M/min".
[[nodiscard]] base::Result<OctetRate> parse_octet_rate(std::string_view text);
[[nodiscard]] std::string format_octet_rate(const OctetRate& rate);

enum class TlsWish : std::uint8_t { Off, May, Require, Verify };
enum class IpFamily : std::uint8_t { Any, V4, V6 };

[[nodiscard]] std::string_view name_of(TlsWish wish);     // "off", "may", "require", "verify"
[[nodiscard]] std::string_view name_of(IpFamily family);  // "any", "v4", "v6"

struct Knobs {
  Knob<std::uint32_t> connections;
  Knob<std::uint32_t> connections_provider;
  Knob<std::uint32_t> connections_source;
  Knob<std::uint32_t> messages_per_connection;
  Knob<std::uint32_t> recipients_per_transaction;
  Knob<std::vector<Rate>> rate;             // messages; empty: "off"
  Knob<std::vector<Rate>> connection_rate;  // connections begun; empty: "off"
  Knob<std::vector<Rate>> recipient_rate;   // of transactions begun; empty: "off"
  Knob<OctetRate> bytes;
  Knob<TlsWish> tls;
  Knob<base::Duration> connect_timeout;
  Knob<base::Duration> reply_timeout;
  Knob<base::Duration> idle_timeout;  // a connection without work is closed after it
  Knob<IpFamily> ip;
  Knob<std::uint32_t> port;
  Knob<std::vector<base::Duration>> retry;  // as `[queue] retry`: the last one repeats
  Knob<std::uint32_t> host_tries;  // failed connections in a row before a host is set aside
};

template <typename T>
struct KnobEntry {
  std::string_view name;  // as in a file
  Knob<T> Knobs::*member;
};

template <typename T>
KnobEntry(const char*, Knob<T> Knobs::*) -> KnobEntry<T>;

// All of them, in the order in which people are shown them.
inline constexpr auto kKnobs = std::make_tuple(
    KnobEntry{"connections", &Knobs::connections},
    KnobEntry{"connections_provider", &Knobs::connections_provider},
    KnobEntry{"connections_source", &Knobs::connections_source},
    KnobEntry{"messages_per_connection", &Knobs::messages_per_connection},
    KnobEntry{"recipients_per_transaction", &Knobs::recipients_per_transaction},
    KnobEntry{"rate", &Knobs::rate}, KnobEntry{"connection_rate", &Knobs::connection_rate},
    KnobEntry{"recipient_rate", &Knobs::recipient_rate}, KnobEntry{"bytes", &Knobs::bytes},
    KnobEntry{"tls", &Knobs::tls}, KnobEntry{"connect_timeout", &Knobs::connect_timeout},
    KnobEntry{"reply_timeout", &Knobs::reply_timeout},
    KnobEntry{"idle_timeout", &Knobs::idle_timeout}, KnobEntry{"ip", &Knobs::ip},
    KnobEntry{"port", &Knobs::port}, KnobEntry{"retry", &Knobs::retry},
    KnobEntry{"host_tries", &Knobs::host_tries});

// Calls visit(name, pointer to member) for each.
template <typename Visitor>
void for_each_knob(Visitor&& visit) {
  std::apply([&](const auto&... entry) { (visit(entry.name, entry.member), ...); }, kKnobs);
}

[[nodiscard]] std::vector<std::string_view> knob_names();

// What is set in `above` replaces what is in `below`.
void lay_over(Knobs& below, const Knobs& above);

// Takes a knob away by its name. False: it was not set, or there is none of this name.
bool unset_knob(Knobs& knobs, std::string_view name);

// A knob that is set, as a person reads it.
struct ShownKnob {
  std::string_view name;
  std::string value;
  Origin origin;
};

[[nodiscard]] std::vector<ShownKnob> list_knobs(const Knobs& knobs);

}  // namespace rockdove::traffic
