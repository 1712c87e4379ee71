#include "mta/outbound/verifier.h"

#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "mta/base/text.h"
#include "mta/outbound/broken_tls.h"
#include "mta/outbound/kept_answers.h"
#include "mta/outbound/recipient_conversation.h"
#include "mta/outbound/router.h"

namespace rockdove::outbound {
namespace {

using Standing = queue::ConnectionBudget::Standing;

constexpr base::Duration kConnectTimeout = std::chrono::seconds(10);
constexpr base::Duration kReplyTimeout =
    std::chrono::seconds(10);  // so that there is time for another
constexpr base::Duration kQuitTimeout = std::chrono::seconds(2);
constexpr base::Duration kNoIpv6For = std::chrono::minutes(10);
constexpr std::size_t kWordsOctetsMax = 256;  // of the server's own words in a no

smtp::ClientOptions client_options(const std::string& hostname) {
  smtp::ClientOptions options;
  options.hostname = hostname;
  options.timeouts.banner = kReplyTimeout;
  options.timeouts.hello = kReplyTimeout;
  options.timeouts.start_tls = kReplyTimeout;
  options.timeouts.mail = kReplyTimeout;
  // A server may have to ask another one itself; the question's own time ends this.
  options.timeouts.rcpt = std::chrono::seconds(60);
  options.timeouts.reset = kReplyTimeout;
  options.timeouts.quit = kQuitTimeout;
  return options;
}

smtp::Reply could_not_ask(std::string_view code, const std::string& why) {
  return smtp::make_reply(451, code,
                          "could not ask the next hop about this recipient; try again later: " +
                              base::printable(why, kWordsOctetsMax));
}

smtp::Reply no_in_its_words(const smtp::Reply& theirs) {
  smtp::Reply reply = smtp::make_reply(550, "5.1.1", "the next hop does not know this recipient");
  if (!theirs.text.empty()) reply.text = theirs.text.substr(0, kWordsOctetsMax);
  if (theirs.enhanced && theirs.enhanced->status_class == 5) reply.enhanced = theirs.enhanced;
  return reply;
}

}  // namespace

class Verifier final : public smtp::RecipientProbe, public RecipientConversation::Asker {
 public:
  Verifier(const Environment& environment, const VerifierLimits& limits)
      : env_(environment),
        limits_(limits),
        options_(client_options(environment.outbound.hostname)),
        router_(environment.outbound, environment.queue, environment.ourselves,
                environment.hosts_file, environment.resolver, environment.random),
        kept_(limits.answers_max),
        timer_(environment.loop.make_timer([this] { end_overdue(); })),
        self_(std::make_shared<Verifier*>(this)) {}

  ~Verifier() override {
    *self_ = nullptr;
    for (RecipientConversation* conversation : open_) {
      conversation->let_go(env_.now());
      env_.connections.give_back(Standing::Unproven);
    }
  }

  Verifier(const Verifier&) = delete;
  Verifier& operator=(const Verifier&) = delete;

  void ask(std::string address, Done done) override;

  void forget_answers() override {
    options_ = client_options(env_.outbound.hostname);
    kept_.clear();
  }

 private:
  struct Question {
    std::string address;
    std::vector<Done> waiting;  // all who asked the same
    base::Instant deadline;
    std::shared_ptr<const Site> site;
    std::size_t first_host = 0;
    std::size_t tried = 0;  // hosts of `site`, from first_host on
    unsigned connects = 0;
    RecipientConversation* conversation = nullptr;
    std::string host;     // the one asked last, as describe(HostAddress)
    std::string failure;  // of the one asked last
  };

  void resolved(std::uint64_t number, const Resolution& resolution);
  void try_next_host(std::uint64_t number, base::Now now);
  [[nodiscard]] const HostAddress* next_host(Question& question, base::Now now) const;
  void connect(std::uint64_t number, const HostAddress& host, InClear in_clear);
  // What TLS came to at the host asked last: once more in clear, or the next host.
  void tls_failed(std::uint64_t number, const std::string& what, base::Now now);
  void asked(std::uint64_t number, AskedServer result, base::Now now) override;
  void ended(RecipientConversation& conversation) override;
  void end_overdue();
  void finish(std::uint64_t number, smtp::Reply reply, base::Duration keep_for);
  void answer(std::vector<Done> waiting, smtp::Reply reply);
  void set_timer();

  const Environment& env_;
  const VerifierLimits limits_;
  smtp::ClientOptions options_;
  Router router_;
  KeptAnswers kept_;
  std::map<std::uint64_t, Question> questions_;  // in the order they were asked, so of deadlines
  std::unordered_map<std::string, std::uint64_t> by_address_;
  std::unordered_set<RecipientConversation*> open_;  // those that say QUIT included
  std::uint64_t next_number_ = 1;
  std::uint64_t connections_ = 0;  // made so far; spreads shared sites
  BrokenTls broken_tls_;
  base::Instant no_ipv6_until_{};  // IPv6 addresses are passed over: there was no route
  std::unique_ptr<base::Timer> timer_;
  std::shared_ptr<Verifier*> self_;  // for names that are resolved when we are gone: then null
};

void Verifier::ask(std::string address, Done done) {
  const base::Now now = env_.now();
  std::vector<Done> waiting;
  waiting.push_back(std::move(done));
  if (const smtp::Reply* kept = kept_.find(address, now.instant)) {
    env_.log.line(base::Level::Debug, "recipient known")
        .path("to", address)
        .field("reply", smtp::one_line(*kept));
    return answer(std::move(waiting), *kept);
  }
  if (const auto same = by_address_.find(address); same != by_address_.end()) {
    questions_.at(same->second).waiting.push_back(std::move(waiting.front()));
    return;
  }
  if (questions_.size() >= limits_.questions_max) {
    smtp::Reply reply = could_not_ask("4.4.1", "too many other questions are waiting");
    env_.log.line(base::Level::Debug, "recipient not asked")
        .path("to", address)
        .field("reply", smtp::one_line(reply));
    return answer(std::move(waiting), std::move(reply));
  }
  const std::uint64_t number = next_number_++;
  by_address_.emplace(address, number);
  RoutedMail mail;
  mail.recipient = address;
  const std::string destination = destination_of(env_.outbound, mail);
  Question& question = questions_[number];
  question.address = std::move(address);
  question.waiting = std::move(waiting);
  question.deadline = now.instant + limits_.question_time;
  set_timer();
  router_.resolve(destination, [self = self_, number](const Resolution& resolution) {
    if (*self != nullptr) (*self)->resolved(number, resolution);
  });
}

void Verifier::resolved(std::uint64_t number, const Resolution& resolution) {
  const auto found = questions_.find(number);
  if (found == questions_.end()) return;  // its time was over first
  if (std::holds_alternative<Discard>(resolution)) {
    return finish(number, smtp::make_reply(250, "2.1.5", "recipient ok"), limits_.keep_yes);
  }
  if (const auto* not_resolved = std::get_if<NotResolved>(&resolution)) {
    return finish(number, could_not_ask("4.4.3", not_resolved->failure.reply.text),
                  base::Duration::zero());
  }
  if (std::holds_alternative<RouteGone>(resolution)) {
    return finish(number, could_not_ask("4.4.3", "its route is not configured any more"),
                  base::Duration::zero());
  }
  Question& question = found->second;
  question.site = std::get<Resolved>(resolution).site;
  if (!question.site->maildir.empty()) {  // whatever its name: it is written there
    return finish(number, smtp::make_reply(250, "2.1.5", "recipient ok"), limits_.keep_yes);
  }
  question.first_host = connections_ % question.site->equals;
  question.failure = "this machine has no IPv6 route, and " + question.site->hosts.front().host +
                     " has no IPv4 address";
  try_next_host(number, env_.now());
}

// Null: there is none, or this question has had its share.
const HostAddress* Verifier::next_host(Question& question, base::Now now) const {
  const std::size_t hosts = question.site->hosts.size();
  while (question.connects < limits_.connects_max && question.tried < hosts) {
    const HostAddress& host = question.site->host(question.first_host, question.tried++);
    if (!host.is_v6() || no_ipv6_until_ <= now.instant) return &host;
  }
  return nullptr;
}

void Verifier::try_next_host(std::uint64_t number, base::Now now) {
  Question& question = questions_.at(number);
  const HostAddress* host = next_host(question, now);
  if (host == nullptr) {
    return finish(number, could_not_ask("4.4.1", question.failure), base::Duration::zero());
  }
  if (!env_.connections.try_take(Standing::Unproven)) {
    return finish(number, could_not_ask("4.4.1", "too many connections are open"),
                  base::Duration::zero());
  }
  ++question.connects;
  question.host = describe(*host);
  const bool is_broken = broken_tls_.find(host->address, now.instant) != nullptr;
  connect(number, *host, is_broken ? InClear::Yes : InClear::No);
}

void Verifier::connect(std::uint64_t number, const HostAddress& host, InClear in_clear) {
  Question& question = questions_.at(number);
  ++connections_;
  ConnectionPlan plan = plan_connection(question.site->manner, host, in_clear);
  if (cannot_begin_tls(plan)) {
    env_.connections.give_back(Standing::Unproven);
    return finish(number, could_not_ask("4.7.5", "TLS is required, and there is none here"),
                  base::Duration::zero());
  }
  auto conversation = std::make_unique<RecipientConversation>(*this, number, question.address,
                                                              options_, std::move(plan));
  question.conversation = conversation.get();
  open_.insert(conversation.get());
  net::ConnectRequest request;
  request.to = host.address;
  request.unix_path = host.unix_path;
  request.timeout = kConnectTimeout;
  env_.network.connect(request, std::move(conversation));
}

void Verifier::tls_failed(std::uint64_t number, const std::string& what, base::Now now) {
  Question& question = questions_.at(number);
  const HostAddress& host = question.site->host(question.first_host, question.tried - 1);
  question.failure = question.host + " " + what;
  if (level_at(question.site->manner, host) != TlsLevel::May) return try_next_host(number, now);
  broken_tls_.remember(host.address, what, now.instant);
  if (!env_.connections.try_take(Standing::Unproven)) {
    return finish(number, could_not_ask("4.4.1", "too many connections are open"),
                  base::Duration::zero());
  }
  connect(number, host, InClear::Yes);
}

void Verifier::asked(std::uint64_t number, AskedServer result, base::Now now) {
  using How = AskedServer::How;
  const auto found = questions_.find(number);
  MTA_ASSERT(found != questions_.end());  // or the conversation had been dropped
  Question& question = found->second;
  question.conversation = nullptr;
  if (result.how == How::TlsFailed) return tls_failed(number, result.detail, now);
  if (result.how != How::Answered) {
    const HostAddress& host = question.site->host(question.first_host, question.tried - 1);
    if (result.how == How::NoRoute && host.is_v6()) {
      no_ipv6_until_ = now.instant + kNoIpv6For;
      --question.connects;  // nothing was tried
    }
    question.failure = question.host + ": " + result.detail;
    return try_next_host(number, now);
  }
  const bool is_about_recipient = result.stage == smtp::Stage::Rcpt;
  if (is_about_recipient && result.reply.is_success()) {
    return finish(number, smtp::make_reply(250, "2.1.5", "recipient ok"), limits_.keep_yes);
  }
  if (is_about_recipient && result.reply.is_permanent()) {
    return finish(number, no_in_its_words(result.reply), limits_.keep_no);
  }
  const std::string what = std::string(smtp::stage_name(result.stage));
  finish(number,
         could_not_ask("4.4.1", question.host + " said to " + what + ": " +
                                    smtp::one_line(result.reply, kWordsOctetsMax)),
         base::Duration::zero());
}

void Verifier::ended(RecipientConversation& conversation) {
  open_.erase(&conversation);
  env_.connections.give_back(Standing::Unproven);
}

void Verifier::end_overdue() {
  const base::Instant now = env_.now().instant;
  while (!questions_.empty() && questions_.begin()->second.deadline <= now) {
    const auto& [number, question] = *questions_.begin();
    const std::string who = question.host.empty() ? "the DNS" : question.host;
    finish(
        number,
        could_not_ask(question.host.empty() ? "4.4.3" : "4.4.1", who + " did not answer in time"),
        base::Duration::zero());
  }
  set_timer();
}

void Verifier::finish(std::uint64_t number, smtp::Reply reply, base::Duration keep_for) {
  auto node = questions_.extract(number);
  Question& question = node.mapped();
  by_address_.erase(question.address);
  const base::Now now = env_.now();
  if (question.conversation != nullptr) question.conversation->drop(now);
  env_.log.line(base::Level::Debug, "recipient asked")
      .path("to", question.address)
      .field("host", question.host)
      .field("reply", smtp::one_line(reply));
  if (keep_for > base::Duration::zero()) {
    kept_.keep(std::move(question.address), reply, now.instant + keep_for);
  }
  set_timer();
  answer(std::move(question.waiting), std::move(reply));
}

void Verifier::answer(std::vector<Done> waiting, smtp::Reply reply) {
  env_.loop.post([waiting = std::move(waiting), reply = std::move(reply)]() mutable {
    for (Done& done : waiting) done(reply);
  });
}

void Verifier::set_timer() {
  timer_->set(questions_.empty() ? base::kNever : questions_.begin()->second.deadline);
}

std::unique_ptr<smtp::RecipientProbe> make_verifier(const Environment& environment,
                                                    const VerifierLimits& limits) {
  return std::make_unique<Verifier>(environment, limits);
}

}  // namespace rockdove::outbound
