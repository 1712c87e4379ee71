// Who says whether a user name and a password belong together (RFC 4954). One a process; from any
// loop.
#pragma once

#include <cstdint>
#include <string>

#include "mta/base/ip_address.h"
#include "mta/base/loop.h"
#include "mta/base/unique_function.h"

namespace rockdove::inbound {

struct Login {
  std::string user;      // as the client sent it, UTF-8, not empty
  std::string password;  // never to be logged
  base::IpAddress client;
  std::string_view mechanism{};  // "PLAIN", for the log; of static storage
  std::uint64_t session = 0;     // the session's number in the log; 0: none
};

enum class LoginVerdict : std::uint8_t {
  Accepted,
  Refused,      // 535 5.7.8; told only after a delay that grows with the address's failures
  TooMany,      // failures from this address: 454 4.7.0, nothing was checked
  Unavailable,  // the accounts cannot be read, or too many checks wait: 454 4.7.0
};

class Authenticator {
 public:
  using Done = base::UniqueFunction<void(LoginVerdict)>;

  virtual ~Authenticator() = default;
  // `done` runs on `loop`, never within this call, at most 30 s later.
  virtual void check(base::Loop& loop, Login login, Done done) = 0;
};

}  // namespace rockdove::inbound
