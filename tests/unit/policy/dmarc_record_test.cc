#include "policy/dmarc_record.h"

#include <catch2/catch.hpp>

using namespace rockdove::policy;

namespace {

constexpr DmarcEdition kOld = DmarcEdition::Rfc7489;
constexpr DmarcEdition kNew = DmarcEdition::Rfc9989;

DmarcRecord read(std::string_view text) {
  auto record = parse_dmarc_record(text);
  INFO(text);
  REQUIRE(record);
  return *std::move(record);
}

}  // namespace

TEST_CASE("a record begins with its version, in this case, and nothing in front of it") {
  for (const char* text : {"v=DMARC1", "v=DMARC1;", "v = DMARC1 ; p=none", "V=DMARC1;p=none"}) {
    INFO(text);
    CHECK(parse_dmarc_record(text));
  }
  for (const char* text :
       {"", "v=DMARC12; p=none", "v=dmarc1; p=none", "v=DMARC1 p=none", "v=", "v",
        " v=DMARC1; p=none", "p=none; v=DMARC1", "vv=DMARC1; p=none", "v=DMARC1x; p=reject",
        "v=spf1 -all", "vDMARC1", ";v=DMARC1", "=DMARC1"}) {
    INFO(text);
    CHECK_FALSE(parse_dmarc_record(text));
  }
}

TEST_CASE("tags are read in any order, any case of names and of their words") {
  const DmarcRecord record = read(
      "v=DMARC1; P=Reject; sp = quarantine ;np=none;ADKIM=S;aspf=s;psd=N;t=Y;pct=25; fo=1:d:s;"
      "rua=mailto:a@example.net, mailto:b@example.org!10m ; ruf=https://reports.example.net/x");
  CHECK(record.policy == DmarcPolicy::Reject);
  CHECK(record.subdomain_policy == DmarcPolicy::Quarantine);
  CHECK(record.nonexistent_policy == DmarcPolicy::None);
  CHECK(record.dkim_alignment == DmarcAlignment::Strict);
  CHECK(record.spf_alignment == DmarcAlignment::Strict);
  CHECK(record.public_suffix == PublicSuffixFlag::No);
  CHECK(record.is_test);
  CHECK(record.percent == 25);
  CHECK_FALSE(record.failure_reporting.when_all_fail);
  CHECK(record.failure_reporting.when_any_fails);
  CHECK(record.failure_reporting.of_dkim);
  CHECK(record.failure_reporting.of_spf);
  REQUIRE(record.aggregate_reports.size() == 2);
  CHECK(record.aggregate_reports[0].host == "example.net");
  CHECK_FALSE(record.aggregate_reports[0].octets_max);
  CHECK(record.aggregate_reports[1].uri == "mailto:b@example.org");
  CHECK(record.aggregate_reports[1].octets_max == 10U << 20U);
  REQUIRE(record.failure_reports.size() == 1);
  CHECK(record.failure_reports[0].host == "reports.example.net");
  CHECK_FALSE(record.failure_reports[0].mailbox);
  CHECK(record.problems.empty());
  CHECK(is_valid(record, kOld));
  CHECK(is_valid(record, kNew));
}

TEST_CASE("unknown tags are ignored, and a record without others has its defaults") {
  const DmarcRecord record = read("v=DMARC1; p=none; future = some thing!; x_1=");
  CHECK(record.problems.empty());
  CHECK(record.dkim_alignment == DmarcAlignment::Relaxed);
  CHECK(record.percent == 100);
  CHECK(record.failure_reporting.when_all_fail);
  CHECK_FALSE(record.is_test);
  CHECK(record.public_suffix == PublicSuffixFlag::Unsaid);
}

TEST_CASE("what is wrong with a record is judged by the edition it offends") {
  struct Case {
    const char* text;
    bool old_valid, new_valid;
  };

  const Case cases[] = {
      {"v=DMARC1; p=none", true, true},
      {"v=DMARC1; p=none;", true, true},
      {"v=DMARC1; p=none ; ", true, true},
      {"v=DMARC1; rua=mailto:a@example.net", true, true},
      {"v=DMARC1; p=reject; sp=invalid; rua=mailto:a@example.net", true, true},
      {"v=DMARC1; sp=reject; p=reject", false, true},
      {"v=DMARC1; p=none; pct=110", false, true},
      {"v=DMARC1; p=none; pct=", false, true},
      {"v=DMARC1; p=none; pct=1a", false, true},
      {"v=DMARC1; p=none; rf=afrf-", false, true},
      {"v=DMARC1; p=none; rf=afrf:iodef", true, true},
      {"v=DMARC1; p=none; ri=86400", true, true},
      {"v=DMARC1; p=none; ri=-1", false, true},
      {"v=DMARC1; p=none; t=maybe", true, false},
      {"v=DMARC1; p=none; psd=maybe", true, false},
      {"v=DMARC1; p=none; np=maybe", true, false},
      {"v=DMARC1; p=none; fo=0:1", true, false},
      {"v=DMARC1; p=none; fo=d:d", true, false},
      {"v=DMARC1; p=none; fo=", false, false},
      {"v=DMARC1; p=none; fo=1:", false, false},
      {"v=DMARC1; p=none; fo=01", false, false},
      {"v=DMARC1; p=none; adkim=x", false, false},
      {"v=DMARC1; p=none; aspf=", false, false},
      {"v=DMARC1; p=none; bogus", false, false},
      {"v=DMARC1; p=none;; adkim=s", false, false},
      {"v=DMARC1; p=none; 1=2", false, false},
      {"v=DMARC1; p=none; p=none", false, false},
      {"v=DMARC1; p=none; v=DMARC1", false, false},
      {"v=DMARC1; p=none; x=1; X=1", false, false},
      {"v=DMARC1; p=none; rua=", false, false},
      {"v=DMARC1; p=none; rua=mailto:a@example.net,", false, false},
      {"v=DMARC1; p=none; rua=mailto:a@example.net!", false, false},
      {"v=DMARC1; p=none; rua=mailto:a@example.net!10p", false, false},
      {"v=DMARC1; p=none; rua=mailto:a@example.net!99999999999999999999", false, true},
      {"v=DMARC1; p=none; sp=\xc3\xa4", false, false},
      {"v=DMARC1", false, false},
      {"v=DMARC1;", false, false},
      {"v=DMARC1; p=nine", false, false},
      {"v=DMARC1; adkim=s", false, false},
  };
  for (const Case& one : cases) {
    INFO(one.text);
    const DmarcRecord record = read(one.text);
    CHECK(is_valid(record, kOld) == one.old_valid);
    CHECK(is_valid(record, kNew) == one.new_valid);
  }
}

TEST_CASE("sp stands in for np, and p for sp, where they are not there") {
  using enum DmarcPolicy;
  CHECK(requested_policies(read("v=DMARC1; p=reject"), kNew) ==
        DmarcPolicies{Reject, Reject, Reject});
  CHECK(requested_policies(read("v=DMARC1; p=reject; sp=none"), kNew) ==
        DmarcPolicies{Reject, None, None});
  CHECK(requested_policies(read("v=DMARC1; p=reject; np=quarantine"), kNew) ==
        DmarcPolicies{Reject, Reject, Quarantine});
  // RFC 7489 did not know np.
  CHECK(requested_policies(read("v=DMARC1; p=reject; np=quarantine"), kOld) ==
        DmarcPolicies{Reject, Reject, Reject});
}

TEST_CASE("without a valid policy a record counts as p=none when reports are asked for, else not") {
  for (const char* rest : {"", "p=block; ", "p=reject; sp=block; ", "p=; ", "p=reject; p=none; "}) {
    INFO(rest);
    const std::string start = std::string("v=DMARC1; ") + rest;
    CHECK(requested_policies(read(start + "rua=mailto:a@example.net"), kNew) == DmarcPolicies());
    CHECK(requested_policies(read(start + "rua=mailto:a@example.net"), kOld) == DmarcPolicies());
    CHECK_FALSE(requested_policies(read(start + "adkim=s"), kNew));
    CHECK_FALSE(requested_policies(read(start + "adkim=s; rua=nobody"), kNew));
    CHECK_FALSE(requested_policies(read(start + "adkim=s; ruf=mailto:a@example.net"), kOld));
  }
  CHECK(requested_policies(read("v=DMARC1; p=reject; np=block"), kOld) ==
        DmarcPolicies{DmarcPolicy::Reject, DmarcPolicy::Reject, DmarcPolicy::Reject});
  CHECK_FALSE(requested_policies(read("v=DMARC1; p=reject; np=block"), kNew));
}

TEST_CASE("a tag that is there twice has neither value") {
  const DmarcRecord record = read("v=DMARC1; p=none; t=y; t=n; adkim=s; adkim=s; pct=1; pct=2");
  CHECK_FALSE(record.is_test);
  CHECK(record.dkim_alignment == DmarcAlignment::Relaxed);
  CHECK(record.percent == 100);
  CHECK_FALSE(record.is_tag_list);
  CHECK(record.problems.size() == 3);
}

TEST_CASE("addresses for reports are URIs, decoded for whoever sends to them") {
  const auto reports = [](std::string_view list) {
    return read("v=DMARC1; p=none; rua=" + std::string(list)).aggregate_reports;
  };
  REQUIRE(reports("mailto:%22d%2Cmarc%22@example.net").size() == 1);
  CHECK(reports("mailto:%22d%2Cmarc%22@example.net")[0].mailbox->local == "\"d,marc\"");
  CHECK(reports("MAILTO:a@EXAMPLE.net?subject=x")[0].host == "example.net");
  CHECK(reports("https://user@Reports.example:8443/in?x=1")[0].host == "reports.example");
  // Valid, but nobody's.
  REQUIRE(reports("mailto:").size() == 1);
  CHECK_FALSE(reports("mailto:")[0].mailbox);
  CHECK(reports("mailto:")[0].host.empty());
  CHECK(reports("bogus, mailto:a@example.net").size() == 1);
  for (const char* bad :
       {"a@example.net", "nothing", "<mailto:a@example.net>", "mailto:a b@example.net",
        "mailto:a%4@example.net", "mailto:a%@example.net", ":x", "1a:x", "mailto:a@example.net!k",
        "mailto:a@example.net!5!5"}) {
    INFO(bad);
    CHECK(reports(bad).empty());
  }
  CHECK(reports("mailto:a@example.net!2T")[0].octets_max == std::uint64_t{2} << 40U);
  CHECK(reports("mailto:a@example.net!7")[0].octets_max == 7U);
  CHECK(reports("mailto:a@example.net!18446744073709551615")[0].octets_max == UINT64_MAX);
  CHECK_FALSE(reports("mailto:a@example.net!18446744073709551615")[0].has_absurd_limit);
  CHECK(reports("mailto:a@example.net!18446744073709551616")[0].has_absurd_limit);
  CHECK(reports("mailto:a@example.net!18446744073709551615g")[0].octets_max == UINT64_MAX);
}

TEST_CASE("a record of many tags, addresses and faults is read in bounds") {
  std::string tags = "v=DMARC1; p=reject";
  for (int i = 0; i < 5000; ++i) tags += "; a" + std::to_string(i) + "=1";
  CHECK(requested_policies(read(tags), kNew)->domain == DmarcPolicy::Reject);
  CHECK(read(tags).problems.size() == 1);
  std::string addresses = "v=DMARC1; p=reject; rua=mailto:a@example.net";
  for (int i = 0; i < 5000; ++i) addresses += ",mailto:a@example.net";
  CHECK(read(addresses).aggregate_reports.size() == kDmarcReportUrisMax);
  CHECK(read("v=DMARC1; p=none" + std::string(50000, ';')).problems.size() <= 50);
}
