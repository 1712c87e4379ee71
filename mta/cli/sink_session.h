// One connection to `rockdove sink`: accepts what no rule and no provider refuses, and keeps it as
// a file if wished. A message is DIR/ID.eml as it came, without anything added, and DIR/ID.json
// with its envelope; the .eml appears last and whole.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mta/base/ids.h"
#include "mta/base/unique_function.h"
#include "mta/cli/sink_provider.h"
#include "mta/cli/sink_rules.h"
#include "mta/net/protocol.h"
#include "mta/smtp/server_session.h"

namespace rockdove::cli {

struct SinkCounts {
  std::uint64_t connections = 0;
  std::uint64_t messages = 0;  // answered with 2yz after the final dot
  std::uint64_t recipients = 0;
  std::uint64_t octets = 0;
  std::uint64_t rules = 0;   // times that a rule was applied
  std::uint64_t failed = 0;  // could not be written
};

// What the sessions of one loop share; outlives them.
struct SinkLoop {
  SinkLoop(unsigned index, std::vector<SinkRule> all_rules)
      : rules(std::move(all_rules)), ids(index, base::MessageId{}) {}

  smtp::ServerLimits limits;
  smtp::Greeting greeting;
  SinkRules rules;
  base::IdGenerator ids;
  std::string directory;  // "": messages are discarded
  bool prints_messages = false;
  // Called after each message that was taken.
  base::UniqueFunction<void()> message_taken;
  SinkCounts counts;
};

class SinkSession : public net::Protocol {
 public:
  // `provider`, if any, is asked where no rule has a say; it outlives the session.
  explicit SinkSession(SinkLoop& loop, SinkProvider* provider = nullptr)
      : loop_(loop), provider_(provider) {}

  ~SinkSession() override;
  SinkSession(const SinkSession&) = delete;
  SinkSession& operator=(const SinkSession&) = delete;

  void connected(net::Wire& wire, const net::ConnectionInfo& info, base::Now now) override;
  void receive(std::string_view bytes, base::Now now) override;
  void peer_closed(base::Now now) override;
  void lost(const net::Loss& loss, base::Now now) override;
  void deadline_reached(base::Now now) override;

  void turn(base::Now now) override { drain(now); }

  [[nodiscard]] std::string_view output() const override;
  void output_sent(std::size_t octets, base::Now now) override;
  [[nodiscard]] base::Instant deadline() const override;
  [[nodiscard]] bool wants_input() const override;
  [[nodiscard]] bool is_over() const override;

 private:
  // Stalled: says nothing any more; Dropped: closes at once; Delayed: goes on at resume_at_.
  enum class Mood : std::uint8_t { Normal, Stalled, Dropped, Delayed };
  enum class Question : std::uint8_t { None, Greeting, Refusal, Helo, Answer };

  void drain(base::Now now);
  void on(const smtp::HelloGiven& hello, std::size_t output_before, base::Now now);
  void on(const smtp::SenderOffered& offered, base::Now now);
  void on(const smtp::RecipientOffered& offered, base::Now now);
  void on(const smtp::DataWanted& wanted, base::Now now);
  void on(const smtp::BodyPart& part);
  void on(const smtp::BodyEnded& ended, base::Now now);
  void ask(SinkStage stage, std::string_view subject, smtp::Reply otherwise, base::Now now);
  void ask_provider(SinkStage stage, std::string_view subject, smtp::Reply otherwise,
                    base::Now now);
  // What the provider says to the connection, if it says anything but the greeting now.
  [[nodiscard]] bool provider_meets(base::Now now);
  void refuse(const smtp::Reply& reply, base::Now now);
  void give_answer(SinkStage stage, const smtp::Reply& reply, base::Now now);
  void delay(Question question, base::Duration time, base::Now now);

  void forget_message();
  bool open_file();
  void write_part(std::string_view octets);
  bool flush_part();
  // The reply to the final dot.
  smtp::Reply keep_message(base::Now now);
  bool write_envelope(base::Now now) const;

  SinkLoop& loop_;
  SinkProvider* provider_;
  bool is_admitted_ = false;    // counts among the provider's connections
  std::uint32_t messages_ = 0;  // MAIL that was answered with 250
  std::optional<smtp::ServerSession> session_;
  net::ConnectionInfo info_;
  Mood mood_ = Mood::Normal;
  base::Instant resume_at_ = base::kNever;
  Question delayed_ = Question::None;
  SinkStage delayed_stage_ = SinkStage::Connect;
  std::optional<smtp::Reply> delayed_reply_;  // of Refusal and Answer
  std::string replaced_;  // output that goes first: a rule's reply in place of that to EHLO

  std::string sender_;
  std::vector<std::string> recipients_;
  std::string id_;
  int file_ = -1;
  bool write_failed_ = false;
  std::string part_;  // of the message, not written yet
  std::uint64_t octets_ = 0;
};

}  // namespace rockdove::cli
