// The configuration of the daemon: one TOML file, strict, turned into the settings of each layer.
//
// Parsing has no side effects and reads nothing but the files that it is given a reader for, so
// that a reload can build the whole new configuration beside the old one. What keys there are,
// their defaults and their help stand in one table, config_table.cc.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mta/base/ip_address.h"
#include "mta/base/log.h"
#include "mta/base/result.h"
#include "mta/base/unique_function.h"
#include "mta/daemon/config_problem.h"
#include "mta/daemon/traffic_file.h"
#include "mta/inbound/settings.h"
#include "mta/outbound/settings.h"
#include "queue/settings.h"

namespace rockdove::daemon {

inline constexpr const char* kDefaultConfigurationPath = "/etc/rockdove/rockdove.toml";

struct Configuration {
  std::string path;  // of the file it came from
  std::string hostname;
  std::string postmaster;  // "": none
  std::string state_dir = "/var/lib/rockdove";
  std::string runtime_dir = "/run/rockdove";
  std::string user = "rockdove";
  unsigned threads = 0;  // 0: one a processor
  base::LogSettings log;
  std::vector<base::SocketAddress> dns_servers;   // empty: /etc/resolv.conf
  std::vector<net::PemIdentity> identities;       // of [tls]; empty: self-signed ones are made
  std::string users = "/etc/rockdove/users";      // the accounts file; need not exist
  std::optional<base::SocketAddress> admin_http;  // none: only the control socket
  std::map<std::string, std::string> ca_files;    // of routes that name one, by their names
  std::optional<std::vector<std::string>> traffic_profiles;  // files, folders; none: the default
  // Each has got hostname and postmaster, too.
  inbound::InboundSettings inbound;
  outbound::OutboundSettings outbound;
  queue::QueueSettings queue;
};

// What the text does not say by itself.
struct Surroundings {
  std::string path;          // of the text, for messages
  std::string machine_name;  // the machine's full name, for `hostname`
  // A file's content (aliases, recipients), at most so many octets; nullopt as value: there is
  // none.
  base::UniqueFunction<base::Result<std::optional<std::string>>(const std::string& path,
                                                                std::size_t octets_max)>
      read_file;
  // Whether every user of the machine may read this file. None: nobody asks.
  base::UniqueFunction<bool(const std::string& path)> others_may_read{};
  // Whether this user, whom the daemon will become, may read the file; the error says why not.
  // None: whoever reads now is who will.
  base::UniqueFunction<base::Result<void>(const std::string& user, const std::string& path)>
      check_readable{};
  // The traffic profiles in these files and folders, in order. None: there are none, whatever is
  // named.
  base::UniqueFunction<ReadProfiles(const std::vector<std::string>& paths)> read_profiles{};
  // Those that hold where nobody names any; empty: there are none.
  std::vector<std::string> default_profiles{};
};

struct ParsedConfiguration {
  std::optional<Configuration> configuration;  // none when a problem is an error
  std::vector<Problem> problems;
};

[[nodiscard]] ParsedConfiguration parse_configuration(std::string_view text,
                                                      Surroundings surroundings);

// Reads the file, and those it names.
[[nodiscard]] ParsedConfiguration load_configuration(const std::string& path);

// The file alone, for commands that want to know where things are: whoever runs them need not be
// able to read keys and passwords. `hostname` is empty where it is not set, and what is made of
// several keys or other files (listeners, routes, aliases) is missing.
[[nodiscard]] ParsedConfiguration load_configuration_keys(const std::string& path);

// What was asked for; else the environment's ROCKDOVE_CONFIG; else kDefaultConfigurationPath.
[[nodiscard]] std::string configuration_path(const std::string& asked_for);

// All keys with type, default and help, as Markdown: contrib/doc/configuration.md.
[[nodiscard]] std::string configuration_reference();

}  // namespace rockdove::daemon
