// What the history tells of each message, against what happened.
#include <algorithm>
#include <ctime>
#include <functional>

#include "mta/base/ids.h"
#include "mta/base/text.h"
#include "queue/codec.h"
#include "queue/index.h"
#include "queue/tally.h"
#include "tests/sim/truth.h"

namespace rockdove::sim {
namespace {

// Of each kind of question; each goes over all that is not indexed yet.
constexpr std::size_t kAskedMax = 10;

}  // namespace

std::vector<queue::TracedMessage> Truth::trace(const queue::Rows& rows,
                                               const queue::TraceQuery& query) {
  std::vector<queue::TracedMessage> found;
  queue::TraceRequest request;
  request.query = query;
  request.now = agenda_.wall();
  // Small, so that many pages are asked for.
  request.messages_max = 3;
  request.work_max = 40;
  queue::Damaged damaged;
  do {
    base::Result<queue::TracedPage> page = queue::trace(rows, request, damaged);
    if (!page) {
      agenda_.fail("tracing: " + page.error().text());
      break;
    }
    std::move(page->messages.begin(), page->messages.end(), std::back_inserter(found));
    request.before = page->more_before;
  } while (request.before);
  for (const base::Error& error : damaged) agenda_.fail("damaged row: " + error.text());
  return found;
}

void Truth::check_history(const queue::Rows& rows) {
  // A client that was not told what came of its message hands it in again, as it was.
  std::map<std::string, std::vector<queue::MessageId>> by_message_id;
  for (const auto& [id, known] : known_) {
    queue::TraceQuery query;
    query.message = id;
    const std::vector<queue::TracedMessage> found = trace(rows, query);
    if (found.size() != 1) {
      fail(id, "cannot be traced");
      continue;
    }
    check_traced(id, known, found.front());
    const std::string& message_id = found.front().message_id_field;
    if (message_id.empty()) fail(id, "is traced without its Message-ID");
    by_message_id[base::lower_case(message_id)].push_back(id);
  }
  check_found(rows, by_message_id, "Message-ID", [](std::string message_id) {
    queue::TraceQuery query;
    query.message_id = std::move(message_id);
    return query;
  });
}

void Truth::check_traced(queue::MessageId id, const Known& known,
                         const queue::TracedMessage& traced) {
  if (!traced.is_whole || traced.kind != known.kind || traced.sender != known.sender ||
      traced.accepted != known.accepted || traced.octets != known.content.size()) {
    fail(id, "is traced as another message");
  }
  if (traced.deliveries.size() != known.recipients.size()) {
    fail(id, "is traced to another number of recipients");
  }
  for (const auto& [number, recipient] : known.recipients) {
    const auto found = std::find_if(
        traced.deliveries.begin(), traced.deliveries.end(),
        [wanted = number](const queue::TracedDelivery& one) { return one.number == wanted; });
    check_traced(id, known, recipient, found == traced.deliveries.end() ? nullptr : &*found);
  }
}

void Truth::check_traced(queue::MessageId id, const Known& known, const Recipient& recipient,
                         const queue::TracedDelivery* traced) {
  if (traced == nullptr || traced->recipient != recipient.address) {
    return fail(id, "is not traced to " + recipient.address);
  }
  const bool has_ended = !recipient.outcomes.empty();
  if (traced->waiting.has_value() == has_ended || traced->outcome.has_value() != has_ended) {
    return fail(
        id, "is traced to " + recipient.address + (has_ended ? " without" : " with") + " an end");
  }
  if (!has_ended) return;
  const std::string& outcome = recipient.outcomes.front();
  if (traced->steps.empty() || traced->steps.back().what != outcome ||
      queue::outcome_name(*traced->outcome) != outcome) {
    return fail(
        id, "ended as " + outcome + " for " + recipient.address + ", and its last step is another");
  }
  const queue::MessageId report = traced->steps.back().report;
  const bool is_told =
      std::find(known.reports.begin(), known.reports.end(), report) != known.reports.end();
  if (outcome == "bounced" && !is_told) {
    fail(id, "bounced for " + recipient.address + " and names no report of it");
  }
}

void Truth::check_found(const queue::Rows& rows,
                        const std::map<std::string, std::vector<queue::MessageId>>& wanted_of,
                        std::string_view asked,
                        const std::function<queue::TraceQuery(std::string)>& query_of) {
  const std::size_t every = wanted_of.size() / kAskedMax + 1;
  std::size_t turn = 0;
  for (auto [text, wanted] : wanted_of) {
    if (turn++ % every != 0) continue;
    std::sort(wanted.begin(), wanted.end(), std::greater<>());
    wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
    std::vector<queue::MessageId> found;
    for (const queue::TracedMessage& one : trace(rows, query_of(text))) found.push_back(one.id);
    if (found == wanted) continue;
    std::string ids;
    for (const queue::MessageId id : found) ids += " " + base::format_id(id);
    agenda_.fail("traced by " + std::string(asked) + " " + text + ":" + ids + ", for " +
                 std::to_string(wanted.size()) + " messages");
  }
}

void Truth::check_end_of_history(const queue::Rows& rows) {
  check_history(rows);
  std::map<std::string, std::vector<queue::MessageId>> by_sender;
  std::map<std::string, std::vector<queue::MessageId>> by_recipient;
  std::map<std::string, std::vector<queue::MessageId>> by_domain;
  for (const auto& [id, known] : known_) {
    by_sender[base::lower_case(known.sender)].push_back(id);
    for (const auto& [number, recipient] : known.recipients) {
      for (const std::string& address : {recipient.address, recipient.alias}) {
        if (address.empty()) continue;
        by_recipient[base::lower_case(address)].push_back(id);
        by_domain[base::lower_case(queue::domain_of(address))].push_back(id);
      }
    }
  }
  by_domain.erase("");
  check_found(rows, by_sender, "sender", [](std::string sender) {
    queue::TraceQuery query;
    query.sender = std::move(sender);
    return query;
  });
  check_found(rows, by_recipient, "recipient", [](std::string recipient) {
    queue::TraceQuery query;
    query.recipient = std::move(recipient);
    return query;
  });
  check_found(rows, by_domain, "domain", [](std::string domain) {
    queue::TraceQuery query;
    query.domain = std::move(domain);
    return query;
  });
  check_stats(rows);
}

void Truth::check_stats(const queue::Rows& rows) {
  queue::Tally tally(queue::TallyBy::Sender, [](base::WallTime) { return std::tm{}; });
  queue::WalkRequest request;
  request.until = queue::MessageId{std::numeric_limits<std::uint64_t>::max()};
  request.work_max = 7;
  queue::Damaged damaged;
  for (bool more = true; more;) {
    const auto walked = queue::walk_history(
        rows, request, [&](const queue::TracedMessage& message) { tally.add(message); }, damaged);
    if (!walked) return agenda_.fail("counting: " + walked.error().text());
    more = walked->has_value();
    if (more) request.from = **walked;
  }
  std::uint64_t messages = 0;
  std::uint64_t delivered = 0;
  for (const queue::TallyLine& line : tally.lines()) {
    messages += line.messages;
    delivered += line.delivered;
    const std::uint64_t sum =
        line.delivered + line.bounced + line.discarded + line.deleted + line.waiting;
    if (line.recipients != sum) agenda_.fail("the counts of " + line.name + " do not add up");
  }
  std::uint64_t delivered_wanted = 0;
  for (const auto& [id, known] : known_) {
    for (const auto& [number, recipient] : known.recipients) {
      if (!recipient.outcomes.empty() && recipient.outcomes.front() == "delivered") {
        ++delivered_wanted;
      }
    }
  }
  if (messages != known_.size() || delivered != delivered_wanted) {
    agenda_.fail("counted are " + std::to_string(messages) + " messages for " +
                 std::to_string(known_.size()) + ", " + std::to_string(delivered) +
                 " deliveries for " + std::to_string(delivered_wanted));
  }
}

}  // namespace rockdove::sim
