#include "policy/spf_second.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <unistd.h>
#include <utility>

#include <arpa/nameser.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/wait.h>

extern "C" {
#define HAVE_NS_TYPE  // else it defines its own beside <arpa/nameser.h>
#include <spf2/spf.h>
#include <spf2/spf_dns.h>
}

#include "policy/shown_text.h"

namespace rockdove::policy {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kLookupsMax = 500;  // of one run, answered or not
constexpr std::size_t kReportOctetsMax = 64 * 1024;
constexpr std::size_t kWordsOctetsMax = 300;
constexpr rlim_t kProcessorSecondsMax = 2;
#ifndef __SANITIZE_ADDRESS__
constexpr rlim_t kMemoryMax = 512 * 1024 * 1024;
#endif

// ---- In the child ----

// What one run sees of the DNS, and what it missed.
struct World {
  RecordedDns* dns;
  std::size_t lookups = 0;
};

// nullopt: SPF's own type, which RFC 7208 §3.1 has ended, and others that it has no need of.
std::optional<dns::RecordType> type_of(ns_type type) {
  constexpr std::pair<ns_type, dns::RecordType> kTypes[] = {
      {ns_t_a, dns::RecordType::A},     {ns_t_aaaa, dns::RecordType::AAAA},
      {ns_t_mx, dns::RecordType::MX},   {ns_t_txt, dns::RecordType::TXT},
      {ns_t_ptr, dns::RecordType::PTR},
  };
  for (const auto& [theirs, ours] : kTypes) {
    if (theirs == type) return ours;
  }
  return std::nullopt;
}

// Record number `index` of the set is `data`.
void add(SPF_dns_rr_t* set, int index, const void* data, std::size_t octets) {
  if (SPF_dns_rr_buf_realloc(set, index, octets + 1) != SPF_E_SUCCESS) return;
  std::memcpy(set->rr[index], data, octets);
  reinterpret_cast<char*>(set->rr[index])[octets] = '\0';
  set->num_rr = index + 1;
}

void add_all(SPF_dns_rr_t* set, const dns::Answer& answer) {
  int index = 0;
  for (const base::IpAddress& address : answer.addresses)
    add(set, index++, address.octets().data(), address.is_v4() ? 4 : 16);
  for (const dns::MailExchange& host : answer.exchanges)
    add(set, index++, host.exchange.data(), host.exchange.size());
  for (const std::string& text : answer.texts) add(set, index++, text.data(), text.size());
  for (const std::string& name : answer.names) add(set, index++, name.data(), name.size());
}

SPF_dns_rr_t* look_up(SPF_dns_server_t* server, const char* domain, ns_type type,
                      int /*should_cache*/) {
  auto* world = static_cast<World*>(server->hook);
  const auto empty = [&](int status) {
    return SPF_dns_rr_new_init(server, domain, type, 0, status);
  };
  const std::optional<dns::RecordType> known_type = type_of(type);
  if (!known_type) return empty(NO_DATA);
  if (++world->lookups > kLookupsMax) return empty(TRY_AGAIN);
  const dns::Answer* answer = world->dns->find(domain, *known_type);
  if (answer == nullptr || dns::is_temporary(answer->status)) return empty(TRY_AGAIN);
  if (answer->status == dns::Status::NoData) return empty(NO_DATA);
  if (answer->status != dns::Status::Ok) return empty(HOST_NOT_FOUND);
  SPF_dns_rr_t* set = empty(NETDB_SUCCESS);
  if (set != nullptr) add_all(set, *answer);
  return set;
}

// `error` is what the query itself came back with.
SpfResult result_of(SPF_response_t* response, SPF_errcode_t error) {
  switch (SPF_response_result(response)) {
    case SPF_RESULT_NEUTRAL:
      return SpfResult::Neutral;
    case SPF_RESULT_PASS:
      return SpfResult::Pass;
    case SPF_RESULT_FAIL:
      return SpfResult::Fail;
    case SPF_RESULT_SOFTFAIL:
      return SpfResult::SoftFail;
    case SPF_RESULT_NONE:
      return SpfResult::None;
    case SPF_RESULT_TEMPERROR:
      return SpfResult::TempError;
    case SPF_RESULT_PERMERROR:
      return SpfResult::PermError;
    case SPF_RESULT_INVALID:
      break;
  }
  if (error == SPF_E_NOT_SPF) return SpfResult::None;  // it has come to no result
  return error == SPF_E_DNS_ERROR ? SpfResult::TempError : SpfResult::PermError;
}

// Its first error, which names the place; empty when it has none.
std::string_view words_of(SPF_response_t* response, SPF_errcode_t error) {
  for (int i = 0; i < SPF_response_messages(response); ++i) {
    SPF_error_t* message = SPF_response_message(response, i);
    if (SPF_error_errorp(message) != 0 && SPF_error_message(message) != nullptr)
      return SPF_error_message(message);
  }
  const char* words = error == SPF_E_SUCCESS ? nullptr : SPF_strerror(error);
  return words == nullptr ? "" : words;
}

// A report is lines: "R NUMBER" the result, "W WORDS", and "Q TYPE NAME" for each question missed.
std::string judge(const SpfRequest& request, RecordedDns& dns) {
  World world{&dns};
  SPF_dns_server_t resolver{};
  resolver.lookup = look_up;
  resolver.name = "rockdove";
  resolver.hook = &world;
  SPF_server_t* server = SPF_server_new_dns(&resolver, 0);
  SPF_request_t* question = server == nullptr ? nullptr : SPF_request_new(server);
  if (question == nullptr) return "W it could not be started\n";
  if (request.client.is_v4()) {
    in_addr address{};
    std::memcpy(&address, request.client.octets().data(), sizeof address);
    SPF_request_set_ipv4(question, address);
  } else {
    in6_addr address{};
    std::memcpy(&address, request.client.octets().data(), sizeof address);
    SPF_request_set_ipv6(question, address);
  }
  SPF_request_set_helo_dom(question, request.helo.c_str());
  if (request.identity == SpfIdentity::MailFrom && !request.sender.empty())
    SPF_request_set_env_from(question, request.sender.c_str());
  SPF_response_t* response = nullptr;
  const SPF_errcode_t error = SPF_request_query_mailfrom(question, &response);
  std::string report;
  for (const Question& missing : dns.take_missing()) {
    report +=
        "Q " + std::to_string(static_cast<unsigned>(missing.type)) + " " + missing.name + "\n";
  }
  if (response == nullptr) return report + "W it gave no answer\n";
  report += "R " + std::to_string(static_cast<unsigned>(result_of(response, error))) + "\n";
  report += "W " + shown_text(words_of(response, error), kWordsOctetsMax) + "\n";
  return report;
}

// What libspf2 prints, as it does of some errors, belongs on no terminal.
void silence() {
  const int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (nowhere < 0 || dup2(nowhere, standard) < 0) close(standard);
  }
}

// With no file, no further process and little time, what goes wrong here goes no further.
[[noreturn]] void run_child(int output, const SpfRequest& request, RecordedDns& dns) {
  silence();
  const auto limit = [](auto what, rlim_t most) {
    const rlimit both{most, most};
    setrlimit(what, &both);
  };
  limit(RLIMIT_CPU, kProcessorSecondsMax);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_NPROC, 0);
  limit(RLIMIT_FSIZE, 0);
  limit(RLIMIT_NOFILE, 0);
#ifndef __SANITIZE_ADDRESS__  // it maps terabytes
  limit(RLIMIT_AS, kMemoryMax);
#endif
  const std::string report = judge(request, dns);
  std::size_t written = 0;
  while (written < report.size()) {
    const ssize_t octets = write(output, report.data() + written, report.size() - written);
    if (octets <= 0) break;
    written += static_cast<std::size_t>(octets);
  }
  _exit(0);
}

// ---- In the parent ----

// Until the child has closed its end; nullopt: it took too long or said too much.
std::optional<std::string> read_report(int input) {
  const Clock::time_point deadline = Clock::now() + kSecondTimeMax;
  std::string report;
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    pollfd entry{input, POLLIN, 0};
    const int ready = left.count() > 0 ? poll(&entry, 1, static_cast<int>(left.count())) : 0;
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return std::nullopt;
    std::array<char, 4096> part{};
    const ssize_t octets = read(input, part.data(), part.size());
    if (octets < 0 && errno == EINTR) continue;
    if (octets <= 0) return report;
    report.append(part.data(), static_cast<std::size_t>(octets));
    if (report.size() > kReportOctetsMax) return std::nullopt;
  }
}

// "2 example.com": the child is not trusted, so all of it is checked.
void read_question(std::string_view line, SpfSecondOpinion& opinion) {
  const std::size_t type = line.empty() ? 99 : static_cast<std::size_t>(line.front() - '0');
  if (type > static_cast<std::size_t>(dns::RecordType::PTR) || line.size() < 3) return;
  std::optional<std::string> name = dns::question_name(line.substr(2));
  if (!name || opinion.missing.size() >= kSecondQuestionsMax) return;
  opinion.missing.push_back({*std::move(name), static_cast<dns::RecordType>(type)});
}

SpfSecondOpinion read_opinion(std::string_view report) {
  SpfSecondOpinion opinion;
  while (!report.empty()) {
    const std::size_t end = std::min(report.find('\n'), report.size());
    const std::string_view line = report.substr(0, end);
    report.remove_prefix(std::min(end + 1, report.size()));
    if (line.starts_with("Q ")) read_question(line.substr(2), opinion);
    if (line.starts_with("W ")) opinion.words = shown_text(line.substr(2), kWordsOctetsMax);
    if (line.starts_with("R ") && line.size() == 3 && line[2] >= '0' &&
        line[2] <= '0' + static_cast<int>(SpfResult::PermError)) {
      opinion.result = static_cast<SpfResult>(line[2] - '0');
    }
  }
  if (!opinion.missing.empty()) opinion.result.reset();
  return opinion;
}

}  // namespace

SpfSecondOpinion ask_libspf2(const SpfRequest& request, RecordedDns& dns) {
  SpfSecondOpinion failed;
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) {
    failed.words = "no pipe to it could be made";
    return failed;
  }
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    run_child(ends[1], request, dns);
  }
  close(ends[1]);
  const std::optional<std::string> report = child > 0 ? read_report(ends[0]) : std::nullopt;
  close(ends[0]);
  int status = 0;
  if (child > 0) {
    if (!report) kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
  }
  if (report && WIFEXITED(status) && WEXITSTATUS(status) == 0) return read_opinion(*report);
  failed.words = child < 0             ? "no process for it could be made"
                 : !report             ? "it came to no end"
                 : WIFSIGNALED(status) ? "it crashed"
                                       : "it gave up";
  return failed;
}

}  // namespace rockdove::policy
