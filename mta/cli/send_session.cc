#include "mta/cli/send_session.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "mta/base/text.h"

namespace rockdove::cli {
namespace {

constexpr std::size_t kPartOctets = 64 * 1024;
constexpr std::size_t kShownLineOctetsMax = 2048;

std::string describe(const smtp::SessionFailed& failed) {
  std::string text = "at " + std::string(smtp::stage_name(failed.stage)) + ": ";
  switch (failed.kind) {
    case smtp::FailKind::Refused:
      text += "refused";
      break;
    case smtp::FailKind::TimedOut:
      text += "timed out";
      break;
    case smtp::FailKind::Lost:
      text += "the server closed the connection";
      break;
    case smtp::FailKind::Malformed:
      text += "the server said what is no reply";
      break;
    case smtp::FailKind::Abandoned:
      text += "given up";
      break;
    case smtp::FailKind::BadBody:
      text += "the message has bare line ends";
      break;
  }
  if (failed.reply) text += ": " + smtp::one_line(*failed.reply);
  if (!failed.detail.empty()) text += " (" + failed.detail + ")";
  return text;
}

}  // namespace

void SendSession::connected(net::Wire& wire, const net::ConnectionInfo& /*info*/, base::Now now) {
  outcome_.connected = true;
  wire_ = &wire;
  if (plan_.implicit) return start_tls(now);
  session_.emplace(job_.options, now.instant, plan_.terms);
  pump(now);
}

void SendSession::start_tls(base::Now now) {
  handshake_began_ = true;
  handshake_until_ = now.instant + job_.options.timeouts.start_tls;
  wire_->start_tls(*plan_.tls);
}

void SendSession::tls_started(const net::TlsInfo& info, base::Now now) {
  outcome_.tls = net::describe(info);
  if (job_.shows_dialogue) {
    std::fprintf(stderr, "-- %s, the certificate was %s\n", outcome_.tls.c_str(),
                 info.verified ? "verified" : "not looked at");
  }
  if (session_) {
    session_->tls_started(now.instant);
  } else {
    session_.emplace(job_.options, now.instant, plan_.terms);
  }
  pump(now);
}

outbound::TlsState SendSession::tls_state() const {
  outbound::TlsState state;
  state.was_tried = handshake_began_;
  state.is_inside = !outcome_.tls.empty();
  state.peer_offers_tls = session_ && session_->peer().starttls;
  state.loss = loss_;
  return state;
}

void SendSession::receive(std::string_view bytes, base::Now now) {
  if (job_.shows_dialogue) show('S', bytes, server_line_);
  session_->receive(bytes, now.instant);
  pump(now);
}

void SendSession::peer_closed(base::Now now) {
  session_->peer_closed(now.instant);
  pump(now);
}

void SendSession::lost(const net::Loss& loss, base::Now now) {
  loss_ = loss;
  if (!session_) {
    outcome_.failure = net::describe(loss);
    return finish();
  }
  session_->lost(now.instant);
  pump(now);
  finish();
}

void SendSession::deadline_reached(base::Now now) {
  if (!session_) {
    outcome_.failure = "timed out during the TLS handshake";
    return finish();
  }
  session_->deadline_reached(now.instant);
  pump(now);
}

std::string_view SendSession::output() const {
  return session_ ? session_->output() : std::string_view();
}

void SendSession::output_sent(std::size_t octets, base::Now now) {
  if (job_.shows_dialogue) show_sent(session_->output().substr(0, octets));
  sent_ += octets;
  session_->output_sent(octets, now.instant);
  pump(now);
}

base::Instant SendSession::deadline() const {
  return session_ ? session_->deadline() : handshake_until_;
}

bool SendSession::wants_input() const {
  return session_ && session_->wants_input();
}

bool SendSession::is_over() const {
  return session_ ? session_->is_over() : finished_;
}

void SendSession::pump(base::Now now) {
  bool progressed = true;
  while (progressed) {
    progressed = false;
    while (const std::optional<smtp::ClientEvent> event = session_->next_event(now.instant)) {
      progressed = true;
      if (std::holds_alternative<smtp::TlsWanted>(*event)) {
        if (session_->wants_tls()) start_tls(now);
      } else if (std::holds_alternative<smtp::Greeted>(*event)) {
        session_->start(job_.envelope, now.instant);
      } else if (const auto* ended = std::get_if<smtp::TransactionEnded>(&*event)) {
        on(*ended, now);
      } else if (const auto* failed = std::get_if<smtp::SessionFailed>(&*event)) {
        on(*failed);
      } else {
        finish();  // SessionClosed
      }
    }
    if (!session_->wants_body()) continue;
    const std::string_view part =
        std::string_view(job_.content).substr(content_given_, kPartOctets);
    content_given_ += part.size();
    const bool is_last = content_given_ == job_.content.size();
    const std::size_t before = session_->output().size();
    session_->body(part, is_last ? smtp::BodyLast::Yes : smtp::BodyLast::No, now.instant);
    const std::string_view added = session_->output().substr(before);
    // RFC 3030 §2: each part has a command of its own in front, which is worth seeing.
    const bool is_chunk = session_->peer().chunking && added.starts_with("BDAT ");
    const std::size_t command = is_chunk ? added.find('\n') + 1 : 0;
    if (job_.shows_dialogue) {
      content_.push_back({sent_ + before + command, sent_ + before + added.size(),
                          is_last && !is_chunk ? Span::Ends::WithDot : Span::Ends::Silently});
    }
    progressed = true;
  }
}

void SendSession::on(const smtp::TransactionEnded& ended, base::Now now) {
  outcome_.ended = true;
  outcome_.results = ended.results;
  if (ended.uncertain)
    outcome_.failure =
        "the connection ended after the final dot; the server may or may not have the message";
  session_->quit(now.instant);
}

void SendSession::on(const smtp::SessionFailed& failed) {
  // What goes wrong after the message was answered, as a QUIT without reply, changes nothing.
  if (!outcome_.ended) {
    outcome_.failure = describe(failed);
    outcome_.reply = failed.reply;
    if (is_tls_failure(failed, tls_state(), plan_)) {
      const bool is_about_server = !loss_ || loss_->how == net::Loss::How::PeerClosed;
      outcome_.failure =
          (is_about_server ? "the server " : "") + tls_failure_text(failed, tls_state());
    }
    if (failed.past_final_dot) outcome_.failure += "; the server may or may not have the message";
    outcome_.results = failed.results;
  }
  finish();
}

void SendSession::finish() {
  if (!std::exchange(finished_, true)) done_();
}

void SendSession::show_secret(std::string_view octets) {
  // "AUTH PLAIN …": the mechanism is no secret, what stands behind it is (RFC 4954 §4).
  constexpr std::string_view kAuth = "AUTH ";
  std::string shown = "[secret]\n";
  if (octets.starts_with(kAuth)) {
    const std::size_t end = octets.find_first_of(" \r", kAuth.size());
    const bool has_more = end != std::string_view::npos && octets[end] == ' ';
    shown = std::string(octets.substr(0, end)) + (has_more ? " " + shown : "\n");
  }
  show('C', shown, client_line_);
}

// Commands as they are; content only as its size.
void SendSession::show_sent(std::string_view octets) {
  if (session_->stage() == smtp::Stage::Auth) return show_secret(octets);
  std::uint64_t at = sent_;
  while (!octets.empty()) {
    const bool has_span = !content_.empty();
    const bool is_content = has_span && at >= content_.front().begin;
    const std::uint64_t until = !has_span    ? at + octets.size()
                                : is_content ? content_.front().end
                                             : content_.front().begin;
    const std::size_t taken =
        static_cast<std::size_t>(std::min<std::uint64_t>(octets.size(), until - at));
    if (!is_content) {
      show('C', octets.substr(0, taken), client_line_);
    } else if (!std::exchange(content_shown_, true)) {
      std::fprintf(stderr, "C: [message, %zu octets]\n", job_.content.size());
    }
    at += taken;
    octets.remove_prefix(taken);
    if (!is_content || at < content_.front().end) continue;
    if (content_.front().ends == Span::Ends::WithDot) std::fputs("C: .\n", stderr);
    content_.pop_front();
  }
}

void SendSession::show(char who, std::string_view text, std::string& line) const {
  for (const char c : text) {
    if (c != '\n') {
      if (line.size() < kShownLineOctetsMax) line += c;
      continue;
    }
    if (line.ends_with('\r')) line.pop_back();
    std::string shown;
    base::append_printable(shown, line, kShownLineOctetsMax);
    std::fprintf(stderr, "%c: %s\n", who, shown.c_str());
    line.clear();
  }
}

}  // namespace rockdove::cli
