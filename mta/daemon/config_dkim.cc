#include "mta/daemon/config_dkim.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "mta/base/text.h"
#include "mta/base/wipe.h"
#include "mta/mail/idna.h"
#include "policy/dkim_key.h"

namespace rockdove::daemon {
namespace {

using mail::Canonicalization;

constexpr std::size_t kFieldNameOctetsMax = 70;  // so that h= can be folded
constexpr std::size_t kRsaBitsWanted = 2048;     // RFC 8301 §3.2

struct Forms {
  Canonicalization header = Canonicalization::Relaxed;
  Canonicalization body = Canonicalization::Relaxed;
};

constexpr std::array<std::pair<std::string_view, Forms>, 4> kForms = {
    {{"relaxed/relaxed", {Canonicalization::Relaxed, Canonicalization::Relaxed}},
     {"relaxed/simple", {Canonicalization::Relaxed, Canonicalization::Simple}},
     {"simple/relaxed", {Canonicalization::Simple, Canonicalization::Relaxed}},
     {"simple/simple", {Canonicalization::Simple, Canonicalization::Simple}}}};

// What relays add or take away on the way of every message (RFC 6376 §5.4).
constexpr std::array<std::string_view, 3> kChangingNames = {"received", "return-path",
                                                            "authentication-results"};
// Of these others may add one, and the message is still what it was.
constexpr std::array<std::string_view, 4> kAddedNames = {
    "dkim-signature", "arc-seal", "arc-message-signature", "arc-authentication-results"};

std::string in_ticks(std::string_view text) {
  return "`" + base::printable(text, 80) + "`";
}

DkimDraft& last(Draft& draft) {
  return draft.dkim.back();
}

void begin_dkim(Draft& draft, Position at) {
  draft.dkim.emplace_back().at = at;
}

void read_domain(Value& value, Draft& draft) {
  value.domain(last(draft).identity.domain, "no domain");
}

void read_selector(Value& value, Draft& draft) {
  std::string selector;
  if (!value.text(selector)) return;
  const auto name = policy::dkim_key_name(selector, "example");
  if (!name)
    return value.error(in_ticks(selector) + " is no selector; it is a part of a name in the DNS");
  last(draft).identity.selector = base::lower_case(selector);
}

void read_key_file(Value& value, Draft& draft) {
  std::string path;
  if (value.absolute_path(path)) last(draft).key = {path, value.at()};
}

// "example.com", "*.example.com" or "*".
void read_from(Value& value, Draft& draft) {
  std::vector<std::string>& from = last(draft).conditions.from;
  for (Value& item : value.texts()) {
    std::string_view name = item.node().text;
    const std::string_view prefix = name.starts_with("*.") ? "*." : "";
    name.remove_prefix(prefix.size());
    if (name == "*" && prefix.empty()) {
      from.emplace_back("*");
    } else if (const auto domain = mail::to_ascii_domain(name)) {
      from.push_back(std::string(prefix) + *domain);
    } else {
      item.error(refused_domain(item.node().text, domain.error(),
                                "no domain; those below one are \"*.example.com\""));
    }
  }
  std::sort(from.begin(), from.end());
  from.erase(std::unique(from.begin(), from.end()), from.end());
  if (value.node().type == Node::Type::Array && value.node().items.empty())
    value.error("the list is empty; leave the key out for the mail of `domain`");
}

bool is_field_name(std::string_view name) {
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
  return !name.empty() && name.size() <= kFieldNameOctetsMax &&
         name.find_first_not_of(kAllowed) == std::string_view::npos;
}

template <std::size_t Count>
bool has(const std::array<std::string_view, Count>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

enum class Use : std::uint8_t { Signed, OverSigned };

// Names of fields, in lower case, each once.
void read_field_names(Value& value, std::vector<std::string>& target, Use use) {
  for (Value& item : value.texts()) {
    const std::string name = base::lower_case(item.node().text);
    if (!is_field_name(name)) {
      item.error(in_ticks(item.node().text) + " is no name of a header field");
    } else if (has(kChangingNames, name) || (use == Use::OverSigned && has(kAddedNames, name))) {
      item.error(in_ticks(item.node().text) +
                 " is added or changed on the way of mail: the signature would fail");
    } else if (target.size() == kSignedNamesMax) {
      return item.error("there are more than 100 names");
    } else if (std::find(target.begin(), target.end(), name) == target.end()) {
      target.push_back(name);
    }
  }
}

constexpr std::array kSections = {
    Section{"dkim", SectionKind::List,
            "Signs mail of clients that may relay. All sections whose conditions hold sign; of "
            "several with one domain, kind of key and conditions, the one whose `active_from` has "
            "come last. `rockdove dkim new` makes a key, `rockdove dkim check` compares keys and "
            "DNS.",
            begin_dkim},
};

constexpr std::array kKeys = {
    Key{"dkim", "domain", "domain", "", "Needed. Who signs (`d=`).", read_domain},
    Key{"dkim", "selector", "name", "",
        "Needed. The key is published at SELECTOR._domainkey.DOMAIN.", read_selector},
    Key{"dkim", "key", "path", "",
        "Needed. PEM: the private key, RSA of 1024 bits at least or Ed25519; nobody but its owner "
        "and group may read it.",
        read_key_file},
    Key{"dkim", "active_from", "date or date and time, without quotes", "",
        "Signs from then on, and the section before it no more; UTC unless it has an offset. "
        "Default: always.",
        [](Value& value, Draft& draft) { value.moment(last(draft).active_from); }},
    Key{"dkim", "from", "list of domains", "",
        "Condition: the domain of From; `\"*.example.com\"`: those below it, `\"*\"`: all. "
        "Default: `domain`.",
        read_from},
    Key{"dkim", "sender", "address pattern", "",
        "Condition: the envelope sender; `<>` is the null sender.",
        [](Value& value, Draft& draft) {
          value.address_pattern(last(draft).conditions.sender, Value::Null::Accepted);
        }},
    Key{"dkim", "user", "name, or pattern", "",
        "Condition: the account that the client logged in to.",
        [](Value& value, Draft& draft) { value.text(last(draft).conditions.user); }},
    Key{"dkim", "tenant", "name, or pattern", "", "Condition: whose mail it is.",
        [](Value& value, Draft& draft) { value.text(last(draft).conditions.tenant); }},
    Key{"dkim", "client", "list of networks", "", "Condition: who handed the message in.",
        [](Value& value, Draft& draft) { value.networks(last(draft).conditions.client); }},
    Key{"dkim", "listener", "name", "", "Condition: the listener that it came in by.",
        [](Value& value, Draft& draft) {
          if (value.name(last(draft).conditions.listener)) last(draft).listener_at = value.at();
        }},
    Key{"dkim", "headers", "list of names", "",
        "Fields that are signed where they are there; From always is. Default: those of RFC 6376 "
        "section 5.4.1, MIME's, and List-Unsubscribe-Post.",
        [](Value& value, Draft& draft) {
          last(draft).has_headers = true;
          read_field_names(value, last(draft).identity.headers, Use::Signed);
        }},
    Key{"dkim", "oversign", "list of names",
        "[\"From\", \"Subject\", \"To\", \"Date\", \"Reply-To\", \"Message-ID\"]",
        "Fields that are signed once more than they are there, so that nobody can add one.",
        [](Value& value, Draft& draft) {
          last(draft).has_oversign = true;
          read_field_names(value, last(draft).identity.oversign, Use::OverSigned);
        }},
    Key{"dkim", "canonicalization",
        "relaxed/relaxed, relaxed/simple, simple/relaxed or simple/simple", "\"relaxed/relaxed\"",
        "Of the header and of the body: `relaxed` bears other blanks, `simple` no change at all.",
        [](Value& value, Draft& draft) {
          Forms forms;
          if (!value.choice<Forms>(forms, kForms)) return;
          last(draft).identity.header = forms.header;
          last(draft).identity.body = forms.body;
        }},
};

using KeyPointer = std::shared_ptr<const policy::SigningKey>;

// What only shows beside the other sections: two of which only one could sign, and two keys of one
// name.
class Neighbours {
 public:
  explicit Neighbours(Problems& problems) : problems_(problems) {}

  void check(const DkimDraft& section, const policy::SigningRule& rule) {
    for (const auto& [other, line] : seen_[rule.identity->domain]) {
      const policy::DkimIdentity& known = *other.identity;
      const bool is_same_key = known.key == rule.identity->key;
      if (known.selector == rule.identity->selector && !is_same_key) {
        return problems_.error(
            section.at, "the section of line " + std::to_string(line) + " has another key at " +
                            in_ticks(known.selector + "._domainkey." + known.domain));
      }
      if (policy::exclude_each_other(other, rule) && other.active_from == rule.active_from) {
        return problems_.error(section.at,
                               "this section and the one of line " + std::to_string(line) +
                                   " are for the same mail, and from the same time; set "
                                   "`active_from` where the key is the next one");
      }
    }
    seen_[rule.identity->domain].emplace_back(rule, section.at.line);
  }

 private:
  Problems& problems_;
  std::map<std::string, std::vector<std::pair<policy::SigningRule, unsigned>>> seen_;
};

// Whether what must be there is.
bool is_whole(const DkimDraft& section, Problems& problems) {
  const std::array<std::pair<std::string_view, bool>, 3> needed = {
      {{"domain", !section.identity.domain.empty()},
       {"selector", !section.identity.selector.empty()},
       {"key", !section.key.path.empty()}}};
  bool whole = true;
  for (const auto& [name, is_there] : needed) {
    if (is_there) continue;
    whole = false;
    problems.error(section.at, "this [[dkim]] has no `" + std::string(name) + "`");
  }
  return whole;
}

}  // namespace

KeyPointer read_signing_key(const NamedFile& file, std::string_view what, NamedFiles& files,
                            Problems& problems) {
  if (!files.is_private(file, what)) return nullptr;
  std::optional<std::string> text = files.read(file, crypto::kPrivateKeyOctetsMax, what);
  if (!text) return nullptr;
  const auto key = policy::SigningKey::from_pem(*text);
  base::wipe(*text);
  const std::string said = std::string(what) + ": " + in_ticks(file.path) + ": ";
  if (!key) {
    problems.error(file.at, said + key.error().text());
    return nullptr;
  }
  if ((*key)->kind() == crypto::KeyKind::Rsa && (*key)->bits() < kRsaBitsWanted) {
    problems.warning(file.at, said + "an RSA key of " + std::to_string((*key)->bits()) +
                                  " bits is weak; make one of 2048 (RFC 8301)");
  }
  return *key;
}

std::span<const Section> dkim_sections() {
  return kSections;
}

std::span<const Key> dkim_keys() {
  return kKeys;
}

void finish_dkim(Draft& draft, NamedFiles& files, Problems& problems) {
  if (draft.dkim.empty()) return;
  if (draft.dkim.size() > kDkimSectionsMax)
    return problems.error(draft.dkim.back().at, "there are at most 10,000 sections [[dkim]]");
  std::map<std::string, KeyPointer> keys;  // by path: each file is read once
  Neighbours neighbours(problems);
  std::vector<policy::SigningRule> rules;
  for (DkimDraft& section : draft.dkim) {
    check_listener_name(section.conditions.listener, section.listener_at, draft, problems);
    if (!is_whole(section, problems)) continue;
    policy::DkimIdentity& identity = section.identity;
    const auto [known, is_new] = keys.try_emplace(section.key.path);
    if (is_new) known->second = read_signing_key(section.key, "`dkim.key`", files, problems);
    identity.key = known->second;
    if (!identity.key) continue;
    if (!section.has_headers) identity.headers = policy::default_signed_headers();
    if (!section.has_oversign) identity.oversign = policy::default_oversigned_headers();
    if (section.conditions.from.empty()) section.conditions.from = {identity.domain};
    rules.push_back({std::make_shared<const policy::DkimIdentity>(identity), section.active_from,
                     section.conditions});
    neighbours.check(section, rules.back());
  }
  draft.configuration.inbound.signing =
      std::make_shared<const policy::SigningTable>(std::move(rules));
}

}  // namespace rockdove::daemon
