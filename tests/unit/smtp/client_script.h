// Drives a ClientSession in tests and writes down what it tells, one line an event:
//
//   TLS wanted
//   greeted
//   ended FinalDot-stage: [RCPT 550 5.1.1 no] [final dot 250 ok]      or "ended … uncertain: …"
//   failed MAIL timed out: …                                          with "open" and "past final
//   dot" closed 221 bye
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "mta/smtp/client_session.h"

namespace rockdove::smtp {

inline std::string results_text(const std::vector<RecipientResult>& results) {
  std::string text;
  for (const RecipientResult& result : results) {
    text.append(" [").append(stage_name(result.stage)).append(" ") += one_line(result.reply) + "]";
  }
  return text;
}

inline std::string_view kind_name(FailKind kind) {
  switch (kind) {
    case FailKind::Refused:
      return "refused";
    case FailKind::TimedOut:
      return "timed out";
    case FailKind::Lost:
      return "lost";
    case FailKind::Malformed:
      return "malformed";
    case FailKind::Abandoned:
      return "abandoned";
    case FailKind::BadBody:
      return "bad body";
  }
  return "";
}

inline std::string event_text(const TlsWanted&) {
  return "TLS wanted";
}

inline std::string event_text(const Greeted&) {
  return "greeted";
}

inline std::string event_text(const TransactionEnded& event) {
  return "ended " + std::string(stage_name(event.stage)) + (event.uncertain ? " uncertain:" : ":") +
         results_text(event.results);
}

inline std::string event_text(const SessionFailed& event) {
  std::string text =
      "failed " + std::string(stage_name(event.stage)) + " " + std::string(kind_name(event.kind));
  if (event.transaction_open) text += " open";
  if (event.past_final_dot) text += " past final dot";
  text += ":";
  if (event.reply) text += " " + one_line(*event.reply);
  if (!event.detail.empty()) text += " (" + event.detail + ")";
  return text + results_text(event.results);
}

inline std::string event_text(const SessionClosed& event) {
  return event.reply ? "closed " + one_line(*event.reply) : "closed";
}

class ClientScript {
 public:
  explicit ClientScript(ClientTerms terms = {}) : session_(options_, now_, std::move(terms)) {}

  ClientSession& session() { return session_; }

  void receive(std::string_view bytes) {
    session_.receive(bytes, now_);
    drain();
  }

  void pass(Duration time) {
    now_ += time;
    session_.deadline_reached(now_);
    drain();
  }

  void drain() {
    while (std::optional<ClientEvent> event = session_.next_event(now_)) {
      if (last_event_seen_) ++events_after_the_end_;
      last_event_seen_ = std::holds_alternative<SessionFailed>(*event) ||
                         std::holds_alternative<SessionClosed>(*event);
      events_ += std::visit([](const auto& each) { return event_text(each); }, *event) + "\n";
    }
    if (is_held_) return;
    output_.append(session_.output());
    session_.output_sent(session_.output().size(), now_);
  }

  // From now on what it says does not leave, until release().
  void hold() { is_held_ = true; }

  void release() {
    is_held_ = false;
    drain();
  }

  std::string& output() { return output_; }

  std::string& events() { return events_; }

  std::size_t events_after_the_end() const { return events_after_the_end_; }

  Instant now() const { return now_; }

 private:
  ClientOptions options_{"me.example", {}};
  Instant now_{std::chrono::hours(1)};
  ClientSession session_;
  std::string output_;
  std::string events_;
  bool is_held_ = false;
  bool last_event_seen_ = false;
  std::size_t events_after_the_end_ = 0;
};

}  // namespace rockdove::smtp
