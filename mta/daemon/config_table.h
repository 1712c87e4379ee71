// The one table of all keys: name, type, default, help, and how the value is read. It is joined
// from several files. The reference in
// contrib/doc/configuration.md is made from it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mta/daemon/config_value.h"
#include "mta/daemon/configuration.h"
#include "policy/address_lists.h"
#include "policy/checks.h"
#include "policy/client_policy.h"
#include "policy/signing_table.h"

namespace rockdove::daemon {

struct NamedFile {
  std::string path;
  Position at;  // line 0: nobody named it, it is the default
};

struct ListenerDraft {
  inbound::ListenerSettings settings;
  Position at;
  Position name_at;
  Position tls_at;
  Position auth_at;
  std::vector<Position> addresses_at;
  Position tenant_from_at;
};

struct RouteDraft {
  outbound::Route route;
  Position at;
  Position name_at;
  Position listener_at;
  bool has_target = false;
  bool has_host_list = false;
  std::optional<outbound::ToHosts::Order> order;
  Position order_at;
  std::optional<outbound::TlsLevel> tls;
  Position tls_at;
  std::string user;  // a condition, or, beside a password, the name to log in with
  std::string login;
  Position login_at;
  NamedFile password_file;
  NamedFile ca_file;
  Position overflow_at;
  Position overflow_after_at;
};

struct DkimDraft {
  policy::SigningConditions conditions;
  base::WallTime active_from{};
  policy::DkimIdentity identity;  // its key is read at the end
  NamedFile key;
  Position at;
  Position listener_at;
  bool has_headers = false;
  bool has_oversign = false;
};

struct OverrideDraft {
  policy::ChecksFor rule;
  Position at;
  Position listener_at;
};

struct ArcDraft {
  std::string domain;
  std::string selector;
  NamedFile key;
};

struct JudgingDraft {
  policy::JudgingSettings settings;
  std::vector<OverrideDraft> overrides;
  bool is_by_suffixes = false;
  Position organisation_at;
  ArcDraft arc;
};

// A key that names entries and files of them.
struct ListDraft {
  policy::AddressListBuilder own;
  std::vector<NamedFile> files;
};

struct DnsListDraft {
  policy::DnsList list;
  Position at;
};

struct PolicyDraft {
  policy::ClientPolicy clients;  // without its lists
  ListDraft allow;
  ListDraft block;
  ListDraft dmarc_exempt;
  std::vector<DnsListDraft> dns_lists;
};

struct SourceDraft {
  outbound::Source source;
  Position at;
  Position name_at;
  Position address_at;
};

struct PoolDraft {
  struct Member {
    std::string name;
    std::uint32_t weight = 1;
    Position at;
  };

  std::string name;
  std::vector<Member> members;
  std::vector<std::pair<std::string, Position>> tenants;
  bool has_tenants = false;
  Position at;
  Position name_at;
};

struct WarmUpDraft {
  outbound::WarmUpOrder order;
  std::vector<std::pair<std::string, Position>> sources;
  Position at;
  Position provider_at;
  Position daily_at;
};

// Of [[tenant]] or [[campaign]].
struct SenderDraft {
  queue::SenderSettings settings;
  Position at;
  Position name_at;
};

// The configuration while its keys are being read.
struct Draft {
  Configuration configuration;
  std::vector<ListenerDraft> listeners;
  std::vector<RouteDraft> routes;
  std::vector<SourceDraft> sources;
  std::vector<PoolDraft> pools;
  std::vector<WarmUpDraft> warm_ups;
  std::vector<SenderDraft> tenants;
  std::vector<SenderDraft> campaigns;
  std::vector<DkimDraft> dkim;
  JudgingDraft judging;
  PolicyDraft policy;
  NamedFile aliases{"/etc/aliases", {}};
  Position users_at;
  Position admin_http_at;
  NamedFile recipients;
  std::vector<NamedFile> certificates;
  std::vector<NamedFile> keys;  // of the certificate at the same place
  Position certificates_at;
  Position keys_at;
  Position postmaster_at;
  Position relay_at;  // of relay.domains
  Position any_at;    // of relay.recipients = "any"
  Position local_domains_at;
  Position history_keep_at;  // line 0: it is the default
  Position traffic_profiles_at;
};

enum class SectionKind : std::uint8_t {
  Top,    // keys before any header
  Table,  // [name]
  List,   // [[name]], any number
};

struct Section {
  std::string_view name;  // with a dot in it where it is below another one: "policy.dnsbl"
  SectionKind kind;
  std::string_view help;
  void (*begin)(Draft& draft, Position at) = nullptr;  // of List: another one is about to be read
};

struct Key {
  std::string_view section;
  std::string_view name;
  std::string_view type;          // for people
  std::string_view default_toml;  // as one would write it; "": there is none
  std::string_view help;  // whole sentences; says what no value means where there is no default
  void (*read)(Value& value, Draft& draft);
};

// What a later version understands. Its name is no typing error and gets an answer of its own.
struct LaterKey {
  std::string_view section;
  std::string_view name;      // "": the whole section
  std::string_view what;      // "TLS"
  std::string_view accepted;  // a text that says what is true today, as "off"; "": none
};

// Of all files that hold a part of the table (config_table.cc, config_dkim.cc, …), in the order of
// the reference.
[[nodiscard]] std::span<const Section> configuration_sections();
[[nodiscard]] std::span<const Key> configuration_keys();
[[nodiscard]] std::span<const LaterKey> later_keys();

}  // namespace rockdove::daemon
