// One inbound connection: a ServerSession, and the answers to its questions. Asks the rules, the
// next hop and the store, and says 250 to a message only when the store says that it is durable.
//
// Belongs to its connection. What comes back late (a commit, a probe) finds it by a shared pointer
// to itself that is emptied when it is gone; a message that became durable meanwhile goes on its
// way all the same.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "mta/inbound/access.h"
#include "mta/inbound/incoming.h"
#include "mta/inbound/inspection.h"
#include "mta/inbound/reception.h"
#include "mta/inbound/wishes.h"
#include "mta/net/protocol.h"
#include "mta/smtp/server_session.h"

namespace rockdove::inbound {

class Receiver final : public net::Protocol {
 public:
  // `file`: of make_receiver_of_file().
  Receiver(Reception& reception, std::shared_ptr<const ListenerContext> listener,
           const net::ConnectionInfo& info, LeftFile file = {});
  ~Receiver() override;

  void connected(net::Wire& wire, const net::ConnectionInfo& info, base::Now now) override;
  void receive(std::string_view bytes, base::Now now) override;
  void peer_closed(base::Now now) override;
  void lost(const net::Loss& loss, base::Now now) override;
  void deadline_reached(base::Now now) override;
  void turn(base::Now now) override;
  void tls_started(const net::TlsInfo& info, base::Now now) override;

  [[nodiscard]] std::string_view output() const override { return session_.output(); }

  void output_sent(std::size_t octets, base::Now now) override;
  [[nodiscard]] base::Instant deadline() const override;
  [[nodiscard]] bool wants_input() const override;

  [[nodiscard]] bool is_over() const override { return session_.is_over(); }

 private:
  // So many chunks may be on their way to the store before the client has to wait.
  static constexpr unsigned kChunksAheadMax = 2;
  // What a message may hold while memory is so short that no other may begin: a crowd that begins
  // together would fill it many times over.
  static constexpr std::uint64_t kHeldWhenShort = 32 * 1024;

  void pump(base::Now now);
  void on(const smtp::HelloGiven& event, base::Now now);
  void on(const smtp::SenderOffered& event, base::Now now);
  void on(const smtp::RecipientOffered& event, base::Now now);
  void on(const smtp::DataWanted& event, base::Now now);
  void on(const smtp::BodyPart& event, base::Now now);
  void on(const smtp::BodyEnded& event, base::Now now);
  void on(const smtp::HandshakeWanted& event, base::Now now);
  void on(smtp::LoginOffered& event, base::Now now);
  void on(const smtp::TransactionReset& event, base::Now now);
  void on(const smtp::SessionOver& event, base::Now now);

  [[nodiscard]] std::optional<smtp::Reply> refuse_connection(base::Now now);
  [[nodiscard]] std::optional<smtp::Reply> refuse_sender(const smtp::SenderOffered& event,
                                                         base::Now now);
  void take_recipient(const smtp::RecipientOffered& offered,
                      const std::vector<std::string>& addresses, base::Now now);
  void refuse_expansion(const smtp::RecipientOffered& offered, base::Now now);
  void report_refusal(const smtp::RecipientOffered& offered, const smtp::Reply& reply,
                      base::Now now);
  void start_tls();
  void checked(LoginVerdict verdict, const std::string& user);

  [[nodiscard]] bool is_local_user() const { return listener_.clients == Clients::LocalUsers; }

  [[nodiscard]] std::optional<std::uint32_t> local_user_number() const {
    if (!is_local_user()) return std::nullopt;
    return info_.credentials->user;
  }

  // Who it is, for log and queue: an address, or a user of this machine.
  [[nodiscard]] std::string client_text() const;

  // The account that has authenticated, or the user of this machine; "" for nobody known.
  [[nodiscard]] const std::string& user() const {
    return is_local_user() ? local_user_ : session_.user();
  }

  [[nodiscard]] bool is_allowed_user() const;
  [[nodiscard]] RecipientDecision decide(const smtp::RecipientOffered& offered) const;

  // By address, or because it has authenticated.
  [[nodiscard]] bool client_may_relay() const { return may_relay_ || !session_.user().empty(); }

  [[nodiscard]] std::string_view mechanism() const;
  void refuse(const smtp::Reply& reply, std::string_view what, std::string_view recipient,
              base::Now now);
  [[nodiscard]] std::unique_ptr<Inspection> make_inspection(base::Now now) const;
  // Answers it once it is known whether the client or its names are refused.
  void judge_recipient(const smtp::RecipientOffered& event);
  void take_offered(const smtp::RecipientOffered& event, base::Now now);
  void content_ended(base::Now now);
  void judged(const Inspected& inspected);
  // `quarantined`: why it is to wait on hold; "": it is not.
  void signed_and_judged(const std::shared_ptr<queue::Message>& message,
                         const base::Result<SignedFields>& fields, const std::string& quarantined);
  void log_judgement(const Inspected& inspected) const;
  void log_not_signed(const std::string& why) const;
  // Once its header is whole, and before anybody looks at its content.
  void hear_wishes();
  // Whose mail it is; "": nobody's.
  [[nodiscard]] std::string tenant() const;
  [[nodiscard]] bool may_name_tenant() const;
  // When it is to be sent; nullopt: at once.
  [[nodiscard]] std::optional<base::WallTime> send_at(base::WallTime now) const;
  void take_wishes(queue::Message& message) const;
  void take_wishes(std::vector<queue::Delivery>& deliveries, base::WallTime now) const;
  void log_list_errors(const std::vector<std::string>& errors, base::Instant now);
  void write_full_chunks();
  void write_chunk(std::shared_ptr<const std::string> chunk);
  [[nodiscard]] std::optional<smtp::Reply> refuse_content(const mail::HeaderFacts& facts) const;
  // Without the empty line behind its header. `results`: an Authentication-Results field, or "".
  [[nodiscard]] std::shared_ptr<queue::Message> make_message(const std::string& results,
                                                             base::Now now);
  [[nodiscard]] std::string make_header(const std::string& results, const queue::Message& message,
                                        base::Now now) const;
  // As it came, without results that somebody wrote in our name, and without wishes.
  void append_received_header(std::string& header) const;
  [[nodiscard]] std::vector<queue::Delivery> make_deliveries(base::WallTime now) const;
  void commit(std::shared_ptr<queue::Message> message, std::vector<queue::Delivery> deliveries);
  void committed(base::Result<void> result, base::MessageId id);
  void drop_message();

  Reception& reception_;
  const std::shared_ptr<const ListenerContext> context_;  // as they were when we began
  const ListenerContext& listener_;                       // in context_
  const InboundSettings& settings_;                       // likewise
  const net::ConnectionInfo info_;
  const base::IpAddress client_;  // what it is counted by: its address, or its user's key
  const std::string local_user_;  // "uid 33 (www-data)"; "": it is none
  const LeftFile file_;
  const bool may_relay_;
  const std::uint64_t number_;  // in the log, among all sessions of the process
  smtp::ServerSession session_;
  net::Wire* wire_ = nullptr;
  base::Instant greet_at_ = base::kNever;
  bool counted_client_ = false;
  bool counted_ = false;
  std::string helo_;
  std::string tls_;  // as net::describe(TlsInfo); "" in clear
  std::unique_ptr<Incoming> incoming_;
  // Of incoming_, heard once its header is whole; an error: what is wrong with them.
  std::optional<base::Result<Wishes>> wishes_;
  std::unique_ptr<Inspection> inspection_;   // of incoming_; null: it is neither judged nor signed
  std::shared_ptr<const std::string> rest_;  // of its body, behind the chunks
  base::MessageId id_;
  std::uint32_t chunks_ = 0;  // handed to the store
  unsigned chunks_ahead_ = 0;
  std::string chunk_error_;
  bool committing_ = false;
  bool is_incomplete_ = false;  // a file's recipient was not taken: the file is not, either
  std::shared_ptr<Receiver*> self_;
};

}  // namespace rockdove::inbound
