#include "mta/cli/sendmail_handover.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>
#include <utility>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "mta/base/text.h"
#include "mta/cli/send_session.h"
#include "mta/daemon/drop_file.h"
#include "mta/net/file_descriptor.h"
#include "mta/net/uv_loop.h"
#include "mta/net/uv_network.h"

namespace rockdove::cli {

using base::Error;
using base::Result;

namespace {

constexpr std::size_t kRecipientsOfOne = 1000;  // of one transaction, and of one file
constexpr base::Duration kConnectTimeout = std::chrono::seconds(5);
constexpr base::Duration kGreetingTimeout = std::chrono::seconds(5);
constexpr base::Duration kReplyTimeout = std::chrono::seconds(60);
// Behind it nobody knows whether the relay has the message, and it would be left as well: RFC 5321
// §4.5.3.2.6.
constexpr base::Duration kFinalDotTimeout = std::chrono::minutes(10);

SendOutcome talk(const std::string& socket, smtp::OutgoingMessage envelope,
                 const std::string& content, ShowDialogue show) {
  SendJob job;
  job.options.hostname = "localhost";
  // Somebody waits for us: a relay that does not answer gets its mail by the folder.
  job.options.timeouts.banner = kGreetingTimeout;
  job.options.timeouts.hello = kGreetingTimeout;
  job.options.timeouts.mail = kReplyTimeout;
  job.options.timeouts.rcpt = kReplyTimeout;
  job.options.timeouts.data_start = kReplyTimeout;
  job.options.timeouts.body_block = kReplyTimeout;
  job.options.timeouts.final_dot = kFinalDotTimeout;
  job.manner.tls = outbound::TlsLevel::Off;
  job.envelope = std::move(envelope);
  job.envelope.octets = content.size();
  job.content = content;
  job.shows_dialogue = show == ShowDialogue::Yes;
  SendOutcome outcome;
  net::UvLoop loop(0);
  net::UvNetwork network(loop);
  net::ConnectRequest request;
  request.unix_path = socket;
  request.timeout = kConnectTimeout;
  outbound::HostAddress host;
  host.unix_path = socket;
  network.connect(request,
                  std::make_unique<SendSession>(job, host, outcome, [&loop] { loop.stop(); }));
  loop.run();
  return outcome;
}

// What one session came to, recipient by recipient.
struct Sorted {
  std::vector<smtp::OutgoingRecipient> taken;
  std::vector<RefusedRecipient> refused;
  std::vector<smtp::OutgoingRecipient> again;  // not now
};

Sorted sort_recipients(const smtp::OutgoingMessage& envelope, const SendOutcome& outcome) {
  Sorted sorted;
  for (std::size_t i = 0; i < envelope.recipients.size(); ++i) {
    const smtp::OutgoingRecipient& recipient = envelope.recipients[i];
    const smtp::Reply reply = i < outcome.results.size() ? outcome.results[i].reply : smtp::Reply();
    if (reply.is_success() && outcome.ended) {
      sorted.taken.push_back(recipient);
    } else if (reply.is_permanent()) {
      sorted.refused.push_back({recipient.address, reply});
    } else {
      sorted.again.push_back(recipient);
    }
  }
  return sorted;
}

// All were refused after the recipients had been taken, or at MAIL: the message itself was.
bool is_refused_whole(const SendOutcome& outcome) {
  return outcome.ended && !outcome.results.empty() &&
         std::all_of(outcome.results.begin(), outcome.results.end(),
                     [](const smtp::RecipientResult& result) {
                       return result.reply.is_permanent() && result.stage != smtp::Stage::Rcpt;
                     });
}

Result<void> write_all(int file, std::string_view octets, const std::string& path) {
  while (!octets.empty()) {
    const ssize_t count = ::write(file, octets.data(), octets.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error::system("writing " + path, errno);
    octets.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

// The folder's entry, too. Who may write there but not read cannot open the folder to sync it.
Result<void> sync_all(int file, const std::string& folder, const std::string& path) {
  if (::fsync(file) != 0) return Error::system("syncing " + path, errno);
  const net::FileDescriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const int result = directory.is_open() ? ::fsync(directory.number()) : ::syncfs(file);
  if (result != 0) return Error::system("syncing " + folder, errno);
  return {};
}

Result<net::FileDescriptor> connect_to(const std::string& socket) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket.size() >= sizeof address.sun_path) return Error(socket + " is too long for a socket");
  std::memcpy(address.sun_path, socket.data(), socket.size());
  net::FileDescriptor opened(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!opened.is_open() || ::connect(opened.number(), reinterpret_cast<const sockaddr*>(&address),
                                     sizeof address) != 0) {
    return Error::system("connecting to " + socket, errno);
  }
  return opened;
}

// What is there now; false at the end.
Result<bool> pass_on(int from, int to) {
  std::array<char, 65536> part{};
  ssize_t count = 0;
  do {
    count = ::read(from, part.data(), part.size());
  } while (count < 0 && errno == EINTR);
  if (count < 0) return Error::system("reading", errno);
  if (count == 0) return false;
  const Result<void> written =
      write_all(to, {part.data(), static_cast<std::size_t>(count)}, "what was read");
  if (!written) return written.error();
  return true;
}

}  // namespace

Result<void> leave_mail(const std::string& folder, const smtp::OutgoingMessage& envelope,
                        std::string_view content) {
  // RWX for the owner says that it is complete; the relay, another user, reads it.
  constexpr mode_t kComplete = 0744;
  const std::string path = folder + "/" + daemon::make_drop_name();
  const net::FileDescriptor file(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.is_open()) return Error::system("making a file in " + folder, errno);
  Result<void> done = write_all(file.number(), daemon::format_drop_envelope(envelope), path);
  if (done) done = write_all(file.number(), content, path);
  if (done && ::fchmod(file.number(), kComplete) != 0)
    done = Error::system("completing " + path, errno);
  if (done) done = sync_all(file.number(), folder, path);
  if (!done) ::unlink(path.c_str());
  return done;
}

Handover hand_over(const HandoverPaths& paths, smtp::OutgoingMessage envelope,
                   const std::string& content, ShowDialogue show) {
  Handover handover;
  std::vector<smtp::OutgoingRecipient> waiting = std::move(envelope.recipients);
  bool is_answered = true;  // the relay takes mail, as far as we know
  while (!waiting.empty()) {
    const std::size_t count = std::min(waiting.size(), kRecipientsOfOne);
    const auto end = waiting.begin() + static_cast<std::ptrdiff_t>(count);
    envelope.recipients.assign(waiting.begin(), end);
    waiting.erase(waiting.begin(), end);
    if (is_answered) {
      const SendOutcome outcome = talk(paths.socket, envelope, content, show);
      const std::optional<smtp::Reply> whole =
          is_refused_whole(outcome) ? outcome.results.front().reply : outcome.reply;
      if (whole && whole->is_permanent()) {
        handover.refusal = whole;
        return handover;
      }
      Sorted sorted = sort_recipients(envelope, outcome);
      handover.handed_over += sorted.taken.size();
      std::move(sorted.refused.begin(), sorted.refused.end(), std::back_inserter(handover.refused));
      if (sorted.again.empty()) continue;
      is_answered = !sorted.taken.empty();
      if (is_answered) {  // more than it takes at once
        waiting.insert(waiting.begin(), sorted.again.begin(), sorted.again.end());
        continue;
      }
      envelope.recipients = std::move(sorted.again);
    }
    if (const Result<void> left = leave_mail(paths.folder, envelope, content); !left) {
      handover.failure = left.error();
      return handover;
    }
    handover.left += envelope.recipients.size();
  }
  return handover;
}

Result<std::vector<smtp::Reply>> verify(const HandoverPaths& paths, smtp::OutgoingMessage envelope,
                                        ShowDialogue show) {
  envelope.extent = smtp::Extent::RecipientsOnly;
  const std::size_t recipients = envelope.recipients.size();
  const SendOutcome outcome = talk(paths.socket, std::move(envelope), "", show);
  if (!outcome.ended) return Error(outcome.failure).in(paths.socket);
  std::vector<smtp::Reply> replies(recipients);
  for (std::size_t i = 0; i < recipients && i < outcome.results.size(); ++i)
    replies[i] = outcome.results[i].reply;
  return replies;
}

Result<void> join_standard_streams(const std::string& socket) {
  const Result<net::FileDescriptor> opened = connect_to(socket);
  if (!opened) return opened.error();
  const int relay = opened->number();
  bool has_input = true;
  while (true) {
    std::array<pollfd, 2> waiting = {pollfd{relay, POLLIN, 0}, pollfd{STDIN_FILENO, POLLIN, 0}};
    const int count = ::poll(waiting.data(), has_input ? 2 : 1, -1);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error::system("waiting", errno);
    if (waiting[0].revents != 0) {
      const Result<bool> more = pass_on(relay, STDOUT_FILENO);
      if (!more) return more.error();
      if (!*more) return {};
    }
    if (!has_input || waiting[1].revents == 0) continue;
    const Result<bool> more = pass_on(STDIN_FILENO, relay);
    if (!more) return more.error();
    if (*more) continue;
    has_input = false;
    ::shutdown(relay, SHUT_WR);
  }
}

}  // namespace rockdove::cli
