#include "dns/mail_hosts.h"

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "mta/base/text.h"

namespace rockdove::dns {
namespace {

constexpr std::size_t kQuestionsAtOnceMax = 20;
constexpr base::Duration kShortest = std::chrono::seconds(5);
// When the DNS could not tell about one of several hosts, the answer without it is kept briefly.
constexpr base::Duration kIncomplete = std::chrono::minutes(1);
constexpr std::uint32_t kNoPreference = std::numeric_limits<std::uint32_t>::max();

// 64 bits of FNV-1a: the same on every machine and in every run, unlike std::hash.
std::uint64_t stable_hash(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash;
}

// The families in turn, IPv6 first; see Host::addresses.
std::vector<base::IpAddress> in_turn(const std::vector<base::IpAddress>& addresses) {
  std::array<std::vector<base::IpAddress>, 2> families;
  for (const base::IpAddress& address : addresses) {
    std::vector<base::IpAddress>& family = families[address.is_v4() ? 1 : 0];
    const bool is_new = std::find(family.begin(), family.end(), address) == family.end();
    // 0.0.0.0 and :: are nobody's address; connecting to them would reach ourselves.
    if (is_new && !address.is_unspecified()) family.push_back(address);
  }
  std::vector<base::IpAddress> result;
  for (std::size_t i = 0; i < std::max(families[0].size(), families[1].size()); ++i) {
    for (const std::vector<base::IpAddress>& family : families) {
      if (i < family.size() && result.size() < kAddressesPerHostMax) result.push_back(family[i]);
    }
  }
  return result;
}

// The address of "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 §4.1.3).
std::optional<base::IpAddress> parse_literal(std::string_view text) {
  constexpr std::string_view kTag = "IPv6:";
  if (text.size() < 2 || text.front() != '[' || text.back() != ']') return std::nullopt;
  text = text.substr(1, text.size() - 2);
  if (!base::starts_with_ignoring_case(text, kTag)) {
    const std::optional<base::IpAddress> address = base::parse_ip_address(text);
    const bool has_colon = text.find(':') != std::string_view::npos;
    return has_colon ? std::nullopt : address;
  }
  text.remove_prefix(kTag.size());
  if (text.find(':') == std::string_view::npos) return std::nullopt;
  return base::parse_ip_address(text);
}

std::string literal_of(const base::IpAddress& address) {
  return (address.is_v4() ? "[" : "[IPv6:") + base::format_ip_address(address) + "]";
}

MailHosts not_found(MailHosts::Status status, std::string detail, base::Duration ttl) {
  MailHosts hosts;
  hosts.status = status;
  hosts.detail = std::move(detail);
  hosts.ttl =
      status == MailHosts::Status::TemporaryFailure ? base::Duration(0) : std::max(ttl, kShortest);
  return hosts;
}

MailHosts bad_domain(std::string_view domain) {
  return not_found(MailHosts::Status::BadDomain,
                   "\"" + base::printable(domain) + "\" is not a domain name", kShortest);
}

MailHosts single_host(std::string name, std::vector<base::IpAddress> addresses) {
  MailHosts hosts;
  hosts.status = MailHosts::Status::Found;
  hosts.site = name;
  hosts.hosts.push_back({std::move(name), 0, std::move(addresses)});
  hosts.ttl = std::chrono::hours(1);
  return hosts;
}

bool is_own(const MailHostOptions& options, const base::IpAddress& address) {
  return std::any_of(options.own_listeners.begin(), options.own_listeners.end(),
                     [&](const base::SocketAddress& listener) {
                       if (listener.port != options.port) return false;
                       if (listener.ip.is_unspecified()) return address.is_loopback();
                       return listener.ip == address;
                     });
}

// One look-up under way; the callbacks of its questions keep it alive.
class Lookup : public std::enable_shared_from_this<Lookup> {
 public:
  Lookup(Resolver& resolver, std::string domain, MailHostOptions options, MailHostsDone done)
      : resolver_(resolver),
        domain_(std::move(domain)),
        options_(std::move(options)),
        done_(std::move(done)) {}

  void ask_for_mx(base::Random& random) {
    resolver_.query(domain_, RecordType::MX,
                    [self = shared_from_this(), &random](const AnswerPointer& answer) {
                      self->on_mx(*answer, random);
                    });
  }

  // RFC 5321 §5.1: without MX records the domain is its own mail host.
  void ask_for_host() {
    candidates_.push_back({domain_, 0, {}, {}});
    site_names_.push_back(domain_);
    ask_for_addresses();
  }

 private:
  struct Candidate {
    std::string name;
    std::uint16_t preference = 0;
    std::vector<base::IpAddress> addresses;
    std::string failure;  // why the DNS could not tell; empty if it could
  };

  void on_mx(const Answer& answer, base::Random& random) {
    ttl_ = std::min(ttl_, answer.ttl);
    switch (answer.status) {
      case Status::Ok:
        return choose_candidates(answer.exchanges, random);
      case Status::NoData:
        return ask_for_host();
      case Status::NxDomain:
        return finish(not_found(MailHosts::Status::NoSuchDomain,
                                "the domain " + domain_ + " does not exist", ttl_));
      case Status::ServerFailure:
      case Status::TimedOut:
        return finish(not_found(MailHosts::Status::TemporaryFailure, answer.detail, ttl_));
      case Status::BadName:
        return finish(bad_domain(domain_));
    }
  }

  void choose_candidates(const std::vector<MailExchange>& exchanges, base::Random& random) {
    for (const MailExchange& exchange : exchanges) {
      // The root is no host: alone it is a null MX (RFC 7505 §3), beside others a mistake.
      if (!exchange.exchange.empty()) add_candidate(exchange);
    }
    if (candidates_.empty()) {
      return finish(not_found(MailHosts::Status::NullMx,
                              "the domain " + domain_ + " takes no mail (null MX record)", ttl_));
    }
    for (const Candidate& candidate : candidates_) site_names_.push_back(candidate.name);
    // RFC 5321 §5.1: by preference; among equals by chance, to spread the load.
    random.shuffle(std::span(candidates_));
    std::stable_sort(
        candidates_.begin(), candidates_.end(),
        [](const Candidate& a, const Candidate& b) { return a.preference < b.preference; });
    for (const Candidate& candidate : candidates_) {
      const auto& names = options_.own_names;
      if (std::find(names.begin(), names.end(), candidate.name) != names.end()) {
        note_ourselves(candidate);
      }
    }
    std::erase_if(candidates_, [this](const Candidate& candidate) {
      return candidate.preference >= own_preference_;
    });
    if (candidates_.size() > kHostsMax) candidates_.resize(kHostsMax);
    has_mx_ = true;
    ask_for_addresses();
  }

  // A host that is named twice keeps its better place.
  void add_candidate(const MailExchange& exchange) {
    for (Candidate& known : candidates_) {
      if (known.name != exchange.exchange) continue;
      known.preference = std::min(known.preference, exchange.preference);
      return;
    }
    candidates_.push_back({exchange.exchange, exchange.preference, {}, {}});
  }

  void note_ourselves(const Candidate& candidate) {
    if (candidate.preference >= own_preference_) return;
    own_preference_ = candidate.preference;
    own_host_ = candidate.name;
  }

  void ask_for_addresses() {
    for (std::size_t i = 0; i < candidates_.size(); ++i) {
      if (!normalised_name(candidates_[i].name)) continue;  // no host is called that
      if (options_.families != Families::V4Only) questions_.emplace_back(i, RecordType::AAAA);
      if (options_.families != Families::V6Only) questions_.emplace_back(i, RecordType::A);
    }
    if (questions_.empty()) return conclude();
    ask_more();
  }

  void ask_more() {
    while (under_way_ < kQuestionsAtOnceMax && next_question_ < questions_.size()) {
      const auto [index, type] = questions_[next_question_++];
      ++under_way_;
      resolver_.query(candidates_[index].name, type,
                      [self = shared_from_this(), at = index](const AnswerPointer& answer) {
                        self->on_addresses(self->candidates_[at], *answer);
                      });
    }
  }

  void on_addresses(Candidate& candidate, const Answer& answer) {
    --under_way_;
    if (is_temporary(answer.status)) {
      candidate.failure = answer.detail;
    } else if (answer.status != Status::BadName) {
      ttl_ = std::min(ttl_, answer.ttl);
    }
    candidate.addresses.insert(candidate.addresses.end(), answer.addresses.begin(),
                               answer.addresses.end());
    ask_more();
    if (under_way_ == 0) conclude();
  }

  void conclude() {
    for (const Candidate& candidate : candidates_) {
      const auto& addresses = candidate.addresses;
      if (std::any_of(addresses.begin(), addresses.end(), [this](const base::IpAddress& address) {
            return is_own(options_, address);
          })) {
        note_ourselves(candidate);
      }
    }
    MailHosts found;
    found.status = MailHosts::Status::Found;
    std::string failure;
    for (Candidate& candidate : candidates_) {
      // RFC 5321 §5.1: ourselves, and all that are no better than us, are not tried.
      if (candidate.preference >= own_preference_) break;
      if (failure.empty()) failure = candidate.failure;
      std::vector<base::IpAddress> addresses = in_turn(candidate.addresses);
      if (addresses.empty()) continue;
      found.hosts.push_back({candidate.name, candidate.preference, std::move(addresses)});
    }
    if (found.hosts.empty()) return finish(nothing_left(failure));
    found.site = name_of_hosts(site_names_);
    found.ttl = std::max(failure.empty() ? ttl_ : std::min(ttl_, kIncomplete), kShortest);
    finish(std::move(found));
  }

  [[nodiscard]] MailHosts nothing_left(const std::string& failure) const {
    if (!failure.empty()) {
      return not_found(MailHosts::Status::TemporaryFailure, failure, ttl_);
    }
    if (own_preference_ != kNoPreference) {
      return not_found(MailHosts::Status::Loop,
                       "mail for " + domain_ + " loops back to us: its mail host " +
                           base::printable(own_host_) + " is this machine",
                       ttl_);
    }
    const std::string address = options_.families == Families::V4Only   ? "IPv4 address"
                                : options_.families == Families::V6Only ? "IPv6 address"
                                                                        : "address";
    if (!has_mx_) {
      return not_found(MailHosts::Status::NoSuchDomain,
                       "the domain " + domain_ + " has no mail host and no " + address, ttl_);
    }
    return not_found(MailHosts::Status::NoUsableHost,
                     "no mail host of the domain " + domain_ + " has an " + address +
                         " (the best is " + base::printable(candidates_.front().name) + ")",
                     ttl_);
  }

  void finish(MailHosts hosts) {
    MailHostsDone done = std::move(done_);
    done(std::move(hosts));
  }

  Resolver& resolver_;
  std::string domain_;
  MailHostOptions options_;
  MailHostsDone done_;
  std::vector<Candidate> candidates_;  // in order of trying
  std::vector<std::string> site_names_;
  std::vector<std::pair<std::size_t, RecordType>> questions_;
  std::size_t next_question_ = 0;
  std::size_t under_way_ = 0;
  bool has_mx_ = false;
  std::uint32_t own_preference_ = kNoPreference;  // of ourselves among the hosts
  std::string own_host_;
  base::Duration ttl_ = std::chrono::hours(24);
};

}  // namespace

std::string name_of_hosts(std::vector<std::string> names) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  constexpr std::size_t kHashDigits = 16;
  std::sort(names.begin(), names.end());
  std::string site;
  for (const std::string& name : names) {
    if (!site.empty()) site += ',';
    site += name;
  }
  if (site.size() <= kSiteOctetsMax) return site;
  const std::uint64_t hash = stable_hash(site);
  site.resize(kSiteOctetsMax - kHashDigits - 1);
  site += '~';
  for (unsigned shift = 64; shift > 0; shift -= 4) site += kDigits[(hash >> (shift - 4)) & 0xf];
  return site;
}

bool is_permanent(MailHosts::Status status) {
  return status != MailHosts::Status::Found && status != MailHosts::Status::TemporaryFailure;
}

void look_up_mail_hosts(Resolver& resolver, base::Random& random, std::string_view domain,
                        MailHostOptions options, MailHostsDone done) {
  if (domain.starts_with('[')) {
    const std::optional<base::IpAddress> address = parse_literal(domain);
    if (!address || address->is_unspecified()) return done(bad_domain(domain));
    if (is_own(options, *address)) {
      return done(not_found(MailHosts::Status::Loop,
                            "mail for " + literal_of(*address) +
                                " loops back to us: it is the address of this machine",
                            kShortest));
    }
    return done(single_host(literal_of(*address), {*address}));
  }
  std::optional<std::string> name = normalised_name(domain);
  if (!name) return done(bad_domain(domain));
  std::make_shared<Lookup>(resolver, std::move(*name), std::move(options), std::move(done))
      ->ask_for_mx(random);
}

void resolve_host(Resolver& resolver, const HostsFile& hosts_file, std::string_view name,
                  Families families, MailHostsDone done) {
  std::optional<base::IpAddress> address = parse_literal(name);
  if (!address) {
    const bool has_brackets = name.starts_with('[') && name.ends_with(']');
    address = base::parse_ip_address(has_brackets ? name.substr(1, name.size() - 2) : name);
  }
  if (address && address->is_unspecified()) return done(bad_domain(name));
  if (address) return done(single_host(literal_of(*address), {*address}));
  std::optional<std::string> normal = normalised_name(name);
  if (!normal) return done(bad_domain(name));
  std::vector<base::IpAddress> known = hosts_file.addresses_of(*normal);
  std::erase_if(known, [families](const base::IpAddress& known_address) {
    return families == (known_address.is_v4() ? Families::V6Only : Families::V4Only);
  });
  known = in_turn(known);
  if (!known.empty()) return done(single_host(std::move(*normal), std::move(known)));
  MailHostOptions options;
  options.families = families;
  std::make_shared<Lookup>(resolver, std::move(*normal), std::move(options), std::move(done))
      ->ask_for_host();
}

}  // namespace rockdove::dns
