// The keys about TLS, authentication and credentials: reading their values, and whether they go
// together. Password files must be the operator's alone, and what would send a password in clear is
// said.
#pragma once

#include "mta/daemon/config_table.h"

namespace rockdove::daemon {

inline constexpr std::size_t kPemOctetsMax = 1024 * 1024;
inline constexpr std::size_t kPasswordOctetsMax = 1024;
inline constexpr std::size_t kIdentitiesMax = 100;

void read_certificate(Value& value, Draft& draft);
void read_certificate_key(Value& value, Draft& draft);
void read_mx_tls(Value& value, Draft& draft);
void read_users(Value& value, Draft& draft);
void read_delay_notice(Value& value, Draft& draft);
void read_history_keep(Value& value, Draft& draft);
void read_admin_http(Value& value, Draft& draft);
// Of the last listener.
void read_listener_tls(Value& value, Draft& draft);
void read_listener_tls_min(Value& value, Draft& draft);
void read_listener_auth(Value& value, Draft& draft);
// Of the last route.
void read_route_tls(Value& value, Draft& draft);
void read_route_user(Value& value, Draft& draft);
void read_route_login(Value& value, Draft& draft);
void read_route_password_file(Value& value, Draft& draft);
void read_route_ca_file(Value& value, Draft& draft);

// The files that the configuration names, as the daemon's user will find them.
class NamedFiles {
 public:
  // All outlive it.
  NamedFiles(Surroundings& surroundings, const std::string& user, Problems& problems)
      : surroundings_(surroundings), user_(user), problems_(problems) {}

  // What the file holds; nullopt after an error was reported, or when it is a default that is not
  // there. `what` begins the message, as in "`local.aliases`".
  enum class Absence : std::uint8_t {
    Error,   // but nothing of a default
    Warning  // it may come later
  };
  [[nodiscard]] std::optional<std::string> read(const NamedFile& file, std::size_t octets_max,
                                                std::string_view what,
                                                Absence absence = Absence::Error);
  // Whether not every user of this machine may read it; an error that says what to do, if so.
  [[nodiscard]] bool is_private(const NamedFile& file, std::string_view what);

 private:
  Surroundings& surroundings_;
  const std::string& user_;
  Problems& problems_;
};

// After all keys are read.
// Whether there is a listener of that name, or it is empty; an error if not.
void check_listener_name(const std::string& name, Position at, const Draft& all,
                         Problems& problems);
void check_listener_security(const ListenerDraft& listener, Problems& problems);
void finish_route_security(RouteDraft& route, Draft& draft, NamedFiles& files, Problems& problems);
void finish_certificates(Draft& draft, NamedFiles& files, Problems& problems);
// The accounts, where a listener asks for them.
void check_users(const Draft& draft, NamedFiles& files, Problems& problems);

}  // namespace rockdove::daemon
