// The keys about TLS, authentication and credentials, and what goes together.
#include "mta/daemon/config_security.h"

#include <catch2/catch.hpp>

#include "parsed.h"

using namespace rockdove;
using namespace rockdove::daemon;

TEST_CASE("listeners that nobody could use, or that give passwords away, are told of") {
  const std::map<std::string, std::string> files = {{"/etc/rockdove/users", "# nobody\n"}};
  const std::string on_587 = "[[listener]]\nname = \"l\"\naddress = \":587\"\ntls = \"off\"\n";
  CHECK(problems_of(on_587 + "auth = \"required\"\n", files) ==
        Lines{"c:6:8: error: nobody could send anything by `l`: it requires authentication, which "
              "is not offered without TLS; set `tls`, or name networks in `auth_in_clear` that may "
              "send passwords in clear"});
  CHECK(problems_of(on_587 + "auth = \"optional\"\n", files) ==
        Lines{"c:6:8: warning: authentication is never offered by `l` without TLS; set `tls`, or "
              "name networks in `auth_in_clear` that may send passwords in clear"});
  CHECK(problems_of(on_587 + "auth = \"required\"\nauth_in_clear = [\"10.0.0.0/8\"]\n", files) ==
        Lines{});
  const auto has = [](const Lines& problems, const std::string& words) {
    return problems.size() == 1 && problems[0].find(words) != std::string::npos;
  };
  CHECK(has(problems_of("[[listener]]\naddress = \":25\"\ntls = \"implicit\"\n"),
            "warning: other mail servers come to port 25 without TLS"));
  CHECK(has(problems_of("[[listener]]\naddress = \":465\"\n"),
            "warning: clients expect TLS from the first octet on port 465"));
  CHECK(has(problems_of("[[listener]]\naddress = \":25\"\nproxy_from = [\"0.0.0.0/0\"]\n"),
            "warning: `proxy_from`"));
}

TEST_CASE("the accounts are read where a listener asks for them") {
  const std::string listener =
      "[[listener]]\nname = \"l\"\naddress = \":587\"\nauth = \"optional\"\n[auth]\nusers = ";
  CHECK(problems_of(listener + "\"/none\"\n") ==
        Lines{"c:7:9: warning: `auth.users`: there is no file `/none`"});
  CHECK(problems_of(listener + "\"/open\"\n", {{"/open", "#\n"}}).at(0).find("chmod") !=
        std::string::npos);
  CHECK(problems_of(listener + "\"/bad\"\n", {{"/bad", "no colon\n"}})
            .at(0)
            .find("c:7:9: error: `auth.users`: /bad:1: ") == 0);
  CHECK(problems_of("[auth]\nusers = \"/none\"\n") == Lines{});
}

TEST_CASE("certificates and keys come in pairs") {
  const std::map<std::string, std::string> files = {{"/c", "c"}, {"/k", "k"}};
  CHECK(problems_of("[tls]\nkey = \"/k\"\n", files) ==
        Lines{"c:3:7: error: `tls.key` wants `tls.certificate` beside it"});
  CHECK(problems_of("[tls]\ncertificate = \"/c\"\nkey = [\"/k\", \"/k\"]\n", files) ==
        Lines{"c:4:7: error: `tls.key` names 2 files and `tls.certificate` 1; they belong together "
              "one by one"});
  CHECK(problems_of("[tls]\ncertificate = \"/c\"\nkey = \"/none\"\n", files) ==
        Lines{"c:4:7: error: `tls.key`: there is no file `/none`"});
}

TEST_CASE("a password is for its owner, and for the host that it belongs to") {
  const std::map<std::string, std::string> files = {
      {"/p", "s\n"}, {"/empty", "\n"}, {"/two", "a\nb\n"}, {"/open", "s\n"}};
  const std::string to = "[[route]]\nto = \"smtp://a.example\"\n";
  CHECK(problems_of(to + "password_file = \"/p\"\n", files) ==
        Lines{"c:4:17: error: `password_file` wants the name to log in with beside it: `user`"});
  CHECK(problems_of(to + "login = \"x\"\n", files) ==
        Lines{"c:4:9: error: `login` wants a `password_file` beside it"});
  CHECK(problems_of(to + "user = \"x\"\npassword_file = \"/empty\"\n", files) ==
        Lines{"c:5:17: error: `route.password_file`: `/empty` must hold the password, in one "
              "line"});
  CHECK(problems_of(to + "user = \"x\"\npassword_file = \"/two\"\n", files).size() == 1);
  CHECK(problems_of(to + "user = \"x\"\npassword_file = \"/open\"\n", files) ==
        Lines{"c:5:17: error: `route.password_file`: every user of this machine may read `/open`; "
              "do: chmod o-rwx /open"});
  CHECK(problems_of(to + "user = \"x\"\npassword_file = \"/p\"\ntls = \"off\"\n", files) ==
        Lines{"c:6:7: warning: the password crosses the net in clear: set `tls = \"verify\"`"});
  CHECK(problems_of("[[route]]\nto = \"smtps://a.example\"\ntls = \"off\"\n") ==
        Lines{"c:4:7: error: smtps:// is always TLS: `tls` wants \"require\" or \"verify\" there"});
  CHECK(accepted("[[route]]\nto = \"smtps://a.example\"\n").outbound.routes[0].tls ==
        outbound::TlsLevel::Require);
  const Configuration both =
      accepted(to + "user = \"x\"\nlogin = \"y\"\npassword_file = \"/p\"\n", files);
  CHECK(both.outbound.routes[0].user == "x");
  CHECK(both.outbound.routes[0].credentials.value().user == "y");
}

TEST_CASE("files must be readable by the user that the daemon becomes") {
  CHECK(problems_of("user = \"mail\"\n[tls]\ncertificate = \"/secret\"\n", {{"/secret", "x"}})
            .at(0) ==
        "c:4:15: error: `tls.certificate`: the user mail, who the daemon becomes, cannot read "
        "/secret");
  CHECK(problems_of("user = \"root\"\n").at(0).find("c:2:8: error: `user` must not be root") == 0);
}

TEST_CASE("history is kept as long as mail may wait, and off is no length") {
  const auto keep_of = [](const std::string& text) { return accepted(text).queue.history; };
  CHECK(keep_of("queue.lifetime = \"100d\"").keep == std::chrono::hours(24 * 100));
  CHECK(keep_of("queue.lifetime = \"1d\"").keep == std::chrono::hours(24 * 90));
  const queue::HistorySettings off = keep_of("queue.lifetime = \"100d\"\nhistory.keep = \"off\"");
  CHECK_FALSE(off.is_kept);
  CHECK(off.keep == std::chrono::hours(24 * 100));
  CHECK(problems_of("history.keep = \"of\"").size() == 1);
  CHECK(problems_of("queue.lifetime = \"8d\"\nhistory.keep = \"7d\"") ==
        Lines{"c:3:16: error: `history.keep` is shorter than `queue.lifetime`, which is 8d"});
  CHECK(problems_of("history.keep = \"23h\"") ==
        Lines{"c:2:16: error: `history.keep` is \"1d\" to \"3650d\""});
  CHECK(problems_of("history.max_size = \"1M\"") ==
        Lines{"c:2:20: error: `history.max_size` is \"100M\" to \"1000T\""});
}
