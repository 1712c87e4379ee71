#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <netdb.h>
#include <random>
#include <unistd.h>

#include <netinet/in.h>
#include <nlohmann/json.hpp>
#include <sys/socket.h>

#include "mta/base/text.h"
#include "mta/cli/commands.h"
#include "mta/cli/mime.h"
#include "mta/cli/send_session.h"
#include "mta/daemon/config_target.h"
#include "mta/mail/address.h"
#include "mta/net/uv_loop.h"
#include "mta/net/uv_network.h"

namespace rockdove::cli {
namespace {

constexpr std::size_t kFileOctetsMax = 1'000'000'000;
constexpr std::string_view kNoUtf8 = "local parts of addresses can only be ASCII here";

struct Options {
  std::string server = "127.0.0.1:25";
  std::string from;
  std::vector<std::string> to;
  std::string subject;
  std::string body;
  std::string body_file;
  std::vector<std::string> attachments;
  std::vector<std::string> headers;
  std::string helo;
  std::string tls = "may";
  std::string ca_file;
  std::string auth;
  std::string password_file;
  bool verbose = false;
  bool json = false;
};

int complain(int status, const std::string& text) {
  std::fprintf(stderr, "rockdove send: %s\n", text.c_str());
  return status;
}

// "-" is standard input.
base::Result<std::string> read_whole(const std::string& path) {
  const bool is_input = path == "-";
  const int file = is_input ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return base::Error::system("opening " + path, errno);
  std::string text;
  std::array<char, 65536> part{};
  int failed = 0;
  while (text.size() <= kFileOctetsMax) {
    const ssize_t octets = ::read(file, part.data(), part.size());
    if (octets < 0 && errno == EINTR) continue;
    if (octets < 0) failed = errno;
    if (octets <= 0) break;
    text.append(part.data(), static_cast<std::size_t>(octets));
  }
  if (!is_input) ::close(file);
  if (failed != 0) return base::Error::system("reading " + path, failed);
  if (text.size() > kFileOctetsMax) return base::Error(path + " is larger than 1G");
  return text;
}

struct Server {
  outbound::ToHosts::Speaks speaks = outbound::ToHosts::Speaks::Smtp;
  std::vector<outbound::HostAddress> addresses;  // of one host
};

void add_addresses(const addrinfo* entry, const outbound::ToHosts::Host& host, Server& server) {
  const auto add = [&](const base::IpAddress& ip) {
    server.addresses.push_back({host.name, {ip, host.port}, host.implicit_tls});
  };
  for (; entry != nullptr; entry = entry->ai_next) {
    if (entry->ai_family == AF_INET) {
      std::array<std::uint8_t, 4> octets{};
      sockaddr_in in = {};
      std::memcpy(&in, entry->ai_addr, sizeof(in));
      std::memcpy(octets.data(), &in.sin_addr, octets.size());
      add(base::IpAddress::v4(octets));
    } else if (entry->ai_family == AF_INET6) {
      std::array<std::uint8_t, 16> octets{};
      sockaddr_in6 in = {};
      std::memcpy(&in, entry->ai_addr, sizeof(in));
      std::memcpy(octets.data(), &in.sin6_addr, octets.size());
      add(base::IpAddress::v6(octets));
    }
  }
}

// What HOST, HOST:PORT, [ADDRESS]:PORT, or one of these as a route's target stands for.
base::Result<Server> look_up(const std::string& text) {
  const bool is_bare_v6 =
      text.find(':') != text.rfind(':') && base::parse_ip_address(text).has_value();
  const std::string target = text.find("://") != std::string::npos ? text
                             : is_bare_v6                          ? "smtp://[" + text + "]"
                                                                   : "smtp://" + text;
  const base::Result<outbound::Target> parsed = daemon::parse_target(target);
  if (!parsed) return parsed.error().in("--server");
  const auto* hosts = std::get_if<outbound::ToHosts>(&*parsed);
  if (hosts == nullptr) return base::Error("--server wants HOST:PORT");
  const outbound::ToHosts::Host& host = hosts->hosts.front();
  Server server;
  server.speaks = hosts->speaks;
  if (const auto ip = base::parse_ip_address(host.name)) {
    server.addresses.push_back({host.name, {*ip, host.port}, host.implicit_tls});
    return server;
  }
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failed = ::getaddrinfo(host.name.c_str(), nullptr, &hints, &found);
  if (failed != 0) return base::Error("looking up " + host.name + ": " + ::gai_strerror(failed));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  add_addresses(found, host, server);
  return server;
}

constexpr std::pair<std::string_view, outbound::TlsLevel> kTlsLevels[] = {
    {"off", outbound::TlsLevel::Off},
    {"may", outbound::TlsLevel::May},
    {"require", outbound::TlsLevel::Require},
    {"verify", outbound::TlsLevel::Verify}};

// USER:PASSWORD, or USER with the password in a file of one line.
base::Result<outbound::Credentials> read_credentials(const Options& options) {
  const std::size_t colon = options.auth.find(':');
  outbound::Credentials credentials{options.auth.substr(0, colon), {}};
  if ((colon == std::string::npos) == options.password_file.empty()) {
    return base::Error(
        "a login is --auth USER:PASSWORD, or --auth USER with --password-file, so that the "
        "password is not in the list of processes");
  }
  if (colon != std::string::npos) {
    credentials.password = options.auth.substr(colon + 1);
  } else {
    base::Result<std::string> text = read_whole(options.password_file);
    if (!text) return text.error();
    credentials.password = *std::move(text);
    if (credentials.password.ends_with('\n')) credentials.password.pop_back();
    if (credentials.password.ends_with('\r')) credentials.password.pop_back();
  }
  const auto is_unfit = [](std::string_view text) {
    return text.empty() || std::any_of(text.begin(), text.end(), [](char c) {
             return static_cast<unsigned char>(c) < 32 || c == 127;
           });
  };
  if (is_unfit(credentials.user) || is_unfit(credentials.password))
    return base::Error("neither user nor password may be empty or more than one line");
  return credentials;
}

// How the server is to be spoken to; errors are of usage.
base::Result<outbound::Manner> make_manner(const Options& options, const Server& server) {
  outbound::Manner manner;
  manner.speaks = server.speaks;
  const auto* level = std::find_if(std::begin(kTlsLevels), std::end(kTlsLevels),
                                   [&](const auto& one) { return one.first == options.tls; });
  if (level == std::end(kTlsLevels))
    return base::Error("--tls wants off, may, require or verify, not " +
                       base::printable(options.tls, 40));
  manner.tls = level->second;
  if (manner.tls == outbound::TlsLevel::Off && server.addresses.front().implicit_tls)
    return base::Error("smtps:// is always TLS: --tls wants require or verify there");
  if (!options.auth.empty() || !options.password_file.empty()) {
    base::Result<outbound::Credentials> credentials = read_credentials(options);
    if (!credentials) return credentials.error();
    manner.credentials = *std::move(credentials);
  }
  if (manner.tls == outbound::TlsLevel::Off) return manner;
  base::Result<std::shared_ptr<const net::TlsClientContext>> context =
      net::make_tls_client_context({options.ca_file});
  if (!context) return context.error();
  manner.tls_context = *std::move(context);
  return manner;
}

std::string own_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0 || !mail::is_valid_domain(name.data()))
    return "localhost";
  return name.data();
}

// An unguessable word for boundary and Message-ID.
std::string random_word() {
  std::random_device device;
  std::array<char, 40> text{};
  const int octets = std::snprintf(text.data(), text.size(), "rockdove-%08x%08x%08x", device(),
                                   device(), device());
  return std::string(text.data(), static_cast<std::size_t>(octets));
}

base::Result<std::string> compose(const Options& options, const std::string& hostname) {
  NewMessage message;
  message.from = options.from;
  message.to = options.to;
  message.subject = options.subject;
  message.headers = options.headers;
  message.hostname = hostname;
  message.text = options.body;
  if (!options.body_file.empty()) {
    base::Result<std::string> text = read_whole(options.body_file);
    if (!text) return text.error();
    message.text = *std::move(text);
  }
  for (const std::string& path : options.attachments) {
    base::Result<std::string> content = read_whole(path);
    if (!content) return content.error();
    message.attachments.push_back({path.substr(path.rfind('/') + 1), *std::move(content)});
  }
  return write_message(message, base::read_clocks().wall, random_word());
}

SendOutcome deliver(const SendJob& job, const outbound::HostAddress& host) {
  SendOutcome outcome;
  net::UvLoop loop(0);
  net::UvNetwork network(loop);
  net::ConnectRequest request;
  request.to = host.address;
  network.connect(request,
                  std::make_unique<SendSession>(job, host, outcome, [&loop] { loop.stop(); }));
  loop.run();
  return outcome;
}

bool is_accepted(const smtp::RecipientResult& result) {
  return result.reply.is_success();
}

std::string reply_text(const smtp::RecipientResult& result) {
  return result.reply.is_none() ? "no reply" : smtp::one_line(result.reply);
}

int report(const Options& options, const SendOutcome& outcome) {
  bool all_accepted = outcome.ended && outcome.failure.empty();
  for (std::size_t i = 0; i < options.to.size(); ++i) {
    all_accepted = all_accepted && i < outcome.results.size() && is_accepted(outcome.results[i]);
  }
  if (options.json) {
    nlohmann::json recipients = nlohmann::json::array();
    for (std::size_t i = 0; i < outcome.results.size() && i < options.to.size(); ++i) {
      recipients.push_back({{"recipient", options.to[i]},
                            {"accepted", is_accepted(outcome.results[i])},
                            {"stage", smtp::stage_name(outcome.results[i].stage)},
                            {"reply", reply_text(outcome.results[i])}});
    }
    const nlohmann::json all = {{"accepted", all_accepted},
                                {"failure", outcome.failure},
                                {"tls", outcome.tls},
                                {"recipients", recipients}};
    const auto replace = nlohmann::json::error_handler_t::replace;
    std::puts(all.dump(-1, ' ', /*ensure_ascii=*/false, replace).c_str());
  } else {
    for (std::size_t i = 0; i < outcome.results.size() && i < options.to.size(); ++i) {
      std::printf("%s: %s\n", options.to[i].c_str(), reply_text(outcome.results[i]).c_str());
    }
    if (!outcome.failure.empty()) return complain(kFailed, outcome.failure);
  }
  return all_accepted ? kDone : kFailed;
}

int send(Options& options) {
  for (std::string& recipient : options.to) {
    const base::Result<mail::Address> address = mail::parse_mailbox(recipient);
    if (!address)
      return complain(kUsage,
                      "--to " + base::printable(recipient, 80) + ": " + address.error().text());
    if (mail::is_unicode(*address)) return complain(kUsage, std::string(kNoUtf8));
    recipient = mail::format_address(*address);
  }
  if (!options.from.empty()) {
    const base::Result<mail::Address> address = mail::parse_mailbox(options.from);
    if (!address)
      return complain(
          kUsage, "--from " + base::printable(options.from, 80) + ": " + address.error().text());
    if (mail::is_unicode(*address)) return complain(kUsage, std::string(kNoUtf8));
    options.from = mail::format_address(*address);
  }
  SendJob job;
  job.options.hostname = options.helo.empty() ? own_name() : options.helo;
  base::Result<std::string> content = compose(options, job.options.hostname);
  if (!content) return complain(kUsage, content.error().text());
  job.content = *std::move(content);
  job.envelope.sender = options.from;
  for (const std::string& address : options.to) job.envelope.recipients.push_back({address});
  job.envelope.octets = job.content.size();
  job.shows_dialogue = options.verbose;

  const base::Result<Server> server = look_up(options.server);
  if (!server) return complain(kFailed, server.error().text());
  base::Result<outbound::Manner> manner = make_manner(options, *server);
  if (!manner) return complain(kUsage, manner.error().text());
  job.manner = *std::move(manner);
  SendOutcome outcome;
  for (const outbound::HostAddress& host : server->addresses) {
    outcome = deliver(job, host);
    if (outcome.connected) break;
    outcome.failure = base::format_socket_address(host.address) + ": " + outcome.failure;
  }
  return report(options, outcome);
}

}  // namespace

Action add_send(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option(
         "--server", options->server,
         "Where to; port 25 unless named; smtps://HOST, with port 465, is TLS from the first "
         "octet, lmtp://HOST a mailbox server")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  app.add_option("--from", options->from, "Sender; \"\" is the null sender")
      ->type_name("ADDRESS")
      ->required();
  app.add_option("--to", options->to, "Recipient; may be given several times")
      ->type_name("ADDRESS")
      ->required();
  app.add_option("--subject", options->subject, "Subject");
  auto* body = app.add_option("--body", options->body, "The text");
  app.add_option("--body-file", options->body_file, "A file with the text; - is standard input")
      ->type_name("FILE")
      ->excludes(body);
  app.add_option("--attach", options->attachments, "A file; may be given several times")
      ->type_name("FILE")
      ->expected(1)
      ->take_all();
  app.add_option("--header", options->headers, "\"Name: value\"; may be given several times")
      ->expected(1)
      ->take_all();
  app.add_option("--helo", options->helo, "What we call ourselves; default: the machine's name")
      ->type_name("NAME");
  app.add_option("--tls", options->tls,
                 "off, may (where it is offered), require, or verify (name and chain); with a "
                 "password `may` is `require`, and `off` sends it in clear")
      ->type_name("LEVEL")
      ->capture_default_str();
  app.add_option("--ca-file", options->ca_file,
                 "PEM: whom --tls verify trusts; default: the system's authorities")
      ->type_name("FILE");
  app.add_option("--auth", options->auth, "Log in; without :PASSWORD it is in --password-file")
      ->type_name("USER[:PASSWORD]");
  app.add_option("--password-file", options->password_file,
                 "A file with the password, in one line; - is standard input")
      ->type_name("FILE");
  app.add_flag("-v,--verbose", options->verbose, "Print the dialogue on standard error");
  app.add_flag("--json", options->json, "Print the result as an object");
  return [options] { return send(*options); };
}

}  // namespace rockdove::cli
