#include "mta/cli/sink_provider.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace rockdove::cli {
namespace {

using smtp::Reply;

constexpr std::string_view kClient = "{client}";

// With the client's address in place of each {client}.
Reply filled_in(Reply reply, const base::IpAddress& client) {
  for (std::size_t at = 0; (at = reply.text.find(kClient, at)) != std::string::npos;)
    reply.text.replace(at, kClient.size(), base::format_ip_address(client));
  return reply;
}

}  // namespace

SinkProvider::SinkProvider(SinkProviderSettings settings, SinkLog& log)
    : settings_(std::move(settings)), log_(log) {
  greeting_.hostname = settings_.hostname;
}

SinkProvider::Client& SinkProvider::client(const base::IpAddress& address) {
  Client& found = clients_[address];
  if (!found.limit) found.limit.emplace(settings_.window, settings_.limits, log_.begin());
  return found;
}

SinkTreatment SinkProvider::connected(const base::IpAddress& address, base::Instant now) {
  log_.begin_at(now);
  ++counts_.connections;
  Client& who = client(address);
  SinkTreatment treatment;
  if (settings_.tarpit_at == SinkStage::Connect) treatment.delay = settings_.tarpit;
  if (settings_.connections_max > 0 && who.connections >= settings_.connections_max) {
    treatment.reply = settings_.over_connections;
    treatment.closes = !treatment.reply;
  } else if (settings_.over_limit_at == SinkStage::Connect && !who.limit->has_room(now)) {
    limit_refused(who, now);
    treatment.reply = settings_.over_limit;
  } else {
    ++who.connections;
    ++connections_open_;
  }
  if (treatment.reply) treatment.reply = filled_in(*std::move(treatment.reply), address);
  return treatment;
}

void SinkProvider::disconnected(const base::IpAddress& address) {
  --client(address).connections;
  --connections_open_;
}

SinkTreatment SinkProvider::judge(SinkStage stage, const Question& question, base::Instant now) {
  SinkTreatment treatment;
  if (settings_.tarpit_at == stage) treatment.delay = settings_.tarpit;
  treatment.reply = answer_to(stage, question, now);
  if (treatment.reply) treatment.reply = filled_in(*std::move(treatment.reply), question.client);
  return treatment;
}

std::optional<Reply> SinkProvider::answer_to(SinkStage stage, const Question& question,
                                             base::Instant now) {
  Client& who = client(question.client);
  if (stage == SinkStage::Mail) {
    const std::uint32_t most = settings_.messages_per_connection;
    if (most > 0 && question.messages >= most) return settings_.over_messages;
    if (is_blocked(who, now)) return settings_.blocked;
  }
  if (stage == SinkStage::Rcpt && is_greylisted(question, now)) return settings_.greylisted;
  if (is_over_limit(stage, who, now)) return settings_.over_limit;
  return std::nullopt;
}

bool SinkProvider::is_over_limit(SinkStage stage, Client& client, base::Instant now) {
  const SinkStage counts_at =
      settings_.over_limit_at == SinkStage::Connect ? SinkStage::Mail : settings_.over_limit_at;
  if (stage != counts_at || client.limit->take(now)) return false;
  limit_refused(client, now);
  return true;
}

bool SinkProvider::is_blocked(Client& client, base::Instant now) const {
  if (client.blocked_until && *client.blocked_until <= now) client.blocked_until.reset();
  return client.blocked_until.has_value();
}

void SinkProvider::limit_refused(Client& client, base::Instant now) const {
  if (settings_.block_after == 0) return;
  client.refusals.push_back(now);
  if (client.refusals.size() > settings_.block_after) client.refusals.pop_front();
  const bool has_enough = client.refusals.size() == settings_.block_after;
  if (!has_enough || now - client.refusals.front() > settings_.block_within) return;
  client.blocked_until = now + settings_.block_for;
  client.refusals.clear();
}

bool SinkProvider::is_greylisted(const Question& question, base::Instant now) {
  if (settings_.greylist.count() == 0) return false;
  std::string key = base::format_ip_address(question.client);
  key.append(1, '\0').append(question.sender).append(1, '\0').append(question.recipient);
  const auto [first, is_new] = first_tries_.try_emplace(std::hash<std::string>()(key), now);
  return now < first->second + settings_.greylist;
}

void SinkProvider::answered(SinkStage stage, const Reply& reply,
                            std::span<const std::string> recipients, base::Instant now) {
  const bool is_taken = stage == SinkStage::Dot && reply.is_success();
  if (!is_taken && !reply.is_transient() && !reply.is_permanent()) return;
  const std::string_view verdict = is_taken               ? "accepted"
                                   : reply.is_transient() ? "deferred"
                                                          : "rejected";
  std::uint64_t& count = is_taken               ? counts_.accepted
                         : reply.is_transient() ? counts_.deferred
                                                : counts_.rejected;
  count += std::max<std::size_t>(recipients.size(), 1);
  if (recipients.empty()) log_.add(now, settings_.name, verdict, stage, "");
  for (const std::string& recipient : recipients)
    log_.add(now, settings_.name, verdict, stage, recipient);
}

std::span<const SinkRate> SinkProvider::limits(base::Instant now) const {
  return rates_at(settings_.limits, log_.time(now));
}

}  // namespace rockdove::cli
