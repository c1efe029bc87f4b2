#include "calibration/data/file_set.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <fnmatch.h>
#include <zlib.h>

#include <algorithm>
#include <map>

#include "passes/base/error.h"
#include "passes/base/text.h"

namespace lathe::data {
namespace {

namespace fs = std::filesystem;

bool is_hidden(std::string_view path) {
  return path.starts_with('.') || path.find("/.") != std::string_view::npos;
}

struct ArchiveCloser {
  void operator()(archive* a) const { archive_read_free(a); }
};
using ArchivePtr = std::unique_ptr<archive, ArchiveCloser>;

enum class Container { kTar, kZip };

// Null when the file is no such archive; its first entry is then in `entry`.
ArchivePtr open_archive(const fs::path& path, Container container,
                        archive_entry** entry, std::string* why) {
  ArchivePtr reader(archive_read_new());
  if (container == Container::kTar) {
    archive_read_support_format_tar(reader.get());
    archive_read_support_filter_gzip(reader.get());
    archive_read_support_filter_bzip2(reader.get());
    archive_read_support_filter_xz(reader.get());
    archive_read_support_filter_zstd(reader.get());
  } else {
    archive_read_support_format_zip_seekable(reader.get());
  }
  int status = archive_read_open_filename(reader.get(), path.c_str(), 1 << 16);
  if (status == ARCHIVE_OK)
    status = archive_read_next_header(reader.get(), entry);
  if (status == ARCHIVE_EOF) *entry = nullptr;
  if (status < ARCHIVE_WARN) {
    const char* text = archive_error_string(reader.get());
    *why = text ? text : "unknown reason";
    return nullptr;
  }
  return reader;
}

std::string normalised(const char* path) {
  std::string text = path ? path : "";
  while (text.starts_with("./")) text.erase(0, 2);
  while (text.starts_with('/')) text.erase(0, 1);
  return text;
}

class ArchiveReader {
 public:
  ArchiveReader(const fs::path& path, uint64_t memory_bytes)
      : name_(path.string()), spool_(memory_bytes) {}

  FileSet read(archive* reader, archive_entry* entry,
               const FileFilter& filter) {
    while (entry) {
      take(reader, entry, filter);
      const int status = archive_read_next_header(reader, &entry);
      if (status == ARCHIVE_EOF) break;
      if (status < ARCHIVE_WARN) broken(reader);
    }
    const auto storage = spool_.finish();
    FileSet files;
    for (const auto& [offset, size, path] : members_)
      files.push_back({path, Blob(fmt::format("{}: {}", name_, path), storage,
                                  offset, size)});
    return files;
  }

 private:
  struct Member {
    uint64_t offset, size;
    std::string path;
  };

  [[noreturn]] void broken(archive* reader) const {
    const char* why = archive_error_string(reader);
    throw_input(name_, fmt::format("the archive is broken: {}",
                                   why ? why : "unknown reason"));
  }

  void take(archive* reader, archive_entry* entry, const FileFilter& filter) {
    const std::string path = normalised(archive_entry_pathname(entry));
    if (const char* target = archive_entry_hardlink(entry)) {
      const auto known = index_.find(normalised(target));
      if (known != index_.end() && filter.accepts(path)) {
        Member copy = members_[known->second];
        copy.path = path;
        put(std::move(copy));
      }
      return;
    }
    if (archive_entry_filetype(entry) != AE_IFREG || !filter.accepts(path))
      return;
    const uint64_t start = spool_.size();
    if (archive_entry_size_is_set(entry))
      spool_.expect(static_cast<uint64_t>(archive_entry_size(entry)));
    const void* block = nullptr;
    size_t size = 0;
    la_int64_t offset = 0;
    uint64_t end = 0;  // of the member so far; holes of sparse files are zeros
    for (;;) {
      const int status =
          archive_read_data_block(reader, &block, &size, &offset);
      if (status == ARCHIVE_EOF) break;
      if (status < ARCHIVE_WARN) broken(reader);
      if (static_cast<uint64_t>(offset) != end)
        throw_unsupported(fmt::format("{}: {}", name_, path),
                          "sparse archive members are not read");
      end += size;
      spool_.append({static_cast<const char*>(block), size});
    }
    put({start, end, path});
  }

  // A path that comes again replaces the earlier one, as it does in tar.
  void put(Member member) {
    const auto [known, fresh] = index_.emplace(member.path, members_.size());
    if (fresh)
      members_.push_back(std::move(member));
    else
      members_[known->second] = std::move(member);
  }

  std::string name_;
  Spool spool_;
  std::vector<Member> members_;
  std::map<std::string, size_t> index_;
};

void sort_by_path(FileSet& files) {
  std::sort(
      files.begin(), files.end(),
      [](const DataFile& a, const DataFile& b) { return a.path < b.path; });
}

}  // namespace

bool FileFilter::accepts(const std::string& path) const {
  if (is_hidden(path)) return false;
  if (!pattern.empty() && fnmatch(pattern.c_str(), path.c_str(), 0) != 0)
    return false;
  if (extensions.empty()) return true;
  std::string lower = path;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return std::any_of(
      extensions.begin(), extensions.end(),
      [&](const std::string& ending) { return lower.ends_with(ending); });
}

FileSet open_files(const fs::path& path, const FileFilter& filter,
                   uint64_t archive_memory_bytes) {
  FileSet files;
  if (fs::is_directory(path)) {
    for (const fs::path& file : list_files(path)) {
      std::string inside = file.lexically_relative(path).generic_string();
      if (filter.accepts(inside))
        files.push_back({std::move(inside), Blob::file(file)});
    }
  } else if (fs::exists(path)) {
    archive_entry* entry = nullptr;
    std::string why;
    if (ArchivePtr reader = open_archive(path, Container::kTar, &entry, &why)) {
      files = ArchiveReader(path, archive_memory_bytes)
                  .read(reader.get(), entry, filter);
    } else if (FileFilter{filter.extensions, ""}.accepts(
                   path.filename().string())) {
      files.push_back({path.filename().string(), Blob::file(path)});
    } else {
      throw_input(path.string(),
                  "expected a folder or a tar archive (plain or compressed)");
    }
  } else {
    throw_input(path.string(), "no such file or folder");
  }
  sort_by_path(files);
  return files;
}

FileSet open_zip(const fs::path& path, uint64_t archive_memory_bytes) {
  archive_entry* entry = nullptr;
  std::string why;
  ArchivePtr reader = open_archive(path, Container::kZip, &entry, &why);
  if (!reader)
    throw_input(path.string(), fmt::format("not a zip archive: {}", why));
  return ArchiveReader(path, archive_memory_bytes)
      .read(reader.get(), entry, FileFilter{});
}

bool is_tar(const fs::path& path) {
  archive_entry* entry = nullptr;
  std::string why;
  return open_archive(path, Container::kTar, &entry, &why) != nullptr && entry;
}

std::string gunzip(std::string bytes, uint64_t max_bytes,
                   const std::string& where) {
  if (!bytes.starts_with("\x1f\x8b")) {
    if (bytes.size() > max_bytes)
      throw_input(where, fmt::format("has {}, expected at most {}",
                                     format_bytes(bytes.size()),
                                     format_bytes(max_bytes)));
    return bytes;
  }
  z_stream stream{};
  if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK)
    throw_internal(where, "zlib does not start");
  const std::unique_ptr<z_stream, int (*)(z_stream*)> closer(&stream,
                                                             inflateEnd);
  std::string out;
  std::vector<char> buffer(1 << 18);
  stream.next_in = reinterpret_cast<Bytef*>(bytes.data());
  uint64_t left = bytes.size();
  for (;;) {
    if (stream.avail_in == 0) {
      const auto next = static_cast<uInt>(std::min<uint64_t>(left, 1u << 30));
      stream.avail_in = next;
      left -= next;
    }
    stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
    stream.avail_out = static_cast<uInt>(buffer.size());
    const int status = inflate(&stream, Z_NO_FLUSH);
    if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
      throw_input(where, fmt::format("the gzip data is broken: {}",
                                     stream.msg ? stream.msg : "bad data"));
    const size_t got = buffer.size() - stream.avail_out;
    if (out.size() + got > max_bytes)
      throw_input(where, fmt::format("unpacks to more than {}",
                                     format_bytes(max_bytes)));
    out.append(buffer.data(), got);
    if (status == Z_STREAM_END) {
      // Another member may follow (RFC 1952, section 2.2).
      if (stream.avail_in + left < 18 || *stream.next_in != 0x1f) return out;
      inflateReset(&stream);
    } else if (got == 0 && stream.avail_in == 0 && left == 0) {
      throw_input(where, "the gzip data ends early");
    }
  }
}

std::vector<fs::path> list_files(const fs::path& path) {
  if (!fs::is_directory(path)) return {path};
  std::vector<fs::path> files;
  std::error_code failed;
  fs::recursive_directory_iterator walk(path, failed), end;
  while (!failed && walk != end) {
    const std::string name = walk->path().filename().string();
    if (name.starts_with('.')) {
      walk.disable_recursion_pending();
    } else if (std::error_code odd; walk->is_regular_file(odd)) {
      files.push_back(walk->path());
    }
    walk.increment(failed);
  }
  if (failed)
    throw Error(ErrorKind::kIo, path.string(),
                "the folder cannot be read: " + failed.message());
  std::sort(files.begin(), files.end(),
            [](const fs::path& a, const fs::path& b) {
              return a.native() < b.native();
            });
  return files;
}

}  // namespace lathe::data
