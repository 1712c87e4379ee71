// What an attempt came to, as the owner of its account hears it.
#include "mta/outbound/session.h"
#include "queue/account_name.h"

namespace rockdove::outbound {
namespace {

using queue::Cause;
using queue::Scheduler;

DeliveryResult::Kind kind_of(queue::Action action) {
  switch (action) {
    case queue::Action::TryAgainNow:
      return DeliveryResult::Kind::TryAgainNow;
    case queue::Action::TryNextHost:
    case queue::Action::Defer:
      return DeliveryResult::Kind::Defer;
    case queue::Action::DeferUncertain:
      return DeliveryResult::Kind::DeferUncertain;
    case queue::Action::Bounce:
      return DeliveryResult::Kind::Bounce;
  }
  MTA_ASSERT(false);
}

}  // namespace

std::shared_ptr<const traffic::Rule> Session::rule_for(const smtp::Reply& reply,
                                                       smtp::Stage stage) const {
  const Site::Traffic& traffic = site_->traffic;
  if (traffic.profiles == nullptr) return nullptr;
  const traffic::Rule* const rule =
      traffic.profiles->match(reply, stage, traffic.domain, traffic.provider);
  if (rule == nullptr) return nullptr;
  return {traffic.profiles, rule};
}

JobReport Session::make_report(const std::vector<smtp::RecipientResult>& results, Cause cause,
                               const smtp::Reply& reply_where_none, bool past_final_dot) const {
  MTA_ASSERT(results.size() == job_->deliveries.size());
  JobReport report{
      job_->message, job_->queue, {}, host_, job_started_, Scheduler::Finish::Refused, {}, tls_};
  report.is_final_delivery =
      !site_->maildir.empty() || site_->manner.speaks == ToHosts::Speaks::Lmtp;
  report.setup = setup_;
  report.source = source_;
  report.provider = queue::provider_of_account(site_->account->name);
  bool any_answer = false;
  bool any_accepted = false;
  for (const smtp::RecipientResult& result : results) {
    any_answer |= !result.reply.is_none();
    any_accepted |= result.reply.is_success();
  }
  bool all_not_tried = true;
  bool site_to_blame = false;
  for (std::size_t i = 0; i < results.size(); ++i) {
    const smtp::RecipientResult& result = results[i];
    DeliveryResult delivery{
        job_->deliveries[i], DeliveryResult::Kind::Delivered, {}, result.stage, {}, !no_route_,
        takes_dsn_};
    const smtp::Reply& reply = result.reply.is_none() ? reply_where_none : result.reply;
    delivery.reply = smtp::one_line(reply, queue::kReplyOctetsKept);
    if (!result.reply.is_success()) {
      queue::Failure failure;
      failure.stage =
          past_final_dot && result.reply.is_none() ? smtp::Stage::FinalDot : result.stage;
      failure.cause = result.reply.is_none() ? cause : Cause::Reply;
      failure.reply = reply;
      failure.connection_was_idle =
          reused_ && (!any_answer || reply.code == 421) && result.stage == smtp::Stage::Mail;
      failure.others_accepted = any_accepted;
      failure.was_postponed = result.is_postponed;
      queue::Judgement judgement = queue::judge(failure);
      if (!read_error_.empty()) judgement.blame = queue::Blame::Recipient;
      delivery.kind = kind_of(judgement.action);
      delivery.status = judgement.status;
      delivery.stage = failure.stage;
      delivery.is_answer = failure.cause == Cause::Reply;
      if (delivery.is_answer) delivery.rule = rule_for(reply, failure.stage);
      if (judgement.blame == queue::Blame::Site && !site_to_blame) {
        site_to_blame = true;
        report.reason = delivery.reply;
      }
    }
    all_not_tried &= delivery.kind == DeliveryResult::Kind::TryAgainNow;
    report.results.push_back(std::move(delivery));
  }
  if (any_accepted) {
    report.finish = Scheduler::Finish::Success;
  } else if (site_to_blame) {
    report.finish = Scheduler::Finish::SiteFailed;
  } else if (all_not_tried) {
    report.finish = Scheduler::Finish::NotTried;
  }
  return report;
}

}  // namespace rockdove::outbound
