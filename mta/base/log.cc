#include "mta/base/log.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

#include "mta/base/assert.h"
#include "mta/base/text.h"
#include "mta/base/utf8.h"

namespace rockdove::base {
namespace {

constexpr std::size_t kBufferOctetsMax = 64 * 1024;
constexpr auto kReportInterval = std::chrono::minutes(1);
constexpr mode_t kFileMode = 0640;

std::uint64_t count_lines(std::string_view text) {
  return static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
}

Result<int> open_for_appending(const std::string& path) {
  const int file =
      ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, kFileMode);
  if (file < 0) return Error::system("opening the log " + path, errno);
  return file;
}

// Which octets may stand in an unquoted value: what a shell, awk or a person reads as one word.
constexpr std::array<bool, 256> make_plain_table() {
  std::array<bool, 256> plain{};
  for (unsigned octet = 33; octet < 127; ++octet) plain[octet] = true;
  plain['"'] = plain['\\'] = plain['='] = false;
  return plain;
}

constexpr std::array<bool, 256> kPlain = make_plain_table();

bool is_plain(std::string_view value) {
  return !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
    return kPlain[static_cast<unsigned char>(c)];
  });
}

// A JSON string's content (RFC 8259 §7). What is no UTF-8 becomes U+FFFD: JSON cannot carry it.
void append_json(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::size_t clean = 0;
  const auto keep_until = [&](std::size_t end) { out.append(text.substr(clean, end - clean)); };
  std::size_t at = 0;
  while (at < text.size()) {
    const auto octet = static_cast<unsigned char>(text[at]);
    if (octet >= 32 && octet < 127 && octet != '"' && octet != '\\') {
      ++at;
      continue;
    }
    const std::size_t sequence = octet < 128 ? 0 : utf8_sequence(text.substr(at));
    if (sequence > 0) {
      at += sequence;
      continue;
    }
    keep_until(at);
    if (octet == '"' || octet == '\\') {
      out.append(1, '\\').append(1, text[at]);
    } else if (octet < 128) {
      out.append("\\u00").append(1, kHex[octet >> 4]).append(1, kHex[octet & 15]);
    } else {
      out.append("\xEF\xBF\xBD");
    }
    clean = ++at;
  }
  keep_until(text.size());
}

void append_number(std::string& out, std::uint64_t number) {
  std::array<char, 20> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  out.append(digits.data(), end);
}

}  // namespace

std::string_view level_name(Level level) {
  switch (level) {
    case Level::Error:
      return "error";
    case Level::Warning:
      return "warning";
    case Level::Info:
      return "info";
    case Level::Debug:
      return "debug";
  }
  return "";
}

Result<std::unique_ptr<LogSink>> LogSink::open(const std::string& to) {
  if (to == "stderr") return std::unique_ptr<LogSink>(new LogSink("", STDERR_FILENO));
  const Result<int> file = open_for_appending(to);
  if (!file) return file.error();
  return std::unique_ptr<LogSink>(new LogSink(to, *file));
}

LogSink::LogSink(std::string path, int file) : path_(std::move(path)), file_(file) {}

LogSink::~LogSink() {
  if (!path_.empty()) ::close(file_);
}

void LogSink::write(std::string_view lines) {
  // The lock keeps lines of two loops apart where one write() is not atomic (pipes, a full disk).
  const std::lock_guard<std::mutex> lock(mutex_);
  if (line_torn_ && ::write(file_, "\n", 1) == 1) line_torn_ = false;
  while (!lines.empty()) {
    const ssize_t written = ::write(file_, lines.data(), lines.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return report_loss(lines, written < 0 ? errno : EIO);
    line_torn_ = lines[static_cast<std::size_t>(written) - 1] != '\n';
    lines.remove_prefix(static_cast<std::size_t>(written));
  }
}

void LogSink::report_loss(std::string_view unwritten, int code) {
  const std::uint64_t lines = count_lines(unwritten);
  lines_lost_.fetch_add(lines, std::memory_order_relaxed);
  lines_unreported_ += lines;
  const Instant now = read_clocks().instant;
  if (path_.empty() || now < next_report_) return;
  next_report_ = now + kReportInterval;
  std::string report = Error::system("rockdove: writing the log " + path_, code).text();
  report.append("; lines lost: ");
  append_number(report, lines_unreported_);
  report += '\n';
  // When standard error does not take it either, the count waits for the next report.
  if (::write(STDERR_FILENO, report.data(), report.size()) > 0) lines_unreported_ = 0;
}

Result<void> LogSink::reopen() {
  std::string path;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    path = path_;
  }
  return change(path.empty() ? "stderr" : path);
}

Result<void> LogSink::change(const std::string& to) {
  if (to == "stderr") {
    use("", STDERR_FILENO);
    return {};
  }
  const Result<int> file = open_for_appending(to);
  if (!file) return file.error();
  use(to, *file);
  return {};
}

void LogSink::use(std::string path, int file) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!path_.empty()) ::close(file_);
  path_ = std::move(path);
  file_ = file;
  line_torn_ = false;
}

Log::Log(LogSink& sink, Level level, LogFormat format)
    : Log(sink, level, format, [] { return read_clocks().wall; }) {}

Log::Log(LogSink& sink, Level level, LogFormat format, Clock clock)
    : sink_(sink), level_(level), format_(LogFormat::Text), clock_(std::move(clock)) {
  change(level, format);
}

Log::~Log() {
  flush();
}

void Log::flush() {
  told_ = false;
  if (buffer_.empty()) return;
  sink_.write(buffer_);
  buffer_.clear();
  if (buffer_.capacity() > 2 * kBufferOctetsMax) buffer_.shrink_to_fit();
}

void Log::change(Level level, LogFormat format) {
  level_ = level;
  format_ = format;
  if (format == LogFormat::Postfix && postfix_ == nullptr)
    postfix_ = std::make_unique<PostfixLines>(PostfixLines::origin_here());
}

LogLine Log::line(Level level, std::string_view message) {
  if (!wants(level)) return LogLine(nullptr, level);
  MTA_ASSERT(!line_open_);
  line_open_ = true;
  switch (format_) {
    case LogFormat::Text:
      append_time(clock_());
      buffer_.append(1, ' ').append(level_name(level)).append(1, ' ');
      append_printable(buffer_, message, kLogValueOctetsMax);
      break;
    case LogFormat::Json:
      buffer_.append("{\"time\":\"");
      append_time(clock_());
      buffer_.append("\",\"level\":\"").append(level_name(level)).append("\",\"message\":");
      append_value(message);
      break;
    case LogFormat::Postfix:
      postfix_->begin(level, message, clock_());
      break;
  }
  return LogLine(this, level);
}

void Log::append_time(WallTime time) {
  const auto second = std::chrono::floor<std::chrono::seconds>(time);
  if (second != second_) {
    second_ = second;
    second_text_ = format_timestamp(time);
    second_text_.resize(second_text_.size() - std::strlen("123Z"));
  }
  const auto milliseconds = static_cast<unsigned>((time - second).count());
  const std::array<char, 4> fraction = {static_cast<char>('0' + milliseconds / 100),
                                        static_cast<char>('0' + milliseconds / 10 % 10),
                                        static_cast<char>('0' + milliseconds % 10), 'Z'};
  buffer_.append(second_text_).append(fraction.data(), fraction.size());
}

void Log::append_name(std::string_view name) {
  switch (format_) {
    case LogFormat::Text:
      buffer_.append(1, ' ').append(name).append(1, '=');
      return;
    case LogFormat::Json:
      buffer_.append(",\"").append(name).append("\":");
      return;
    case LogFormat::Postfix:
      postfix_->name(name);
      return;
  }
}

void Log::append_value(std::string_view value) {
  if (format_ == LogFormat::Text) {
    if (value.size() <= kLogValueOctetsMax && is_plain(value)) {
      buffer_.append(value);
      return;
    }
    buffer_ += '"';
    append_printable(buffer_, value, kLogValueOctetsMax);
    buffer_ += '"';
    return;
  }
  if (format_ == LogFormat::Postfix) return postfix_->add(value);
  buffer_ += '"';
  append_json(buffer_, value.substr(0, kLogValueOctetsMax));
  if (value.size() > kLogValueOctetsMax) buffer_ += "…";
  buffer_ += '"';
}

void Log::end_line(Level level) {
  switch (format_) {
    case LogFormat::Text:
      buffer_ += '\n';
      break;
    case LogFormat::Json:
      buffer_ += "}\n";
      break;
    case LogFormat::Postfix:
      postfix_->end(buffer_);
      break;
  }
  line_open_ = false;
  if (level == Level::Error || buffer_.size() >= kBufferOctetsMax) return flush();
  if (lines_wait_ && !told_) {
    told_ = true;
    lines_wait_();
  }
}

LogLine::~LogLine() {
  if (log_ != nullptr) log_->end_line(level_);
}

LogLine& LogLine::field(std::string_view name, std::string_view value) {
  if (log_ == nullptr) return *this;
  log_->append_name(name);
  log_->append_value(value);
  return *this;
}

LogLine& LogLine::number(std::string_view name, Sign sign, std::uint64_t magnitude) {
  if (log_ == nullptr) return *this;
  log_->append_name(name);
  std::string& out = log_->value();
  if (sign == Sign::Minus) out += '-';
  append_number(out, magnitude);
  return *this;
}

LogLine& LogLine::field(std::string_view name, Duration value) {
  if (log_ == nullptr) return *this;
  log_->append_name(name);
  std::string& out = log_->value();
  if (value < Duration::zero()) out += '-';
  const auto milliseconds =
      static_cast<std::uint64_t>(value < Duration::zero() ? -value.count() : value.count());
  append_number(out, milliseconds / 1000);
  if (const std::uint64_t fraction = milliseconds % 1000; fraction > 0) {
    const std::array<char, 4> digits = {'.', static_cast<char>('0' + fraction / 100),
                                        static_cast<char>('0' + fraction / 10 % 10),
                                        static_cast<char>('0' + fraction % 10)};
    const std::size_t shown = fraction % 100 == 0 ? 2 : fraction % 10 == 0 ? 3 : 4;
    out.append(digits.data(), shown);
  }
  if (log_->format_ == LogFormat::Text) out += 's';
  return *this;
}

LogLine& LogLine::field(std::string_view name, WallTime value) {
  return log_ == nullptr ? *this : field(name, format_timestamp(value));
}

LogLine& LogLine::id(MessageId id) {
  if (log_ == nullptr) return *this;
  log_->append_name("id");
  std::string& out = log_->value();
  if (log_->format_ == LogFormat::Json) out += '"';
  append_id(out, id);
  if (log_->format_ == LogFormat::Json) out += '"';
  return *this;
}

LogLine& LogLine::id(DeliveryId id) {
  if (log_ == nullptr) return *this;
  return field("id", format_id(id));
}

LogLine& LogLine::path(std::string_view name, std::string_view address) {
  if (log_ == nullptr) return *this;
  if (log_->format_ == LogFormat::Json) return field(name, address);
  if (log_->format_ == LogFormat::Postfix) {
    log_->append_name(name);
    log_->postfix_->add_address(address);
    return *this;
  }
  std::string& out = log_->buffer_;
  log_->append_name(name);
  if (address.empty() || (address.size() <= kLogValueOctetsMax && is_plain(address))) {
    out.append(1, '<').append(address).append(1, '>');
    return *this;
  }
  out.append("\"<");
  append_printable(out, address, kLogValueOctetsMax);
  out.append(">\"");
  return *this;
}

}  // namespace rockdove::base
