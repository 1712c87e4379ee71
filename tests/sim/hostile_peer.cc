#include "tests/sim/hostile_peer.h"

#include <algorithm>
#include <utility>

namespace rockdove::sim {
namespace {

constexpr std::string_view kServerLines[kServerStages] = {
    "220 hostile.example\r\n", "250 hostile.example\r\n", "250 2.1.0 ok\r\n",
    "250 2.1.5 ok\r\n",        "354 go ahead\r\n",        "451 4.3.0 not today\r\n"};
constexpr std::string_view kClientLines[kClientStages] = {
    "EHLO hostile.example\r\n", "MAIL FROM:<x@hostile.example>\r\n", "RCPT TO:<b@example.net>\r\n",
    "DATA\r\n", "Subject: hostile\r\n\r\nx\r\n"};  // and no final dot, ever
constexpr std::string_view kServerStageNames[kServerStages] = {
    "the greeting",      "the reply to EHLO", "the reply to MAIL",
    "the reply to RCPT", "the reply to DATA", "the reply to the content"};
constexpr std::string_view kClientStageNames[kClientStages] = {"EHLO", "MAIL", "RCPT", "DATA",
                                                               "the content"};

std::string repeated(std::string_view text, std::size_t octets) {
  std::string all;
  while (all.size() < octets) all += text;
  return all;
}

std::vector<Attack> kinds(HostilePeer::Role role) {
  const bool is_server = role == HostilePeer::Role::Server;
  const std::string line = is_server ? "250-and another line\r\n" : "NOOP and another line\r\n";
  constexpr std::size_t kTenMegabytes = 10'000'000;
  return {
      {"silent", 0, " ", "", 0, {}, false, Attack::End::Stay},
      {"an octet each 10 s", 0, "", "", 1, std::chrono::seconds(10), false, Attack::End::Stay},
      {"an octet each 4 min", 0, "", "", 1, std::chrono::minutes(4), false, Attack::End::Stay},
      {"a line without an end", 0, "25", "0x", 4096, std::chrono::milliseconds(100), false,
       Attack::End::Stay},
      {"lines without an end", 0, line, line, 4096, std::chrono::milliseconds(100), false,
       Attack::End::Stay},
      {"a line each minute, without an end", 0, line, line, line.size(), std::chrono::minutes(1),
       false, Attack::End::Stay},
      {"10 MB of lines at once",
       0,
       repeated(line, kTenMegabytes),
       "",
       kTenMegabytes,
       {},
       false,
       Attack::End::Stay},
      {"10 MB without a line end at once",
       0,
       std::string(kTenMegabytes, '2'),
       "",
       kTenMegabytes,
       {},
       false,
       Attack::End::Stay},
      {"a thousand lines that nobody asked for",
       0,
       repeated(is_server ? "250 ok\r\n" : "RSET\r\n", 8'000),
       "",
       8'000,
       {},
       false,
       Attack::End::Stay},
      {"octets of all values",
       0,
       std::string("\0\xff\x80\r\r\n\n\x16\x03\x01", 10),
       "",
       4096,
       {},
       false,
       Attack::End::Stay},
      {"reads nothing more, and talks", 0, line, line, 4096, std::chrono::milliseconds(100), true,
       Attack::End::Stay},
      {"reads nothing more", 0, "", "", 4096, {}, true, Attack::End::Stay},
      {"closes", 0, " ", "", 0, {}, false, Attack::End::Close},
      {"closes behind half a line", 0, "25", "", 4096, {}, false, Attack::End::Close},
      {"resets", 0, " ", "", 0, {}, false, Attack::End::Reset},
      {"resets behind its line", 0, "", "", 4096, {}, false, Attack::End::Reset},
  };
}

}  // namespace

std::vector<Attack> all_attacks(HostilePeer::Role role) {
  const bool is_server = role == HostilePeer::Role::Server;
  std::vector<Attack> attacks;
  for (std::size_t stage = 0; stage < (is_server ? kServerStages : kClientStages); ++stage) {
    for (Attack attack : kinds(role)) {
      attack.stage = stage;
      // Behind the content this would say that it was taken.
      if (is_server && stage + 1 == kServerStages && attack.says.starts_with("250 "))
        attack.says = repeated("451 4.3.0 not today\r\n", 8'000);
      attack.name += " at ";
      attack.name += is_server ? kServerStageNames[stage] : kClientStageNames[stage];
      attacks.push_back(std::move(attack));
    }
  }
  return attacks;
}

void HostilePeer::connected(net::Wire&, const net::ConnectionInfo&, base::Now now) {
  connection_ = internet_.current();
  if (role_ == Role::Server) say_next_line(now);
}

// A client waits for the end of each reply, a server for the end of a command or of the content.
bool HostilePeer::has_ended_line(std::string_view octets) {
  tail_.append(octets.substr(octets.size() - std::min<std::size_t>(octets.size(), 512)));
  if (tail_.size() > 512) tail_.erase(0, tail_.size() - 512);
  const bool in_content = role_ == Role::Server && line_ == kServerStages - 1;
  if (in_content) return tail_.ends_with("\r\n.\r\n");
  if (!tail_.ends_with("\r\n")) return false;
  if (role_ == Role::Server) return true;
  const std::size_t last = tail_.rfind("\r\n", tail_.size() - 3);
  const std::size_t begin = last == std::string::npos ? 0 : last + 2;
  return begin + 3 < tail_.size() && tail_[begin + 3] == ' ';
}

void HostilePeer::receive(std::string_view octets, base::Now now) {
  if (is_attacking_ || !has_ended_line(octets)) return;
  say_next_line(now);
}

void HostilePeer::say_next_line(base::Now now) {
  const std::size_t lines = role_ == Role::Server ? kServerStages : kClientStages;
  if (line_ >= lines) return;
  const std::string_view good = role_ == Role::Server ? kServerLines[line_] : kClientLines[line_];
  ++line_;
  if (line_ - 1 < attack_.stage) {
    out_ += good;
    return;
  }
  is_attacking_ = true;
  to_say_ = attack_.says.empty() ? good : std::string_view(attack_.says);
  if (attack_.piece == 0) to_say_.clear();  // it says nothing
  say_piece(now);
}

void HostilePeer::say_piece(base::Now now) {
  next_piece_ = base::kNever;
  if (to_say_.size() < attack_.piece) {
    while (!attack_.forever.empty() && to_say_.size() < attack_.piece) to_say_ += attack_.forever;
  }
  const std::size_t octets = std::min(attack_.piece, to_say_.size());
  out_.append(to_say_, 0, octets);
  to_say_.erase(0, octets);
  if (!to_say_.empty() || !attack_.forever.empty()) {
    // A peer that does not take what it is told is not told more.
    next_piece_ =
        now.instant + std::max<base::Duration>(attack_.pause, std::chrono::milliseconds(1));
    return;
  }
  if (attack_.end == Attack::End::Close) is_over_ = true;
  if (attack_.end == Attack::End::Reset) internet_.cut(connection_);
}

void HostilePeer::deadline_reached(base::Now now) {
  if (next_piece_ > now.instant) return;
  if (out_.size() - sent_ < 1'000'000) return say_piece(now);
  next_piece_ = now.instant + std::chrono::seconds(1);
}

void HostilePeer::output_sent(std::size_t octets, base::Now) {
  sent_ += octets;
  if (sent_ < out_.size() && sent_ < 4'000'000) return;
  out_.erase(0, sent_);
  sent_ = 0;
}

void HostilePeer::peer_closed(base::Now) {
  is_over_ = true;
  out_.clear();
  sent_ = 0;
  next_piece_ = base::kNever;
}

void HostilePeer::lost(const net::Loss&, base::Now) {
  is_over_ = true;
  out_.clear();
  sent_ = 0;
  next_piece_ = base::kNever;
}

void HostilePeer::turn(base::Now) {}

}  // namespace rockdove::sim
