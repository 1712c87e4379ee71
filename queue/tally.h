// Counts of what came of mail, by time or by name, for `rockdove stats`: told one message after the
// other, it keeps so many names and no more. Everything counts under the moment at which its
// message was accepted, so that each line adds up: of the recipients of an hour so many were
// delivered, so many bounced, and so many wait still.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "queue/history.h"

namespace rockdove::queue {

enum class TallyBy : std::uint8_t { Hour, Day, Destination, Sender, Client, Tenant, Campaign };

// How long deliveries took, in steps of 9 %, from a millisecond to 50 days.
class DelayCounts {
 public:
  void add(base::Duration delay);
  void add(const DelayCounts& other);
  // So many of a hundred took no longer; nullopt: there were none. Within 7 % of the true one.
  [[nodiscard]] std::optional<base::Duration> percentile(unsigned percent) const;

 private:
  static constexpr std::size_t kOctaves = 32;
  static constexpr std::size_t kPartsOfOctave = 8;

  std::uint64_t total_ = 0;
  std::vector<std::uint32_t> counts_;  // kOctaves * kPartsOfOctave; empty before the first
};

struct TallyLine {
  std::string name;  // "2026-11-22T06:00", "2026-11-22", a domain, an address; see tally()
  std::uint64_t messages = 0;  // with a recipient here
  std::uint64_t octets = 0;    // of these messages
  // Recipients; those of aliases that became others do not count, nor those of whose end nothing
  // was written.
  std::uint64_t recipients = 0;
  std::uint64_t delivered = 0;
  std::uint64_t bounced = 0;    // failed for good, told or not
  std::uint64_t discarded = 0;  // by a route, or because its time in quarantine was over
  std::uint64_t deleted = 0;    // by a person
  std::uint64_t waiting = 0;    // or held, or deleted and still to be brought back; not what has
                                // ended and only waits for its report
  std::uint64_t deferrals = 0;  // attempts that left a recipient waiting
  DelayCounts delays;           // of those delivered, since the message's acceptance

  // Its counts, to ours.
  void add(const TallyLine& other);
};

class Tally {
 public:
  static constexpr std::size_t kNamesMax = 5000;

  // `local_time` gives the parts of a moment as its hours and days are to be named.
  using LocalTime = std::function<std::tm(WallTime)>;

  Tally(TallyBy by, LocalTime local_time, std::size_t names_max = kNamesMax)
      : by_(by), local_time_(std::move(local_time)), names_max_(names_max) {}

  void add(const TracedMessage& message);

  // By time: in its order. By name: those with most recipients first. The null sender is "<>"; mail
  // of our own has the client "rockdove", that of users of this machine "local"; nobody's, and of
  // no campaign, is "-".
  [[nodiscard]] std::vector<TallyLine> lines() const;

  // What names that were too many had together: whenever there are twice as many as are kept, the
  // smaller half goes here, so that a name that comes back counts anew.
  [[nodiscard]] const TallyLine& others() const { return others_; }

  // How often a name went there.
  [[nodiscard]] std::uint64_t names_left_out() const { return names_left_out_; }

  // Of all names; a message with several destinations counts once.
  [[nodiscard]] const TallyLine& total() const { return total_; }

 private:
  TallyLine& line(const std::string& name);
  [[nodiscard]] std::string name_of(const TracedMessage& message) const;
  void forget_small();
  static void add_delivery(TallyLine& line, const TracedMessage& message,
                           const TracedDelivery& delivery);

  const TallyBy by_;
  const LocalTime local_time_;
  const std::size_t names_max_;
  std::unordered_map<std::string, TallyLine> lines_;
  TallyLine others_;
  TallyLine total_;
  std::uint64_t names_left_out_ = 0;
};

}  // namespace rockdove::queue
