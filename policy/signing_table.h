// Which keys sign a message: the rules of [[dkim]]. A rule holds for domains of From and under
// conditions; all rules that hold sign. Of several rules with one domain (d=), kind of key and
// conditions, the one whose `active_from` has come last signs, so that a key is changed by adding
// the next one before its time (RFC 6376 §3.1). Immutable; any thread may ask.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "mta/base/ip_address.h"
#include "mta/base/time.h"
#include "policy/author_domains.h"
#include "policy/dkim_signer.h"

namespace rockdove::policy {

inline constexpr std::size_t kSignaturesMax = 8;  // of one message; the first rules win

// Under which conditions a rule holds; all must, and an empty one does.
struct SigningConditions {
  // Domains of From, in A-labels and lower case: "example.com"; "*.example.com" for those below;
  // "*" for all. None: the identity's.
  std::vector<std::string> from{};
  std::string sender{};  // a pattern, base::matches_pattern; "<>": the null sender
  std::string user{};    // a pattern, too
  std::string listener{};
  std::vector<base::IpNetwork> client{};
  std::string tenant{};  // a pattern

  bool operator==(const SigningConditions&) const = default;
};

struct SigningRule {
  std::shared_ptr<const DkimIdentity> identity;  // never null
  base::WallTime active_from{};                  // 1970: always
  SigningConditions conditions;
};

// Whether only one of the two signs at a time: they have the same domain, kind of key and
// conditions.
[[nodiscard]] bool exclude_each_other(const SigningRule& a, const SigningRule& b);

// What is known of a message. Views.
struct SigningFacts {
  const Authors& authors;   // find_authors()
  std::string_view sender;  // "": the null sender
  std::string_view user;    // "": nobody has logged in
  std::string_view listener;
  base::IpAddress client;
  std::string_view tenant{};  // "": nobody's
};

class SigningTable {
 public:
  explicit SigningTable(std::vector<SigningRule> rules);

  // In the order of the rules; of one domain and selector only once. Empty where From is not one
  // field that can be read: nobody's signature ought to stand under it.
  [[nodiscard]] std::vector<std::shared_ptr<const DkimIdentity>> choose(const SigningFacts& facts,
                                                                        base::WallTime now) const;

  // As given, for those who look at the keys themselves (`rockdove dkim check`).
  [[nodiscard]] const std::vector<SigningRule>& rules() const { return rules_; }

 private:
  [[nodiscard]] std::vector<std::size_t> groups_of(const std::vector<std::string>& domains) const;
  [[nodiscard]] const SigningRule* rule_of(const std::vector<std::size_t>& group,
                                           base::WallTime now) const;

  std::vector<SigningRule> rules_;
  // Rules of which one signs at a time, the latest first; groups in the order of their first rules.
  std::vector<std::vector<std::size_t>> groups_;
  std::unordered_map<std::string, std::vector<std::size_t>> groups_by_from_;
};

}  // namespace rockdove::policy
