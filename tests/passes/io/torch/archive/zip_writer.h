// Zip archives made in a test, laid out as PyTorch writes them: stored entries
// whose data starts at a multiple of 64 bytes.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lathe::test {

inline void put_little_endian(std::string& out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i)
    out += static_cast<char>((value >> (8 * i)) & 0xff);
}

inline std::string raw_deflate(std::string_view text) {
  z_stream stream{};
  deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8,
               Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

struct ZipWriterOptions {
  bool deflated = false;  // compress every entry, as PyTorch does with code/
  bool zip64 = false;     // sizes and offsets in zip64 fields
  std::string comment{};  // after the end record
};

// `entries`: name and content. PyTorch's names start with a folder:
// "archive/data.pkl".
inline std::string make_zip(
    std::vector<std::pair<std::string, std::string>> entries,
    const ZipWriterOptions& options = {}) {
  const uint64_t method = options.deflated ? 8 : 0;
  const uint64_t hidden = 0xffffffff;
  std::string out, directory;
  for (const auto& [name, content] : entries) {
    const uint64_t offset = out.size();
    const std::string data = options.deflated ? raw_deflate(content) : content;
    const uint64_t crc =
        crc32(0, reinterpret_cast<const Bytef*>(content.data()),
              static_cast<uInt>(content.size()));
    std::string shared;  // the fields that both headers have
    put_little_endian(shared, options.zip64 ? 45 : 20, 2);
    put_little_endian(shared, 0, 2);
    put_little_endian(shared, method, 2);
    put_little_endian(shared, 0, 4);
    put_little_endian(shared, crc, 4);
    put_little_endian(shared, options.zip64 ? hidden : data.size(), 4);
    put_little_endian(shared, options.zip64 ? hidden : content.size(), 4);
    put_little_endian(shared, name.size(), 2);
    std::string large;
    if (options.zip64) {
      put_little_endian(large, 1, 2);
      put_little_endian(large, 16, 2);
      put_little_endian(large, content.size(), 8);
      put_little_endian(large, data.size(), 8);
    }
    const uint64_t end = offset + 30 + name.size() + large.size() + 4;
    const uint64_t padding = (64 - end % 64) % 64;
    out += "PK\x03\x04" + shared;
    put_little_endian(out, large.size() + 4 + padding, 2);
    out += name + large + "FB";
    put_little_endian(out, padding, 2);
    out += std::string(padding, 'Z') + data;

    if (options.zip64) {
      large[2] = 24;
      put_little_endian(large, offset, 8);
    }
    directory += "PK\x01\x02";
    put_little_endian(directory, 0, 2);
    directory += shared;
    put_little_endian(directory, large.size(), 2);
    directory += std::string(10, '\0');
    put_little_endian(directory, options.zip64 ? hidden : offset, 4);
    directory += name + large;
  }
  const uint64_t start = out.size();
  out += directory;
  if (options.zip64) {
    const uint64_t record = out.size();
    out += std::string("PK\x06\x06");
    put_little_endian(out, 44, 8);
    put_little_endian(out, 45, 2);
    put_little_endian(out, 45, 2);
    put_little_endian(out, 0, 8);
    put_little_endian(out, entries.size(), 8);
    put_little_endian(out, entries.size(), 8);
    put_little_endian(out, directory.size(), 8);
    put_little_endian(out, start, 8);
    out += std::string("PK\x06\x07");
    put_little_endian(out, 0, 4);
    put_little_endian(out, record, 8);
    put_little_endian(out, 1, 4);
  }
  out += std::string("PK\x05\x06");
  put_little_endian(out, 0, 4);
  put_little_endian(out, options.zip64 ? 0xffff : entries.size(), 2);
  put_little_endian(out, options.zip64 ? 0xffff : entries.size(), 2);
  put_little_endian(out, options.zip64 ? hidden : directory.size(), 4);
  put_little_endian(out, options.zip64 ? hidden : start, 4);
  put_little_endian(out, options.comment.size(), 2);
  return out + options.comment;
}

}  // namespace lathe::test
