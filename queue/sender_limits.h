// What senders may send to everywhere, all loops and all providers together: the limits of
// [[tenant]] and [[campaign]] (adr/0022). One for the process; any thread may call it.
//
// Whoever is about to send MAIL asks take() in the same turn: what it lets go is gone, so that
// nothing is granted ahead and no grant can be lost on its way. Schedulers ask wait() first, so
// that mostly nobody asks in vain.
//
// Each name that a limit's pattern matches has a limiter of its own; a campaign is told apart from
// that of the same name of another tenant. What counted windows have granted is made durable in
// slices (mta/traffic/limiter.h): take_to_store() has what is to be written, by whoever asks.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "mta/base/time.h"
#include "mta/traffic/limiter.h"
#include "queue/settings.h"

namespace rockdove::queue {

// The kind of the rows of `sites` that hold what senders were granted; their names are those of
// SenderLimits::Keep.
inline constexpr std::string_view kSenderNotes = "sender-limiter";

// The first of `settings` whose name matches; null: none does. "" matches nothing.
[[nodiscard]] const SenderSettings* settings_of(const std::vector<SenderSettings>& settings,
                                                std::string_view name);

class SenderLimits {
 public:
  // Limiters of names; beyond that, further names of a pattern share one. Who gets one of his own
  // later begins with what the shared one has granted.
  static constexpr std::size_t kNamesMax = 10'000;

  enum class Of : std::uint8_t { Tenant, Campaign };

  // From now on these limits hold; what was granted still counts where there is a limit as before.
  void use(const QueueSettings& settings, base::Now now);

  // Whether there is any limit.
  [[nodiscard]] bool is_limited() const { return is_limited_.load(std::memory_order_relaxed); }

  struct Wait {
    Of of;
    base::Instant until;  // ask again then
  };

  // Whether such mail must wait now; nullopt: it may be tried. `campaign`: "" for none.
  [[nodiscard]] std::optional<Wait> wait(const std::string& tenant, const std::string& campaign,
                                         base::Now now);
  // Likewise, where it has no connection yet: of all that wait for the same grant only about twice
  // as many as may go begin one, of 50 at once.
  [[nodiscard]] std::optional<Wait> wait_to_connect(const std::string& tenant,
                                                    const std::string& campaign, base::Now now);
  // A connection was begun for such mail.
  void connects(const std::string& tenant, const std::string& campaign, base::Now now);
  // MAIL is sent now if this is true; false: it must wait.
  [[nodiscard]] bool take(const std::string& tenant, const std::string& campaign, base::Now now);
  // For mail of a campaign that must wait: when it is to come back, one after the other at about
  // the campaign's rate; within 10 minutes.
  [[nodiscard]] base::Instant come_back_at(const std::string& tenant, const std::string& campaign,
                                           base::Now now);

  // For people: what keeps such mail, as "tenant shop.example (10/s, 20000/day)", and until when.
  struct Held {
    std::string what;
    base::Instant until;
  };

  [[nodiscard]] std::optional<Held> held(const std::string& tenant, const std::string& campaign,
                                         base::Now now);

  // What is to be made durable; without a state the row is to be deleted. stored() must follow for
  // each that has one.
  struct Keep {
    std::uint64_t number = 0;
    std::string name;
    std::optional<traffic::LimiterState> state;
  };

  [[nodiscard]] std::vector<Keep> take_to_store();
  void stored(const Keep& keep, bool is_durable);
  // What a former run has kept; before anything is sent.
  void restore(const std::string& name, traffic::LimiterState state);
  // Nothing is let go from now on; what is then to be made durable, which has no stored().
  [[nodiscard]] std::vector<Keep> stop(base::Now now);

 private:
  struct Sender {
    Of of = Of::Tenant;
    std::string tenant;
    std::string campaign;  // "" of a tenant
    std::vector<traffic::Rate> rates;
    std::unique_ptr<traffic::Limiter> limiter;
    base::Instant last_use{};   // or question
    base::Instant come_back{};  // of the last that was given a time of its own
    int spread = 0;             // of those for whom that would be too far away
    std::uint64_t keeping = 0;
    base::Instant next_connection{};  // that may be begun
    base::Instant ask_again{};        // of the last that was told to ask again for one
  };

  // The limiters that such mail has; null: none.
  std::pair<Sender*, Sender*> find(const std::string& tenant, const std::string& campaign,
                                   base::Now now);
  Sender* find(Of of, const std::string& tenant, const std::string& campaign, base::Now now);
  // When the limiter may let something go; what it wants to be durable first is asked for.
  base::Instant next_at(const std::string& name, Sender& sender, base::Now now);
  void keep(const std::string& name, Sender& sender, base::Now now);
  void store(Keep keep);
  // Not more often than once a minute.
  void forget_some(base::Now now);
  // Of the one in the map that further names of this rule share; it may not exist.
  [[nodiscard]] static std::string shared_name_of(Of of, const SenderSettings& rule);
  [[nodiscard]] static base::Now latest(base::Now& latest, base::Now now);
  [[nodiscard]] static std::string name_of(Of of, const std::string& tenant,
                                           const std::string& campaign);

  std::mutex mutex_;  // of all that follows
  std::atomic<bool> is_limited_ = false;
  std::atomic<bool> has_to_store_ = false;
  std::vector<SenderSettings> tenants_;
  std::vector<SenderSettings> campaigns_;
  std::map<std::string, Sender> senders_;                            // by name_of()
  std::unordered_map<std::string, traffic::LimiterState> restored_;  // not used yet
  std::vector<Keep> to_store_;
  std::uint64_t keeps_ = 0;
  base::Instant forget_at_{};
  base::Now latest_{};  // loops read their clocks at different times
  bool is_stopped_ = false;
};

}  // namespace rockdove::queue
