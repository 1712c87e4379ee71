// All traffic profiles, put together: who is whose provider, which settings hold for a destination,
// and which rule a reply fires. Immutable; one value for all loops, replaced whole at a reload.
//
// Files come in order, and the later one wins key by key; its rules are asked before those of
// earlier files, and `unset` takes away what earlier files said. Of the sections that apply to a
// destination, default, provider, domain and source are laid over each other in this order. Rules
// are asked the other way round: the domain's, the provider's, those of [default]; the first that
// matches is the one.
//
// A provider's `domains` decide first, then its `mx`. Of the MX hosts only those of the best
// preference count, and one that matches is enough: a backup elsewhere, or a host of one's own
// beside it, does not let a domain escape the provider's limits; a provider that is only the backup
// is not the one that mail goes to. Where several patterns match, the one with the most characters
// besides its "*" decides, then the provider's name.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mta/smtp/reply.h"
#include "mta/traffic/profile.h"

namespace rockdove::traffic {

using Provider = ProviderSection;

struct MxHost {
  std::string name;  // lower-cased, without a final dot
  unsigned preference = 0;
};

class Profiles {
 public:
  explicit Profiles(const std::vector<ProfileFile>& files);

  // Null: none; its site then is an account of its own. A smarthost is one MX host.
  [[nodiscard]] const Provider* provider_of(std::string_view domain,
                                            std::span<const MxHost> hosts) const;

  // Settings with where each is from. `provider` may be null.
  [[nodiscard]] Knobs effective(std::string_view domain, const Provider* provider,
                                const std::optional<base::IpAddress>& source) const;

  // The rule that a reply fires; null: none. What `after` says is the caller's.
  [[nodiscard]] const Rule* match(const smtp::Reply& reply, smtp::Stage stage,
                                  std::string_view domain, const Provider* provider) const;

  [[nodiscard]] const Provider* find_provider(std::string_view name) const;

  [[nodiscard]] const Section& defaults() const { return defaults_; }

  [[nodiscard]] const std::vector<Provider>& providers() const { return providers_; }  // by name

  [[nodiscard]] const std::vector<DomainSection>& domains() const { return domains_; }

  [[nodiscard]] const std::vector<SourceSection>& sources() const { return sources_; }

  // What `unset` named and no earlier file had set.
  [[nodiscard]] const std::vector<PlacedText>& useless_unsets() const { return useless_unsets_; }

  // The section of a domain, its own name before patterns; null: none.
  [[nodiscard]] const DomainSection* find_domain(std::string_view domain) const;

 private:
  void add(const ProfileFile& file);
  void merge(Section& below, const Section& above);
  void unset(Section& section, const PlacedText& name);

  Section defaults_;
  std::vector<Provider> providers_;
  std::vector<DomainSection> domains_;
  std::vector<SourceSection> sources_;
  std::vector<PlacedText> useless_unsets_;
};

}  // namespace rockdove::traffic
