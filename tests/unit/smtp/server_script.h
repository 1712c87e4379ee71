// An application for ServerSession in tests: it answers as the addresses say, notes what it was
// told, and checks on the way that the session keeps its promises.
//
// A local part that begins with "no" is refused with 550, "later" with 451, "close" with 421; a
// recipient "nodata" is taken, but DATA is refused with 451; content that holds "REFUSE" is refused
// with 554; the password "right" is right, "later" cannot be checked now, "close" is answered 421.
// Everything else is taken.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mta/smtp/server_session.h"

namespace rockdove::smtp {

class ServerScript {
 public:
  explicit ServerScript(const ServerLimits& limits, const ServerOffers& offers = {})
      : limits_(limits), session_(limits_, greeting_, now_, offers) {}

  ServerSession& session() { return session_; }

  void greet() {
    session_.greet(now_);
    drain();
  }

  void tls_started() {
    session_.tls_started(now_);
    drain();
  }

  void receive(std::string_view bytes) {
    session_.receive(bytes, now_);
    drain();
  }

  // Cut into pieces of `octets`.
  void receive_in_pieces(std::string_view bytes, std::size_t octets) {
    for (; !bytes.empty(); bytes.remove_prefix(std::min(octets, bytes.size())))
      receive(bytes.substr(0, octets));
  }

  void peer_closed() {
    session_.peer_closed(now_);
    drain();
  }

  void pass(Duration time) {
    now_ += time;
    session_.deadline_reached(now_);
    drain();
  }

  void drain() {
    while (std::optional<ServerEvent> event = session_.next_event(now_)) {
      if (over_) ++events_after_the_end_;
      std::visit([this](auto& each) { note(each); }, *event);
    }
    output_.append(session_.output());
    session_.output_sent(session_.output().size(), now_);
  }

  std::string take_output() { return std::exchange(output_, {}); }

  // One line an event: "sender <a@x> 100", "body" is joined and stands in bodies().
  const std::string& events() const { return events_; }

  const std::vector<std::string>& bodies() const { return bodies_; }

  bool is_over() const { return over_; }

  std::size_t events_after_the_end() const { return events_after_the_end_; }

  Instant now() const { return now_; }

 private:
  static Reply judge(const mail::Address& address) {
    if (address.local == "nodata") return make_reply(250, "2.1.0", "ok");
    if (address.local.starts_with("no")) return make_reply(550, "5.1.1", "no such mailbox");
    if (address.local.starts_with("later")) return make_reply(451, "4.3.0", "try later");
    if (address.local.starts_with("close")) return make_reply(421, "4.3.2", "closing");
    return make_reply(250, "2.1.0", "ok");
  }

  void note(const HelloGiven& event) {
    events_.append(event.extended ? "EHLO " : "HELO ").append(event.name) += '\n';
  }

  void note(const SenderOffered& event) {
    events_ += "sender <" + mail::format_address(event.sender) + "> " + std::to_string(event.size);
    if (event.eight_bit) events_ += " 8bit";
    if (event.utf8) events_ += " utf8";
    if (event.returned == mail::ReturnContent::Full) events_ += " full";
    if (event.returned == mail::ReturnContent::Headers) events_ += " headers";
    if (!event.envelope_id.empty()) events_ += " envid=" + event.envelope_id;
    if (event.priority) events_ += " priority=" + std::to_string(*event.priority);
    if (event.hold_for) events_ += " for=" + base::format_duration(*event.hold_for);
    if (event.hold_until) events_ += " until=" + base::format_timestamp(*event.hold_until);
    events_ += '\n';
    refuse_data_ = false;
    session_.answer(judge(event.sender), now_);
  }

  void note(const RecipientOffered& event) {
    events_ += "recipient <" + mail::format_address(event.recipient) + ">";
    if (!event.notify.is_unset()) events_ += " notify=" + mail::format_notify(event.notify);
    if (!event.original_recipient.empty()) events_ += " orcpt=" + event.original_recipient;
    events_ += '\n';
    refuse_data_ = refuse_data_ || event.recipient.local == "nodata";
    session_.answer(judge(event.recipient), now_);
  }

  void note(const DataWanted&) {
    events_ += "data\n";
    body_.clear();
    session_.answer(
        refuse_data_ ? make_reply(451, "4.3.0", "not now") : make_reply(354, "", "go ahead"), now_);
  }

  void note(const HandshakeWanted&) { events_ += "tls\n"; }

  void note(const LoginOffered& event) {
    events_ += "login " + event.user + " " + event.password + "\n";
    if (event.password == "right") {
      session_.answer(make_reply(235, "2.7.0", "welcome"), now_);
    } else if (event.password == "later") {
      session_.answer(make_reply(454, "4.7.0", "try later"), now_);
    } else if (event.password == "close") {
      session_.answer(make_reply(421, "4.3.2", "closing"), now_);
    } else {
      session_.answer(make_reply(535, "5.7.8", "wrong"), now_);
    }
  }

  void note(const BodyPart& event) { body_.append(event.octets); }

  void note(const BodyEnded& event) {
    bodies_.push_back(std::exchange(body_, {}));
    events_ += "end " + std::to_string(static_cast<int>(event.how)) + " " +
               std::to_string(event.octets) + " " + std::to_string(event.fixed_line_endings) + " " +
               std::to_string(event.longest_line) + "\n";
    if (event.how != BodyEnd::Dot) return;
    const bool refuse = bodies_.back().find("REFUSE") != std::string::npos;
    session_.answer(
        refuse ? make_reply(554, "5.6.0", "refused") : make_reply(250, "2.0.0", "queued"), now_);
  }

  void note(const TransactionReset&) { events_ += "reset\n"; }

  void note(const SessionOver& event) {
    over_ = true;
    events_.append("over: ").append(close_reason_name(event.reason)) += '\n';
  }

  ServerLimits limits_;
  Greeting greeting_{"mx.example", "ESMTP"};
  Instant now_{std::chrono::hours(1)};
  ServerSession session_;
  std::string output_;
  std::string events_;
  std::string body_;
  std::vector<std::string> bodies_;
  bool over_ = false;
  bool refuse_data_ = false;
  std::size_t events_after_the_end_ = 0;
};

}  // namespace rockdove::smtp
