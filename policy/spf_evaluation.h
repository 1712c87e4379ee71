// The inside of check_spf() (RFC 7208 §4 to §6), for who asks in rounds and does not want to read
// the records again each time: with ten records of 64 kB that is 11 ms, where going on takes 1.
//
// An include opens a record within a record, and a redirect puts one in the place of another, so
// the open records are a stack: the last one is read term by term, and what it comes to is told to
// the include below it. An error anywhere ends the whole check (RFC 7208 §5.2).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/spf.h"
#include "policy/spf_macro.h"
#include "policy/spf_record.h"

namespace rockdove::policy {

class SpfEvaluation {
 public:
  // Both outlive this object.
  SpfEvaluation(const SpfRequest& request, RecordedDns& dns);
  SpfEvaluation(const SpfEvaluation&) = delete;
  SpfEvaluation& operator=(const SpfEvaluation&) = delete;

  // nullopt: answers are missing, which `dns` has noted; run it again when they have come, and it
  // goes on where it was.
  [[nodiscard]] std::optional<SpfOutcome> run();

 private:
  // A record that is being read.
  struct Frame {
    std::string domain;           // whose record it is
    std::string redirected_from;  // empty: no redirect led here
    SpfRecordModifiers modifiers;
    SpfRecordReader reader{std::string_view()};
    SpfTerm term;             // the last that was read
    bool is_at_end = false;   // there was no further term
    bool is_pending = false;  // that is counted, but not decided
  };

  // Stop: an answer is missing, or an error has ended the check.
  enum class Match : std::uint8_t { No, Yes, Stop };
  enum class Opened : std::uint8_t { Yes, Absent, Stop };

  void find_identity();
  void begin();
  [[nodiscard]] Opened open(Frame& frame, std::string& absence);
  void open_other(Frame frame, const std::string& what);
  void read_on();
  [[nodiscard]] bool read_term(Frame& frame);
  void on_include(const Frame& frame);
  void on_end(const Frame& frame);
  void decide(SpfResult result);
  void explain();

  [[nodiscard]] Match match(const Frame& frame);
  [[nodiscard]] Match match_a(const Frame& frame);
  [[nodiscard]] Match match_mx(const Frame& frame);
  [[nodiscard]] Match match_ptr(const Frame& frame);
  [[nodiscard]] Match match_exists(const Frame& frame);
  [[nodiscard]] Match void_term(const Frame& frame);
  [[nodiscard]] bool has_client(const dns::Answer& answer, const SpfTerm& term) const;

  [[nodiscard]] const dns::Answer* find(std::string_view name, dns::RecordType type);
  template <typename IsWanted>
  [[nodiscard]] std::optional<std::vector<std::string_view>> client_names(
      const dns::Answer& pointers, IsWanted is_wanted);
  [[nodiscard]] std::optional<std::string> validated_name(const std::string& domain);
  [[nodiscard]] std::optional<std::string> expand(const Frame& frame, std::string_view spec);
  [[nodiscard]] std::optional<SpfMacroValues> macro_values(const Frame& frame,
                                                           std::string_view text,
                                                           std::string& validated);
  [[nodiscard]] bool count_term(const Frame& frame, std::string_view text);

  void end(SpfResult result, std::string reason);
  Match fail_for_now(const Frame& frame, std::string_view name, dns::RecordType type,
                     const dns::Answer& answer);

  const SpfRequest& request_;
  RecordedDns& dns_;
  dns::RecordType address_type_;  // of the client's family
  std::string client_;            // its address as text
  std::string domain_;            // that is checked
  std::string sender_;
  std::string sender_local_;
  std::vector<Frame> frames_;
  std::string chain_;  // which term has matched, and which include therefore
  bool has_counted_pointer_ = false;
  bool is_missing_ = false;
  bool is_over_ = false;
  SpfOutcome outcome_;
};

}  // namespace rockdove::policy
