// A certificate authority for tests: what it issues may have any names and any validity.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "mta/net/tls.h"

namespace rockdove::net {

struct Issue {
  std::vector<std::string> names;  // DNS names and addresses
  std::string common_name = "test";
  base::Duration begins{-3'600'000};  // from now on
  base::Duration ends{3'600'000};
  bool for_servers = true;  // else for clients
};

class Authority {
 public:
  explicit Authority(const std::string& name);
  ~Authority();

  [[nodiscard]] std::string pem() const;

  // The certificate alone, without the authority's.
  [[nodiscard]] PemIdentity issue(const Issue& wanted) const;

  // An authority below this one.
  [[nodiscard]] std::unique_ptr<Authority> below(const std::string& name) const;

 private:
  struct Parts;
  Authority();

  std::unique_ptr<Parts> parts_;
};

}  // namespace rockdove::net
