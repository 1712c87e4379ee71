// A provider that `rockdove sink --providers` plays: what it answers, and when, instead of
// accepting at once. It counts by client address, as real ones do, and belongs to one loop.
//
// A question is judged in this order: connections at once, messages a connection, the block after
// too many refusals, greylisting, the hidden limit. The tarpit delays whatever is answered.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "mta/base/ip_address.h"
#include "mta/base/time.h"
#include "mta/cli/sink_limit.h"
#include "mta/cli/sink_log.h"
#include "mta/cli/sink_rules.h"
#include "mta/smtp/reply.h"
#include "mta/smtp/server_session.h"

namespace rockdove::cli {

// In the texts of these replies "{client}" stands for the client's address.
struct SinkProviderSettings {
  std::string name;
  std::string hostname;
  std::vector<base::SocketAddress> listen;  // at least one; port 0: any
  // The limit, of messages; the stage at which one is counted and refused. Connect refuses
  // connections while the limit is used up, and counts at MAIL.
  std::vector<SinkRateChange> limits;
  SinkWindow window = SinkWindow::Sliding;
  SinkStage over_limit_at = SinkStage::Mail;
  smtp::Reply over_limit;
  std::uint32_t connections_max = 0;            // at once; 0: any number
  std::optional<smtp::Reply> over_connections;  // none: closed without a word
  std::uint32_t messages_per_connection = 0;    // 0: any number
  smtp::Reply over_messages;
  // After so many refusals by the limit within `block_within`, MAIL gets `blocked` for `block_for`;
  // 0: never.
  std::uint32_t block_after = 0;
  base::Duration block_within{0};
  base::Duration block_for{0};
  smtp::Reply blocked;
  base::Duration greylist{0};  // from the first try on; 0: none
  smtp::Reply greylisted;
  base::Duration tarpit{0};  // 0: none
  SinkStage tarpit_at = SinkStage::Rcpt;
};

// What is to be done with one question of a client: after `delay`, say `reply` (none: what is
// usual), or close without a word.
struct SinkTreatment {
  base::Duration delay{0};
  std::optional<smtp::Reply> reply;
  bool closes = false;
};

struct SinkProviderCounts {
  std::uint64_t connections = 0;  // those that were refused, too
  std::uint64_t accepted = 0;     // recipients
  std::uint64_t deferred = 0;     // 4yz at any stage; at the final dot one for each recipient
  std::uint64_t rejected = 0;     // 5yz, likewise

  [[nodiscard]] SinkProviderCounts operator-(const SinkProviderCounts& before) const {
    return {connections - before.connections, accepted - before.accepted,
            deferred - before.deferred, rejected - before.rejected};
  }
};

class SinkProvider {
 public:
  // What a question is about; all of it is valid during the call.
  struct Question {
    const base::IpAddress& client;
    std::uint32_t messages = 0;  // of this connection so far: MAIL that was answered with 250
    std::string_view sender{};
    std::string_view recipient{};  // at RCPT
  };

  // `log` outlives it.
  SinkProvider(SinkProviderSettings settings, SinkLog& log);

  [[nodiscard]] const SinkProviderSettings& settings() const { return settings_; }

  [[nodiscard]] const smtp::Greeting& greeting() const { return greeting_; }

  // A connection has come. Unless it is refused or closed at once, disconnected() follows.
  [[nodiscard]] SinkTreatment connected(const base::IpAddress& client, base::Instant now);
  void disconnected(const base::IpAddress& client);
  // At MAIL, RCPT, DATA and the final dot.
  [[nodiscard]] SinkTreatment judge(SinkStage stage, const Question& question, base::Instant now);
  // What was answered in the end. `recipients`: of RCPT the one, of the final dot all.
  void answered(SinkStage stage, const smtp::Reply& reply, std::span<const std::string> recipients,
                base::Instant now);

  [[nodiscard]] const SinkProviderCounts& counts() const { return counts_; }

  [[nodiscard]] std::uint64_t connections_open() const { return connections_open_; }

  // That hold now.
  [[nodiscard]] std::span<const SinkRate> limits(base::Instant now) const;

 private:
  struct Client {
    std::uint32_t connections = 0;
    std::optional<SinkLimit> limit;
    std::deque<base::Instant> refusals;  // by the limit, the last block_after
    std::optional<base::Instant> blocked_until;
  };

  Client& client(const base::IpAddress& address);
  SinkTreatment refuse(const smtp::Reply& reply, const base::IpAddress& client) const;
  [[nodiscard]] std::optional<smtp::Reply> answer_to(SinkStage stage, const Question& question,
                                                     base::Instant now);
  [[nodiscard]] bool is_over_limit(SinkStage stage, Client& client, base::Instant now);
  [[nodiscard]] bool is_blocked(Client& client, base::Instant now) const;
  void limit_refused(Client& client, base::Instant now) const;
  [[nodiscard]] bool is_greylisted(const Question& question, base::Instant now);

  SinkProviderSettings settings_;
  SinkLog& log_;
  smtp::Greeting greeting_;
  std::unordered_map<base::IpAddress, Client> clients_;
  std::unordered_map<std::uint64_t, base::Instant> first_tries_;  // by client, sender, recipient
  std::uint64_t connections_open_ = 0;
  SinkProviderCounts counts_;
};

}  // namespace rockdove::cli
