#include "mta/traffic/profiles.h"

#include <catch2/catch.hpp>

using namespace rockdove;
using namespace rockdove::traffic;

namespace {

Origin at(unsigned line) {
  return {"file", line, 1};
}

Knob<std::vector<PlacedText>> names(const std::vector<std::string>& texts) {
  Knob<std::vector<PlacedText>> knob;
  knob.value.emplace();
  for (const std::string& text : texts) knob.value->push_back({text, at(1)});
  return knob;
}

ProviderSection provider(const std::string& name, const std::vector<std::string>& mx) {
  ProviderSection section;
  section.name = name;
  section.origin = at(1);
  section.mx = names(mx);
  return section;
}

template <typename T>
Knob<T> knob(T value, unsigned line) {
  return {std::move(value), at(line)};
}

Rule rule(const std::string& pattern, unsigned line) {
  Rule made;
  made.reply = ReplyPattern::compile(pattern).value();
  made.origin = at(line);
  made.actions.defer = true;
  return made;
}

ProfileFile with_providers(std::vector<ProviderSection> providers) {
  ProfileFile file;
  file.providers = std::move(providers);
  return file;
}

std::string owner(const Profiles& profiles, const std::vector<MxHost>& hosts,
                  std::string_view domain = "x.example") {
  const Provider* const found = profiles.provider_of(domain, hosts);
  return found == nullptr ? "none" : found->name;
}

unsigned fired(const Profiles& profiles, std::string_view reply, std::string_view domain,
               const Provider* provider, smtp::Stage stage = smtp::Stage::FinalDot) {
  const Rule* const found = profiles.match(parse_refusal(reply).value(), stage, domain, provider);
  return found == nullptr ? 0 : found->origin.line;
}

}  // namespace

TEST_CASE("a domain whose MX is at a provider does not escape it") {
  const Profiles profiles({with_providers({provider("outlook", {"*.olc.protection.outlook.com"}),
                                           provider("m365", {"*.mail.protection.outlook.com"}),
                                           provider("google", {"*.google.com"})})});
  CHECK(owner(profiles, {{"contoso-com.mail.protection.outlook.com", 0}}) == "m365");
  CHECK(owner(profiles, {{"hotmail-com.olc.protection.outlook.com", 0}}) == "outlook");
  CHECK(owner(profiles, {{"mx.x.example", 10}}) == "none");
  CHECK(owner(profiles, {}) == "none");
  // A backup elsewhere, wherever it stands in the list.
  CHECK(owner(profiles, {{"backup.example", 20}, {"smtp.google.com", 5}}) == "google");
  // A host of one's own beside it.
  CHECK(owner(profiles, {{"a.x.example", 5}, {"smtp.google.com", 5}}) == "google");
  // A provider that is only the backup.
  CHECK(owner(profiles, {{"mx.x.example", 5}, {"smtp.google.com", 10}}) == "none");
}

TEST_CASE("the pattern that says more decides, then the provider's name") {
  const Profiles profiles({with_providers({provider("b", {"*.example.net", "mx1.example.org"}),
                                           provider("a", {"*.mail.example.net"}),
                                           provider("c", {"mx1.example.org"})})});
  CHECK(owner(profiles, {{"mx.mail.example.net", 1}}) == "a");
  CHECK(owner(profiles, {{"mx.example.net", 1}}) == "b");
  CHECK(owner(profiles, {{"mx1.example.org", 1}}) == "b");
  // The order of equal hosts, which the DNS turns, changes nothing.
  CHECK(owner(profiles, {{"mx.example.net", 1}, {"mx.mail.example.net", 1}}) == "a");
  CHECK(owner(profiles, {{"mx.mail.example.net", 1}, {"mx.example.net", 1}}) == "a");
}

TEST_CASE("a provider's domains decide before any MX host") {
  ProviderSection by_domain = provider("local", {});
  by_domain.domains = names({"*.corp.example"});
  const Profiles profiles({with_providers({by_domain, provider("google", {"*.google.com"})})});
  CHECK(owner(profiles, {{"smtp.google.com", 1}}, "a.corp.example") == "local");
  CHECK(owner(profiles, {{"smtp.google.com", 1}}, "corp.example") == "google");
}

TEST_CASE("settings are laid over each other, each with its own place") {
  ProfileFile file = with_providers({provider("p", {"*.p.example"})});
  file.defaults.origin = at(1);
  file.defaults.knobs.connections = knob<std::uint32_t>(10, 2);
  file.defaults.knobs.port = knob<std::uint32_t>(25, 3);
  file.defaults.knobs.host_tries = knob<std::uint32_t>(3, 4);
  file.providers[0].knobs.connections = knob<std::uint32_t>(5, 12);
  file.providers[0].knobs.messages_per_connection = knob<std::uint32_t>(20, 13);
  DomainSection domain;
  domain.pattern = "x.example";
  domain.knobs.messages_per_connection = knob<std::uint32_t>(1, 23);
  file.domains.push_back(domain);
  SourceSection source;
  source.address = *base::parse_ip_address("192.0.2.1");
  source.knobs.connections = knob<std::uint32_t>(2, 32);
  file.sources.push_back(source);
  const Profiles profiles({file});
  const Provider* const p = profiles.find_provider("p");
  REQUIRE(p != nullptr);

  const Knobs all = profiles.effective("x.example", p, source.address);
  CHECK(all.connections.value == 2u);
  CHECK(all.connections.origin.line == 32);
  CHECK(all.messages_per_connection.value == 1u);
  CHECK(all.messages_per_connection.origin.line == 23);
  CHECK(all.port.origin.line == 3);
  const Knobs elsewhere = profiles.effective("y.example", p, base::parse_ip_address("192.0.2.2"));
  CHECK(elsewhere.connections.origin.line == 12);
  CHECK(elsewhere.messages_per_connection.value == 20u);
  CHECK(profiles.effective("y.example", nullptr, std::nullopt).connections.value == 10u);
  CHECK(!profiles.effective("y.example", nullptr, std::nullopt).messages_per_connection.value);
}

TEST_CASE("the later file wins key by key, and unset takes away what earlier ones said") {
  ProfileFile first = with_providers({provider("p", {"*.p.example"})});
  first.providers[0].knobs.connections = knob<std::uint32_t>(5, 2);
  first.providers[0].knobs.port = knob<std::uint32_t>(26, 3);
  first.providers[0].knobs.host_tries = knob<std::uint32_t>(3, 4);
  first.providers[0].rules.push_back(rule("first", 5));
  ProfileFile second;
  second.providers.emplace_back();
  second.providers[0].name = "p";
  second.providers[0].knobs.connections = knob<std::uint32_t>(6, 102);
  second.providers[0].unset = {{"port", at(103)}, {"bytes", at(104)}};
  second.providers[0].rules.push_back(rule("first|second", 105));
  const Profiles profiles({first, second});
  const Provider* const p = profiles.find_provider("p");
  REQUIRE(p != nullptr);
  CHECK(owner(profiles, {{"mx.p.example", 1}}) == "p");  // its patterns stay
  CHECK(p->knobs.connections.value == 6u);
  CHECK(!p->knobs.port.value);
  CHECK(p->knobs.host_tries.value == 3u);
  REQUIRE(profiles.useless_unsets().size() == 1);
  CHECK(profiles.useless_unsets()[0].text == "bytes");
  // Rules of the later file are asked first, and those of the earlier one remain.
  CHECK(fired(profiles, "421 first", "", p) == 105);
  REQUIRE(p->rules.size() == 2);

  second.providers[0].unset = {{"on", at(103)}, {"mx", at(104)}};
  const Profiles without({first, second});
  CHECK(without.find_provider("p")->rules.size() == 1);
  CHECK(owner(without, {{"mx.p.example", 1}}) == "none");
  CHECK(without.useless_unsets().empty());
}

TEST_CASE("of rules the domain's come first, then the provider's, then those of [default]") {
  ProfileFile file = with_providers({provider("p", {"*.p.example"})});
  file.defaults.rules = {rule("^4", 1), rule("^42", 2)};
  file.providers[0].rules = {rule("^421", 11)};
  DomainSection domain;
  domain.pattern = "*.x.example";
  domain.rules = {rule("^421 4\\.7", 21)};
  file.domains.push_back(domain);
  Rule at_rcpt = rule("^5", 31);
  at_rcpt.stages = {smtp::Stage::Rcpt, smtp::Stage::Mail};
  file.defaults.rules.push_back(at_rcpt);
  const Profiles profiles({file});
  const Provider* const p = profiles.find_provider("p");
  CHECK(fired(profiles, "421 4.7.0 no", "a.x.example", p) == 21);
  CHECK(fired(profiles, "421 4.7.0 no", "a.y.example", p) == 11);
  CHECK(fired(profiles, "421 4.3.0 no", "a.x.example", p) == 11);
  CHECK(fired(profiles, "450 4.3.0 no", "a.x.example", p) == 1);
  CHECK(fired(profiles, "421 no", "a.y.example", nullptr) == 1);
  CHECK(fired(profiles, "550 no", "", nullptr, smtp::Stage::Rcpt) == 31);
  CHECK(fired(profiles, "550 no", "", nullptr, smtp::Stage::FinalDot) == 0);
}

TEST_CASE("a domain's own section goes before patterns, and a long pattern before a short one") {
  ProfileFile file;
  for (const std::string_view pattern : {"*.example", "*.b.example", "a.b.example"}) {
    DomainSection section;
    section.pattern = pattern;
    file.domains.push_back(section);
  }
  const Profiles profiles({file});
  CHECK(profiles.find_domain("A.b.example")->pattern == "a.b.example");
  CHECK(profiles.find_domain("c.b.example")->pattern == "*.b.example");
  CHECK(profiles.find_domain("c.example")->pattern == "*.example");
  CHECK(profiles.find_domain("c.test") == nullptr);
}

TEST_CASE("what the texts of rules and settings say reads back") {
  CHECK(parse_octet_rate("100M/min")->octets == 100'000'000);
  CHECK(format_octet_rate(*parse_octet_rate("1500K/h")) == "1500K/h");
  for (const char* text : {"", "100M", "/min", "0/s", "x/s", "1M/week", "999/s", "2000G/day"}) {
    CAPTURE(text);
    CHECK(!parse_octet_rate(text));
  }
  CHECK(parse_threshold("3 in 10m")->count == 3);
  CHECK(format_threshold(*parse_threshold("3 in 10m")) == "3 in 10m");
  for (const char* text : {"", "3", "0 in 10m", "x in 10m", "3 in 0s", "3 in", "-1 in 1m"}) {
    CAPTURE(text);
    CHECK(!parse_threshold(text));
  }
  CHECK(*parse_factor("x0.5") == 0.5);
  for (const char* text : {"", "0.5", "x1", "x0", "x-0.5", "x2", "xnan", "x0.5 "}) {
    CAPTURE(text);
    CHECK(!parse_factor(text));
  }
  for (const std::string_view name : stage_names()) {
    REQUIRE(parse_stage(name));
    CHECK(format_stage(*parse_stage(name)) == name);
  }
  CHECK(!parse_stage("eol"));
}

TEST_CASE("a rule's actions are told in phrases") {
  Actions actions;
  CHECK(actions.is_empty());
  actions.pause = Pause{std::chrono::hours(2), Pause::Of::Source};
  actions.backoff = BackoffAction{0.5, Rate{10, std::chrono::minutes(1), 1}};
  actions.set = Setting{{}, std::chrono::hours(1)};
  actions.set->knobs.connections.value = 1;
  actions.retry_in = std::chrono::minutes(30);
  CHECK(describe(actions) ==
        std::vector<std::string>{"pause the source for 2h", "rate x0.5, not below 10/min",
                                 "connections = 1 for 1h", "try again in 30m"});
}
