// Hands in a message that comes over no connection: a file that `sendmail` left while nobody
// answered (daemon/drop_folder.h). A client's session and a Receiver talk to each other in memory,
// so that a file is judged by the very rules of submit.sock. All or nothing: a message of which one
// recipient cannot be taken at the moment is not taken at all.
//
// Belongs to its loop, and to whoever feeds it the content; may be destroyed at any time, but not
// from within a call of its own.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "mta/base/unique_function.h"
#include "mta/inbound/reception.h"
#include "mta/net/protocol.h"
#include "mta/smtp/client_session.h"

namespace rockdove::inbound {

struct SubmittedFile {
  std::string name;  // noted in the commit (kDroppedNotes)
  net::PeerCredentials owner;
  smtp::OutgoingMessage envelope;
};

struct SubmissionResult {
  enum class How : std::uint8_t {
    Accepted,  // durable
    NotNow,    // try again later; what became of it is perhaps unknown, then the note tells
    Refused,   // for good
  };
  How how = How::NotNow;
  std::string text;  // the reply that decided it, in one line; "" when accepted
};

class Submission final : private net::Wire {
 public:
  // Both run on the loop, never within a call of the owner's. `content_wanted` asks for one call of
  // give_content(); `done` comes once, and nothing after it.
  struct Handlers {
    base::UniqueFunction<void()> content_wanted;
    base::UniqueFunction<void(const SubmissionResult&)> done;
  };

  // `reception` outlives it.
  Submission(Reception& reception, std::shared_ptr<const ListenerContext> context,
             SubmittedFile file, Handlers handlers);
  ~Submission() override;
  Submission(const Submission&) = delete;
  Submission& operator=(const Submission&) = delete;

  void begin();
  // With CRLF line ends, not stuffed.
  void give_content(std::string_view octets, smtp::BodyLast last);
  // Looks again at what has changed around it: the daemon is being stopped.
  void turn();

 private:
  void want_turn() override;
  void start_tls(net::StartTls how) override;

  void talk();
  void listen();
  void on(const smtp::TransactionEnded& ended);
  void on(const smtp::SessionFailed& failed);
  void finish(SubmissionResult result);

  Reception& reception_;
  SubmittedFile file_;
  Handlers handlers_;
  const smtp::ClientOptions options_;
  smtp::ClientSession client_;
  std::unique_ptr<net::Protocol> receiver_;
  bool content_asked_ = false;
  bool finished_ = false;
  std::shared_ptr<Submission*> self_;  // emptied when it is gone
};

}  // namespace rockdove::inbound
