// The home of destinations: on one loop, by hash, the directory of their queues and the answers to
// "which hosts take this?". From here each delivery that is due goes to the loop that owns the
// account of its site, and here it is released when that is done with it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "mta/base/seldom.h"
#include "mta/outbound/environment.h"
#include "mta/outbound/settler.h"
#include "mta/outbound/source_chooser.h"
#include "queue/directory.h"
#include "queue/pauses.h"

namespace rockdove::outbound {

// The loop that owns an account.
[[nodiscard]] unsigned owner_loop(std::string_view account, unsigned loops);

class Home {
 public:
  Home(const Environment& environment, Settler& settler);

  // Looks for queues in the store; at a start and after each reopening. Where that fails it looks
  // again by itself, after a second and up to a minute later.
  void find_queues();

  // Deliveries of one accepted message that go to one queue of ours.
  void fresh(const queue::QueueName& queue, const queue::MessagePointer& message,
             std::vector<queue::Delivery> deliveries);
  void released(const queue::QueueName& queue, const std::vector<Release>& releases);
  // A row was written to a queue of ours by somebody else.
  void found_row(const queue::QueueName& queue, base::WallTime due);
  // What was handed out and has not started comes back; its rows stand as they were.
  void take_back(const queue::Job& job);
  // The same, and nothing of its queue is loaded for so long.
  void take_back_for(const queue::Job& job, base::Duration wait);
  // Its owner says how many deliveries of the queue are worth holding; with the name of a source,
  // for that one, and the queue has the room of all.
  void set_room(const queue::QueueName& queue, const std::string& source, std::uint32_t deliveries);
  // The site of these queues failed just now. What is over age there has had its last attempt.
  void site_failed(const queue::QueueName& queue, const std::string& host,
                   const std::string& reply);

  // For those who act on deliveries without an attempt (outbound/steering.h): takes one out that is
  // not out; what is claimed comes back by released().
  [[nodiscard]] bool claim(const queue::QueueName& queue, base::DeliveryId delivery) {
    return directory_.claim(queue, delivery);
  }

  // And says what it has read of what it claimed.
  void claimed_as(base::DeliveryId id, const queue::Delivery& delivery) {
    directory_.claimed_as(id, delivery);
  }

  // Takes back what waits for a name to be resolved.
  [[nodiscard]] std::vector<queue::Job> take_resolving(
      const std::function<bool(const queue::Job&)>& condition);
  // A person wants it tried now: what keeps the queue waiting ends, but for what persons have
  // paused.
  void try_now(const queue::QueueName& queue);
  // Rows of this queue may have had their lifetime ended by a person.
  void expires_some(const queue::QueueName& queue);

  // What people have paused from now on. Until it is first known nothing is loaded.
  void use_pauses(std::shared_ptr<const queue::Pauses> pauses);

  // Null: not known yet.
  [[nodiscard]] const std::shared_ptr<const queue::Pauses>& pauses() const { return pauses_; }

  // Sources are set aside from now on that are not on this machine.
  void use_absent(std::shared_ptr<const AbsentAddresses> absent);

  // As take_back(): this account of a source takes nothing before then, another one may.
  void take_back_used_up(const queue::Job& job, const std::string& account, base::Instant until);

  // As take_back(), and nothing of its queue is loaded until other pauses than `by` are in use.
  void take_back_paused(const queue::Job& job, const std::shared_ptr<const queue::Pauses>& by);

  // Takes out those of these rows, of queues of ours, that are on disk; the others are dropped.
  void claim_ended(std::vector<QueuedRelease>& rows);

  // What is known here of a delivery of this queue, for people.
  struct Standing {
    bool is_out = false;
    bool is_resolving = false;  // the DNS, or the route, is being asked for its destination
    bool is_memory_short = false;
    bool is_stopping = false;
    queue::Directory::Standing queue;
    std::shared_ptr<const Site> site;             // as resolved last; null: not known at the moment
    std::shared_ptr<const queue::Pauses> pauses;  // null: not known yet
    // The account of the site, or those of all its sources; in the past: they are not.
    base::Instant used_up_until{};
    bool has_sources = false;
  };

  // As resolved last; null: not known at the moment.
  [[nodiscard]] std::shared_ptr<const Site> site_of(const std::string& destination) const;
  // How its mail is shared out among sources now; empty where site_of() is null, too.
  [[nodiscard]] std::vector<SourceChooser::Share> shares_of(const std::string& destination);

  [[nodiscard]] Standing standing(const queue::QueueName& queue, base::DeliveryId delivery) const;

  // Loads what is due. Called once a turn after anything happened.
  void pump();

  // While the store is being replaced there is nothing to wake for: find_queues() comes behind it.
  [[nodiscard]] base::WallTime wake_at() const;

  [[nodiscard]] std::size_t out() const { return directory_.out(); }

  // Everything that was resolved, or waits for that, was so by the old settings: it is loaded, and
  // routed, anew.
  void settings_replaced();

  // While stopping nothing is loaded and nothing starts.
  void stop() { stopping_ = true; }

 private:
  struct Destination {
    enum class State : std::uint8_t { Unknown, Resolving, Known };
    State state = State::Unknown;
    std::shared_ptr<const Site> site;
    base::Instant expires{};
    std::uint32_t failures = 0;    // of its name resolution, in a row
    bool is_stale = false;         // while Resolving: the settings have been replaced meanwhile
    SourceChooser::Turns turns{};  // while Known
    std::vector<queue::Job> waiting;
  };

  void look_again(const base::Error& why);
  void load(queue::LoadRequest request);
  [[nodiscard]] bool may_load() const;
  void take_loaded(const queue::QueueName& queue, queue::LoadedQueue rows);
  void dispatch(queue::Job job);
  // To the owner of this destination's account; of another destination than the job's where its own
  // route has handed it on.
  void dispatch_to(const std::string& destination, queue::Job job);
  void resolve(const std::string& destination);
  void resolved(const std::string& destination, Resolution resolution);
  // Forgets what has expired or was not found, once there are too many.
  void forget_destinations();
  void not_resolved(Destination& destination, queue::Job job, const queue::Failure& failure);
  void reroute(queue::Job job);
  [[nodiscard]] bool is_routed_elsewhere(const queue::Message& message,
                                         const queue::Delivery& delivery) const;
  // Of a destination that is known.
  void to_owner(queue::Job job, Destination& destination);
  // By the route that takes over; false: there is none, or a person has paused it.
  [[nodiscard]] bool went_on(queue::Job& job, const Site& used_up);
  // When the first account that it could go by takes mail again.
  [[nodiscard]] base::Instant free_at(const queue::Job& job, base::Instant last) const;
  // There is none of our addresses that it could go from, or its account is used up.
  void no_source(queue::Job job, const SourceChooser::Choice& choice);
  void sweep_over_age(const queue::QueueName& queue, queue::WaitingMark from,
                      base::WallTime failed_at, const std::string& host, const std::string& reply);
  void end_over_age(const queue::MessageWithDeliveries& loaded, const queue::QueueName& name,
                    base::WallTime failed_at, const std::string& host, const std::string& reply);
  // What its site has kept waiting for [queue] delay_notice: `rows_left` of it are looked at.
  void sweep_delayed(const queue::QueueName& queue, const queue::LastAttempt& failed,
                     std::uint32_t rows_left);
  void tell_delayed(const queue::MessageWithDeliveries& loaded, const queue::QueueName& name,
                    const queue::LastAttempt& failed);
  [[nodiscard]] bool is_paused(const queue::QueueName& queue) const;
  // Mail of a paused user.
  void hold(const queue::Message& message, const queue::QueueName& name,
            std::vector<queue::Delivery> deliveries, const queue::Pause& pause);

  const Environment& env_;
  Settler& settler_;
  Router router_;
  SourceChooser sources_;
  queue::Directory directory_;
  base::Duration look_again_in_;
  std::unique_ptr<base::Timer> look_again_timer_;
  std::unordered_map<std::string, Destination> destinations_;
  base::Seldom destinations_swept_;
  // By the names of sources, where such are configured.
  std::unordered_map<queue::QueueName, std::unordered_map<std::string, std::uint32_t>> rooms_;
  std::unordered_set<queue::QueueName> sweeping_;  // queues that sweep_over_age() is reading
  std::unordered_set<queue::QueueName> telling_;   // queues that sweep_delayed() is reading
  // Where sweep_delayed() goes on with those of more rows than it looks at in one go.
  std::unordered_map<queue::QueueName, queue::WaitingMark> told_up_to_;
  // Queues in which deliveries may wait whose lifetime a person has ended.
  std::unordered_set<queue::QueueName> expiring_;
  std::shared_ptr<const queue::Pauses> pauses_;
  bool stopping_ = false;
};

}  // namespace rockdove::outbound
