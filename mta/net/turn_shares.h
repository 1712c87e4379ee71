// What one turn of a loop may move, and whose turn it is: so that no turn lasts long, however many
// connections have however much to say, and nobody waits for ever.
//
// Reading goes in rounds. In a round each connection is read once; the round goes on, turn by turn,
// while a connection was turned away unread because the turn had had its octets. Without that,
// those whom the kernel names first could take every turn. Sending needs no rounds: whoever wants
// to is in a queue already (UvNetwork).
//
// Counted are octets, not time: the same input makes the same turns, on a busy machine too. Reading
// 1 MiB costs 1 to 3 ms of processor time with all that follows from it, sending it less.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rockdove::net {

class TurnShares {
 public:
  // A turn passes each by what one connection moves at once, at most.
  static constexpr std::size_t kReadOctetsMax = 512 * 1024;
  static constexpr std::size_t kSentOctetsMax = 512 * 1024;

  // What is kept of a connection.
  class Reader {
    friend class TurnShares;
    std::uint64_t round_ = 0;  // in which it was last read
  };

  void begin_turn() {
    if (!was_turned_away_) ++round_;
    was_turned_away_ = false;
    read_ = 0;
    sent_ = 0;
  }

  // true: `reader` reads now, once. false: not in this turn; it has to ask again in the next one.
  [[nodiscard]] bool try_read(Reader& reader) {
    if (reader.round_ == round_) return false;
    if (read_ >= kReadOctetsMax) {
      was_turned_away_ = true;
      return false;
    }
    reader.round_ = round_;
    return true;
  }

  // What reading has cost: octets, or as many as take as long.
  void count_read(std::size_t octets) { read_ += octets; }

  // false: whoever has much to send does so in the next turn.
  [[nodiscard]] bool may_send() const { return sent_ < kSentOctetsMax; }

  void count_sent(std::size_t octets) { sent_ += octets; }

 private:
  std::uint64_t round_ = 1;
  bool was_turned_away_ = false;  // in this turn, somebody who was not read in this round
  std::size_t read_ = 0;
  std::size_t sent_ = 0;
};

}  // namespace rockdove::net
