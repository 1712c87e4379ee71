#include "mta/daemon/traffic_file.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>
#include <variant>

#include "mta/base/text.h"
#include "mta/daemon/config_document.h"
#include "mta/daemon/config_value.h"
#include "mta/daemon/read_file.h"
#include "mta/daemon/traffic_section.h"

namespace rockdove::daemon {
namespace {

class FileReader {
 public:
  FileReader(const std::string& path, Problems& problems) : path_(path), problems_(problems) {
    file_.path = path;
  }

  traffic::ProfileFile read(const Node& root);

 private:
  // The sections of one kind by name, at most so many, in the order of the file.
  std::vector<const Member*> named(const Member& kind, std::size_t sections_max);
  void read_providers(const Member& kind);
  void read_domains(const Member& kind);
  void read_sources(const Member& kind);

  const std::string& path_;
  Problems& problems_;
  traffic::ProfileFile file_;
};

traffic::ProfileFile FileReader::read(const Node& root) {
  for (const Member& member : root.members) {
    if (member.key == "provider") {
      read_providers(member);
    } else if (member.key == "domain") {
      read_domains(member);
    } else if (member.key == "source") {
      read_sources(member);
    } else if (member.key != "default") {
      problems_.error(member.at,
                      "unknown section `" + base::printable(member.key, 80) + "`" +
                          did_you_mean(member.key, {"default", "provider", "domain", "source"}));
    } else if (member.value.type != Node::Type::Table) {
      problems_.error(member.at, "`default` is a section: write [default]");
    } else {
      SectionReader("default", SectionOf::Default, path_, problems_).read(member, file_.defaults);
    }
  }
  return std::move(file_);
}

std::vector<const Member*> FileReader::named(const Member& kind, std::size_t sections_max) {
  std::vector<const Member*> members;
  const std::string header =
      "[" + kind.key + "." + (kind.key == "provider" ? "NAME" : "\"…\"") + "]";
  if (kind.value.type != Node::Type::Table) {
    problems_.error(kind.at, "`" + kind.key + "` is a section with a name: write " + header);
    return members;
  }
  if (kind.value.members.size() > sections_max) {
    problems_.error(kind.at, "there are more than " + std::to_string(sections_max) +
                                 " sections of this kind in a file; write them into several");
    return members;
  }
  for (const Member& member : kind.value.members) {
    if (member.value.type == Node::Type::Table) {
      members.push_back(&member);
    } else {
      problems_.error(member.at, "`" + base::printable(member.key, 80) +
                                     "` stands in no section: write " + header + " above it");
    }
  }
  std::sort(members.begin(), members.end(), [](const Member* a, const Member* b) {
    return std::pair(a->at.line, a->at.column) < std::pair(b->at.line, b->at.column);
  });
  return members;
}

void FileReader::read_providers(const Member& kind) {
  for (const Member* const member : named(kind, kProvidersMax)) {
    Node name;
    name.type = Node::Type::Text;
    name.at = member->at;
    name.text = member->key;
    traffic::ProviderSection section;
    if (!Value("provider", name, problems_).name(section.name)) continue;
    SectionReader reader("provider." + section.name, SectionOf::Provider, path_, problems_);
    reader.read(*member, section);
    file_.providers.push_back(std::move(section));
  }
}

void FileReader::read_domains(const Member& kind) {
  for (const Member* const member : named(kind, kDomainSectionsMax)) {
    const std::string shown = base::printable(member->key, 80);
    traffic::DomainSection section;
    SectionReader reader("domain.\"" + shown + "\"", SectionOf::Domain, path_, problems_);
    if (!reader.name_pattern(member->key, member->at, section.pattern)) continue;
    reader.read(*member, section);
    file_.domains.push_back(std::move(section));
  }
}

void FileReader::read_sources(const Member& kind) {
  for (const Member* const member : named(kind, kSourceSectionsMax)) {
    const std::string shown = base::printable(member->key, 80);
    const std::optional<base::IpAddress> address = base::parse_ip_address(member->key);
    if (!address) {
      problems_.error(member->at,
                      "\"" + shown + "\" is no IP address; write [source.\"192.0.2.1\"]");
      continue;
    }
    traffic::SourceSection section;
    section.address = *address;
    SectionReader("source.\"" + shown + "\"", SectionOf::Source, path_, problems_)
        .read(*member, section);
    file_.sources.push_back(std::move(section));
  }
}

// The files that a path stands for; problems go to `problems`.
std::vector<std::string> files_of(const std::string& path, Problems& problems) {
  std::error_code failed;
  if (!std::filesystem::is_directory(path, failed)) return {path};
  std::vector<std::string> files;
  std::filesystem::directory_iterator entries(path, failed);
  for (; !failed && entries != std::filesystem::directory_iterator(); entries.increment(failed)) {
    if (entries->path().extension() == ".toml") files.push_back(entries->path().string());
    if (files.size() > kProfileFilesMax) break;
  }
  std::sort(files.begin(), files.end());
  if (failed) problems.error({}, "the folder cannot be read: " + failed.message());
  if (files.empty() && !failed) problems.error({}, "the folder holds no file that ends in .toml");
  return files;
}

traffic::ProfileFile load_file(const std::string& path, Problems& problems) {
  const base::Result<std::optional<std::string>> text = read_file(path, kConfigurationOctetsMax);
  if (!text) {
    problems.error({}, text.error().text());
  } else if (!text->has_value()) {
    problems.error({}, "there is no such file");
  } else {
    return parse_profile_file(**text, path, problems);
  }
  return {};
}

}  // namespace

traffic::ProfileFile parse_profile_file(std::string_view text, const std::string& path,
                                        Problems& problems) {
  if (text.size() > kConfigurationOctetsMax) {
    problems.error({}, "the file is larger than 1 MiB");
    return {};
  }
  const std::variant<Node, SyntaxError> document = parse_document(text);
  if (const auto* wrong = std::get_if<SyntaxError>(&document)) {
    problems.error(wrong->at, wrong->text);
    return {};
  }
  return FileReader(path, problems).read(std::get<Node>(document));
}

ReadProfiles load_profiles(const std::vector<std::string>& paths) {
  ReadProfiles read;
  std::vector<traffic::ProfileFile> files;
  bool has_errors = false;
  const auto keep = [&](Problems& problems) {
    has_errors = has_errors || problems.has_errors();
    for (Problem& problem : problems.take_sorted()) read.problems.push_back(std::move(problem));
  };
  for (const std::string& path : paths) {
    Problems of_folder(path);
    for (const std::string& file : files_of(path, of_folder)) {
      if (files.size() == kProfileFilesMax) {
        of_folder.error({}, "there are more than " + std::to_string(kProfileFilesMax) + " files");
        break;
      }
      Problems problems(file);
      files.push_back(load_file(file, problems));
      read.files.push_back(file);
      keep(problems);
    }
    keep(of_folder);
  }
  if (!has_errors) read.profiles = std::make_shared<const traffic::Profiles>(files);
  return read;
}

}  // namespace rockdove::daemon
