#include "mta/base/log_postfix.h"

#include <array>
#include <charconv>
#include <ctime>
#include <unistd.h>

#include "mta/base/log.h"
#include "mta/base/utf8.h"

namespace rockdove::base {
namespace {

constexpr std::size_t kHostOctetsMax = 256;

bool is_digits(std::string_view text) {
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
  }
  return !text.empty();
}

// "550 5.1.1 no such user": its parts; each may be empty.
struct ReplyParts {
  std::string_view code;
  std::string_view status;
  std::string_view text;
};

ReplyParts split_reply(std::string_view reply) {
  ReplyParts parts;
  parts.text = reply;
  const auto take_word = [&parts] {
    const std::size_t end = std::min(parts.text.find(' '), parts.text.size());
    const std::string_view word = parts.text.substr(0, end);
    parts.text.remove_prefix(std::min(end + 1, parts.text.size()));
    return word;
  };
  if (reply.size() >= 3 && is_digits(reply.substr(0, 3)) && (reply.size() == 3 || reply[3] == ' '))
    parts.code = take_word();
  const std::string_view word = parts.text.substr(0, parts.text.find(' '));
  if (word.size() >= 5 && word[1] == '.' && word.find_first_not_of("0123456789.") == word.npos)
    parts.status = take_word();
  return parts;
}

// "mx.example.net[192.0.2.1]:25" without the port, as Postfix names a host that said something.
std::string_view without_port(std::string_view host) {
  const std::size_t bracket = host.rfind("]:");
  return bracket == std::string_view::npos ? host : host.substr(0, bracket + 1);
}

// What a reply answered, in Postfix's words; "" where they have none.
std::string_view command_of(std::string_view stage) {
  if (stage == "EHLO") return "EHLO command";
  if (stage == "MAIL") return "MAIL FROM command";
  if (stage == "RCPT") return "RCPT TO command";
  if (stage == "DATA") return "DATA command";
  if (stage == "body" || stage == "final dot") return "end of DATA command";
  if (stage == "STARTTLS") return "STARTTLS command";
  if (stage == "AUTH") return "AUTH command";
  return "";
}

// "[192.0.2.1]:25", which has no name, is "192.0.2.1[192.0.2.1]:25" there.
std::string named(std::string_view host) {
  const std::size_t end = host.starts_with('[') ? host.find(']') : std::string_view::npos;
  if (end == std::string_view::npos) return std::string(host);
  return std::string(host.substr(1, end - 1)).append(host);
}

std::string relay_of(std::string_view host) {
  if (host.empty()) return "none";
  if (host.starts_with("maildir:")) return "virtual";
  return named(host);
}

// The text in parentheses of what a host refused, or of why none was reached.
std::string why_not(std::string_view host, std::string_view stage, std::string_view reply) {
  const ReplyParts parts = split_reply(reply);
  constexpr std::string_view kNotReached = " could not be reached: ";
  if (!host.empty() && parts.text.starts_with(host)) {
    const std::string_view rest = parts.text.substr(host.size());
    if (rest.starts_with(kNotReached)) {
      return std::string("connect to ")
          .append(named(host))
          .append(": ")
          .append(rest.substr(kNotReached.size()));
    }
    return std::string(parts.text);
  }
  const bool is_ours = host.empty() || stage == "connect" || stage == "resolve";
  if (is_ours) return std::string(parts.text);
  std::string text = "host ";
  text += without_port(named(host));
  text += stage == "banner" ? " refused to talk to me: " : " said: ";
  text += reply;
  if (const std::string_view command = command_of(stage); !command.empty())
    text.append(" (in reply to ").append(command).append(")");
  return text;
}

// What is in front of ": text" of a refused recipient.
std::string recipient_refused(std::string_view address, const ReplyParts& parts) {
  std::string text = "<";
  text.append(address).append(">: ");
  // inbound/access.cc says so to strangers.
  if (parts.text.starts_with("relaying denied")) return text += "Relay access denied";
  text += "Recipient address rejected: ";
  if (parts.status.ends_with(".1.1")) return text += "User unknown";
  return text.append(parts.text);
}

}  // namespace

const PostfixLines::Event PostfixLines::kEvents[] = {
    {"accepted", &PostfixLines::accepted},
    {"delivered", &PostfixLines::delivered},
    {"deferred", &PostfixLines::deferred},
    {"bounced", &PostfixLines::bounced},
    {"unreturnable", &PostfixLines::bounced},
    {"unreported", &PostfixLines::bounced},
    {"discarded", &PostfixLines::discarded},
    {"report made", &PostfixLines::report_made},
    {"removed", &PostfixLines::removed},
    {"rejected", &PostfixLines::rejected},
    {"connected", &PostfixLines::connected},
    {"session ended", &PostfixLines::session_ended},
    {"login refused", &PostfixLines::login_refused},
    {"TLS failed", &PostfixLines::tls_failed},
};

PostfixLines::Origin PostfixLines::origin_here() {
  std::array<char, kHostOctetsMax> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) name[0] = '\0';
  const std::string_view whole(name.data());
  const std::string_view host = whole.substr(0, whole.find('.'));
  return {std::string(host.empty() ? std::string_view("localhost") : host),
          static_cast<std::uint64_t>(::getpid())};
}

void PostfixLines::begin(Level level, std::string_view message, WallTime time) {
  level_ = level;
  fields_.clear();
  values_.clear();
  // In `values_` first, where strangers' text is made harmless.
  add(message);
  message_ = values_;
  values_.clear();
  const auto second = std::chrono::floor<std::chrono::seconds>(time);
  if (second == second_) return;
  second_ = second;
  const std::time_t seconds = std::chrono::system_clock::to_time_t(second);
  std::tm parts{};
  localtime_r(&seconds, &parts);
  constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  std::array<char, 32> text{};
  const std::size_t octets = std::strftime(text.data(), text.size(), " %e %H:%M:%S ", &parts);
  second_text_ = kMonths.substr(static_cast<std::size_t>(parts.tm_mon) * 3, 3);
  second_text_.append(text.data(), octets).append(origin_.host).append(" postfix/");
}

void PostfixLines::name(std::string_view name) {
  fields_.push_back({name, values_.size()});
}

void PostfixLines::add(std::string_view text) {
  const bool is_cut = text.size() > kLogValueOctetsMax;
  if (is_cut) text = text.substr(0, kLogValueOctetsMax);
  while (!text.empty()) {
    const auto octet = static_cast<unsigned char>(text.front());
    if (octet >= 32 && octet < 127) {
      values_ += text.front();
      text.remove_prefix(1);
      continue;
    }
    const std::size_t sequence = octet < 128 ? 0 : utf8_sequence(text);
    if (sequence == 0) {
      values_ += '?';
    } else {
      values_.append(text.substr(0, sequence));
    }
    text.remove_prefix(std::max<std::size_t>(sequence, 1));
  }
  if (is_cut) values_ += "…";
}

void PostfixLines::add_address(std::string_view address) {
  const std::size_t from = values_.size();
  add(address);
  for (std::size_t at = from; at < values_.size(); ++at) {
    if (values_[at] == '<' || values_[at] == '>') values_[at] = '?';
  }
}

void PostfixLines::end(std::string& out) {
  for (const Event& event : kEvents) {
    if (event.message == message_) return (this->*event.write)(out);
  }
  plain(out);
}

// "": the event has no such value.
std::string_view PostfixLines::of(std::string_view name) const {
  for (std::size_t i = 0; i < fields_.size(); ++i) {
    if (fields_[i].name != name) continue;
    const std::size_t end = i + 1 < fields_.size() ? fields_[i + 1].from : values_.size();
    return std::string_view(values_).substr(fields_[i].from, end - fields_[i].from);
  }
  return {};
}

// The message of what may be a delivery's id, "3Zz…-1".
std::string_view PostfixLines::message_id() const {
  const std::string_view id = of("id");
  return id.substr(0, id.find('-'));
}

// As Postfix writes a client whose name it does not know; it never looks one up.
std::string PostfixLines::client() const {
  const std::string_view address = of("client");
  const bool is_local = address == "127.0.0.1" || address == "::1";
  return (is_local ? "localhost[" : "unknown[") + std::string(address) + ']';
}

void PostfixLines::prefix(std::string& out, std::string_view service) const {
  out.append(second_text_).append(service).append("[").append(std::to_string(origin_.process));
  out.append("]: ");
}

void PostfixLines::session_prefix(std::string& out) const {
  const std::string_view session = of("session");
  if (session.empty()) return prefix(out, "smtpd");
  out.append(second_text_).append("smtpd[").append(session).append("]: ");
}

// What follows the arrival of every message, a client's or a report.
void PostfixLines::queued_lines(std::string& out, std::string_view id) const {
  prefix(out, "qmgr");
  out.append(id).append(": from=<").append(of("from")).append(">, size=").append(of("size"));
  out.append(", nrcpt=").append(of("recipients")).append(" (queue active)\n");
}

void PostfixLines::accepted(std::string& out) const {
  const std::string_view id = message_id();
  if (!of("uid").empty()) {
    prefix(out, "pickup");
    out.append(id).append(": uid=").append(of("uid"));
    out.append(" from=<").append(of("from")).append(">\n");
  } else {
    session_prefix(out);
    out.append(id).append(": client=").append(client());
    if (!of("user").empty()) {
      out.append(", sasl_method=").append(of("mechanism"));
      out.append(", sasl_username=").append(of("user"));
    }
    out += '\n';
  }
  prefix(out, "cleanup");
  const std::string_view message = of("message_id");
  out.append(id).append(": message-id=").append(message.empty() ? "<>" : message).append("\n");
  queued_lines(out, id);
}

// "to=<…>, relay=…, delay=…, delays=…, dsn=…, status=… (…)".
void PostfixLines::delivery_line(std::string& out, std::string_view status, std::string_view code,
                                 std::string_view text) const {
  const std::string_view host = of("host");
  const bool is_file = host.starts_with("maildir:");
  const bool is_lmtp = host.starts_with("lmtp+unix:") || of("protocol") == "lmtp";
  prefix(out, is_file ? "virtual" : is_lmtp ? "lmtp" : "smtp");
  const auto number = [this](std::string_view name) {
    return of(name).empty() ? std::string_view("0") : of(name);
  };
  out.append(message_id()).append(": to=<").append(of("to")).append(">, relay=");
  out.append(relay_of(host)).append(", delay=").append(number("delay"));
  // Before the queue, in it, setting the connection up, sending.
  out.append(", delays=0/").append(number("waited")).append("/").append(number("setup"));
  out.append("/").append(number("sending")).append(", dsn=").append(code);
  out.append(", status=").append(status).append(" (").append(text).append(")\n");
}

void PostfixLines::delivered(std::string& out) const {
  const std::string_view reply = of("reply");
  const ReplyParts parts = split_reply(reply);
  const std::string_view code =
      parts.status.starts_with("2.") ? parts.status : std::string_view("2.0.0");
  delivery_line(out, "sent", code,
                of("host").starts_with("maildir:") ? "delivered to maildir" : reply);
}

void PostfixLines::discarded(std::string& out) const {
  prefix(out, "discard");
  out.append(message_id()).append(": to=<").append(of("to")).append(">, relay=none, delay=");
  const std::string_view delay = of("delay").empty() ? std::string_view("0") : of("delay");
  out.append(delay).append(", delays=0/").append(delay).append("/0/0, dsn=2.0.0, status=sent (");
  out.append(of("route")).append(")\n");
}

void PostfixLines::deferred(std::string& out) const {
  const std::string_view status = of("status");
  const ReplyParts parts = split_reply(of("reply"));
  // A refusal that is not believed yet may say 5.y.z; what waits has 4.y.z (RFC 3463 §2).
  std::string code(status.starts_with("4.")         ? status
                   : parts.status.starts_with("4.") ? parts.status
                                                    : std::string_view("4.0.0"));
  delivery_line(out, "deferred", code, why_not(of("host"), of("stage"), of("reply")));
}

void PostfixLines::bounced(std::string& out) const {
  const std::string_view status = of("status");
  delivery_line(out, "bounced", status.empty() ? "5.0.0" : status,
                why_not(of("host"), of("stage"), of("reply")));
  if (status != "4.4.7") return;  // RFC 3463 §3.5: its time has ended
  prefix(out, "qmgr");
  out.append(message_id()).append(": from=<").append(of("from"));
  out.append(">, status=expired, returned to sender\n");
}

// A report about a message, once, whatever number of recipients it names.
void PostfixLines::report_made(std::string& out) const {
  const std::string_view report = of("report");
  prefix(out, "cleanup");
  const std::string_view message = of("message_id");
  out.append(report).append(": message-id=").append(message.empty() ? "<>" : message).append("\n");
  prefix(out, "bounce");
  out.append(message_id()).append(": ").append(of("what")).append(" notification: ");
  out.append(report).append("\n");
  queued_lines(out, report);
}

void PostfixLines::removed(std::string& out) const {
  prefix(out, "qmgr");
  out.append(message_id()).append(": removed\n");
}

void PostfixLines::rejected(std::string& out) const {
  const std::string_view what = of("what");
  session_prefix(out);
  if (what == "proxy") {
    out.append("warning: proxy ").append(of("client")).append(": ").append(of("reason"));
    out += '\n';
    return;
  }
  const ReplyParts parts = split_reply(of("reply"));
  const bool is_connection = what == "connection";
  std::string_view verb = "END-OF-MESSAGE";
  std::string text;
  if (is_connection) {
    verb = "CONNECT";
    text = "<" + client() + ">: Client host rejected: " + std::string(parts.text);
  } else if (what == "sender") {
    verb = "MAIL";
    text.append("<").append(of("from")).append(">: Sender address rejected: ").append(parts.text);
  } else if (what == "recipient") {
    verb = "RCPT";
    text = recipient_refused(of("to"), parts);
  } else {
    text = of("reply").empty() ? of("reason") : parts.text;
  }
  out.append("NOQUEUE: reject: ").append(verb).append(" from ").append(client()).append(": ");
  // The session refuses content by itself, with one of two replies (smtp/server_content.cc).
  const bool is_big = of("reason") == "message too big";
  if (parts.code.empty()) {
    out.append(is_big ? "552 5.3.4" : "554 5.6.0");
  } else {
    out.append(parts.code);
    if (!parts.status.empty()) out.append(" ").append(parts.status);
  }
  out.append(" ").append(text).append(";");
  if (!is_connection) out.append(" from=<").append(of("from")).append(">");
  if (what == "recipient") out.append(" to=<").append(of("to")).append(">");
  out.append(" proto=").append(of("proto").empty() ? "SMTP" : of("proto"));
  if (!of("helo").empty()) out.append(" helo=<").append(of("helo")).append(">");
  out += '\n';
}

void PostfixLines::connected(std::string& out) const {
  session_prefix(out);
  out.append("connect from ").append(client()).append("\n");
}

void PostfixLines::session_ended(std::string& out) const {
  const std::string_view reason = of("reason");
  std::string_view how;
  if (reason == "peer closed" || reason == "lost") how = "lost connection";
  if (reason.ends_with("timeout")) how = "timeout";
  if (reason.starts_with("too many")) how = "too many errors";
  if (reason == "early talker") how = "improper command pipelining";
  if (!how.empty()) {
    session_prefix(out);
    out.append(how).append(" after ").append(of("after")).append(" from ").append(client());
    out += '\n';
  }
  session_prefix(out);
  out.append("disconnect from ").append(client()).append(" ").append(of("commands")).append("\n");
}

void PostfixLines::login_refused(std::string& out) const {
  const std::string_view reason = of("reason");
  // Not the client's fault: fail2ban's filter leaves these words alone.
  const bool is_ours = reason == "too many logins wait" || reason == "the accounts cannot be read";
  session_prefix(out);
  out.append("warning: ").append(client()).append(": SASL ").append(of("mechanism"));
  out.append(" authentication failed: ");
  if (is_ours) out.append("Connection lost to authentication server: ");
  out.append(reason).append(", sasl_username=").append(of("user")).append("\n");
}

void PostfixLines::tls_failed(std::string& out) const {
  session_prefix(out);
  out.append("SSL_accept error from ").append(client()).append(": ").append(of("reason"));
  out += '\n';
}

void PostfixLines::plain(std::string& out) const {
  prefix(out, "rockdove");
  if (level_ == Level::Error) out += "error: ";
  if (level_ == Level::Warning) out += "warning: ";
  out += message_;
  for (const Field& field : fields_)
    out.append(" ").append(field.name).append("=").append(of(field.name));
  out += '\n';
}

}  // namespace rockdove::base
