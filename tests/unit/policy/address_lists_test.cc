#include "policy/address_lists.h"

#include <random>

#include <catch2/catch.hpp>

namespace rockdove::policy {
namespace {

base::IpAddress ip(std::string_view text) {
  return *base::parse_ip_address(text);
}

AddressListPointer parsed(std::string_view text) {
  ParsedList list = parse_address_list(text);
  for (const ListProblem& problem : list.problems) INFO(problem.text);
  REQUIRE(list.problems.empty());
  return list.list;
}

std::string problem_of(std::string_view text) {
  const ParsedList list = parse_address_list(text);
  CHECK(list.list == nullptr);
  REQUIRE(!list.problems.empty());
  return std::to_string(list.problems[0].line) + ": " + list.problems[0].text;
}

}  // namespace

TEST_CASE("lists: each kind of entry is found as what it is") {
  const AddressListPointer list = parsed(
      "\xef\xbb\xbf# ours\r\n"
      "192.0.2.0/24\r\n"
      "198.51.100.7 ; a printer\n"
      "2001:db8::/32\t# the lab\n"
      "\n"
      "  jane#1@Example.NET  \n"
      "example.com\n"
      "@example.org\n"
      ".example.edu\n"
      "helo:Mail.example.net\n"
      "helo:.bad.example\n"
      "helo:my_pc!\n"
      "b\xc3\xbc"
      "cher.example");
  CHECK(list->size() == 11);
  CHECK(list->find_client(ip("192.0.2.255")) == "192.0.2.0/24");
  CHECK(!list->find_client(ip("192.0.3.0")));
  CHECK(list->find_client(ip("198.51.100.7")) == "198.51.100.7");
  CHECK(!list->find_client(ip("198.51.100.8")));
  CHECK(list->find_client(ip("2001:db8:ffff::1")) == "2001:db8::/32");
  CHECK(!list->find_client(ip("2001:db9::1")));
  CHECK(list->find_sender("JANE#1@example.net") == "jane#1@example.net");
  CHECK(!list->find_sender("jane@example.net"));
  CHECK(list->find_sender("x@example.com") == "@example.com");
  CHECK(!list->find_sender("x@sub.example.com"));
  CHECK(list->find_domain("EXAMPLE.org") == "@example.org");
  CHECK(!list->find_domain("example.edu"));
  CHECK(list->find_domain("a.b.example.edu") == ".example.edu");
  CHECK(list->find_domain("xn--bcher-kva.example") == "@xn--bcher-kva.example");
  CHECK(list->find_helo("MAIL.example.net.") == "helo:mail.example.net");
  CHECK(list->find_helo("x.bad.example") == "helo:.bad.example");
  CHECK(!list->find_helo("bad.example"));
  CHECK(list->find_helo("my_pc!") == "helo:my_pc!");
  CHECK(!list->find_helo("example.com"));  // that is a sender's domain
  CHECK(!list->find_sender("helo:mail.example.net"));
  CHECK(!list->find_sender(""));
  CHECK(!list->find_domain(""));
  CHECK(!list->find_helo(""));
}

TEST_CASE("lists: of several networks the narrowest is named") {
  const AddressListPointer list = parsed("0.0.0.0/0\n10.0.0.0/8\n10.1.0.0/16\n10.1.2.3\n::/0\n");
  CHECK(list->find_client(ip("10.1.2.3")) == "10.1.2.3");
  CHECK(list->find_client(ip("10.1.2.4")) == "10.1.0.0/16");
  CHECK(list->find_client(ip("10.2.0.0")) == "10.0.0.0/8");
  CHECK(list->find_client(ip("192.0.2.1")) == "0.0.0.0/0");
  CHECK(list->find_client(ip("2001:db8::1")) == "::/0");
}

TEST_CASE("lists: a bad line is named, and what to do about it") {
  CHECK(problem_of("example.com\n192.0.2.5/24\n") ==
        "2: \"192.0.2.5/24\" has bits behind its prefix; the network is 192.0.2.0/24");
  CHECK(problem_of("192.0.2.300") ==
        "1: \"192.0.2.300\" is not an address or network, as 10.0.0.0/8 or ::1");
  CHECK(problem_of("*.example.com") ==
        "1: \"*.example.com\" is no domain; there are no patterns here: for what is below a domain "
        "write .example.net");
  CHECK(problem_of("exa$mple") ==
        "1: \"exa$mple\" is no domain; write an address, a network, jane@example.net, example.net, "
        ".example.net (below it) or helo:mail.example.net");
  CHECK(problem_of("192.0.2.1 192.0.2.2") ==
        "1: \"192.0.2.1 192.0.2.2\": there is one entry to a line, without blanks in it");
  CHECK(problem_of("jane@@example.net").starts_with("1: \"jane@@example.net\" is no address: "));
  CHECK(problem_of("helo:").starts_with("1: \"helo:\" names nothing"));
  CHECK(problem_of(std::string(600, 'a')).ends_with("is longer than 512 octets"));
  CHECK(problem_of(std::string("a\0b", 3)).find("\\x00") != std::string::npos);
}

TEST_CASE("lists: of many bad lines twenty are kept and the others counted") {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "?\n";
  const ParsedList list = parse_address_list(text);
  CHECK(list.problems.size() == kListProblemsMax);
  CHECK(list.problems_left_out == 80);
}

TEST_CASE("lists: too much is refused, not read") {
  CHECK(problem_of(std::string(kListOctetsMax + 1, '\n')) == "0: the file is larger than 64 MiB");
  std::string text;
  for (std::size_t i = 0; i <= kListEntriesMax; ++i) text += "::1\n";
  CHECK(problem_of(text) == "2000001: there are more than 2,000,000 entries");
}

TEST_CASE("lists: what is twice in a file counts once") {
  CHECK(parsed("192.0.2.1\n192.0.2.1/32\nexample.net\n@EXAMPLE.net\n")->size() == 2);
  CHECK(parsed("# nothing\n")->size() == 0);
}

TEST_CASE("lists: looking into many networks finds what a plain search finds") {
  std::mt19937 random(7);
  std::string text;
  std::vector<base::IpNetwork> networks;
  for (int i = 0; i < 300; ++i) {
    const bool is_four = random() % 2 == 0;
    const unsigned bits = is_four ? 4 + static_cast<unsigned>(random() % 29)
                                  : 4 + static_cast<unsigned>(random() % 125);
    std::array<std::uint8_t, 16> octets{};
    octets[0] = static_cast<std::uint8_t>(is_four ? 16 + (random() & 0x10) : 0x20);
    for (std::size_t at = 1; at < octets.size(); ++at)
      octets[at] = static_cast<std::uint8_t>(random() & 3);
    for (unsigned bit = bits; bit < 128; ++bit)
      octets[bit / 8] = static_cast<std::uint8_t>(octets[bit / 8] & ~(0x80U >> (bit % 8)));
    const base::IpAddress address =
        is_four ? base::IpAddress::v4({octets[0], octets[1], octets[2], octets[3]})
                : base::IpAddress::v6(octets);
    networks.push_back({address, bits});
    text += base::format_ip_network(networks.back()) + "\n";
  }
  const AddressListPointer list = parsed(text);
  for (int i = 0; i < 5000; ++i) {
    std::array<std::uint8_t, 16> octets = networks[random() % networks.size()].base.octets();
    octets[random() % 16] ^= static_cast<std::uint8_t>(1U << (random() % 8));
    const base::IpAddress address =
        random() % 2 == 0 ? base::IpAddress::v4({octets[0], octets[1], octets[2], octets[3]})
                          : base::IpAddress::v6(octets);
    const base::IpNetwork* best = nullptr;
    for (const base::IpNetwork& network : networks) {
      if (network.contains(address) && (best == nullptr || best->prefix_bits < network.prefix_bits))
        best = &network;
    }
    const std::optional<std::string> found = list->find_client(address);
    REQUIRE(found.has_value() == (best != nullptr));
    if (best != nullptr && found->find('/') != std::string::npos)
      REQUIRE(*found == base::format_ip_network(*best));
  }
}

TEST_CASE("lists: own entries come before files, and a match says where it is from") {
  AddressLists lists;
  CHECK(lists.is_empty());
  CHECK(!lists.find_client(ip("192.0.2.1")));
  lists.files.push_back({"/etc/a", parsed("192.0.2.1\nexample.net")});
  lists.files.push_back({"/etc/b", parsed("192.0.2.0/24")});
  CHECK(lists.find_client(ip("192.0.2.1"))->source == "/etc/a");
  CHECK(lists.find_client(ip("192.0.2.2"))->source == "/etc/b");
  lists.own = parsed("192.0.0.0/16");
  CHECK(lists.find_client(ip("192.0.2.1"))->source == "the configuration");
  CHECK(lists.find_sender("x@example.net")->entry == "@example.net");
  CHECK(lists.size() == 4);
}

}  // namespace rockdove::policy
