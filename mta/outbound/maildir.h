// One message on its way into a maildir (https://cr.yp.to/proto/maildir.html), as calls that wait
// for the disk: never from a loop. A file is written below tmp/, made durable, linked into new/,
// and that is made durable, too; only then it counts as delivered.
//
// Line ends become LF, as mail stores of Unix have them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "mta/base/time.h"
#include "mta/net/file_descriptor.h"

namespace rockdove::outbound {

// "1795295700.M123456P4711Q1.host": unique on this machine and among those that share the folder.
// `count` goes up with each name of the process.
[[nodiscard]] std::string maildir_name(base::WallTime now, std::uint64_t count,
                                       std::string_view host_name);

// Why a file could not be written.
struct MaildirError {
  int code = 0;      // errno; 0: there was no error
  std::string what;  // "cannot create /var/mail/a/tmp/1795295700.M1P2Q3.host"
  // The file is in new/, but perhaps not after a power cut.
  bool is_uncertain = false;

  [[nodiscard]] bool is_none() const { return code == 0; }
};

class MaildirFile {
 public:
  // Nothing is done yet. `folder` is the maildir, absolute.
  MaildirFile(std::string folder, std::string name);
  // Removes what was not finished.
  ~MaildirFile();
  MaildirFile(const MaildirFile&) = delete;
  MaildirFile& operator=(const MaildirFile&) = delete;

  // The first call creates the file, and the maildir if the folder above it exists. After an error
  // nothing else may be called.
  [[nodiscard]] MaildirError write(std::string_view octets);
  [[nodiscard]] MaildirError finish();

 private:
  [[nodiscard]] MaildirError create();
  [[nodiscard]] MaildirError make_folders();
  [[nodiscard]] MaildirError flush();
  [[nodiscard]] MaildirError link_into_new();

  [[nodiscard]] std::string temporary_path() const { return folder_ + "/tmp/" + name_; }

  const std::string folder_;
  const std::string name_;
  net::FileDescriptor file_;
  std::string pending_;      // with LF, not yet written
  bool ends_in_cr_ = false;  // the last octet seen was a CR that belongs before an LF
  bool exists_ = false;      // below tmp/
};

// "452 4.3.1" and the like for a person, with what to do about it.
struct MaildirAdvice {
  int code = 451;
  std::string_view enhanced;
  std::string text;
};

[[nodiscard]] MaildirAdvice advice_on(const MaildirError& error, std::string_view folder);

// What RFC 5321 §4.4 adds at the final delivery, and the header block behind it, without
// Return-Path fields that it already had.
[[nodiscard]] std::string final_header(std::string_view sender, std::string_view recipient,
                                       std::string_view header_block);

}  // namespace rockdove::outbound
