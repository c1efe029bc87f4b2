// The central directory (APPNOTE.TXT 6.3.10, sections 4.3.12 to 4.3.16) is read
// straight from the mapping, since libarchive would copy stored entries and
// read a whole archive to find one of them.
#include "passes/io/torch/archive/zip_archive.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <atomic>
#include <optional>

#include "passes/base/error.h"
#include "passes/base/file.h"
#include "passes/base/text.h"

namespace lathe::io {

struct ZipArchive::Entry {
  uint64_t header = 0;  // offset of the local header
  uint64_t packed = 0, size = 0;
  uint32_t crc = 0;
  uint16_t method = 0, flags = 0;
  std::string full_name;
  mutable std::atomic<bool> verified = false;  // the stored bytes' CRC-32
  mutable std::atomic<uint64_t> unpacked = 0;  // bytes, all reads together
};

namespace {

constexpr std::string_view kLocalHeader("PK\x03\x04", 4);
constexpr std::string_view kDirectoryHeader("PK\x01\x02", 4);
constexpr std::string_view kEnd("PK\x05\x06", 4);
constexpr std::string_view kEnd64("PK\x06\x06", 4);
constexpr std::string_view kEnd64Locator("PK\x06\x07", 4);
constexpr uint64_t kLocalHeaderBytes = 30, kDirectoryHeaderBytes = 46,
                   kEndBytes = 22, kEnd64Bytes = 56, kLocatorBytes = 20;
constexpr uint16_t kStored = 0, kDeflated = 8;
// What a compressed entry may unpack to; PyTorch compresses source code only.
constexpr uint64_t kMaxUnpackedBytes = uint64_t{1} << 30;
// The same over all reads of one entry, so that a small archive cannot keep
// its reader busy.
constexpr uint64_t kMaxUnpackedInAll = uint64_t{8} << 30;
// Deflate cannot do better than this (zlib's technical notes).
constexpr uint64_t kMaxDeflateRatio = 1032;

std::string_view text_of(const ir::Bytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.span().data()), bytes.size()};
}

// A little-endian number of `count` bytes; they must be there.
uint64_t number(std::string_view bytes, uint64_t at, int count) {
  uint64_t value = 0;
  for (int i = count - 1; i >= 0; --i)
    value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

bool has_at(std::string_view bytes, uint64_t at, std::string_view signature) {
  return at <= bytes.size() && bytes.substr(at).starts_with(signature);
}

struct Directory {
  uint64_t offset = 0, size = 0, entries = 0;
};

// Reads the central directory of one archive.
class DirectoryReader {
 public:
  DirectoryReader(std::string_view bytes, const std::string& where)
      : bytes_(bytes), where_(where) {}

  Directory find() const {
    const uint64_t end = find_end();
    Directory found{number(bytes_, end + 16, 4), number(bytes_, end + 12, 4),
                    number(bytes_, end + 10, 2)};
    uint64_t disk = number(bytes_, end + 4, 2);
    uint64_t stop = end;
    if (end >= kLocatorBytes &&
        has_at(bytes_, end - kLocatorBytes, kEnd64Locator)) {
      stop = number(bytes_, end - kLocatorBytes + 8, 8);
      if (stop > end || end - stop < kEnd64Bytes + kLocatorBytes ||
          !has_at(bytes_, stop, kEnd64))
        damaged("its zip64 end record is not where it should be");
      disk = number(bytes_, stop + 16, 4);
      found = {number(bytes_, stop + 48, 8), number(bytes_, stop + 40, 8),
               number(bytes_, stop + 32, 8)};
    }
    if (disk != 0) damaged("it is one part of several");
    if (found.offset > stop || found.size != stop - found.offset)
      damaged("its directory is not where the end record says");
    if (found.entries > found.size / kDirectoryHeaderBytes)
      damaged(fmt::format("its directory of {} cannot hold {} entries",
                          format_bytes(found.size), found.entries));
    return found;
  }

  // The entry at `at`, which moves on to the next one.
  template <class Entry>
  void read_entry(uint64_t* at, uint64_t stop, Entry* entry) const {
    if (stop - *at < kDirectoryHeaderBytes ||
        !has_at(bytes_, *at, kDirectoryHeader))
      damaged("its directory has a broken entry");
    const uint64_t name_size = number(bytes_, *at + 28, 2);
    const uint64_t extra_size = number(bytes_, *at + 30, 2);
    const uint64_t whole = kDirectoryHeaderBytes + name_size + extra_size +
                           number(bytes_, *at + 32, 2);
    if (stop - *at < whole) damaged("its directory has a broken entry");
    entry->flags = static_cast<uint16_t>(number(bytes_, *at + 8, 2));
    entry->method = static_cast<uint16_t>(number(bytes_, *at + 10, 2));
    entry->crc = static_cast<uint32_t>(number(bytes_, *at + 16, 4));
    entry->packed = number(bytes_, *at + 20, 4);
    entry->size = number(bytes_, *at + 24, 4);
    entry->header = number(bytes_, *at + 42, 4);
    entry->full_name = bytes_.substr(*at + kDirectoryHeaderBytes, name_size);
    check_name(entry->full_name);
    read_zip64(
        bytes_.substr(*at + kDirectoryHeaderBytes + name_size, extra_size),
        entry->full_name, {&entry->size, &entry->packed, &entry->header});
    *at += whole;
  }

  [[noreturn]] void damaged(std::string_view how) const {
    throw_input(where_, fmt::format("the zip archive is damaged: {}", how));
  }

 private:
  // The last end record; its comment must reach to the end of the file.
  uint64_t find_end() const {
    if (bytes_.empty()) throw_input(where_, "the file is empty");
    const uint64_t reach = kEndBytes + 0xffff;
    const uint64_t from = bytes_.size() - std::min(bytes_.size(), reach);
    const size_t found = bytes_.substr(from).rfind(kEnd);
    if (found != std::string_view::npos) {
      const uint64_t end = from + found;
      if (bytes_.size() - end >= kEndBytes &&
          bytes_.size() - end - kEndBytes == number(bytes_, end + 20, 2))
        return end;
    }
    if (!is_zip(bytes_)) throw_input(where_, "not a zip archive");
    throw_input(where_,
                "the zip archive is truncated: the directory at its end is "
                "missing",
                "copy or download the file again");
  }

  void check_name(std::string_view name) const {
    if (name.empty() || std::any_of(name.begin(), name.end(), [](char c) {
          return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
        }))
      damaged("an entry has no name or one with control characters");
  }

  // Fields that did not fit 32 bits, in the order of `fields` (4.5.3).
  void read_zip64(std::string_view extra, std::string_view name,
                  std::initializer_list<uint64_t*> fields) const {
    std::string_view large;
    while (extra.size() >= 4) {
      const uint64_t size = number(extra, 2, 2);
      if (size > extra.size() - 4) break;
      if (number(extra, 0, 2) == 1) large = extra.substr(4, size);
      extra.remove_prefix(4 + size);
    }
    for (uint64_t* field : fields) {
      if (*field != 0xffffffff) continue;
      if (large.size() < 8)
        damaged(fmt::format("'{}' lacks its zip64 sizes", name));
      *field = number(large, 0, 8);
      large.remove_prefix(8);
    }
  }

  std::string_view bytes_;
  const std::string& where_;
};

// The folder that all of `names` are in; empty when there is none.
std::string common_folder(const std::vector<std::string>& names) {
  if (names.empty()) return {};
  const size_t slash = names[0].find('/');
  if (slash == std::string::npos || slash == 0) return {};
  const std::string_view folder = std::string_view(names[0]).substr(0, slash);
  for (const std::string& name : names)
    if (!name.starts_with(folder) || name[slash] != '/') return {};
  return std::string(folder);
}

std::string inflated(std::string_view packed, uint64_t size,
                     const std::string& where) {
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
    throw_internal(where, "zlib does not start");
  const std::unique_ptr<z_stream, int (*)(z_stream*)> closer(&stream,
                                                             inflateEnd);
  // Neither size reaches 4 GiB: `size` is bounded and `packed` checked by it.
  std::string out(size + 1, '\0');  // one more, to see data that goes on
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int status = inflate(&stream, Z_FINISH);
  if (status != Z_STREAM_END || stream.total_out != size)
    throw_input(where, "is damaged: its compressed data is broken");
  out.pop_back();
  return out;
}

}  // namespace

bool is_zip(std::string_view head) {
  return head.starts_with(kLocalHeader) || head.starts_with(kEnd);
}

ZipArchive ZipArchive::open(const std::filesystem::path& path) {
  auto file = MappedFile::open(path);
  const auto bytes = file->bytes();
  return from_bytes(ir::Bytes(std::move(file), bytes), path.string());
}

ZipArchive ZipArchive::from_bytes(ir::Bytes bytes, std::string where) {
  ZipArchive archive;
  archive.bytes_ = std::move(bytes);
  archive.where_ = std::move(where);
  const DirectoryReader reader(text_of(archive.bytes_), archive.where_);
  const Directory directory = reader.find();
  const uint64_t stop = directory.offset + directory.size;
  std::vector<std::shared_ptr<Entry>> entries;
  uint64_t at = directory.offset;
  for (uint64_t i = 0; i < directory.entries; ++i) {
    auto entry = std::make_shared<Entry>();
    reader.read_entry(&at, stop, entry.get());
    entries.push_back(std::move(entry));
  }
  if (at != stop) reader.damaged("its directory has a broken entry");

  std::vector<const Entry*> by_place;
  for (const auto& entry : entries) by_place.push_back(entry.get());
  std::sort(
      by_place.begin(), by_place.end(),
      [](const Entry* a, const Entry* b) { return a->header < b->header; });
  for (size_t i = 0; i < by_place.size(); ++i) {
    const uint64_t from = by_place[i]->header;
    const uint64_t end =
        i + 1 < by_place.size() ? by_place[i + 1]->header : directory.offset;
    const uint64_t header = kLocalHeaderBytes + by_place[i]->full_name.size();
    if (from > end || end - from < header ||
        end - from - header < by_place[i]->packed)
      reader.damaged(
          fmt::format("'{}' does not lie inside it", by_place[i]->full_name));
  }

  std::erase_if(entries,
                [](const auto& e) { return e->full_name.ends_with('/'); });
  for (const auto& entry : entries) archive.names_.push_back(entry->full_name);
  archive.root_ = common_folder(archive.names_);
  const size_t skipped = archive.root_.empty() ? 0 : archive.root_.size() + 1;
  for (size_t i = 0; i < entries.size(); ++i) {
    archive.names_[i].erase(0, skipped);
    if (!archive.entries_.emplace(archive.names_[i], entries[i]).second)
      reader.damaged(fmt::format("it holds '{}' twice", entries[i]->full_name));
  }
  return archive;
}

bool ZipArchive::has(std::string_view name) const {
  return entries_.find(name) != entries_.end();
}

uint64_t ZipArchive::size_of(std::string_view name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end())
    throw_input(where_, fmt::format("the archive holds no '{}'", name));
  return found->second->size;
}

ir::Bytes ZipArchive::read(std::string_view name, uint64_t max_bytes) const {
  const uint64_t size = size_of(name);
  const Entry& entry = *entries_.find(name)->second;
  const std::string where = fmt::format("{}: {}", where_, name);
  if (size > max_bytes)
    throw_input(where,
                fmt::format("has {}, expected at most {}", format_bytes(size),
                            format_bytes(max_bytes)));
  if (entry.flags & 1) throw_input(where, "is encrypted");
  const std::string_view all = text_of(bytes_);
  // from_bytes has checked that the header and the name lie inside.
  if (!has_at(all, entry.header, kLocalHeader))
    throw_input(where, "is damaged: its header is missing");
  const uint64_t start = entry.header + kLocalHeaderBytes +
                         number(all, entry.header + 26, 2) +
                         number(all, entry.header + 28, 2);
  if (start > all.size() || all.size() - start < entry.packed)
    throw_input(where, "is damaged: it reaches beyond the end of the file");
  const std::string_view packed = all.substr(start, entry.packed);

  ir::Bytes content;
  if (entry.method == kStored) {
    if (entry.packed != size)
      throw_input(where, "is damaged: its two sizes differ");
    content = ir::Bytes(std::make_shared<const ir::Bytes>(bytes_),
                        bytes_.span().subspan(start, size));
    if (entry.verified) return content;
  } else if (entry.method == kDeflated) {
    if (size > kMaxUnpackedBytes)
      throw_unsupported(where, fmt::format("unpacks to {}, expected at most {}",
                                           format_bytes(size),
                                           format_bytes(kMaxUnpackedBytes)));
    if (size / kMaxDeflateRatio > entry.packed || entry.packed > UINT32_MAX)
      throw_input(where, "is damaged: its sizes do not fit together");
    if ((entry.unpacked += size) > kMaxUnpackedInAll)
      throw_unsupported(where, "is compressed and used too often",
                        "PyTorch stores tensors uncompressed");
    content = ir::Bytes::own(inflated(packed, size, where));
  } else {
    throw_input(where, fmt::format("is compressed by method {}, expected "
                                   "stored or deflated",
                                   entry.method));
  }
  const auto crc = static_cast<uint32_t>(
      crc32_z(0, reinterpret_cast<const Bytef*>(content.span().data()),
              content.size()));
  if (crc != entry.crc)
    throw_input(where, "is damaged: its CRC-32 does not match");
  if (entry.method == kStored) entry.verified = true;
  return content;
}

std::string ZipArchive::read_text(std::string_view name,
                                  uint64_t max_bytes) const {
  return std::string(text_of(read(name, max_bytes)));
}

}  // namespace lathe::io
