#include "mta/inbound/submission.h"

#include <utility>

#include "mta/base/assert.h"

namespace rockdove::inbound {
namespace {

net::ConnectionInfo info_of(const SubmittedFile& file) {
  net::ConnectionInfo info;
  info.credentials = file.owner;
  return info;
}

SubmissionResult result_of(const smtp::Reply& reply) {
  return {reply.is_permanent() ? SubmissionResult::How::Refused : SubmissionResult::How::NotNow,
          reply.is_none() ? "the session ended" : smtp::one_line(reply)};
}

}  // namespace

Submission::Submission(Reception& reception, std::shared_ptr<const ListenerContext> context,
                       SubmittedFile file, Handlers handlers)
    : reception_(reception),
      file_(std::move(file)),
      handlers_(std::move(handlers)),
      options_{context->greeting.hostname, {}},
      client_(options_, reception.loop.now().instant),
      receiver_(make_receiver_of_file(reception, std::move(context), info_of(file_),
                                      {file_.name, file_.envelope.recipients.size()})),
      self_(std::make_shared<Submission*>(this)) {}

Submission::~Submission() {
  *self_ = nullptr;
}

void Submission::begin() {
  receiver_->connected(*this, info_of(file_), reception_.loop.now());
  talk();
}

void Submission::give_content(std::string_view octets, smtp::BodyLast last) {
  if (finished_) return;
  content_asked_ = false;
  client_.body(octets, last, reception_.loop.now().instant);
  talk();
}

void Submission::turn() {
  receiver_->turn(reception_.loop.now());
  talk();
}

void Submission::want_turn() {
  reception_.loop.post([self = self_] {
    if (*self != nullptr) (*self)->turn();
  });
}

void Submission::start_tls(net::StartTls how) {
  static_cast<void>(how);
  MTA_ASSERT(false);  // make_submission_context() offers none
}

// Carries to each what the other has said, until neither has anything to say.
void Submission::talk() {
  const base::Now now = reception_.loop.now();
  bool progressed = true;
  while (progressed && !finished_) {
    progressed = false;
    listen();
    if (const std::string_view said = client_.output(); !said.empty() && receiver_->wants_input()) {
      receiver_->receive(said, now);
      client_.output_sent(said.size(), now.instant);
      progressed = true;
    }
    if (const std::string_view said = receiver_->output(); !said.empty()) {
      client_.receive(said, now.instant);
      receiver_->output_sent(said.size(), now);
      progressed = true;
    }
    if (receiver_->is_over() && receiver_->output().empty() && !client_.is_over()) {
      client_.peer_closed(now.instant);
      progressed = true;
    }
  }
  if (finished_ || content_asked_ || !client_.wants_body()) return;
  content_asked_ = true;
  reception_.loop.post([self = self_] {
    if (*self != nullptr) (*self)->handlers_.content_wanted();
  });
}

void Submission::listen() {
  const base::Instant now = reception_.loop.now().instant;
  while (const std::optional<smtp::ClientEvent> event = client_.next_event(now)) {
    if (std::holds_alternative<smtp::Greeted>(*event)) {
      client_.start(file_.envelope, now);
    } else if (const auto* ended = std::get_if<smtp::TransactionEnded>(&*event)) {
      on(*ended);
    } else if (const auto* failed = std::get_if<smtp::SessionFailed>(&*event)) {
      on(*failed);
    }
  }
}

void Submission::on(const smtp::TransactionEnded& ended) {
  // One recipient that was not taken at once ends all (see Receiver): the first says why.
  for (const smtp::RecipientResult& result : ended.results) {
    if (!result.reply.is_success()) return finish(result_of(result.reply));
  }
  finish({SubmissionResult::How::Accepted, ""});
}

void Submission::on(const smtp::SessionFailed& failed) {
  if (failed.kind == smtp::FailKind::BadBody)
    return finish({SubmissionResult::How::Refused, "the content has bare line ends or NUL octets"});
  finish(result_of(failed.reply.value_or(smtp::Reply())));
}

void Submission::finish(SubmissionResult result) {
  if (std::exchange(finished_, true)) return;
  reception_.loop.post([self = self_, result = std::move(result)] {
    if (*self == nullptr) return;
    auto done = std::move((*self)->handlers_.done);  // it may end us
    done(result);
  });
}

}  // namespace rockdove::inbound
