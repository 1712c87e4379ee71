#include "mta/outbound/tls_policy.h"

namespace rockdove::outbound {
namespace {

smtp::UseTls use_of(TlsLevel level) {
  switch (level) {
    case TlsLevel::Off:
      return smtp::UseTls::Never;
    case TlsLevel::May:
      return smtp::UseTls::IfOffered;
    case TlsLevel::Require:
    case TlsLevel::Verify:
      return smtp::UseTls::Required;
  }
  MTA_ASSERT(false);
}

std::string why_required(const Manner& manner, const ConnectionPlan& plan) {
  if (plan.implicit && manner.tls < TlsLevel::Require) {
    return "this route requires TLS (smtps://)";
  }
  if (manner.tls < TlsLevel::Require) {
    return "this route has a password, which is sent only within TLS";
  }
  const std::string value = " = \"" + std::string(level_name(manner.tls)) + "\")";
  if (manner.tls_from == Manner::TlsFrom::Outbound) {
    return "all mail to other servers requires TLS ([tls] outbound" + value;
  }
  if (manner.tls_from == Manner::TlsFrom::Profile) {
    return "a traffic profile requires TLS there (tls" + value + "; see `rockdove traffic show`";
  }
  return "this route requires TLS (tls" + value;
}

}  // namespace

ConnectionPlan plan_connection(const Manner& manner, const HostAddress& host, InClear in_clear) {
  ConnectionPlan plan;
  plan.level = level_at(manner, host);
  if (plan.level == TlsLevel::May && (in_clear == InClear::Yes || manner.tls_context == nullptr)) {
    plan.level = TlsLevel::Off;
  }
  plan.implicit = host.implicit_tls;
  plan.terms.dialect =
      manner.speaks == ToHosts::Speaks::Lmtp ? smtp::Dialect::Lmtp : smtp::Dialect::Smtp;
  plan.terms.tls = plan.implicit ? smtp::UseTls::Never : use_of(plan.level);
  plan.terms.inside_tls = plan.implicit;
  if (manner.credentials) {
    plan.terms.credentials = std::make_shared<const smtp::ClientCredentials>(
        smtp::ClientCredentials{manner.credentials->user, manner.credentials->password});
    // level_at() makes sure of TLS unless somebody wrote `off`.
    plan.terms.auth_in_clear = plan.level == TlsLevel::Off;
  }
  if (plan.level == TlsLevel::Off || manner.tls_context == nullptr) return plan;
  net::StartTlsAsClient tls;
  tls.context = manner.tls_context;
  // A literal is called "[192.0.2.1]"; certificates know it without brackets.
  tls.host = host.host.starts_with('[') ? base::format_ip_address(host.address.ip) : host.host;
  tls.port = host.address.port;
  if (plan.level == TlsLevel::Verify) tls.verify = net::TlsVerify::NameAndChain;
  // Where nobody insists, old TLS is still better than none.
  if (plan.level == TlsLevel::May) tls.least = net::TlsVersion::V1_0;
  plan.tls = std::move(tls);
  return plan;
}

bool cannot_begin_tls(const ConnectionPlan& plan) {
  return plan.level != TlsLevel::Off && !plan.tls;
}

bool is_tls_failure(const smtp::SessionFailed& failed, const TlsState& state,
                    const ConnectionPlan& plan) {
  if (failed.stage == smtp::Stage::StartTls) return true;
  if (state.loss && state.loss->how == net::Loss::How::TlsFailed) return true;
  // A server that takes the handshake and then says nothing that can be read has no working TLS
  // (so it looks, too, when it minds our certificate, or that we have none).
  if (state.is_inside) return failed.stage == smtp::Stage::Hello;
  // It refused STARTTLS, and then did not go on in clear on this connection.
  const bool was_refused = plan.terms.tls == smtp::UseTls::IfOffered && state.peer_offers_tls;
  return was_refused && failed.stage == smtp::Stage::Mail &&
         (failed.kind == smtp::FailKind::Lost || failed.kind == smtp::FailKind::Malformed);
}

std::string tls_failure_text(const smtp::SessionFailed& failed, const TlsState& state) {
  if (state.loss && state.loss->how == net::Loss::How::TlsFailed) return describe(*state.loss);
  const std::string when = state.is_inside   ? " after the TLS handshake"
                           : state.was_tried ? " during the TLS handshake"
                                             : " in answer to STARTTLS";
  switch (failed.kind) {
    case smtp::FailKind::Refused:
      if (!state.is_inside && !state.peer_offers_tls) return "offers no STARTTLS";
      if (!failed.reply) return "did not go on" + when;
      if (state.is_inside) return "said " + smtp::one_line(*failed.reply, 160) + when;
      return "refused STARTTLS (" + smtp::one_line(*failed.reply, 160) + ")";
    case smtp::FailKind::TimedOut:
      return "did not answer in time" + when;
    case smtp::FailKind::Malformed:
      return "said what it must not" + when + ": " + failed.detail;
    case smtp::FailKind::Lost:
    case smtp::FailKind::Abandoned:
    case smtp::FailKind::BadBody:
      return (state.loss ? "the connection was " + describe(*state.loss)
                         : std::string("closed the connection")) +
             when;
  }
  MTA_ASSERT(false);
}

smtp::Reply tls_required_reply(std::string_view host, std::string_view what, const Manner& manner,
                               const ConnectionPlan& plan, const TlsState& state) {
  // RFC 3463 §3.8: cryptographic failure; the report then says that encryption failed.
  constexpr std::string_view kCode = "4.7.5";
  std::string text(host);
  text += state.loss && state.loss->how != net::Loss::How::PeerClosed ? ": " : " ";
  return smtp::make_reply(451, kCode,
                          text + std::string(what) + ", and " + why_required(manner, plan));
}

}  // namespace rockdove::outbound
