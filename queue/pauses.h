// The pauses that people have set: of a destination, a site, a provider, a source address, the mail
// of a user, a tenant or a campaign, or everything.
// Each is a row of `sites`, kind "pause", named as pause_name() says, so that it survives a
// restart; daemon/pause_keeper.h keeps them and ends those whose time has come. The loops share an
// immutable value of this class, in which every pause counts: it is replaced when one begins or
// ends.
//
// While a pause lasts nothing new starts that it is about; what is being sent is finished. Mail of
// a paused user or campaign goes on hold when its turn comes, with hold_reason_of() as the reason,
// and is released when the pause ends: it stands in the queues of others' mail. A tenant's mail has
// queues of its own, which are not loaded. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mta/base/result.h"
#include "mta/base/time.h"
#include "queue/types.h"

namespace rockdove::queue {

enum class PauseKind : std::uint8_t {
  Everything,
  Destination,  // of the queue: a domain, "route:NAME", "to:TARGET"
  Site,         // a set of MX hosts, or a smarthost; or the account of sites, "provider:NAME"
  User,         // the account that the client authenticated as
  Tenant,       // as in Message, and the next
  Campaign,
  Provider,  // of the traffic profiles: all accounts of it
  Source,  // what leaves from one of our addresses; another source takes its mail, if there is one
};

// Whether what it is about goes on hold, one by one, when its turn comes.
[[nodiscard]] constexpr bool holds_mail(PauseKind kind) {
  return kind == PauseKind::User || kind == PauseKind::Campaign;
}

struct Pause {
  PauseKind kind = PauseKind::Everything;
  std::string pattern;  // "*" is any run of characters, case ignored; "" for Everything
  WallTime since{};
  std::optional<WallTime> until{};  // none: until somebody ends it
  std::string by{};                 // who set it
  std::string reason{};
  bool is_ending = false;  // over, but what it has put on hold is still being released
};

inline constexpr std::size_t kPausesMax = 1000;
inline constexpr std::size_t kPausePatternOctetsMax = 255;
inline constexpr std::string_view kPauseNotes = "pause";  // the kind of the rows

// "everything", "destination", "site", "user", "tenant", "campaign", "provider", "source".
[[nodiscard]] std::string_view kind_name(PauseKind kind);
[[nodiscard]] std::optional<PauseKind> parse_pause_kind(std::string_view name);

// "destination:example.com", "everything:"; the row's name, and one word for people.
[[nodiscard]] std::string pause_name(const Pause& pause);
// The row's value, and the way back from both.
[[nodiscard]] std::string encode_pause(const Pause& pause);
[[nodiscard]] base::Result<Pause> decode_pause(std::string_view name, std::string_view value);

// How the reason begins of what a pause puts on hold; its kind and pattern follow.
inline constexpr std::string_view kPausedHold = "paused: ";
[[nodiscard]] std::string hold_reason_of(const Pause& pause);
// Whether this is such a reason.
[[nodiscard]] bool is_pause_hold(std::string_view reason);

class Pauses {
 public:
  Pauses() = default;
  // Those that are ending do not count.
  explicit Pauses(std::vector<Pause> pauses);

  // The pause that applies, or null. That of everything is the answer of on_destination(). The
  // pointers are valid as long as this is.
  [[nodiscard]] const Pause* on_destination(std::string_view destination) const;
  // Of a site, a provider or a source. `site` and `account` as queue::SiteSpec names them,
  // "mx:mail.example.net" or "route:NAME", and "provider:NAME" or again the site; the pattern of a
  // site is about either, and may leave the "mx:" out.
  [[nodiscard]] const Pause* on_site(std::string_view site, std::string_view account) const;
  // As on_destination(), or that of the queue's tenant.
  [[nodiscard]] const Pause* on_queue(const QueueName& queue) const;
  // Of its user or campaign; "" is none, which no pause is about.
  [[nodiscard]] const Pause* on_mail(const Message& message) const;
  // All that apply to such mail, for people: by kind and pattern. With "" for the site, because it
  // is not known, those of sites are left out.
  [[nodiscard]] std::vector<Pause> about(std::string_view destination, std::string_view site,
                                         std::string_view account, std::string_view user,
                                         std::string_view tenant = "",
                                         std::string_view campaign = "") const;

  [[nodiscard]] bool is_empty() const { return pauses_.empty(); }

  [[nodiscard]] bool has_sites() const { return has_sites_; }

  // One of them is of a kind that holds_mail().
  [[nodiscard]] bool hold_mail() const { return hold_mail_; }

  // By kind and pattern.
  [[nodiscard]] const std::vector<Pause>& all() const { return pauses_; }

 private:
  [[nodiscard]] const Pause* find(PauseKind kind, std::string_view text) const;

  std::vector<Pause> pauses_;
  bool has_sites_ = false;
  bool hold_mail_ = false;
};

}  // namespace rockdove::queue
