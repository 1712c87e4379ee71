// [policy] about clients: lists, files, DNS lists, and what is wrong with them.
#include "mta/daemon/config_policy.h"

#include "parsed.h"

using namespace rockdove;
using namespace rockdove::daemon;
using policy::CheckMode;
using policy::ClientPolicy;

TEST_CASE("without a [policy] section clients are looked at, and nobody is in a list") {
  const Configuration c = accepted("");
  REQUIRE(c.inbound.clients != nullptr);
  const ClientPolicy& clients = *c.inbound.clients;
  CHECK(clients.allow.is_empty());
  CHECK(clients.block.is_empty());
  CHECK(clients.dns_lists.empty());
  CHECK(clients.refuse_at == 5);
  CHECK(clients.contact.empty());
  CHECK(clients.own_names == std::vector<std::string>{"relay.example.net"});
  const policy::ClientModes& modes = c.inbound.judging->checks.client;
  CHECK(modes.helo == CheckMode::Check);
  CHECK(modes.iprev == CheckMode::Check);
  CHECK(modes.dnsbl == CheckMode::Enforce);
}

TEST_CASE("every key about clients arrives where it belongs") {
  const Configuration c = accepted(
      R"(
[policy]
helo = "enforce"
iprev = "off"
allow = ["192.0.2.0/24", "jane@example.net", "file:/allow"]
block = ["example.com", ".example.org", "helo:pc", "file:/block", "file:/more"]
dmarc_exempt = "lists.example"
refuse_at = 7
contact = "postmaster@example.com or +49 30 1234"
[[policy.dnsbl]]
zone = "ZEN.example"
weight = 6
answers = ["127.0.0.2", "127.0.0.4/30"]
text = "see https://zen.example/?q=%a"
[[policy.dnsbl]]
zone = "dbl.example"
of = "sender"
[[policy.dnswl]]
zone = "white.example"
weight = 3
[[policy.dnswl]]
zone = "helo.example"
weight = -4
of = "helo"
)",
      {{"/allow", "# ours\n192.0.2.1\n2001:db8::/32\n"},
       {"/block", "x@example.com\n"},
       {"/more", ""}});
  const ClientPolicy& clients = *c.inbound.clients;
  CHECK(c.inbound.judging->checks.client.helo == CheckMode::Enforce);
  CHECK(c.inbound.judging->checks.client.iprev == CheckMode::Off);
  CHECK(clients.allow.own->size() == 2);
  REQUIRE(clients.allow.files.size() == 1);
  CHECK(clients.allow.files[0].path == "/allow");
  CHECK(clients.allow.files[0].list->size() == 2);
  CHECK(clients.block.own->size() == 3);
  REQUIRE(clients.block.files.size() == 2);
  CHECK(clients.block.files[1].list->size() == 0);
  CHECK(clients.dmarc_exempt.find_domain("lists.example"));
  CHECK(clients.refuse_at == 7);
  CHECK(clients.contact == "postmaster@example.com or +49 30 1234");
  REQUIRE(clients.dns_lists.size() == 4);
  CHECK(clients.dns_lists[0].zone == "zen.example");
  CHECK(clients.dns_lists[0].weight == 6);
  CHECK(clients.dns_lists[0].answers.size() == 2);
  CHECK(clients.dns_lists[0].text == "see https://zen.example/?q=%a");
  CHECK(clients.dns_lists[1].of == policy::DnsList::Of::Sender);
  CHECK(clients.dns_lists[1].weight == 5);
  CHECK(clients.dns_lists[2].weight == -3);
  CHECK(clients.dns_lists[3].weight == -4);
  CHECK(clients.dns_lists[3].of == policy::DnsList::Of::Helo);
}

TEST_CASE("a bad entry of a list is named where it stands, in the file too") {
  CHECK(problems_of("[policy]\nblock = [\"192.0.2.5/24\", \"*.example.com\", \"file:x\"]\n") ==
        Lines{"c:3:10: error: \"192.0.2.5/24\" has bits behind its prefix; the network is "
              "192.0.2.0/24",
              "c:3:26: error: \"*.example.com\" is no domain; there are no patterns here: for what "
              "is below a domain write .example.net",
              "c:3:43: error: \"file:x\" wants a path from the root, as in "
              "\"file:/etc/rockdove/block\""});
  CHECK(
      problems_of("[policy]\nallow = [\"file:/list\"]\n",
                  {{"/list", "192.0.2.1\n\nnonsense here\n"}}) ==
      Lines{"/list:3:1: error: \"nonsense here\": there is one entry to a line, without blanks in "
            "it"});
  CHECK(problems_of("[policy]\nallow = [\"file:/none\"]\n") ==
        Lines{"c:3:10: error: `policy.allow`: there is no file `/none`"});
  CHECK(problems_of("[policy]\ndmarc_exempt = [\"file:/unreadable\"]\n") ==
        Lines{"c:3:17: error: `policy.dmarc_exempt`: opening /unreadable: Permission denied"});
  CHECK(problems_of("[policy]\nallow = [\"file:/secret\"]\n", {{"/secret", ""}}) ==
        Lines{"c:3:10: error: `policy.allow`: the user rockdove, who the daemon becomes, cannot "
              "read /secret"});
}

TEST_CASE("a list that names everybody is doubted") {
  CHECK(problems_of("[policy]\nblock = [\"0.0.0.0/0\"]\n") ==
        Lines{"c:3:10: warning: \"0.0.0.0/0\" is every client there is"});
}

TEST_CASE("a DNS list wants a zone, and answers that lists give") {
  CHECK(problems_of("[[policy.dnsbl]]\nweight = 5\n") ==
        Lines{"c:2:1: error: the DNS list has no `zone`"});
  CHECK(problems_of("[[policy.dnsbl]]\nzone = \"a.example\"\nanswers = [\"10.0.0.1\"]\n") ==
        Lines{"c:4:11: error: 10.0.0.1/32 is no answer of a list: they are in 127.0.0.0/8 (RFC "
              "5782)"});
  CHECK(problems_of("[[policy.dnsbl]]\nzone = \"a.example\"\nanswers = [\"0.0.0.0/0\"]\n").size() ==
        1);
  CHECK(problems_of("[[policy.dnsbl]]\nzone = \"a.example\"\ntext = \"100%\"\n") ==
        Lines{"c:4:8: error: in `text` a percent sign is the client's address (%a), the domain "
              "(%d), the zone (%z), or itself (%%)"});
  CHECK(problems_of("[[policy.dnsbl]]\nzone = \"a.example\"\nweight = 2\n") ==
        Lines{"c:2:1: warning: all DNS lists together weigh 2, less than `policy.refuse_at`, which "
              "is 5: they refuse nobody"});
  CHECK(problems_of("[[policy.dnswl]]\nzone = \"a.example\"\nweight = -200\n").size() == 1);
  CHECK(problems_of("[[policy.dnsbl]]\nzone = \"a.example\"\nweight = -5\n").size() == 1);
  std::string many;
  for (int i = 0; i < 21; ++i) many += "[[policy.dnsbl]]\nzone = \"a.example\"\n";
  CHECK(problems_of(many) == Lines{"c:42:1: error: there are at most 20 DNS lists"});
}

TEST_CASE("a contact is what every client can read") {
  CHECK(problems_of("[policy]\ncontact = \"Jörg\"\n") ==
        Lines{"c:3:11: error: `policy.contact` wants up to 200 characters of plain ASCII"});
  CHECK(accepted("[policy]\ncontact = \"\"\n").inbound.clients->contact.empty());
}

TEST_CASE("a section of [policy] that there is not is guessed at") {
  const Lines problems = problems_of("[[policy.dnsbls]]\nzone = \"a.example\"\n");
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].find("did you mean `dnsbl`?") != std::string::npos);
}
