// A folder of messages out of a queue: of each ID.eml, the octets as they are queued, and ID.json,
// the envelope with the SHA-256 of those octets (admin/envelope_text.h). `queue export` and `queue
// salvage` write it, `queue import` reads it.
//
// A file has its name only when it is whole and on the disk, ID.json last, and none is ever
// overwritten. Reading follows no link and opens nothing but regular files: whoever may write to
// the folder may put anything there.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mta/admin/envelope_text.h"
#include "mta/base/ids.h"
#include "mta/base/result.h"
#include "mta/cli/control_client.h"
#include "mta/crypto/digest.h"
#include "mta/net/file_descriptor.h"

namespace rockdove::cli {

class MailFolderWriter {
 public:
  // Hands the octets of one message to the sink, piece by piece; an error: they are not all there.
  using Content = std::function<base::Result<void>(const OctetSink& sink)>;

  // Makes the folder, mode 0700, if it is not there; its parent must be. One writer at a time.
  [[nodiscard]] static base::Result<std::unique_ptr<MailFolderWriter>> open(
      const std::string& path);

  // Both files, or none. `envelope` is a line of admin::format_envelope(); an error where the
  // content has other than the octets it speaks of. They have their names behind a sync(), or when
  // some more messages have come; an error may be of one that was put before, and names the file.
  [[nodiscard]] base::Result<void> put(std::string_view envelope, const Content& content);
  // A file of another name, whole.
  [[nodiscard]] base::Result<void> put_text(const std::string& name, std::string_view text);
  // All files are on the disk, and their names, too.
  [[nodiscard]] base::Result<void> sync();

 private:
  explicit MailFolderWriter(net::FileDescriptor folder) : folder_(std::move(folder)) {}

  // A file that is written, but has not its name yet.
  struct Part {
    net::FileDescriptor file;
    std::string name;
  };

  [[nodiscard]] base::Result<Part> begin(const std::string& name);
  [[nodiscard]] static base::Result<void> write(const Part& part, std::string_view octets);
  // The SHA-256 of the octets.
  [[nodiscard]] static base::Result<std::string> write_content(const Part& part,
                                                               std::uint64_t octets,
                                                               const Content& content);
  [[nodiscard]] base::Result<void> settle();
  [[nodiscard]] base::Result<void> finish(const Part& part);
  void remove(const Part& part);

  net::FileDescriptor folder_;
  std::vector<Part> parts_;  // in the order in which they get their names
};

// The content of one message on its way into a queue.
class ContentSource {
 public:
  virtual ~ContentSource() = default;

  [[nodiscard]] virtual std::uint64_t size() const = 0;
  // The next octets, at most so many, and at least one as long as there are any. The last ones come
  // only when all of it is known to be what it should be.
  [[nodiscard]] virtual base::Result<std::string> read(std::size_t octets_max) = 0;
};

class MailFolderReader {
 public:
  struct Pair {
    std::string id;  // as the files are named
    bool has_envelope = false;
    bool has_content = false;
  };

  struct Names {
    std::vector<Pair> pairs;   // in the order of the ids
    std::uint64_t others = 0;  // files with other names
  };

  [[nodiscard]] static base::Result<std::unique_ptr<MailFolderReader>> open(
      const std::string& path);

  [[nodiscard]] base::Result<Names> names();
  // Checked, and about the message of this id.
  [[nodiscard]] base::Result<admin::Envelope> read_envelope(const std::string& id);
  // As it was written out: whose length or SHA-256 is not that of the envelope is an error, at the
  // latest when its last octets are read.
  [[nodiscard]] base::Result<std::unique_ptr<ContentSource>> open_content(
      const admin::Envelope& envelope);
  // As a person has edited it: line feeds alone become line ends, and the envelope is told the new
  // lengths. At most kEditedOctetsMax.
  static constexpr std::uint64_t kEditedOctetsMax = 256ULL * 1024 * 1024;
  [[nodiscard]] base::Result<std::unique_ptr<ContentSource>> open_edited(admin::Envelope& envelope);

 private:
  explicit MailFolderReader(net::FileDescriptor folder) : folder_(std::move(folder)) {}

  // A regular file and its length.
  [[nodiscard]] base::Result<std::pair<net::FileDescriptor, std::uint64_t>> open_file(
      const std::string& name, std::uint64_t octets_max);

  net::FileDescriptor folder_;
};

}  // namespace rockdove::cli
