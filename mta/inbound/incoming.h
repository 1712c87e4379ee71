// A message while it comes in: its envelope, its header block up to the limit, and its body, of
// which at most two chunks are in memory. Tells the store nothing by itself; it says when a chunk
// is full.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "mta/mail/address.h"
#include "mta/mail/headers.h"
#include "mta/smtp/server_session.h"
#include "queue/budget.h"
#include "queue/types.h"

namespace rockdove::inbound {

class Incoming {
 public:
  // Octets that the header block leaves for the fields that we add.
  static constexpr std::size_t kHeaderRoom = 32 * 1024;

  struct Recipient {
    std::string address;  // without <>
    mail::NotifySet notify{};
    std::string original{};  // ORCPT, as queue::Delivery has it
    std::string alias{};     // likewise
  };

  struct Refused {
    Recipient recipient;
    smtp::Reply reply;
  };

  Incoming(const smtp::SenderOffered& offered, queue::MemoryBudget& memory);
  ~Incoming();
  Incoming(const Incoming&) = delete;
  Incoming& operator=(const Incoming&) = delete;

  // What was offered, and the addresses that it stands for. The same address twice is one
  // recipient, who wants the reports that any of the two wants.
  void add_recipient(const smtp::RecipientOffered& offered,
                     const std::vector<std::string>& addresses);

  // One that nobody has, of a message whose sender is not there to hear it: he gets a report.
  void add_refused(const smtp::RecipientOffered& offered, const smtp::Reply& reply);

  void add_content(std::string_view octets);
  // Lets go of what it has of the content, and takes no more of it: it will not be accepted.
  void forget_content();

  [[nodiscard]] bool is_forgotten() const { return is_forgotten_; }

  // Octets that it holds.
  [[nodiscard]] std::uint64_t memory() const { return accounted_; }

  // No more content: the header is known and whole.
  void finish_content();
  // A chunk that is full and should be written; null: none. Content may be added before it is
  // taken.
  [[nodiscard]] std::shared_ptr<const std::string> take_full_chunk();
  // What is left after finish_content(): the last chunk, or all of a small body. Null: an empty
  // one.
  [[nodiscard]] std::shared_ptr<const std::string> take_rest();

  [[nodiscard]] const mail::Address& sender() const { return sender_; }

  [[nodiscard]] const std::vector<Recipient>& recipients() const { return recipients_; }

  // Aliases of several addresses whose sender asked to hear of success (RFC 3461 §5.2.7.3): he
  // hears that they were expanded, and nothing of success from the addresses.
  [[nodiscard]] const std::vector<Recipient>& expanded() const { return expanded_; }

  [[nodiscard]] const std::vector<Refused>& refused() const { return refused_; }

  [[nodiscard]] const std::string& envelope_id() const { return envelope_id_; }

  [[nodiscard]] mail::ReturnContent returned() const { return returned_; }

  // MT-PRIORITY, HOLDFOR and HOLDUNTIL of MAIL, as smtp::SenderOffered has them.
  [[nodiscard]] std::optional<int> priority() const { return priority_; }

  [[nodiscard]] std::optional<base::Duration> hold_for() const { return hold_for_; }

  [[nodiscard]] std::optional<base::WallTime> hold_until() const { return hold_until_; }

  // The client used SMTPUTF8 (RFC 6531).
  [[nodiscard]] bool utf8() const { return utf8_; }

  // RCPTs that were taken, those that become a report included.
  [[nodiscard]] std::uint32_t offered() const { return offered_; }

  // The address as offered, if there was exactly one RCPT.
  [[nodiscard]] const mail::Address* only_offered() const {
    return offered_ == 1 ? &first_offered_ : nullptr;
  }

  [[nodiscard]] bool eight_bit() const { return eight_bit_; }

  // After finish_content(): the header block without its empty line, and what goes between.
  [[nodiscard]] std::string_view header() const { return splitter_.header(); }

  [[nodiscard]] std::string_view separator() const { return splitter_.separator(); }

  // Likewise: it can go on only with SMTPUTF8, because an address or, where the client said
  // SMTPUTF8, the header is not ASCII. (8-bit headers of those who did not say it are no UTF-8
  // mail, and go on as they are.)
  [[nodiscard]] bool needs_utf8() const;

  [[nodiscard]] std::uint64_t body_octets() const { return body_octets_; }

 private:
  void add_body(std::string_view octets);
  void account();

  mail::Address sender_;
  mail::Address first_offered_;
  std::uint32_t offered_ = 0;
  std::vector<Recipient> recipients_;
  std::vector<Recipient> expanded_;
  std::vector<Refused> refused_;
  std::uint64_t recipient_octets_ = 0;  // of memory, roughly
  // Where each stands in recipients_; filled from the second recipient on.
  std::unordered_map<std::string, std::size_t> known_;
  std::string envelope_id_;
  mail::ReturnContent returned_;
  std::optional<int> priority_;
  std::optional<base::Duration> hold_for_;
  std::optional<base::WallTime> hold_until_;
  bool eight_bit_ = false;
  bool utf8_;
  bool is_forgotten_ = false;
  std::uint64_t announced_octets_;
  mail::HeaderSplitter splitter_;
  std::string body_;
  std::uint64_t body_octets_ = 0;
  queue::MemoryBudget& memory_;
  std::uint64_t accounted_ = 0;
};

}  // namespace rockdove::inbound
