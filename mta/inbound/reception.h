// What the inbound sessions of one loop share: the store they commit to, the counters, and the way
// on for what was accepted. Wired by the daemon; everything outlives the sessions. The settings are
// not here: a session keeps those that it began with, by its ListenerContext, so that a reload
// changes nothing for it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "dns/resolver.h"
#include "mta/base/client_table.h"
#include "mta/base/ids.h"
#include "mta/base/log.h"
#include "mta/base/loop.h"
#include "mta/base/random.h"
#include "mta/base/workers.h"
#include "mta/inbound/authenticator.h"
#include "mta/inbound/settings.h"
#include "mta/net/protocol.h"
#include "mta/smtp/recipient_probe.h"
#include "mta/smtp/server_session.h"
#include "queue/budget.h"
#include "policy/client_policy.h"
#include "queue/store.h"

namespace rockdove::inbound {

// Whose connections a listener takes.
enum class Clients : std::uint8_t {
  Hosts,
  LocalUsers,  // over a socket file, or by the files that `sendmail` leaves
};

// One listener as sessions need it, made once for all of them; immutable, and shared by all loops.
struct ListenerContext {
  std::shared_ptr<const InboundSettings> all;
  const ListenerSettings* settings = nullptr;  // one of all->listeners, or all->submission's
  Clients clients = Clients::Hosts;
  smtp::ServerLimits limits;
  smtp::Greeting greeting;
};

// What the rules for a delivery's destination go by. Views.
struct HandedIn {
  std::string_view recipient;
  std::string_view sender;
  std::string_view listener;
  base::IpAddress client;
  std::string_view user;  // the account that has authenticated; "" without AUTH
};

struct Reception {
  base::Loop& loop;
  queue::Store& store;
  queue::MemoryBudget& memory;
  base::ClientTable& clients;
  std::atomic<std::uint32_t>& connections;  // inbound, all loops
  base::Log& log;
  base::IdGenerator& ids;
  smtp::RecipientProbe& probe;
  // The name of the queue that a delivery waits in: where it goes, by rule.
  std::function<std::string(const HandedIn&)> destination_of;
  // The message is durable and may be sent.
  std::function<void(queue::MessagePointer, std::vector<queue::Delivery>)> hand_in;
  // Clients in whose sessions this process has failed three times: they wait until an operator
  // looks.
  const std::unordered_set<base::IpAddress>& held_clients;
  bool stopping = false;  // new transactions are answered 421
  // Strangers that talk before they are greeted are no mail servers (RFC 5321 §3.1): they get so
  // long to do it.
  base::Duration greeting_pause = std::chrono::milliseconds(200);
  Authenticator* authenticator = nullptr;  // null: AUTH is not offered
  std::uint32_t sessions = 0;              // begun so far on this loop, for their numbers
  // The name of a user of this machine, "" if there is none; must not wait. Null: they have none.
  std::function<std::string(std::uint32_t user)> name_of_user = nullptr;
  // What mail is judged and signed with (inspection.h). Null: it is neither.
  base::Workers* workers = nullptr;
  dns::Resolver* resolver = nullptr;
  base::Random* random = nullptr;
  // What is asked of strangers, with the lists that are in use now, also by sessions that have begun
  // before: take it for each transaction. Null: nothing.
  policy::ClientPolicyPointer client_policy = nullptr;
  base::Instant list_errors_at = base::Instant::min();  // when they may be told again
};

// Of settings.listeners[number].
[[nodiscard]] std::shared_ptr<const ListenerContext> make_listener_context(
    std::shared_ptr<const InboundSettings> settings, std::size_t number);

// Of settings.submission. Its connections have credentials.
[[nodiscard]] std::shared_ptr<const ListenerContext> make_submission_context(
    std::shared_ptr<const InboundSettings> settings);

// The protocol for a connection that came in on this listener; never null.
[[nodiscard]] std::unique_ptr<net::Protocol> make_receiver(
    Reception& reception, std::shared_ptr<const ListenerContext> listener,
    const net::ConnectionInfo& info);

// Notes of this kind name the files that were handed in and perhaps not removed yet.
inline constexpr std::string_view kDroppedNotes = "incoming";

// Recipients that a file may have. All of them are taken together or none, so that a listener's own
// limit, behind which a client goes on with another transaction, does not hold for files.
inline constexpr std::size_t kFileRecipientsMax = 10'000;

// A message that `sendmail` left (submission.h).
struct LeftFile {
  std::string name;            // "": there is none, it is a connection
  std::size_t recipients = 0;  // to be taken; of fewer the message is not
};

// Likewise, for a file. The commit that accepts it notes the name, and what would be refused with
// 550 becomes a report, because nobody waits there.
[[nodiscard]] std::unique_ptr<net::Protocol> make_receiver_of_file(
    Reception& reception, std::shared_ptr<const ListenerContext> listener,
    const net::ConnectionInfo& info, LeftFile file);

}  // namespace rockdove::inbound
