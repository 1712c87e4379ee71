#include "mta/cli/sink_session.h"

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <fstream>
#include <unistd.h>
#include <utility>

#include <nlohmann/json.hpp>

#include "mta/base/text.h"

namespace rockdove::cli {
namespace {

using smtp::make_reply;
using smtp::Reply;

constexpr std::size_t kPartOctets = 256 * 1024;

// It reports to nobody, so it must not take over the duty to (RFC 3461 §5.2.2).
smtp::ServerOffers offers() {
  smtp::ServerOffers offers;
  offers.dsn = smtp::ServerOffers::Dsn::Off;
  return offers;
}

}  // namespace

SinkSession::~SinkSession() {
  forget_message();
  if (is_admitted_) provider_->disconnected(info_.peer.ip);
}

void SinkSession::connected(net::Wire& /*wire*/, const net::ConnectionInfo& info, base::Now now) {
  ++loop_.counts.connections;
  info_ = info;
  const smtp::Greeting& greeting = provider_ == nullptr ? loop_.greeting : provider_->greeting();
  session_.emplace(loop_.limits, greeting, now.instant, offers());
  const SinkAction* action =
      loop_.rules.find(SinkStage::Connect, base::format_ip_address(info.peer.ip));
  if (action == nullptr) {
    if (provider_ != nullptr && provider_meets(now)) return;
    session_->greet(now.instant);
    return drain(now);
  }
  ++loop_.counts.rules;
  if (const auto* reply = std::get_if<Reply>(action)) return refuse(*reply, now);
  if (const auto* wait = std::get_if<Delay>(action))
    return delay(Question::Greeting, wait->time, now);
  mood_ = std::holds_alternative<Stall>(*action) ? Mood::Stalled : Mood::Dropped;
}

bool SinkSession::provider_meets(base::Now now) {
  const SinkTreatment treatment = provider_->connected(info_.peer.ip, now.instant);
  is_admitted_ = !treatment.reply && !treatment.closes;
  if (treatment.closes) {
    mood_ = Mood::Dropped;
  } else if (treatment.delay.count() > 0) {
    delayed_reply_ = treatment.reply;
    delay(is_admitted_ ? Question::Greeting : Question::Refusal, treatment.delay, now);
  } else if (treatment.reply) {
    refuse(*treatment.reply, now);
  } else {
    return false;
  }
  return true;
}

void SinkSession::refuse(const Reply& reply, base::Now now) {
  if (provider_ != nullptr) provider_->answered(SinkStage::Connect, reply, {}, now.instant);
  session_->refuse(reply, now.instant);
  drain(now);
}

void SinkSession::receive(std::string_view bytes, base::Now now) {
  if (mood_ == Mood::Stalled || mood_ == Mood::Dropped) return;
  session_->receive(bytes, now.instant);
  drain(now);
}

void SinkSession::peer_closed(base::Now now) {
  if (mood_ != Mood::Normal) {
    mood_ = Mood::Dropped;
    return;
  }
  session_->peer_closed(now.instant);
  drain(now);
}

void SinkSession::lost(const net::Loss& /*loss*/, base::Now /*now*/) {
  mood_ = Mood::Dropped;
}

void SinkSession::deadline_reached(base::Now now) {
  if (mood_ != Mood::Delayed) {
    session_->deadline_reached(now.instant);
    return drain(now);
  }
  mood_ = Mood::Normal;
  resume_at_ = base::kNever;
  switch (std::exchange(delayed_, Question::None)) {
    case Question::None:
    case Question::Helo:
      break;
    case Question::Greeting:
      session_->greet(now.instant);
      break;
    case Question::Refusal:
      return refuse(*std::exchange(delayed_reply_, std::nullopt), now);
    case Question::Answer:
      give_answer(delayed_stage_, *std::exchange(delayed_reply_, std::nullopt), now);
      break;
  }
  drain(now);
}

void SinkSession::delay(Question question, base::Duration time, base::Now now) {
  mood_ = Mood::Delayed;
  delayed_ = question;
  resume_at_ = now.instant + time;
}

std::string_view SinkSession::output() const {
  if (!replaced_.empty()) return replaced_;
  const bool holds =
      mood_ == Mood::Dropped || (mood_ == Mood::Delayed && delayed_ == Question::Helo);
  return !session_ || holds ? std::string_view() : session_->output();
}

void SinkSession::output_sent(std::size_t octets, base::Now now) {
  if (!replaced_.empty()) {
    replaced_.erase(0, octets);
    return;
  }
  if (octets > 0) session_->output_sent(octets, now.instant);
}

base::Instant SinkSession::deadline() const {
  switch (mood_) {
    case Mood::Normal:
      return session_ ? session_->deadline() : base::kNever;
    case Mood::Delayed:
      return resume_at_;
    case Mood::Stalled:
    case Mood::Dropped:
      return base::kNever;
  }
  return base::kNever;
}

bool SinkSession::wants_input() const {
  // A stalled one reads and forgets, so that it hears when the client gives up.
  return mood_ == Mood::Stalled || (mood_ == Mood::Normal && session_ && session_->wants_input());
}

bool SinkSession::is_over() const {
  return mood_ == Mood::Dropped || (mood_ == Mood::Normal && session_ && session_->is_over());
}

void SinkSession::drain(base::Now now) {
  while (session_ && mood_ == Mood::Normal) {
    const std::size_t output_before = session_->output().size();
    const std::optional<smtp::ServerEvent> event = session_->next_event(now.instant);
    if (!event) return;
    if (const auto* part = std::get_if<smtp::BodyPart>(&*event)) {
      on(*part);
    } else if (const auto* hello = std::get_if<smtp::HelloGiven>(&*event)) {
      on(*hello, output_before, now);
    } else if (const auto* sender = std::get_if<smtp::SenderOffered>(&*event)) {
      on(*sender, now);
    } else if (const auto* recipient = std::get_if<smtp::RecipientOffered>(&*event)) {
      on(*recipient, now);
    } else if (const auto* data = std::get_if<smtp::DataWanted>(&*event)) {
      on(*data, now);
    } else if (const auto* ended = std::get_if<smtp::BodyEnded>(&*event)) {
      on(*ended, now);
    } else {
      forget_message();  // TransactionReset, SessionOver
    }
  }
}

void SinkSession::on(const smtp::HelloGiven& hello, std::size_t output_before, base::Now now) {
  const SinkAction* action = loop_.rules.find(SinkStage::Helo, hello.name);
  if (action == nullptr) return;
  ++loop_.counts.rules;
  if (const auto* reply = std::get_if<Reply>(action)) {
    // The session has said 250 already; what stands before that stays.
    replaced_ += session_->output().substr(0, output_before);
    smtp::append_reply(replaced_, *reply);
    session_->output_sent(session_->output().size(), now.instant);
    return;
  }
  if (const auto* wait = std::get_if<Delay>(action)) return delay(Question::Helo, wait->time, now);
  if (std::holds_alternative<Stall>(*action)) {
    session_->output_sent(session_->output().size(), now.instant);
    mood_ = Mood::Stalled;
    return;
  }
  mood_ = Mood::Dropped;
}

void SinkSession::on(const smtp::SenderOffered& offered, base::Now now) {
  forget_message();
  sender_ = mail::format_address(offered.sender);
  ask(SinkStage::Mail, sender_, make_reply(250, "2.1.0", "Ok"), now);
}

void SinkSession::on(const smtp::RecipientOffered& offered, base::Now now) {
  recipients_.push_back(mail::format_address(offered.recipient));
  ask(SinkStage::Rcpt, recipients_.back(), make_reply(250, "2.1.5", "Ok"), now);
}

void SinkSession::on(const smtp::DataWanted& /*wanted*/, base::Now now) {
  ask(SinkStage::Data, sender_, make_reply(354, "", "End with <CRLF>.<CRLF>"), now);
}

void SinkSession::on(const smtp::BodyPart& part) {
  octets_ += part.octets.size();
  if (!loop_.directory.empty()) write_part(part.octets);
}

void SinkSession::on(const smtp::BodyEnded& ended, base::Now now) {
  if (ended.how != smtp::BodyEnd::Dot) return forget_message();
  ask(SinkStage::Dot, sender_, make_reply(250, "2.0.0", "Ok"), now);
}

void SinkSession::ask(SinkStage stage, std::string_view subject, Reply otherwise, base::Now now) {
  const SinkAction* action = loop_.rules.find(stage, subject);
  if (action == nullptr) return ask_provider(stage, subject, std::move(otherwise), now);
  ++loop_.counts.rules;
  if (const auto* reply = std::get_if<Reply>(action)) return give_answer(stage, *reply, now);
  if (const auto* wait = std::get_if<Delay>(action)) {
    delayed_stage_ = stage;
    delayed_reply_ = std::move(otherwise);
    return delay(Question::Answer, wait->time, now);
  }
  mood_ = std::holds_alternative<Stall>(*action) ? Mood::Stalled : Mood::Dropped;
}

void SinkSession::ask_provider(SinkStage stage, std::string_view subject, Reply otherwise,
                               base::Now now) {
  if (provider_ == nullptr) return give_answer(stage, otherwise, now);
  SinkProvider::Question question{info_.peer.ip, messages_, sender_};
  if (stage == SinkStage::Rcpt) question.recipient = subject;
  SinkTreatment treatment = provider_->judge(stage, question, now.instant);
  if (treatment.reply) otherwise = *std::move(treatment.reply);
  if (treatment.delay.count() == 0) return give_answer(stage, otherwise, now);
  delayed_stage_ = stage;
  delayed_reply_ = std::move(otherwise);
  delay(Question::Answer, treatment.delay, now);
}

void SinkSession::give_answer(SinkStage stage, const Reply& reply, base::Now now) {
  Reply said = reply;
  if (stage == SinkStage::Data && reply.is_intermediate() && !loop_.directory.empty() &&
      !open_file()) {
    said = make_reply(451, "4.3.0", "cannot write here");
  }
  if (stage == SinkStage::Dot && reply.is_success()) said = keep_message(now);
  if (provider_ != nullptr) {
    std::span<const std::string> meant;
    if (stage == SinkStage::Rcpt) meant = std::span(recipients_).last(1);
    if (stage == SinkStage::Dot) meant = recipients_;
    provider_->answered(stage, said, meant, now.instant);
  }
  if (stage == SinkStage::Mail && said.is_success()) ++messages_;
  if (stage == SinkStage::Rcpt && !said.is_success()) recipients_.pop_back();
  if (stage == SinkStage::Dot) forget_message();
  session_->answer(said, now.instant);
}

void SinkSession::forget_message() {
  if (file_ >= 0) {
    ::close(file_);
    (void)::unlink((loop_.directory + "/." + id_ + ".part").c_str());
  }
  file_ = -1;
  write_failed_ = false;
  part_.clear();
  octets_ = 0;
  sender_.clear();
  recipients_.clear();
  id_.clear();
}

bool SinkSession::open_file() {
  id_ = base::format_id(loop_.ids.next(base::read_clocks().wall));
  const std::string path = loop_.directory + "/." + id_ + ".part";
  file_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (file_ < 0) {
    std::fprintf(stderr, "%s\n", base::Error::system("making " + path, errno).text().c_str());
    ++loop_.counts.failed;
  }
  return file_ >= 0;
}

void SinkSession::write_part(std::string_view octets) {
  part_.append(octets);
  if (part_.size() >= kPartOctets && !flush_part()) write_failed_ = true;
}

bool SinkSession::flush_part() {
  std::string_view rest = part_;
  while (!rest.empty()) {
    const ssize_t written = ::write(file_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  part_.clear();
  return true;
}

Reply SinkSession::keep_message(base::Now now) {
  if (!loop_.directory.empty()) {
    const std::string path = loop_.directory + "/" + id_ + ".eml";
    const bool kept =
        !write_failed_ && flush_part() && write_envelope(now) &&
        std::rename((loop_.directory + "/." + id_ + ".part").c_str(), path.c_str()) == 0;
    if (!kept) {
      ++loop_.counts.failed;
      std::fprintf(stderr, "writing %s failed\n", path.c_str());
      return make_reply(451, "4.3.0", "cannot write here");
    }
    ::close(file_);
    file_ = -1;
  }
  ++loop_.counts.messages;
  loop_.counts.recipients += recipients_.size();
  loop_.counts.octets += octets_;
  if (loop_.prints_messages) {
    std::string line = "from=<" + base::printable(sender_) + ">";
    for (const std::string& recipient : recipients_)
      line += " to=<" + base::printable(recipient) + ">";
    std::printf("%s size=%llu%s%s\n", line.c_str(), static_cast<unsigned long long>(octets_),
                id_.empty() ? "" : " id=", id_.c_str());
    std::fflush(stdout);
  }
  loop_.message_taken();
  return make_reply(250, "2.0.0", id_.empty() ? "Ok: discarded" : "Ok: kept as " + id_);
}

bool SinkSession::write_envelope(base::Now now) const {
  const nlohmann::json envelope = {{"id", id_},
                                   {"time", base::format_timestamp(now.wall)},
                                   {"client", base::format_socket_address(info_.peer)},
                                   {"helo", std::string(session_->hello_name())},
                                   {"sender", sender_},
                                   {"recipients", recipients_},
                                   {"size", octets_}};
  std::ofstream file(loop_.directory + "/" + id_ + ".json");
  file << envelope.dump(-1, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace)
       << '\n';
  file.close();
  return file.good();
}

}  // namespace rockdove::cli
